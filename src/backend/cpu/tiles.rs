//! How the threads share a step's output.

use std::ops::Range;

use rayon::prelude::*;

use super::lanes::RUN;
use super::real::Real;
use super::stages::Output;

/// Pixels of a tile.
pub const ROWS: usize = 4;

/// Where a run of channels of the output lies.
#[derive(Clone, Copy)]
pub struct Place {
    pub n: usize,
    pub y: usize,
    pub x: usize,
    pub channel: usize,
}

impl<T: Real> Output<'_, T> {
    /// Flat index of a pixel over all items.
    #[inline(always)]
    pub fn pixel(&self, n: usize, y: usize, x: usize) -> usize {
        (n * self.height + y) * self.width + x
    }

    /// Runs `work` for every row of pixels and every run of channels, in parallel.
    #[inline(always)]
    pub fn each_row(&self, work: impl Fn(usize, usize, Range<usize>) + Sync) {
        let runs = self.channels.div_ceil(RUN);
        (0..self.items * self.height * runs).into_par_iter().for_each(|task| {
            let (row, run) = (task / runs, task % runs);
            let channels = run * RUN..self.channels.min((run + 1) * RUN);
            T::vectorised(
                #[inline(always)]
                || work(row / self.height, row % self.height, channels),
            );
        });
    }

    /// Lets `compute` add to the zeros of every pixel's run of channels, and finishes it.
    #[inline(always)]
    pub fn each_pixel(&self, compute: impl Fn(Place, &mut [T]) + Sync) {
        self.each_row(
            #[inline(always)]
            |n, y, channels| {
                for first in (0..self.width).step_by(ROWS) {
                    let rows = ROWS.min(self.width - first);
                    let mut values = [[T::ZERO; RUN]; ROWS];
                    for (r, values) in values[..rows].iter_mut().enumerate() {
                        compute(Place { n, y, x: first + r, channel: channels.start }, &mut values[..channels.len()]);
                    }
                    let pixel = self.pixel(n, y, first);
                    self.finish(pixel, 1, rows, channels.start, channels.len(), values.as_flattened_mut(), RUN);
                }
            },
        );
    }

    /// Lets `compute` add to the zeros of every pixel, all its channels at once, and finishes it.
    pub fn each_whole_pixel(&self, compute: impl Fn(Place, &mut [T]) + Sync) {
        (0..self.items * self.height).into_par_iter().for_each_init(
            || vec![T::ZERO; self.channels],
            |values, row| {
                let (n, y) = (row / self.height, row % self.height);
                for x in 0..self.width {
                    values.fill(T::ZERO);
                    compute(Place { n, y, x, channel: 0 }, values);
                    self.finish(self.pixel(n, y, x), 1, 1, 0, self.channels, values, self.channels);
                }
            },
        );
    }
}
