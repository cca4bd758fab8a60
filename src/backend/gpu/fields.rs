//! The words and pointers of every kernel.

use super::convolution::convolution;
use super::depthwise::depthwise;
use super::iterations::{self, Loops, over_cells, plain, readers, windows};
use super::launch::{Chip, OnCpu, Place, Pointer, Pointers};
use crate::graph::{Pool, PoolKind, Resize, ResizeMode};
use crate::kernel::{Window, pair};
use crate::program::{Arrangement, ConvParams, Element, Kernel, OverlayParams, Program, Stage, Step, View};

/// Threads of a block.
const THREADS: usize = 256;

/// Threads of a subgroup, in the kernels that share loads or sums within one.
pub const LANES: usize = 8;

/// Channels of a word of bits.
pub(super) const BITS_OF_A_WORD: usize = 32;

/// Cells of a window from which on a block, not a thread, adds them up.
const WIDE: usize = 32;
/// The same where there is a single window: few threads would be left.
const WIDE_OF_ALL: usize = 4;
/// The same on a processor, which has no use for more threads than runs of channels; so long a sum in a row loses too much.
const WIDE_ON_CPU: usize = 1024;

/// A kernel's own parameters.
pub struct Fields {
    pub stem: &'static str,
    count: usize,
    pub(super) runs: usize,
    pub(super) area: usize,
    messages: usize,
    pub(super) rest: Vec<u32>,
    pub(super) blocks: usize,
    /// A bound on those of all loops of a thread together, in WGSL.
    pub(super) iterations: usize,
    /// The kernel in place of this one for a driver that computes on a CPU, its blocks and its iterations.
    pub(super) on_cpu: Option<(&'static str, usize, usize)>,
    /// What that is rendered for.
    pub(super) window: Window,
    /// See [`Fused`](crate::kernel::Fused).
    pub(super) whole_words: bool,
}

impl Fields {
    /// What must fit into a word.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        let blocks = self.blocks.max(self.on_cpu.map_or(0, |(_, blocks, _)| blocks));
        [("number of threads", self.count), ("pixels of an item", self.area), ("number of blocks", blocks)]
    }

    pub fn words(&self) -> Vec<u32> {
        let first = [self.count, self.runs, self.area, self.messages].map(|word| word as u32);
        first.into_iter().chain(self.rest.iter().copied()).collect()
    }

    pub fn blocks(&self) -> u32 {
        self.blocks as u32
    }

    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// The kernel in place of this one for a driver that computes on a CPU.
    pub fn on_cpu(&self) -> Option<OnCpu> {
        let (window, whole_words) = (self.window, self.whole_words);
        self.on_cpu.map(|(stem, blocks, iterations)| OnCpu {
            stem,
            blocks: blocks as u32,
            iterations,
            window,
            whole_words,
        })
    }
}

/// Height and width of a view's buffer.
pub(super) fn size(program: &Program, view: View) -> u32 {
    let buffer = program.buffer(view);
    pair(buffer.height as u16, buffer.width as u16)
}

pub(super) fn pair_of([height, width]: [usize; 2]) -> u32 {
    pair(height as u16, width as u16)
}

/// Input size, output size, kernel, stride, dilation, padding at the top and left.
pub(super) fn window(program: &Program, x: View, y: View, p: &ConvParams) -> Vec<u32> {
    let sizes = [size(program, x), size(program, y)];
    let pads = [p.pads[0], p.pads[1]];
    sizes.into_iter().chain([p.kernel, p.stride, p.dilation, pads].map(pair_of)).collect()
}

/// The window of a kernel, if it has one.
pub(super) fn window_of(kernel: &Kernel) -> Option<ConvParams> {
    match kernel {
        Kernel::Conv2dForward(p)
        | Kernel::Conv2dBackward(p)
        | Kernel::DepthwiseForward(p)
        | Kernel::DepthwiseBackward(p) => Some(*p),
        Kernel::PoolMaxForward { pool, .. }
        | Kernel::PoolMaxBackward { pool }
        | Kernel::PoolMaxRescale { pool }
        | Kernel::PoolAverageForward { pool, .. }
        | Kernel::PoolAverageBackward { pool } => Some(conv_of(pool)),
        _ => None,
    }
}

/// The window of a pool.
fn conv_of(pool: &Pool) -> ConvParams {
    let (kernel, stride, dilation, pads) = (pool.kernel, pool.stride, pool.dilation, pool.pads);
    ConvParams { kernel, stride, dilation, pads, groups: 1 }
}

fn pool_window(program: &Program, x: View, y: View, pool: &Pool) -> Vec<u32> {
    window(program, x, y, &conv_of(pool))
}

fn sides(program: &Program, view: View) -> [usize; 2] {
    let buffer = program.buffer(view);
    [buffer.height, buffer.width]
}

/// Iterations of a loop over a pixel's channels, of which each thread of a block has runs of four.
fn of_channels(channels: usize) -> usize {
    plain(channels.div_ceil(4 * THREADS)).entered
}

/// How an average divides: 0 not at all, 1 by real cells, 2 by padded ones too; then the padding at the bottom and right.
fn divisor(pool: &Pool, sum: bool) -> [u32; 2] {
    let rule = match pool.kind {
        _ if sum => 0,
        PoolKind::Average { include_pad: true } => 2,
        _ => 1,
    };
    [rule, pair_of([pool.pads[2], pool.pads[3]])]
}

/// Scales and offsets (height, width) as floats, then whether the mode is nearest.
fn resize_words(resize: &Resize) -> Vec<u32> {
    let floats = resize.scale.into_iter().chain(resize.offset).map(|v| (v as f32).to_bits());
    floats.chain([u32::from(resize.mode == ResizeMode::Nearest)]).collect()
}

/// Size of the map and of what comes out; the factor; left, top, width and height of the window; whether the scale is
/// symmetric; alpha; how dark it is elsewhere; number of the last colour.
fn overlay_words(program: &Program, step: &Step, p: &OverlayParams) -> Vec<u32> {
    let last = step.weights[0].physical() / 4 - 1;
    let sizes = [size(program, step.inputs[0]), size(program, step.output), p.factor as u32];
    let rest = [u32::from(p.symmetric), p.alpha.to_bits(), p.dimmed.to_bits(), last as u32];
    sizes.into_iter().chain(p.window.map(f32::to_bits)).chain(rest).collect()
}

/// How many channels the mask of a layer normalisation has, then its epsilon; the mask joins `pointers`.
fn layer_norm(step: &Step, pointers: &mut Pointers, epsilon: f64) -> [u32; 2] {
    let Arrangement::Channel { layout } = &step.weights[0].arrangement else {
        unreachable!("{}: a mask has a value per channel", step.label)
    };
    pointers.weight(&step.weights[0]);
    [layout.real() as u32, (epsilon as f32).to_bits()]
}

/// A block computes a row of so many pixels and channels; or eight subgroups of a block one each, for a layer has few rows, and a
/// processor takes a block.
fn rows(fields: &mut Fields, on_cpu: &'static str, rows: usize, [pixels, channels]: [usize; 2]) {
    (fields.count, fields.blocks) = (rows, rows);
    let iterations = |threads: usize| iterations::row(pixels, channels, threads).entered;
    fields.iterations = iterations(THREADS);
    fields.on_cpu = Some((on_cpu, rows.div_ceil(8), iterations(LANES)));
}

/// A step's bits are those of one stage, for all its channels, and each word of them is one pixel's, and no other step's.
pub(super) fn keeps_whole_words(program: &Program, step: &Step) -> bool {
    let keeps = |stage: &&Stage| stage.writes().is_some_and(|view| program.buffer(view).element == Element::Bits);
    let mut stages = step.stages.iter().filter(keeps);
    match (stages.next(), stages.next()) {
        (Some(Stage::KeepBits { into, .. }), None) => {
            let (all, end) = (program.buffer(*into).channels, into.offset + into.channels);
            let is_last = end.next_multiple_of(BITS_OF_A_WORD) == all;
            let begins = [into.offset, all].iter().all(|count| count.is_multiple_of(BITS_OF_A_WORD));
            begins && (is_last || end.is_multiple_of(BITS_OF_A_WORD))
        }
        _ => false,
    }
}

/// The words of a step's kernel; its tensors join `pointers`, the output last.
pub fn fields(chip: Chip, program: &Program, step: &Step, pointers: &mut Pointers) -> Fields {
    let (x, y) = (step.inputs[0], step.output);
    let buffer = program.buffer(y);
    let items = program.count(buffer.per);
    let (runs, area) = (y.channels.div_ceil(4), buffer.area());
    let messages = if buffer.per == crate::program::Per::Message { program.messages_per_image } else { 1 };
    // Two neighbours share a byte of bits, so an odd number of runs gets a thread without work.
    let threads = items * area * if runs > 1 { runs.next_multiple_of(2) } else { runs };
    let mut fields = Fields {
        stem: step.kernel.stem(),
        count: items * area * runs,
        runs,
        area,
        messages,
        rest: Vec::new(),
        blocks: threads.div_ceil(THREADS),
        iterations: 0,
        on_cpu: None,
        window: Window::default(),
        whole_words: false,
    };
    for view in &step.inputs {
        pointers.view(*view);
    }
    match &step.kernel {
        Kernel::Conv2dForward(p) | Kernel::Conv2dBackward(p) => {
            convolution(chip, program, step, p, &mut fields, pointers);
        }
        Kernel::DepthwiseForward(p) | Kernel::DepthwiseBackward(p) => {
            depthwise(program, step, p, &mut fields, pointers);
        }
        Kernel::PoolMaxForward { pool, index } => {
            fields.rest = pool_window(program, x, y, pool);
            fields.rest.push(u32::from(index.is_some()));
            fields.iterations = over_cells(pool.kernel, Loops::default()).entered;
        }
        Kernel::PoolMaxBackward { pool } | Kernel::PoolMaxRescale { pool } => {
            fields.rest = pool_window(program, y, x, pool);
            fields.iterations = windows(&conv_of(pool), sides(program, x)).entered;
        }
        Kernel::PoolAverageForward { pool, sum } => {
            fields.rest = pool_window(program, x, y, pool).into_iter().chain(divisor(pool, *sum)).collect();
            let input = program.buffer(x);
            let (cells, is_global) = (pool.kernel[0] * pool.kernel[1], pool.kernel == [input.height, input.width]);
            fields.iterations = over_cells(pool.kernel, Loops::default()).entered;
            if cells >= if is_global { WIDE_OF_ALL } else { WIDE } {
                fields.on_cpu = (cells < WIDE_ON_CPU).then_some((fields.stem, fields.blocks, fields.iterations));
                fields.stem = "pool_average_forward.wide";
                fields.iterations = plain(cells.div_ceil(THREADS / 2)).entered;
                fields.blocks = items * area * y.channels.div_ceil(8);
            }
        }
        Kernel::PoolAverageBackward { pool } => {
            fields.rest = pool_window(program, y, x, pool).into_iter().chain(divisor(pool, false)).collect();
            fields.iterations = windows(&conv_of(pool), sides(program, x)).entered;
        }
        Kernel::LayerNormForward { epsilon } => {
            fields.rest = layer_norm(step, pointers, *epsilon).to_vec();
            (fields.count, fields.blocks) = (items * area, items * area);
            fields.iterations = 3 * of_channels(y.channels);
        }
        Kernel::LayerNormBackward { epsilon, fixed } => {
            fields.rest = layer_norm(step, pointers, *epsilon).into_iter().chain([u32::from(*fixed)]).collect();
            (fields.count, fields.blocks) = (items * area, items * area);
            fields.iterations = 4 * of_channels(y.channels);
        }
        Kernel::ActivationForward | Kernel::ActivationBackward => {}
        Kernel::Rearrange { table, fill } => {
            pointers.push(Pointer::Table(table.clone()), Place::default());
            fields.rest = vec![x.channels as u32, (*fill as f32).to_bits()];
        }
        Kernel::UpsampleBilinear(resize) => {
            fields.rest = [size(program, x), size(program, y)].into_iter().chain(resize_words(resize)).collect();
        }
        Kernel::UpsampleBilinearBackward(resize) => {
            fields.rest = [size(program, y), size(program, x)].into_iter().chain(resize_words(resize)).collect();
            fields.iterations = readers(resize, sides(program, x)).entered;
        }
        Kernel::CamMix => {
            let w = program.buffer(x);
            let one_pixel = w.area() == 1 && area > 1;
            fields.rest = vec![step.inputs[1].channels as u32, u32::from(one_pixel)];
            (fields.count, fields.blocks) = (items * area, items * area);
            fields.iterations = of_channels(step.inputs[1].channels);
        }
        Kernel::SquareRows | Kernel::Range => {
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32];
            (fields.count, fields.blocks) = (items * area, items * area);
            fields.iterations = plain((program.buffer(x).width * x.channels.div_ceil(4)).div_ceil(THREADS)).entered;
        }
        Kernel::AuditEpsilon { eps, signs } => {
            let relative = step.inputs.len() > 2;
            if !relative {
                pointers.push(Pointer::Zeros(4), Place::default());
            }
            pointers.bias(step.weights.first(), x.channels);
            let [biased, relative] = [!step.weights.is_empty(), relative].map(u32::from);
            let eps = (*eps as f32).to_bits();
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32, eps, biased, relative];
            let on_cpu = if *signs { "audit_epsilon.subgroup" } else { "audit_epsilon.positive.subgroup" };
            if !signs {
                fields.stem = "audit_epsilon.positive";
            }
            rows(&mut fields, on_cpu, items * area, [program.buffer(x).width, x.channels]);
        }
        Kernel::AuditRescale => {
            pointers.weight(&step.weights[0]);
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32];
            rows(&mut fields, "audit_rescale.subgroup", items * area, [program.buffer(x).width, x.channels]);
        }
        Kernel::RankSeeds => {
            pointers.weight(&step.weights[0]);
            fields.rest = vec![x.channels as u32];
            fields.iterations = plain(x.channels.div_ceil(4)).entered;
        }
        Kernel::Overlay(params) => {
            pointers.weight(&step.weights[0]);
            fields.rest = overlay_words(program, step, params);
        }
    }
    pointers.output(y);
    pointers.winners(&step.kernel);
    fields
}
