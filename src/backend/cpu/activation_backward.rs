use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `m_x = stages(m_y)`
pub fn activation_backward<T: Real>(m_y: &Input<T>, m_x: &Output<T>) {
    m_x.each_pixel(
        #[inline(always)]
        |at, values| values.copy_from_slice(m_y.lanes(at.n, at.y, at.x, at.channel, values.len())),
    );
}
