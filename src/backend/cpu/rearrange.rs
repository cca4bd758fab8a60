use super::real::Real;
use super::stages::Output;
use super::view::Input;
use crate::program::Kernel;

/// `y[i] = x[table[i]]`, elements counted in the views' channels; or the fill value, or zero.
pub fn rearrange<T: Real>(x: &Input<T>, y: &Output<T>, table: &[u32], fill: T) {
    assert_eq!(table.len(), y.height * y.width * y.channels, "a table entry for every element");
    y.each_pixel(
        #[inline(always)]
        |at, values| {
            let first = (at.y * y.width + at.x) * y.channels + at.channel;
            for (value, &from) in values.iter_mut().zip(&table[first..]) {
                *value = match from {
                    Kernel::FILL => fill,
                    Kernel::ZERO => T::ZERO,
                    from => {
                        let (pixel, channel) = (from as usize / x.channels, from as usize % x.channels);
                        x.lanes(at.n, pixel / x.width, pixel % x.width, channel, 1)[0]
                    }
                };
            }
        },
    );
}
