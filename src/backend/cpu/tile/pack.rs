//! Convolutions and their data gradients as correlations on lattices, and the
//! weights packed for them.

use core::ops::Range;

use rayon::prelude::*;

use super::vector::Level;
use super::{Geometry, TILE_CHANNELS};

/// Fewest packed weights that start on a cache line: 64 bytes.
const LINE: usize = 16;

/// Most output channels that positions are folded into: one wide register.
const FOLD_CHANNELS: usize = 16;

/// Direction of the pass through the convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// From the convolution's input to its output.
    Forward,
    /// From the gradient of the output to the gradient of the input.
    Backward,
}

/// One spatial dimension of a pass, whose input and output are the pass's own.
///
/// Output position `o = g * spacing + origin + p`, for a lattice point `g` and
/// a fold `p < fold`, takes input position `g * step + d` for each offset `d`
/// of the lattice, through the kernel index `kernel_index(origin + p, d)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pass: Pass,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    /// Length of the pass's input.
    pub input: usize,
    /// Length of the pass's output.
    pub output: usize,
    /// Distance of neighbouring lattice points in the output.
    pub spacing: usize,
    /// Neighbouring output positions computed as one, as if channels.
    pub fold: usize,
    /// Distance of neighbouring lattice points in the input.
    pub step: usize,
}

impl Axis {
    /// Both axes of a pass.
    ///
    /// The data gradient of stride `s` has one lattice for each phase
    /// `origin < s`. Where the output has few channels, the phases (or, at
    /// stride 1, pairs of positions) fold into one lattice instead, so that
    /// they share the lanes of a register. Where the convolution ended in one
    /// pixel, all its input positions fold into a plain matrix product.
    pub(super) fn both(geometry: &Geometry, pass: Pass) -> [Self; 2] {
        let g = geometry;
        let ins = [g.in_h, g.in_w];
        let covers = |i: usize| (g.kernel[i] - 1) * g.dilation[i] + 1 >= ins[i];
        let pair = g.stride.map(|stride| stride.max(2));
        let fold = if pass == Pass::Forward {
            [1, 1]
        } else if [g.out_h, g.out_w] == [1, 1] && covers(0) && covers(1) {
            ins
        } else if g.in_channels * pair[0] * pair[1] <= FOLD_CHANNELS && g.kernel != [1, 1] {
            pair
        } else {
            [1, 1]
        };
        Self::folded(g, pass, fold)
    }

    /// Both axes of a pass without folding.
    pub(super) fn phases(geometry: &Geometry, pass: Pass) -> [Self; 2] {
        Self::folded(geometry, pass, [1, 1])
    }

    fn folded(g: &Geometry, pass: Pass, fold: [usize; 2]) -> [Self; 2] {
        let [ins, outs] = [[g.in_h, g.in_w], [g.out_h, g.out_w]];
        [0, 1].map(|i| {
            let stride = g.stride[i];
            let (input, output, spacing, step) = match pass {
                Pass::Forward => (ins[i], outs[i], 1, stride),
                Pass::Backward if fold == [1, 1] => (outs[i], ins[i], stride, 1),
                Pass::Backward => (outs[i], ins[i], fold[i], (fold[i] / stride).max(1)),
            };
            Self {
                pass,
                kernel: g.kernel[i],
                stride,
                dilation: g.dilation[i],
                pad: g.pads[i],
                input,
                output,
                spacing,
                fold: fold[i],
                step,
            }
        })
    }

    /// The origins of the lattices that make up the output.
    pub(super) fn origins(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.output).step_by(self.fold).take(self.spacing / self.fold)
    }

    /// Number of lattice points from `origin` on.
    pub(super) fn points(&self, origin: usize) -> usize {
        (self.output - origin).div_ceil(self.spacing)
    }

    /// The kernel index that joins output position `position` to the input at
    /// offset `offset`.
    pub(super) fn kernel_index(&self, position: usize, offset: isize) -> Option<usize> {
        let pad = self.pad as isize;
        let reach = match self.pass {
            Pass::Forward => offset + pad,
            Pass::Backward => position as isize + pad - offset * self.stride as isize,
        };
        let reach = usize::try_from(reach).ok()?;
        let index = reach / self.dilation;
        (reach % self.dilation == 0 && index < self.kernel).then_some(index)
    }

    /// The ascending offsets of the lattice at `origin`, without those that
    /// only ever meet padding.
    pub(super) fn offsets(&self, origin: usize) -> Vec<isize> {
        let (pad, stride) = (self.pad as isize, self.stride as isize);
        let mut offsets = Vec::new();
        for reach in (0..self.kernel).map(|k| (k * self.dilation) as isize) {
            match self.pass {
                Pass::Forward => offsets.push(reach - pad),
                Pass::Backward => offsets.extend(
                    (origin..origin + self.fold)
                        .map(|position| position as isize + pad - reach)
                        .filter(|scaled| scaled % stride == 0)
                        .map(|scaled| scaled / stride),
                ),
            }
        }
        offsets.sort_unstable();
        offsets.dedup();
        offsets.retain(|d| (0..self.points(origin)).any(|point| self.meets(point, *d)));
        offsets
    }

    /// Whether lattice point `point` meets the input at offset `offset`.
    pub(super) fn meets(&self, point: usize, offset: isize) -> bool {
        (0..self.input as isize).contains(&((point * self.step) as isize + offset))
    }
}

/// Packed weights of [`TILE_CHANNELS`] output channels: `[tap][input][lane]`.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The input channels that the output channels depend on.
    pub inputs: Range<usize>,
    storage: Vec<f32>,
    start: usize,
}

impl Block {
    /// A zero block of `rows` rows that start on a cache line.
    fn zero(inputs: Range<usize>, rows: usize) -> Self {
        let storage = vec![0.0; rows * TILE_CHANNELS + LINE];
        let start = storage.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { inputs, storage, start }
    }

    /// The weights, `TILE_CHANNELS` to a row.
    pub(super) fn weights(&self) -> &[f32] {
        &self.storage[self.start..self.storage.len() - (LINE - self.start)]
    }

    fn weights_mut(&mut self) -> &mut [f32] {
        let end = self.storage.len() - (LINE - self.start);
        &mut self.storage[self.start..end]
    }
}

/// A regular grid of output positions that share their input offsets.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    /// First output position.
    pub origin: [usize; 2],
    /// Number of lattice points.
    pub points: [usize; 2],
    /// Input offsets by axis; the taps are their product.
    pub offsets: [Vec<isize>; 2],
    /// Packed weights by block of output channels.
    pub blocks: Vec<Block>,
}

impl Lattice {
    /// Number of taps.
    pub(super) fn taps(&self) -> usize {
        self.offsets[0].len() * self.offsets[1].len()
    }

    /// The innermost axis of image, row and column with several points.
    pub(super) fn tile_axis(&self) -> usize {
        let [rows, columns] = self.points;
        match (rows, columns) {
            (_, 2..) => 2,
            (2.., _) => 1,
            _ => 0,
        }
    }
}

/// Weights of a convolution packed for one pass, at one image size and any
/// number of images.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(super) geometry: Geometry,
    pub(super) pass: Pass,
    pub(super) level: Level,
    pub(super) axes: [Axis; 2],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) lattices: Vec<Lattice>,
}

impl PackedWeights {
    /// Packs `weights[ky][kx][input channel in group][output channel]` for
    /// [`forward`](super::forward).
    pub fn forward(geometry: &Geometry, weights: &[f32]) -> Self {
        Self::new(geometry, weights, Pass::Forward)
    }

    /// Packs the weights, in the order of [`PackedWeights::forward`], for
    /// [`backward`](super::backward).
    pub fn backward(geometry: &Geometry, weights: &[f32]) -> Self {
        Self::new(geometry, weights, Pass::Backward)
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> usize {
        let blocks = self.lattices.iter().flat_map(|lattice| &lattice.blocks);
        blocks.map(|block| size_of_val(&*block.storage)).sum()
    }

    #[cfg(test)]
    /// The same weights for use with another instruction set.
    ///
    /// # Panics
    ///
    /// Panics if the processor lacks it.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        assert!(Level::available().contains(&level));
        self.level = level;
        self
    }

    fn new(geometry: &Geometry, weights: &[f32], pass: Pass) -> Self {
        let source = Source { geometry, weights, pass };
        let axes = Axis::both(geometry, pass);
        let (inputs, outputs) = source.channels();
        let mut lattices = Vec::new();
        for y in axes[0].origins() {
            for x in axes[1].origins() {
                let mut lattice = Lattice {
                    origin: [y, x],
                    points: [axes[0].points(y), axes[1].points(x)],
                    offsets: [axes[0].offsets(y), axes[1].offsets(x)],
                    blocks: Vec::new(),
                };
                let lanes = outputs * axes[0].fold * axes[1].fold;
                lattice.blocks = (0..lanes)
                    .into_par_iter()
                    .step_by(TILE_CHANNELS)
                    .map(|lane| source.block(&axes, &lattice, lane..lanes.min(lane + TILE_CHANNELS)))
                    .collect();
                lattices.push(lattice);
            }
        }
        Self { geometry: *geometry, pass, level: Level::detect(), axes, inputs, outputs, lattices }
    }
}

/// A lane of a block, at one tap of the lattice.
struct Lane {
    index: usize,
    /// Flat kernel index.
    tap: usize,
    /// Output channel of the pass.
    output: usize,
    /// Input channels of the pass in its group.
    group: Range<usize>,
}

/// The weights as given, seen from a pass.
struct Source<'a> {
    geometry: &'a Geometry,
    weights: &'a [f32],
    pass: Pass,
}

impl Source<'_> {
    /// Input and output channels of the pass.
    fn channels(&self) -> (usize, usize) {
        let (ic, oc) = (self.geometry.in_channels, self.geometry.out_channels);
        match self.pass {
            Pass::Forward => (ic, oc),
            Pass::Backward => (oc, ic),
        }
    }

    /// The input channels in the group of an output channel of the pass.
    fn group(&self, output: usize) -> Range<usize> {
        let (inputs, outputs) = self.channels();
        let size = inputs / self.geometry.groups;
        let group = output / (outputs / self.geometry.groups);
        group * size..(group + 1) * size
    }

    /// Packs the block of the folded output channels `lanes`.
    fn block(&self, axes: &[Axis; 2], lattice: &Lattice, lanes: Range<usize>) -> Block {
        let (_, outputs) = self.channels();
        let start = lanes.clone().map(|lane| self.group(lane % outputs).start).min();
        let end = lanes.clone().map(|lane| self.group(lane % outputs).end).max();
        let inputs = start.unwrap_or(0)..end.unwrap_or(0);
        let depth = inputs.len();
        let mut block = Block::zero(inputs, lattice.taps() * depth);
        let offsets = &lattice.offsets;
        let taps = offsets[0].iter().flat_map(|y| offsets[1].iter().map(move |x| [*y, *x]));
        for (tap, offset) in taps.enumerate() {
            let joined: Vec<Lane> = lanes
                .clone()
                .enumerate()
                .filter_map(|(i, lane)| {
                    let (fold, output) = (lane / outputs, lane % outputs);
                    let position = [fold / axes[1].fold, fold % axes[1].fold];
                    let index = |d: usize| axes[d].kernel_index(lattice.origin[d] + position[d], offset[d]);
                    let tap = index(0)? * self.geometry.kernel[1] + index(1)?;
                    Some(Lane { index: i, tap, output, group: self.group(output) })
                })
                .collect();
            for input in block.inputs.clone() {
                let row = (tap * depth + input - block.inputs.start) * TILE_CHANNELS;
                for lane in joined.iter().filter(|lane| lane.group.contains(&input)) {
                    let weight = self.weight(lane.tap, input, lane.output);
                    block.weights_mut()[row + lane.index] = weight;
                }
            }
        }
        block
    }

    /// The weight that joins two channels of one group of the pass.
    fn weight(&self, tap: usize, input: usize, output: usize) -> f32 {
        let g = self.geometry;
        let (ic, oc) = match self.pass {
            Pass::Forward => (input, output),
            Pass::Backward => (output, input),
        };
        let per_group = g.in_channels / g.groups;
        self.weights[(tap * per_group + ic % per_group) * g.out_channels + oc]
    }
}
