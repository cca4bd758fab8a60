use super::conv2d_forward::taps;
use super::lanes::RUN;
use super::real::Real;
use super::stages::Output;
use super::view::{Input, Sink};
use super::window::pool_axes;
use crate::graph::Pool;

/// `y = max x` over each window's cells, the first one on ties; `index` receives its place `ky width + kx`.
pub fn pool_max_forward<T: Real>(x: &Input<T>, y: &Output<T>, index: Option<&Sink<u32>>, pool: &Pool) {
    let windows = pool_axes(pool, [x.height, x.width], [y.height, y.width]);
    y.each_pixel(
        #[inline(always)]
        |at, largest| {
            let mut winner = [0u32; RUN];
            largest.fill(T::from_f64(f64::NEG_INFINITY));
            for (ky, kx) in taps(&windows) {
                let (Some(iy), Some(ix)) = (windows[0].cell(at.y, ky), windows[1].cell(at.x, kx)) else { continue };
                let tap = (ky * pool.kernel[1] + kx) as u32;
                let x = x.lanes(at.n, iy, ix, at.channel, largest.len());
                for ((largest, winner), x) in largest.iter_mut().zip(&mut winner).zip(x) {
                    // Not-a-number wins, so that it is not hidden.
                    let wins = *x > *largest || x.is_nan();
                    *winner = if wins { tap } else { *winner };
                    *largest = if wins { *x } else { *largest };
                }
            }
            if let Some(index) = index {
                // SAFETY: this thread computes these channels of the pixel.
                unsafe { index.store(y.pixel(at.n, at.y, at.x), at.channel, &winner[..largest.len()]) };
            }
        },
    );
}
