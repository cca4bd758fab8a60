use super::dot::{PARTIAL, accumulate, total};
use super::prologue::Source;
use super::real::Real;
use super::stages::Output;
use crate::program::Stage;

/// `y[0] = sum mask [|z - z'| < TINY]` over the pixels and channels of a row; the other lanes are zero.
pub fn audit_rescale<T: Real>(z: &Source<T>, reference: &Source<T>, mask: &[T], y: &Output<T>) {
    let tiny = T::from_f64(Stage::TINY);
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            if at.channel > 0 {
                return;
            }
            let mut count = [T::ZERO; PARTIAL];
            let [mut here, mut there] = [z, reference].map(|source| source.scratch(mask.len()));
            for x in 0..z.input.width {
                let z = z.lanes([at.n, at.y, x], 0, mask.len(), &mut here);
                let reference = reference.lanes([at.n, at.y, x], 0, mask.len(), &mut there);
                accumulate(
                    &mut count,
                    [mask, z, reference],
                    |[mask, z, r]| if (z - r).abs() < tiny { mask } else { T::ZERO },
                );
            }
            sums[0] = total(count);
        },
    );
}
