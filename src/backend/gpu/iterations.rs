//! Bounds on the iterations of all loops of a thread together, in WGSL, as a driver counts them that computes threads side by
//! side: the pass in which a loop ends is one, and where no thread enters a loop its body is passed once all the same.

use crate::graph::Resize;
use crate::program::ConvParams;

/// Mesa's llvmpipe ends all loops of a thread after so many iterations together (`LP_MAX_TGSI_LOOP_ITERATIONS`), and says nothing.
pub const MOST_OF_LLVMPIPE: usize = 65_535;

/// Loops as part of the body of others: what they take, and what they take where no thread enters them.
#[derive(Clone, Copy, Default)]
pub struct Loops {
    pub entered: usize,
    passed: usize,
}

/// A loop of `n` iterations over a body with these loops in it.
pub fn over(n: usize, body: Loops) -> Loops {
    Loops { entered: n * (1 + body.entered) + 1 + body.passed, passed: 1 + body.passed }
}

/// Two loops over cells, and what is in them.
pub fn over_cells([height, width]: [usize; 2], body: Loops) -> Loops {
    over(height, over(width, body))
}

/// A loop without others in it.
pub fn plain(n: usize) -> Loops {
    over(n, Loops::default())
}

/// The windows that hold a pixel, of so many along each axis.
pub fn windows(p: &ConvParams, windows: [usize; 2]) -> Loops {
    let along = |axis: usize| windows[axis].min((p.kernel[axis] - 1) * p.dilation[axis] / p.stride[axis] + 1);
    over_cells([along(0), along(1)], Loops::default())
}

/// The outputs of a resampling that read a cell, of so many along each axis.
pub fn readers(resize: &Resize, outputs: [usize; 2]) -> Loops {
    let along = |axis: usize| {
        let (scale, offset) = (resize.scale[axis], resize.offset[axis].abs());
        let all = outputs[axis];
        if scale > 0.0 { all.min((((3.0 + offset) / scale).ceil() as usize).saturating_add(4)) } else { all }
    };
    over_cells([along(0), along(1)], Loops::default())
}

/// A row of so many pixels and channels, of which so many threads each have runs of four channels, and pixels of each.
pub fn row(pixels: usize, channels: usize, threads: usize) -> Loops {
    let runs = channels.div_ceil(4).max(1);
    let across = runs.min(threads);
    over(runs.div_ceil(across), plain(pixels.div_ceil(threads / across)))
}

/// The first tap and the step to the next, along both axes.
fn first_tap(p: &ConvParams) -> usize {
    (0..2).map(|axis| plain(p.stride[axis]).entered + plain(p.kernel[axis]).entered).sum()
}

/// A convolution in tiles: steps of `depth` products, in each of which a loop goes on to the next tap.
pub fn tile(p: &ConvParams, inputs: usize, depth: usize) -> usize {
    let taps = p.kernel[0] * p.kernel[1];
    let steps = (taps * inputs).div_ceil(depth) + 2;
    // The last step may go on by some taps more than there are.
    first_tap(p) + 2 * steps + 2 * taps + depth
}

/// A convolution by subgroups: rows of taps with their runs of four channels, then up to eight runs of columns.
pub fn by_subgroups(p: &ConvParams, inputs: usize) -> usize {
    first_tap(p) + over(p.kernel[0], plain(p.kernel[1] * inputs.div_ceil(4))).entered + plain(8).entered
}

/// A dense layer by subgroups: the products of eight runs of four a step.
pub fn dense(p: &ConvParams, inputs: usize) -> usize {
    plain((p.kernel[0] * p.kernel[1] * inputs).div_ceil(32)).entered
}

/// A depthwise convolution by strips: so many rows and those that only the last of them reach; at each, the pixels of a strip, or
/// of a band of strips as long and as many as the strides.
pub fn strips(p: &ConvParams, rows: usize, strip: usize) -> usize {
    let [down, across] = p.stride;
    let strip = plain(strip * across);
    over(rows + p.kernel[0], Loops { entered: down * strip.entered, passed: down * strip.passed }).entered
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a driver counts that passes every body once more than it is entered.
    fn counted(sizes: &[usize], enters: bool) -> usize {
        let Some((n, inner)) = sizes.split_first() else { return 0 };
        let entered = if enters { *n } else { 0 };
        (0..=entered).map(|i| 1 + counted(inner, enters && i < entered)).sum()
    }

    #[test]
    fn the_pass_that_ends_a_loop_counts_and_so_do_those_in_it() {
        for sizes in [[0, 3, 2], [1, 1, 1], [3, 0, 4], [5, 4, 3]] {
            let [a, b, c] = sizes;
            assert_eq!(over_cells([a, b], plain(c)).entered, counted(&sizes, true), "{sizes:?}");
        }
    }

    #[test]
    fn strips_take_rows_that_only_the_last_one_reaches() {
        let p = ConvParams { kernel: [3, 5], stride: [1, 2], dilation: [1; 2], pads: [0; 4], groups: 1 };
        assert_eq!(strips(&p, 14, 7), counted(&[14 + 3, 2 * 7], true));
        assert!(strips(&ConvParams { stride: [2, 2], ..p }, 14, 7) > strips(&p, 14, 7));
    }

    #[test]
    fn a_resampling_without_a_scale_has_every_output() {
        let resize =
            |scale: f64| Resize { scale: [scale; 2], offset: [0.0; 2], mode: crate::graph::ResizeMode::Bilinear };
        let all = over_cells([9, 7], Loops::default()).entered;
        assert_eq!([0.0, -1.0, 1e-300].map(|scale| readers(&resize(scale), [9, 7]).entered), [all; 3]);
        assert!(readers(&resize(0.5), [900, 700]).entered < 200);
    }
}
