use super::conv2d_forward::taps;
use super::lanes::RUN;
use super::prologue::Source;
use super::real::Real;
use super::stages::Output;
use super::window::{Axis, pool_axes};
use crate::graph::{Pool, PoolKind};

/// `y = sum x / divisor` over each window's cells, or with `sum` without the division.
pub fn pool_average_forward<T: Real>(x: &Source<T>, y: &Output<T>, pool: &Pool, sum: bool) {
    let windows = pool_axes(pool, [x.input.height, x.input.width], [y.height, y.width]);
    y.each_pixel(
        #[inline(always)]
        |at, sums| {
            let mut scratch = [T::ZERO; RUN];
            for (ky, kx) in taps(&windows) {
                let (Some(iy), Some(ix)) = (windows[0].cell(at.y, ky), windows[1].cell(at.x, kx)) else { continue };
                let x = x.lanes([at.n, iy, ix], at.channel, sums.len(), &mut scratch);
                sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += *x);
            }
            if !sum {
                let divisor = divisor(pool, &windows, at.y, at.x);
                sums.iter_mut().for_each(|sum| *sum = *sum / divisor);
            }
        },
    );
}

/// Cells that count in window (oy, ox), at least one.
pub fn divisor<T: Real>(pool: &Pool, windows: &[Axis; 2], oy: usize, ox: usize) -> T {
    let pads = matches!(pool.kind, PoolKind::Average { include_pad: true });
    let cells = windows[0].counted(oy, pads) * windows[1].counted(ox, pads);
    T::from_f64(cells.max(1) as f64)
}
