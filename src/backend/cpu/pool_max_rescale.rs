use super::lanes::RUN;
use super::real::Real;
use super::stages::Output;
use super::view::Input;
use super::window::{pairs, pool_axes};
use crate::graph::Pool;
use crate::program::Stage;

/// What a DeepLIFT max-pool reads: values of image and reference (primed), and their winners.
pub struct PoolPair<'a, T> {
    pub x: Input<'a, T>,
    pub x_reference: Input<'a, T>,
    pub y: Input<'a, T>,
    pub y_reference: Input<'a, T>,
    pub index: Input<'a, u32>,
    pub index_reference: Input<'a, u32>,
}

/// With `c = max(y, y')`: `m_x` = sum over the windows on x's cell of `m (c - y')` where x's cell won and `m (y - c)`
/// where x''s did, divided by `x - x'`; where that vanishes, the sum of m over the windows that x's cell won.
pub fn pool_max_rescale<T: Real>(m_y: &Input<T>, pair: &PoolPair<T>, m_x: &Output<T>, pool: &Pool) {
    let windows = pool_axes(pool, [m_x.height, m_x.width], [m_y.height, m_y.width]);
    let [rows, columns] = windows.map(|axis| axis.covers());
    let tiny = T::from_f64(Stage::TINY);
    m_x.each_pixel(
        #[inline(always)]
        |at, shares| {
            let count = shares.len();
            let mut plain = [T::ZERO; RUN];
            for (&(ky, oy), &(kx, ox)) in pairs(&rows[at.y], &columns[at.x]) {
                let tap = (ky * pool.kernel[1] + kx) as u32;
                let m = m_y.lanes(at.n, oy, ox, at.channel, count);
                let y = pair.y.lanes(at.n, oy, ox, at.channel, count);
                let y_reference = pair.y_reference.lanes(at.n, oy, ox, at.channel, count);
                let here = pair.index.lanes(at.n, oy, ox, at.channel, count);
                let there = pair.index_reference.lanes(at.n, oy, ox, at.channel, count);
                for l in 0..count {
                    let c = y[l].at_least(y_reference[l]);
                    let won = here[l] == tap;
                    plain[l] += if won { m[l] } else { T::ZERO };
                    shares[l] += if won { m[l] * (c - y_reference[l]) } else { T::ZERO };
                    shares[l] += if there[l] == tap { m[l] * (y[l] - c) } else { T::ZERO };
                }
            }
            let x = pair.x.lanes(at.n, at.y, at.x, at.channel, count);
            let x_reference = pair.x_reference.lanes(at.n, at.y, at.x, at.channel, count);
            for l in 0..count {
                let difference = x[l] - x_reference[l];
                shares[l] = if difference.abs() < tiny { plain[l] } else { shares[l] / difference };
            }
        },
    );
}
