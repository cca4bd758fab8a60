//! Where the windows of convolutions and pools lie.

use crate::graph::Pool;
use crate::program::ConvParams;

/// Windows along one axis: tap `k` of window `o` covers the cell `o stride + k dilation - before`.
#[derive(Clone, Copy)]
pub struct Axis {
    pub taps: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub after: usize,
    pub cells: usize,
    pub windows: usize,
}

impl Axis {
    /// The cell that tap `k` of window `o` covers, unless it lies in the padding.
    #[inline(always)]
    pub fn cell(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.before).filter(|i| *i < self.cells)
    }

    /// The window whose tap `k` covers cell `i`.
    #[inline(always)]
    pub fn window(&self, i: usize, k: usize) -> Option<usize> {
        let from = (i + self.before).checked_sub(k * self.dilation)?;
        (from.is_multiple_of(self.stride) && from / self.stride < self.windows).then_some(from / self.stride)
    }

    /// For every cell the taps that lie on it, in their order, each with its window.
    pub fn covers(&self) -> Vec<Vec<(usize, usize)>> {
        let of_cell = |i| (0..self.taps).filter_map(|k| Some((k, self.window(i, k)?))).collect();
        (0..self.cells).map(of_cell).collect()
    }

    /// Taps of window `o` that count in the divisor of an average: those on cells, and with `pads` those on padding, but
    /// not those beyond it, which only ceil mode adds.
    pub fn counted(&self, o: usize, pads: bool) -> usize {
        let reach = self.cells + self.before + self.after;
        let counts = |k: &usize| {
            if pads { o * self.stride + k * self.dilation < reach } else { self.cell(o, *k).is_some() }
        };
        (0..self.taps).filter(counts).count()
    }
}

/// Both axes of a window operation from `cells` to `windows` (height, width).
pub fn axes(params: &ConvParams, cells: [usize; 2], windows: [usize; 2]) -> [Axis; 2] {
    [0, 1].map(|a| Axis {
        taps: params.kernel[a],
        stride: params.stride[a],
        dilation: params.dilation[a],
        before: params.pads[a],
        after: params.pads[a + 2],
        cells: cells[a],
        windows: windows[a],
    })
}

/// As [`axes`], for a pool.
pub fn pool_axes(pool: &Pool, cells: [usize; 2], windows: [usize; 2]) -> [Axis; 2] {
    let (kernel, stride, dilation, pads) = (pool.kernel, pool.stride, pool.dilation, pool.pads);
    axes(&ConvParams { kernel, stride, dilation, pads, groups: 1 }, cells, windows)
}

/// Every element of `a` with every one of `b`, `b` fastest.
pub fn pairs<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter().flat_map(move |a| b.iter().map(move |b| (a, b)))
}
