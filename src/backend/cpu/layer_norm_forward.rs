use super::moments::Moments;
use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `y = (x - mean) / deviation` over the channels of a pixel that the mask has; the other lanes are zero.
pub fn layer_norm_forward<T: Real>(x: &Input<T>, mask: &[T], y: &Output<T>, epsilon: T) {
    y.each_whole_pixel(|at, values| {
        let x = x.pixel(at.n, at.y, at.x);
        let Moments { mean, deviation, .. } = Moments::of(x, mask, epsilon);
        for ((value, x), _) in values.iter_mut().zip(x).zip(mask).filter(|(_, mask)| **mask != T::ZERO) {
            *value = (*x - mean) / deviation;
        }
    });
}
