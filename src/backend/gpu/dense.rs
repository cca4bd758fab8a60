//! Dense layers: convolutions of which one window covers all of an item.

use super::fields::LANES;
use super::iterations::MOST_OF_LLVMPIPE;
use crate::program::{ConvParams, Element, Kernel, Operand, Program, Prologue, Stage, Step, View};

/// Items of a block, and its columns at the least: what follows from `height` and `width` in `parts/dense.wgsl`.
const ITEMS: usize = 4;
const COLUMNS: usize = 32;
/// Runs of columns that a thread has forward: the products of a column lie whole rows of w apart, so a block reads more of each row.
const WIDTH: usize = 8;
/// Of more items than lanes a tile leaves none idle, and loads less, if the driver lets it come to its end.
const MOST_ITEMS: usize = LANES;

/// A dense layer's message to a map, which its one window covers: pixels and channels of the map lie side by side as the weights
/// do. As a single pixel of so many channels it meets every weight once, where a tile of pixels would try every tap for each.
pub fn is_one_window(program: &Program, step: &Step, p: &ConvParams) -> bool {
    let (of, buffer) = (program.buffer(step.inputs[0]), program.buffer(step.output));
    let lies_flat = |view: View| {
        let other = program.buffer(view);
        let is_whole = view.offset == 0 && view.channels == other.channels && view.channels.is_multiple_of(8);
        is_whole && [other.height, other.width, other.channels] == [buffer.height, buffer.width, buffer.channels]
    };
    let is_plain = |operand: &Operand| !operand.one_pixel && !operand.one_channel && operand.scale_shift.is_none();
    let goes_along = |stage: &Stage| {
        let within = matches!(stage, Stage::Within { .. });
        !within && stage.weights().is_empty() && stage.operands().into_iter().all(is_plain)
    };
    let covers = p.kernel == [buffer.height, buffer.width] && p.pads == [0; 4] && p.groups == 1;
    let views = || step.writes().into_iter().chain(step.stages.iter().flat_map(Stage::reads));
    let is_dense = covers && of.area() == 1 && buffer.area() > 1 && step.weights.len() == 1;
    is_dense && step.stages.iter().all(goes_along) && views().all(lies_flat)
}

/// The kernel of a dense layer, with an output of this size, for a driver that computes on a CPU: a tile's subgroups, which take so
/// many iterations, would have an item for each of eight lanes. It adds up in the same order, so that the choice may depend on the
/// batch.
pub fn on_cpu(
    program: &Program,
    step: &Step,
    p: &ConvParams,
    size: [usize; 2],
    of_tile: usize,
) -> Option<&'static str> {
    let source = program.buffer(step.inputs[0]);
    let items = program.count(program.buffer(step.output).per);
    let forward = matches!(step.kernel, Kernel::Conv2dForward(_));
    let covers = p.kernel == [source.height, source.width] && p.pads == [0; 4] && p.groups == 1;
    let is_dense = covers && size == [1, 1] && (forward || source.area() == 1);
    let is_better = items <= MOST_ITEMS || of_tile > MOST_OF_LLVMPIPE;
    // What is per channel cannot be told from where a product lies.
    let is_whole = step.inputs[0].offset == 0 && step.inputs[0].channels == source.channels;
    let lies_flat = is_whole && step.prologue.iter().flat_map(Prologue::weights).next().is_none();
    let stem = if forward { "conv2d_forward.dense.subgroup" } else { "conv2d_backward.dense.subgroup" };
    (is_dense && is_better && (source.area() == 1 || lies_flat)).then_some(stem)
}

/// How many blocks that takes.
pub fn blocks(program: &Program, step: &Step, items: usize, columns: usize) -> usize {
    let forward = matches!(step.kernel, Kernel::Conv2dForward(_));
    let of_halves = program.weight_element(step, &step.weights[0]) == Element::F16;
    let width = if forward && !of_halves { WIDTH } else { 1 };
    items.div_ceil(ITEMS) * columns.div_ceil(width * COLUMNS)
}
