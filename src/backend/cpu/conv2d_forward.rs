use std::ops::Range;

use super::filter::Filter;
use super::lanes::RUN;
use super::prologue::Source;
use super::real::Real;
use super::stages::Output;
use super::tiles::ROWS;
use super::window::{Axis, axes};
use crate::program::ConvParams;

/// `y[oy,ox,o] = b[o] + sum x[oy s + ky d - p, ox s + kx d - p, i] w[ky,kx,i,o]`, taps outermost.
pub fn conv2d_forward<T: Real>(x: &Source<T>, w: &Filter<T>, b: Option<&[T]>, y: &Output<T>, params: &ConvParams) {
    let windows = axes(params, [x.input.height, x.input.width], [y.height, y.width]);
    let padding = vec![T::ZERO; x.input.channels];
    y.each_row(
        #[inline(always)]
        |n, oy, channels| {
            let mut scratch: [Vec<T>; ROWS] = std::array::from_fn(|_| x.scratch(padding.len()));
            for ox in (0..y.width).step_by(ROWS) {
                let rows = ROWS.min(y.width - ox);
                let mut sums = [[T::ZERO; RUN]; ROWS];
                if let Some(b) = b {
                    sums.iter_mut().for_each(|sum| sum[..channels.len()].copy_from_slice(&b[channels.clone()]));
                }
                for (ky, kx) in taps(&windows) {
                    let Some(iy) = windows[0].cell(oy, ky) else { continue };
                    let mut pixels: [&[T]; ROWS] = [&padding; ROWS];
                    for (r, (pixel, scratch)) in pixels.iter_mut().zip(&mut scratch).enumerate().take(rows) {
                        if let Some(ix) = windows[1].cell(ox + r, kx) {
                            *pixel = x.lanes([n, iy, ix], 0, padding.len(), scratch);
                        }
                    }
                    accumulate(&mut sums, pixels, w, ky * params.kernel[1] + kx, &channels);
                }
                let sums = sums.as_flattened_mut();
                y.finish(y.pixel(n, oy, ox), 1, rows, channels.start, channels.len(), sums, RUN);
            }
        },
    );
}

/// All taps of a window, row-major.
pub fn taps(windows: &[Axis; 2]) -> impl Iterator<Item = (usize, usize)> + use<> {
    let [height, width] = [windows[0].taps, windows[1].taps];
    (0..height).flat_map(move |ky| (0..width).map(move |kx| (ky, kx)))
}

/// `sums[r][o] += sum_i pixels[r][i] w[tap,i,o]`
#[inline(always)]
fn accumulate<T: Real>(
    sums: &mut [[T; RUN]; ROWS],
    pixels: [&[T]; ROWS],
    w: &Filter<T>,
    tap: usize,
    channels: &Range<usize>,
) {
    for (group, run) in w.runs(channels) {
        let inputs = w.inputs_of(group);
        let pixels = pixels.map(|pixel| &pixel[inputs.clone()]);
        let at = run.start - channels.start;
        if run.len() == RUN {
            return accumulate_run(sums, pixels, |i| w.row(tap, i, run.clone()));
        }
        for i in 0..inputs.len() {
            let row = w.row(tap, i, run.clone());
            for (sums, pixel) in sums.iter_mut().zip(pixels) {
                sums[at..].iter_mut().zip(row).for_each(|(sum, w)| *sum += pixel[i] * *w);
            }
        }
    }
}

/// The same over a whole run of channels, with the sums in registers.
#[expect(clippy::needless_range_loop, reason = "counted loops over arrays are what the compiler unrolls")]
#[inline(always)]
fn accumulate_run<'w, T: Real>(sums: &mut [[T; RUN]; ROWS], pixels: [&[T]; ROWS], row: impl Fn(usize) -> &'w [T]) {
    let mut held = *sums;
    for i in 0..pixels[0].len() {
        let Some(w) = row(i).first_chunk::<RUN>() else { return };
        for r in 0..ROWS {
            let x = pixels[r][i];
            for o in 0..RUN {
                held[r][o] += x * w[o];
            }
        }
    }
    *sums = held;
}
