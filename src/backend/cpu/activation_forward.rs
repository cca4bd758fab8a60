use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `a = stages(x)`
pub fn activation_forward<T: Real>(x: &Input<T>, a: &Output<T>) {
    a.each_pixel(
        #[inline(always)]
        |at, values| values.copy_from_slice(x.lanes(at.n, at.y, at.x, at.channel, values.len())),
    );
}
