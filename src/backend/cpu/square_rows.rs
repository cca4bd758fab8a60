use super::dot::{PARTIAL, accumulate, total};
use super::prologue::Source;
use super::real::Real;
use super::stages::Output;

/// `y[0] = sum x x` over the pixels and channels of a row; the other lanes are zero.
pub fn square_rows<T: Real>(x: &Source<T>, y: &Output<T>) {
    let channels = x.input.channels;
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            if at.channel > 0 {
                return;
            }
            let mut squares = [T::ZERO; PARTIAL];
            let mut scratch = x.scratch(channels);
            for column in 0..x.input.width {
                let lanes = x.lanes([at.n, at.y, column], 0, channels, &mut scratch);
                accumulate(&mut squares, [lanes], |[v]| v * v);
            }
            sums[0] = total(squares);
        },
    );
}
