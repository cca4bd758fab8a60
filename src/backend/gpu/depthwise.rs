//! The words of a depthwise convolution, and the window that its kernel for a CPU is rendered for.

use super::fields::{Fields, LANES, keeps_whole_words, window};
use super::iterations::{self, Loops, over_cells};
use super::launch::Pointers;
use crate::kernel::Window;
use crate::program::{ConvParams, Kernel, Program, Step};

/// Threads of a block by subgroups.
const THREADS_BY_SUBGROUPS: usize = 64;

/// Rows and pixels of a thread in `parts/strip.wgsl`; how many products of a pixel are rendered there, and for which strides.
const STRIP: [usize; 2] = [14, 7];
const MOST_TAPS: usize = 64;
const MOST_STRIDE: usize = 2;

/// The window that a depthwise convolution by strips is rendered for, if it is one of those: a few taps, and along an axis no stride
/// or no dilation.
fn strip_window(p: &ConvParams) -> Option<Window> {
    let (kernel, stride, dilation, pad) = (p.kernel, p.stride, p.dilation, [p.pads[0], p.pads[1]]);
    let is_one = |axis: usize| stride[axis] <= MOST_STRIDE && (stride[axis] == 1 || dilation[axis] == 1);
    let window = Window { kernel, stride, dilation, pad };
    (kernel[0] * kernel[1] <= MOST_TAPS && is_one(0) && is_one(1)).then_some(window)
}

/// The words of a depthwise convolution; its weights join `pointers`.
pub fn depthwise(program: &Program, step: &Step, p: &ConvParams, fields: &mut Fields, pointers: &mut Pointers) {
    let (x, y) = (step.inputs[0], step.output);
    let buffer = program.buffer(y);
    pointers.weight(&step.weights[0]);
    pointers.bias(step.weights.get(1), y.channels);
    let forward = matches!(step.kernel, Kernel::DepthwiseForward(_));
    let (from, to) = if forward { (x, y) } else { (y, x) };
    fields.rest = window(program, from, to, p);
    fields.iterations = over_cells(p.kernel, Loops::default()).entered;
    let Some(window) = strip_window(p) else { return };
    let stem = if forward { "depthwise_forward.subgroup" } else { "depthwise_backward.subgroup" };
    let parts = |axis: usize, side: usize| {
        let stride = if forward { 1 } else { p.stride[axis] };
        p.dilation[axis] * side.div_ceil(STRIP[axis] * stride * p.dilation[axis])
    };
    fields.whole_words = keeps_whole_words(program, step);
    // A subgroup writes a word, so the last one of a pixel is full.
    let runs = if fields.whole_words { fields.runs.next_multiple_of(LANES) } else { fields.runs };
    let strips = program.count(buffer.per) * parts(0, buffer.height) * parts(1, buffer.width) * runs;
    let [rows, strip] = STRIP;
    fields.on_cpu = Some((stem, strips.div_ceil(THREADS_BY_SUBGROUPS), iterations::strips(p, rows, strip)));
    fields.window = window;
}
