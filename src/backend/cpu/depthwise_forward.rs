use super::conv2d_forward::taps;
use super::real::Real;
use super::stages::Output;
use super::view::Input;
use super::window::axes;
use crate::program::ConvParams;

/// `y[oy,ox,c] = b[c] + sum x[oy s + ky d - p, ox s + kx d - p, c] w[ky,kx,c]`
pub fn depthwise_forward<T: Real>(x: &Input<T>, w: &[T], b: Option<&[T]>, y: &Output<T>, params: &ConvParams) {
    let windows = axes(params, [x.height, x.width], [y.height, y.width]);
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            if let Some(b) = b {
                sums.copy_from_slice(&b[at.channel..][..sums.len()]);
            }
            for (ky, kx) in taps(&windows) {
                let (Some(iy), Some(ix)) = (windows[0].cell(at.y, ky), windows[1].cell(at.x, kx)) else { continue };
                let x = x.lanes(at.n, iy, ix, at.channel, sums.len());
                let w = &w[(ky * params.kernel[1] + kx) * y.channels + at.channel..][..sums.len()];
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum += *x * *w;
                }
            }
        },
    );
}
