use super::real::Real;
use super::resize::reads;
use super::stages::Output;
use super::view::Input;
use crate::graph::Resize;

/// `y[oy,ox] = sum v[oy,iy] h[ox,ix] x[iy,ix]` over the one or two cells read along each axis.
pub fn upsample_bilinear<T: Real>(x: &Input<T>, y: &Output<T>, resize: &Resize) {
    let v = reads::<T>(resize, 0, x.height, y.height);
    let h = reads::<T>(resize, 1, x.width, y.width);
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            for &(iy, v) in &v[at.y] {
                for &(ix, h) in &h[at.x] {
                    let x = x.lanes(at.n, iy, ix, at.channel, sums.len());
                    sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += v * h * *x);
                }
            }
        },
    );
}
