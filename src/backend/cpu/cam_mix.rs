use super::dot::{PARTIAL, multiply, total};
use super::real::Real;
use super::stages::Output;
use super::view::Input;

/// `y[p] = sum_c w[p,c] a[p,c]`, where a `w` of one pixel serves all; the other lanes of y are zero.
pub fn cam_mix<T: Real>(w: &Input<T>, a: &Input<T>, y: &Output<T>) {
    let one_pixel = (w.height, w.width) == (1, 1);
    y.each_pixel(
        #[inline(always)]
        |at, values| {
            if at.channel == 0 {
                let w = if one_pixel { w.pixel(at.n, 0, 0) } else { w.pixel(at.n, at.y, at.x) };
                let mut partial = [[T::ZERO; PARTIAL]];
                multiply(&mut partial, [a.pixel(at.n, at.y, at.x)], w);
                let [partial] = partial;
                values[0] = total(partial);
            }
        },
    );
}
