use std::ops::Range;

use super::conv2d_forward::taps;
use super::dot::{PARTIAL, multiply, total};
use super::filter::Filter;
use super::lanes::RUN;
use super::real::Real;
use super::stages::Output;
use super::tiles::ROWS;
use super::view::Input;
use super::window::axes;
use crate::program::ConvParams;

/// `m_x[iy,ix,i] = b[i] + sum m_y[oy,ox,o] w[ky,kx,i,o]` over `oy s + ky d - p = iy`, `ox s + kx d - p = ix`.
pub fn conv2d_backward<T: Real>(m_y: &Input<T>, w: &Filter<T>, b: Option<&[T]>, m_x: &Output<T>, params: &ConvParams) {
    let windows = axes(params, [m_x.height, m_x.width], [m_y.height, m_y.width]);
    let padding = vec![T::ZERO; m_y.channels];
    let stride = params.stride[1];
    m_x.each_row(
        #[inline(always)]
        |n, iy, channels| {
            let mut reached = Vec::with_capacity(windows[0].taps * windows[1].taps);
            // Pixels a stride apart are reached by the same taps.
            for first in (0..stride.min(m_x.width)).flat_map(|phase| (phase..m_x.width).step_by(stride * ROWS)) {
                let rows = ROWS.min((m_x.width - first).div_ceil(stride));
                reached.clear();
                for (ky, kx) in taps(&windows) {
                    let Some(oy) = windows[0].window(iy, ky) else { continue };
                    let columns: [Option<usize>; ROWS] =
                        std::array::from_fn(|r| windows[1].window(first + r * stride, kx).filter(|_| r < rows));
                    if columns.iter().any(Option::is_some) {
                        let pixels = columns.map(|ox| ox.map_or(&padding[..], |ox| m_y.pixel(n, oy, ox)));
                        reached.push((ky * params.kernel[1] + kx, pixels));
                    }
                }
                let mut sums = [[T::ZERO; RUN]; ROWS];
                dots(&mut sums, &reached, w, b, &channels);
                let sums = sums.as_flattened_mut();
                m_x.finish(m_x.pixel(n, iy, first), stride, rows, channels.start, channels.len(), sums, RUN);
            }
        },
    );
}

/// `sums[r][i] = b[i] + sum over taps and o of pixels[r][o] w[tap,i,o]`; padding channels of the input stay zero.
#[inline(always)]
fn dots<T: Real>(
    sums: &mut [[T; RUN]; ROWS],
    reached: &[(usize, [&[T]; ROWS])],
    w: &Filter<T>,
    b: Option<&[T]>,
    channels: &Range<usize>,
) {
    for i in channels.start..channels.end.min(w.inputs * w.groups) {
        let group = i / w.inputs;
        let outputs = w.outputs_of(group);
        let mut partial = [[T::ZERO; PARTIAL]; ROWS];
        for (tap, pixels) in reached {
            let row = w.row(*tap, i % w.inputs, outputs.clone());
            multiply(&mut partial, pixels.map(|pixel| &pixel[outputs.clone()]), row);
        }
        let start = b.map_or(T::ZERO, |b| b[i]);
        for (sums, partial) in sums.iter_mut().zip(partial) {
            sums[i - channels.start] = start + total(partial);
        }
    }
}
