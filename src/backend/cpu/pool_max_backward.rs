use super::real::Real;
use super::stages::Output;
use super::view::Input;
use super::window::{pairs, pool_axes};
use crate::graph::Pool;

/// `m_x` = sum of m_y over the windows that x's cell won.
pub fn pool_max_backward<T: Real>(m_y: &Input<T>, index: &Input<u32>, m_x: &Output<T>, pool: &Pool) {
    let windows = pool_axes(pool, [m_x.height, m_x.width], [m_y.height, m_y.width]);
    let [rows, columns] = windows.map(|axis| axis.covers());
    m_x.each_pixel(
        #[inline(always)]
        |at, sums| {
            for (&(ky, oy), &(kx, ox)) in pairs(&rows[at.y], &columns[at.x]) {
                let tap = (ky * pool.kernel[1] + kx) as u32;
                let m = m_y.lanes(at.n, oy, ox, at.channel, sums.len());
                let winner = index.lanes(at.n, oy, ox, at.channel, sums.len());
                for ((sum, m), winner) in sums.iter_mut().zip(m).zip(winner) {
                    *sum += if *winner == tap { *m } else { T::ZERO };
                }
            }
        },
    );
}
