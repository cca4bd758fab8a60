use super::real::Real;
use super::resize::readers;
use super::stages::Output;
use super::view::Input;
use crate::graph::Resize;

/// `m_x[iy,ix] = sum v[oy,iy] h[ox,ix] m_y[oy,ox]` over the cells that read x's.
pub fn upsample_bilinear_backward<T: Real>(m_y: &Input<T>, m_x: &Output<T>, resize: &Resize) {
    let v = readers::<T>(resize, 0, m_x.height, m_y.height);
    let h = readers::<T>(resize, 1, m_x.width, m_y.width);
    m_x.each_pixel(
        #[inline(always)]
        |at, sums| {
            for &(oy, v) in &v[at.y] {
                for &(ox, h) in &h[at.x] {
                    let m = m_y.lanes(at.n, oy, ox, at.channel, sums.len());
                    sums.iter_mut().zip(m).for_each(|(sum, m)| *sum += v * h * *m);
                }
            }
        },
    );
}
