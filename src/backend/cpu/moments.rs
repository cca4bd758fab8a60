//! Mean and deviation of a pixel over its channels.

use super::dot::{PARTIAL, accumulate, total};
use super::real::Real;

pub struct Moments<T> {
    /// Channels that the mask has.
    pub count: T,
    pub mean: T,
    /// `sqrt(variance + epsilon)`
    pub deviation: T,
}

impl<T: Real> Moments<T> {
    /// Over the channels that the mask has; the others are zero.
    pub fn of(pixel: &[T], mask: &[T], epsilon: T) -> Self {
        let (mut count, mut sum, mut squares) = ([T::ZERO; PARTIAL], [T::ZERO; PARTIAL], [T::ZERO; PARTIAL]);
        accumulate(&mut count, [mask], |[mask]| mask);
        accumulate(&mut sum, [pixel], |[x]| x);
        let count = total(count);
        let mean = total(sum) / count;
        let square = |[x, mask]: [T; 2]| if mask == T::ZERO { T::ZERO } else { (x - mean) * (x - mean) };
        accumulate(&mut squares, [pixel, mask], square);
        Self { count, mean, deviation: (total(squares) / count + epsilon).sqrt() }
    }
}
