use super::pool_average_forward::divisor;
use super::real::Real;
use super::stages::Output;
use super::view::Input;
use super::window::{pairs, pool_axes};
use crate::graph::Pool;

/// `m_x` = sum of `m_y / divisor` over the windows on x's cell.
pub fn pool_average_backward<T: Real>(m_y: &Input<T>, m_x: &Output<T>, pool: &Pool) {
    let windows = pool_axes(pool, [m_x.height, m_x.width], [m_y.height, m_y.width]);
    let divisors: Vec<T> = (0..m_y.height)
        .flat_map(|oy| (0..m_y.width).map(move |ox| (oy, ox)))
        .map(|(oy, ox)| divisor(pool, &windows, oy, ox))
        .collect();
    let [rows, columns] = windows.map(|axis| axis.covers());
    m_x.each_pixel(
        #[inline(always)]
        |at, sums| {
            for (&(_, oy), &(_, ox)) in pairs(&rows[at.y], &columns[at.x]) {
                let divisor = divisors[oy * m_y.width + ox];
                let m = m_y.lanes(at.n, oy, ox, at.channel, sums.len());
                sums.iter_mut().zip(m).for_each(|(sum, m)| *sum += *m / divisor);
            }
        },
    );
}
