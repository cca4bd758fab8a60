use super::conv2d_forward::taps;
use super::real::Real;
use super::stages::Output;
use super::view::Input;
use super::window::axes;
use crate::program::ConvParams;

/// `m_x[iy,ix,c] = sum m_y[oy,ox,c] w[ky,kx,c]` over `oy s + ky d - p = iy`, `ox s + kx d - p = ix`.
pub fn depthwise_backward<T: Real>(m_y: &Input<T>, w: &[T], m_x: &Output<T>, params: &ConvParams) {
    let windows = axes(params, [m_x.height, m_x.width], [m_y.height, m_y.width]);
    m_x.each_pixel(
        #[inline(always)]
        |at, sums| {
            for (ky, kx) in taps(&windows) {
                let (Some(oy), Some(ox)) = (windows[0].window(at.y, ky), windows[1].window(at.x, kx)) else { continue };
                let m = m_y.lanes(at.n, oy, ox, at.channel, sums.len());
                let w = &w[(ky * params.kernel[1] + kx) * m_x.channels + at.channel..][..sums.len()];
                for ((sum, m), w) in sums.iter_mut().zip(m).zip(w) {
                    *sum += *m * *w;
                }
            }
        },
    );
}
