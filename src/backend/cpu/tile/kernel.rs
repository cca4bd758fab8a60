//! The register microkernel.

use core::array::from_fn;
use core::hint::black_box;

use super::TILE_CHANNELS;
use super::vector::{Operation, Vector, prefetch};

/// Most pixels of a tile.
pub(super) const MAX_ROWS: usize = 14;

/// Weight rows between the one in use and the one fetched in advance.
const AHEAD: usize = 24;

/// A stretch of the reduction over which both operands advance evenly:
/// `length` consecutive inputs and as many rows of packed weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// First input, from a pixel's position on.
    pub input: usize,
    /// First weight row, in the block.
    pub weights: usize,
    /// Number of inputs.
    pub length: usize,
}

/// The product of one tile: `rows` pixels times `channels` output channels.
///
/// The pixels come in two halves, each with a constant pitch, so that one tile
/// can hold two short rows of an image.
pub(super) struct Product<'a> {
    /// The input.
    pub source: &'a [f32],
    /// Positions of the first pixel of either half; the first half has
    /// `rows.div_ceil(2)` pixels.
    pub positions: [usize; 2],
    /// Distance between two pixels of a half.
    pub pitch: usize,
    /// Number of pixels.
    pub rows: usize,
    /// Packed weights, `TILE_CHANNELS` to a row.
    pub weights: &'a [f32],
    /// The reduction.
    pub runs: &'a [Run],
    /// Number of output channels.
    pub channels: usize,
    /// The result, with pitch `TILE_CHANNELS`.
    pub values: &'a mut [f32],
}

impl Product<'_> {
    /// Panics unless every element the microkernel touches is in bounds.
    fn check(&self) {
        let first = self.rows.div_ceil(2);
        let reach = |run: &Run| run.input + run.length;
        let input = self.runs.iter().map(reach).max().unwrap_or(0);
        for (position, rows) in self.positions.iter().zip([first, self.rows - first]) {
            if rows > 0 && input > 0 {
                assert!(position + (rows - 1) * self.pitch + input <= self.source.len());
            }
        }
        for run in self.runs {
            assert!((run.weights + run.length) * TILE_CHANNELS <= self.weights.len());
        }
        assert!(self.channels <= TILE_CHANNELS);
        assert!(self.rows * TILE_CHANNELS <= self.values.len());
    }

    /// Computes columns `column ..` of the tile: `P` pixels times `N`
    /// registers, all accumulated in registers.
    ///
    /// # Safety
    ///
    /// `P == self.rows`, the columns are in the tile, [`Self::check`] passed,
    /// and the instruction set of `V` is enabled.
    #[inline(always)]
    unsafe fn accumulate<V: Vector, const P: usize, const N: usize>(&mut self, column: usize) {
        // SAFETY: `check` has bounded the pointers by the same runs and rows.
        unsafe {
            let half = const { P.div_ceil(2) };
            // Opaque, or the compiler derives each row's address from the last.
            let offsets: [usize; MAX_ROWS / 2] = from_fn(|p| black_box(p * self.pitch));
            let mut sums = [[V::zero(); N]; P];
            for run in self.runs {
                let mut upper = self.source.as_ptr().add(self.positions[0] + run.input);
                let mut lower = self.source.as_ptr().wrapping_add(self.positions[1] + run.input);
                let mut weights = self.weights.as_ptr().add(run.weights * TILE_CHANNELS + column);
                for _ in 0..run.length {
                    let mut factors = [V::zero(); N];
                    for (n, factor) in factors.iter_mut().enumerate() {
                        *factor = V::load(weights.add(n * V::LANES));
                        prefetch(weights.wrapping_add(AHEAD * TILE_CHANNELS + n * V::LANES));
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let base = if p < half { upper } else { lower };
                        let x = V::splat(*base.add(offsets[p % half]));
                        for (sum, factor) in sums.iter_mut().zip(factors) {
                            *sum = x.mul_add(factor, *sum);
                        }
                    }
                    upper = upper.add(1);
                    lower = lower.wrapping_add(1);
                    weights = weights.add(TILE_CHANNELS);
                }
            }
            let values = self.values.as_mut_ptr().add(column);
            for (p, sums) in sums.iter().enumerate() {
                for (n, sum) in sums.iter().enumerate() {
                    sum.store(values.add(p * TILE_CHANNELS + n * V::LANES));
                }
            }
        }
    }

    /// Computes all columns of a tile of `P` pixels, two registers at a time.
    ///
    /// # Safety
    ///
    /// `P == self.rows`, [`Self::check`] passed, and the instruction set of `V`
    /// is enabled.
    #[inline(always)]
    unsafe fn rows<V: Vector, const P: usize>(&mut self) {
        let mut column = 0;
        while column < self.channels {
            // SAFETY: the caller's, and a register starts at a valid column.
            unsafe {
                if self.channels - column > V::LANES {
                    self.accumulate::<V, P, 2>(column);
                } else {
                    self.accumulate::<V, P, 1>(column);
                }
            }
            column += 2 * V::LANES;
        }
    }
}

impl Operation for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        self.check();
        macro_rules! select {
            ($($rows:literal)*) => {
                match self.rows {
                    // SAFETY: checked above; the guard keeps the tiles that
                    // would spill from being compiled.
                    $($rows if $rows <= V::ROWS => unsafe { self.rows::<V, $rows>() },)*
                    rows => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        select!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}
