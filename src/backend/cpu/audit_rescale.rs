use super::dot::{PARTIAL, accumulate, total};
use super::real::Real;
use super::stages::Output;
use super::view::Input;
use crate::program::Stage;

/// `y[0] = sum mask [|z - z'| < TINY]` over the pixels and channels of a row; the other lanes are zero.
pub fn audit_rescale<T: Real>(z: &Input<T>, reference: &Input<T>, mask: &[T], y: &Output<T>) {
    let tiny = T::from_f64(Stage::TINY);
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            if at.channel > 0 {
                return;
            }
            let mut count = [T::ZERO; PARTIAL];
            for x in 0..z.width {
                let rows = [mask, z.pixel(at.n, at.y, x), reference.pixel(at.n, at.y, x)];
                accumulate(&mut count, rows, |[mask, z, r]| if (z - r).abs() < tiny { mask } else { T::ZERO });
            }
            sums[0] = total(count);
        },
    );
}
