use super::dot::{PARTIAL, accumulate, total};
use super::moments::Moments;
use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `m_x = (m_y - mean(m_y) - d mean(m_y d) / deviation^2) / deviation` with `d = x - mean(x)`, over the channels of a pixel
/// that the mask has; without the third term where the deviation is `fixed`. The other lanes are zero.
pub fn layer_norm_backward<T: Real>(
    m_y: &Input<T>,
    x: &Input<T>,
    mask: &[T],
    m_x: &Output<T>,
    epsilon: T,
    fixed: bool,
) {
    m_x.each_whole_pixel(|at, values| {
        let (m, x) = (m_y.pixel(at.n, at.y, at.x), x.pixel(at.n, at.y, at.x));
        let Moments { count, mean, deviation } = Moments::of(x, mask, epsilon);
        let (mut sum, mut product) = ([T::ZERO; PARTIAL], [T::ZERO; PARTIAL]);
        accumulate(&mut sum, [m], |[m]| m);
        accumulate(&mut product, [m, x], |[m, x]| m * (x - mean));
        let offset = total(sum) / count;
        let slope = if fixed { T::ZERO } else { total(product) / count / deviation / deviation };
        let lanes = values.iter_mut().zip(m).zip(x).zip(mask);
        for (((value, m), x), _) in lanes.filter(|(_, mask)| **mask != T::ZERO) {
            *value = (*m - offset - (*x - mean) * slope) / deviation;
        }
    });
}
