use super::real::Real;
use super::stages::Output;
use super::view::Input;
use crate::program::Kernel;

/// `y[i] = x[table[i]]`, elements counted in the views' channels; or the fill value, or zero.
pub fn rearrange<T: Real>(x: &Input<T>, y: &Output<T>, table: &[u32], fill: T) {
    assert_eq!(table.len(), y.height * y.width * y.channels, "a table entry for every element");
    let is_whole = x.pitch == x.channels;
    // Where an element lies in its item; only the pixels of a part lie apart.
    let place = |from: usize| match is_whole {
        true => from,
        false => from / x.channels * x.pitch + x.offset + from % x.channels,
    };
    y.each_pixel(
        #[inline(always)]
        |at, values| {
            let (item, first) = (x.item(at.n), (at.y * y.width + at.x) * y.channels + at.channel);
            for (value, &from) in values.iter_mut().zip(&table[first..]) {
                *value = match from {
                    Kernel::FILL => fill,
                    Kernel::ZERO => T::ZERO,
                    from => item[place(from as usize)],
                };
            }
        },
    );
}
