//! The passes: tasks, zero-padded input bands, and register tiles.

use core::cell::Cell;

use rayon::prelude::*;

use super::band::{Input, Layout};
use super::kernel::{MAX_ROWS, Product, Run};
use super::pack::{Axis, Lattice, PackedWeights, Pass};
use super::schedule::{Task, cut, tasks};
use super::{Geometry, Load, Sink, TILE_CHANNELS, Tile, View};

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Weights of a task that stay in the second-level cache while all blocks run over a group of tiles.
const RESIDENT_BYTES: usize = 1 << 20;

/// Tiles that all blocks visit before the next: what the sink reads and writes is then whole pixels, which the
/// prefetchers see, and still in the cache when the next block comes.
const GROUP: usize = 4;

/// Computes `y = conv(load(x))`, each element handed to `sink` once.
///
/// `y[n, oy, ox, oc]` is the sum over `ky, kx, ic` of
/// `x[n, oy * stride - pad + ky * dilation, …, ic] * w[ky, kx, ic, oc]`.
/// The sink is called from the threads of the current pool.
///
/// # Panics
///
/// Panics if `x` is too short or `weights` was packed for another geometry.
pub fn forward(geometry: &Geometry, x: View<'_>, load: Option<Load<'_>>, weights: &PackedWeights, sink: &dyn Sink) {
    run(Pass::Forward, geometry, (x, load), weights, sink);
}

/// Computes the data gradient `m_x` of the convolution from the gradient `m_y`
/// of its output, each element handed to `sink` once.
///
/// `m_x[n, iy, ix, ic]` is the sum over `ky, kx, oc` of
/// `m_y[n, oy, ox, oc] * w[ky, kx, ic, oc]` where
/// `oy * stride - pad + ky * dilation = iy`, and likewise in `x`.
/// The sink is called from the threads of the current pool.
///
/// # Panics
///
/// Panics if `m_y` is too short or `weights` was packed for another geometry.
pub fn backward(geometry: &Geometry, m_y: View<'_>, weights: &PackedWeights, sink: &dyn Sink) {
    run(Pass::Backward, geometry, (m_y, None), weights, sink);
}

fn run(
    pass: Pass,
    geometry: &Geometry,
    (x, load): (View<'_>, Option<Load<'_>>),
    weights: &PackedWeights,
    sink: &dyn Sink,
) {
    let w = weights;
    assert_eq!((pass, *geometry), (w.pass, Geometry { images: geometry.images, ..w.geometry }));
    let threads = rayon::current_num_threads();
    let work = |task: Task| {
        let lattice = &w.lattices[task.lattice];
        Compute { x, load, weights, lattice, task, sink }.run();
    };
    tasks(&w.axes, &w.lattices, geometry.images, w.inputs, threads).into_par_iter().with_max_len(1).for_each(work);
}

/// Consecutive lattice points, evenly spaced in input and output.
#[derive(Clone, Copy)]
struct Span {
    /// Position of the first input.
    input: usize,
    /// Flat index of the first output pixel.
    pixel: usize,
    /// Row and column of the first output pixel in its image.
    place: [usize; 2],
    /// Number of points.
    len: usize,
}

/// The lattice points of a register tile: the spans follow each other, and
/// start at `positions` as [`Product`] has it.
struct Points {
    positions: [usize; 2],
    rows: usize,
    spans: [Option<Span>; 2],
}

/// A task with its operands.
struct Compute<'a> {
    x: View<'a>,
    load: Option<Load<'a>>,
    weights: &'a PackedWeights,
    lattice: &'a Lattice,
    task: Task,
    sink: &'a dyn Sink,
}

impl Compute<'_> {
    fn run(&self) {
        let input = Input { x: self.x, load: self.load, weights: self.weights, lattice: self.lattice };
        if let Some(layout) = input.direct() {
            self.multiply(self.x.data, &layout);
        } else {
            let mut scratch = SCRATCH.take();
            let layout = input.pack(&self.task, &mut scratch);
            self.multiply(&scratch, &layout);
            SCRATCH.set(scratch);
        }
    }

    /// Flat output pixels between neighbouring images, lattice rows and
    /// lattice columns.
    fn output_strides(&self) -> [usize; 3] {
        let [y, x] = &self.weights.axes;
        [y.output * x.output, y.spacing * x.output, x.spacing]
    }

    /// Flat output pixels between neighbouring points of a tile.
    fn step(&self) -> usize {
        self.output_strides()[self.lattice.tile_axis()]
    }

    /// Whether the last lattice points reach beyond the output.
    fn is_ragged(&self) -> bool {
        let axes = &self.weights.axes;
        axes.iter().any(|axis| axis.fold > 1 && !axis.output.is_multiple_of(axis.fold))
    }

    /// The lattice points of the task, in the longest spans.
    fn spans(&self, layout: &Layout) -> Vec<Span> {
        let (pitch, step) = (layout.strides[self.lattice.tile_axis()], self.step());
        let axes = &self.weights.axes;
        let [y0, x0] = self.lattice.origin;
        let outputs = self.output_strides();
        let mut spans: Vec<Span> = Vec::new();
        for image in self.task.images.clone() {
            for row in self.task.rows.clone() {
                let input = image * layout.strides[0] + row * layout.strides[1] - layout.origin;
                let pixel = image * outputs[0] + row * outputs[1] + y0 * axes[1].output + x0;
                let len = self.lattice.points[1];
                match spans.last_mut() {
                    Some(last)
                        if !self.is_ragged()
                            && last.input + last.len * pitch == input
                            && last.pixel + last.len * step == pixel =>
                    {
                        last.len += len;
                    }
                    _ => {
                        let place = [y0 + row * axes[0].spacing, x0];
                        spans.push(Span { input, pixel, place, len });
                    }
                }
            }
        }
        spans
    }

    /// Cuts spans to register tiles, as even as possible. Two neighbours of
    /// one length share a tile if they fit.
    fn cut(&self, spans: &[Span], layout: &Layout) -> Vec<Points> {
        let most = self.weights.level.rows();
        let (pitch, step) = (layout.strides[self.lattice.tile_axis()], self.step());
        let mut tiles = Vec::new();
        let mut rest = spans;
        while let [span, after @ ..] = rest {
            rest = after;
            if let [next, after @ ..] = rest
                && next.len == span.len
                && 2 * span.len <= most
            {
                rest = after;
                tiles.push(Points {
                    positions: [span.input, next.input],
                    rows: 2 * span.len,
                    spans: [Some(*span), Some(*next)],
                });
                continue;
            }
            for points in cut(span.len, most) {
                let input = span.input + points.start * pitch;
                let place = [span.place[0], span.place[1] + points.start * step];
                let (pixel, len) = (span.pixel + points.start * step, points.len());
                tiles.push(Points {
                    positions: [input, input + len.div_ceil(2) * pitch],
                    rows: len,
                    spans: [Some(Span { input, pixel, place, len }), None],
                });
            }
        }
        tiles
    }

    /// The reduction of block `block`.
    fn runs(&self, block: usize, layout: &Layout) -> Vec<Run> {
        let inputs = &self.lattice.blocks[block].inputs;
        let length = inputs.len();
        let mut runs: Vec<Run> = Vec::with_capacity(self.lattice.taps());
        for dy in &self.lattice.offsets[0] {
            for dx in &self.lattice.offsets[1] {
                let [y, x] = [dy - layout.base[0], dx - layout.base[1]].map(|d| d as usize);
                let input = y * layout.offsets[0] + x * layout.offsets[1] + inputs.start;
                match runs.last_mut() {
                    Some(last) if last.input + last.length == input => last.length += length,
                    last => {
                        let weights = last.map_or(0, |run| run.weights + run.length);
                        runs.push(Run { input, weights, length });
                    }
                }
            }
        }
        runs
    }

    /// Bytes of the weights that the task reads.
    fn weight_bytes(&self) -> usize {
        let inputs: usize = self.lattice.blocks[self.task.blocks.clone()].iter().map(|block| block.inputs.len()).sum();
        inputs * self.lattice.taps() * TILE_CHANNELS * size_of::<f32>()
    }

    /// Computes the task's tiles from the input in `source`.
    fn multiply(&self, source: &[f32], layout: &Layout) {
        let tiles = self.cut(&self.spans(layout), layout);
        let pitch = layout.strides[self.lattice.tile_axis()];
        let [y, x] = &self.weights.axes;
        let lanes = self.weights.outputs * y.fold * x.fold;
        let runs: Vec<Vec<Run>> = self.task.blocks.clone().map(|block| self.runs(block, layout)).collect();
        let mut values = [0.0; MAX_ROWS * TILE_CHANNELS];
        let together = if self.weight_bytes() > RESIDENT_BYTES { tiles.len().max(1) } else { GROUP };
        let order = tiles.chunks(together).flat_map(|group| self.task.blocks.clone().map(move |block| (group, block)));
        for (group, block) in order {
            let first = block * TILE_CHANNELS;
            let channels = TILE_CHANNELS.min(lanes - first);
            for tile in group {
                let product = Product {
                    source,
                    positions: tile.positions,
                    pitch,
                    rows: tile.rows,
                    weights: self.lattice.blocks[block].weights(),
                    runs: &runs[block - self.task.blocks.start],
                    channels,
                    values: &mut values,
                };
                if y.fold * x.fold == 1 {
                    for span in tile.spans.iter().flatten() {
                        self.sink.prepare(span.pixel, self.step(), span.len, first, channels);
                    }
                }
                // SAFETY: `PackedWeights` only holds levels of this processor.
                unsafe { self.weights.level.dispatch(product) };
                let mut row = 0;
                for span in tile.spans.iter().flatten() {
                    self.emit(span, first, channels, &mut values[row * TILE_CHANNELS..]);
                    row += span.len;
                }
            }
        }
    }

    /// Hands the results of `channels` folded channels to the sink, a tile for
    /// each position that was folded in.
    fn emit(&self, span: &Span, first: usize, channels: usize, values: &mut [f32]) {
        let [y, x] = &self.weights.axes;
        let step = self.step();
        let mut lane = 0;
        while lane < channels {
            let fold = (first + lane) / self.weights.outputs;
            let channel = (first + lane) % self.weights.outputs;
            let count = (self.weights.outputs - channel).min(channels - lane);
            let [dy, dx] = [fold / x.fold, fold % x.fold];
            let inside = |i: usize, d: usize, axis: &Axis| axis.output.saturating_sub(span.place[i] + d);
            let rows = if !self.is_ragged() {
                span.len
            } else if inside(0, dy, y) == 0 {
                0
            } else {
                span.len.min(inside(1, dx, x).div_ceil(step))
            };
            if rows > 0 {
                self.sink.finish(Tile {
                    pixel: span.pixel + dy * x.output + dx,
                    step,
                    rows,
                    channel,
                    channels: count,
                    values: &mut values[lane..],
                });
            }
            lane += count;
        }
    }
}
