//! The words and pointers of every kernel.

use super::launch::{Chip, Place, Pointer, Pointers};
use crate::graph::{Pool, PoolKind, Resize, ResizeMode};
use crate::kernel::pair;
use crate::program::{Arrangement, ConvParams, Element, Kernel, OverlayParams, Program, Step, View};

/// Threads of a block.
const THREADS: usize = 256;

/// Threads of a subgroup, in the kernels that share loads within one.
pub const LANES: usize = 8;

/// With fewer channels, or products of a sum, a tile would be padding for the most part.
const FEWEST_CHANNELS: usize = 16;
const FEWEST_PRODUCTS: usize = 32;

/// Cells of a window from which on a block, not a thread, adds them up.
const WIDE: usize = 32;

/// A kernel's own parameters.
pub struct Fields {
    pub stem: &'static str,
    count: usize,
    runs: usize,
    area: usize,
    messages: usize,
    rest: Vec<u32>,
    blocks: usize,
    by_subgroups: Option<(&'static str, usize)>,
}

impl Fields {
    /// What must fit into a word.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        let blocks = self.blocks.max(self.by_subgroups.map_or(0, |(_, blocks)| blocks));
        [("number of threads", self.count), ("pixels of an item", self.area), ("number of blocks", blocks)]
    }

    pub fn words(&self) -> Vec<u32> {
        let first = [self.count, self.runs, self.area, self.messages].map(|word| word as u32);
        first.into_iter().chain(self.rest.iter().copied()).collect()
    }

    pub fn blocks(&self) -> u32 {
        self.blocks as u32
    }

    /// The kernel that shares loads within subgroups in place of this one, and its blocks.
    pub fn by_subgroups(&self) -> Option<(&'static str, u32)> {
        self.by_subgroups.map(|(stem, blocks)| (stem, blocks as u32))
    }
}

/// Height and width of a view's buffer.
fn size(program: &Program, view: View) -> u32 {
    let buffer = program.buffer(view);
    pair(buffer.height as u16, buffer.width as u16)
}

fn pair_of([height, width]: [usize; 2]) -> u32 {
    pair(height as u16, width as u16)
}

/// Input size, output size, kernel, stride, dilation, padding at the top and left.
fn window(program: &Program, x: View, y: View, p: &ConvParams) -> Vec<u32> {
    let sizes = [size(program, x), size(program, y)];
    let pads = [p.pads[0], p.pads[1]];
    sizes.into_iter().chain([p.kernel, p.stride, p.dilation, pads].map(pair_of)).collect()
}

fn pool_window(program: &Program, x: View, y: View, pool: &Pool) -> Vec<u32> {
    let (kernel, stride, dilation, pads) = (pool.kernel, pool.stride, pool.dilation, pool.pads);
    window(program, x, y, &ConvParams { kernel, stride, dilation, pads, groups: 1 })
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

/// Groups, input and output channels of a group (all physical ones of a single group), the length of a filter's row.
fn groups(step: &Step) -> [u32; 4] {
    let Arrangement::Conv { groups, input, output, .. } = &step.weights[0].arrangement else {
        unreachable!("{}: a convolution has the weights of one", step.label)
    };
    let pitch = output.physical();
    let [inputs, outputs] = match groups {
        1 => [input.physical(), pitch],
        _ => [input.real() / groups, output.real() / groups],
    };
    [*groups, inputs, outputs, pitch].map(|word| word as u32)
}

/// How many channels the mask of a layer normalisation has, then its epsilon; the mask joins `pointers`.
fn layer_norm(step: &Step, pointers: &mut Pointers, epsilon: f64) -> [u32; 2] {
    let Arrangement::Channel { layout } = &step.weights[0].arrangement else {
        unreachable!("{}: a mask has a value per channel", step.label)
    };
    pointers.weight(&step.weights[0]);
    [layout.real() as u32, (epsilon as f32).to_bits()]
}

/// The kernels of a convolution.
#[derive(Clone, Copy)]
enum Variant {
    /// A thread's four channels lie in one group.
    Plain,
    /// In groups of any size.
    Narrow,
    /// A block computes 128 pixels by 64 channels.
    Tile,
    /// A block computes 256 pixels by 32 channels.
    Slim,
    /// As [`Variant::Tile`], on the matrix units.
    Matrix,
}

impl Variant {
    /// Never by the batch, on which no image's result shall depend.
    fn of([groups, inputs, outputs, _]: [u32; 4], p: &ConvParams, forward: bool, on_units: bool) -> Self {
        let [from, to] = if forward { [inputs, outputs] } else { [outputs, inputs] };
        let products = p.kernel[0] * p.kernel[1] * from as usize;
        let is_tiled = to as usize >= FEWEST_CHANNELS && products >= FEWEST_PRODUCTS;
        match groups {
            1 if is_tiled && on_units => Self::Matrix,
            1 if is_tiled => Self::tiled(to as usize),
            1 => Self::Plain,
            _ if inputs.is_multiple_of(4) && outputs.is_multiple_of(4) => Self::Plain,
            _ => Self::Narrow,
        }
    }

    /// Of those in tiles, the one that pads so many channels less.
    fn tiled(channels: usize) -> Self {
        if channels <= 96 && (channels - 1) % 64 < 32 { Self::Slim } else { Self::Tile }
    }

    fn stem(self, forward: bool) -> &'static str {
        match (self, forward) {
            (Self::Plain, true) => "conv2d_forward",
            (Self::Plain, false) => "conv2d_backward",
            (Self::Narrow, true) => "conv2d_forward.narrow",
            (Self::Narrow, false) => "conv2d_backward.narrow",
            (Self::Tile, true) => "conv2d_forward.tile",
            (Self::Tile, false) => "conv2d_backward.tile",
            (Self::Slim, true) => "conv2d_forward.slim",
            (Self::Slim, false) => "conv2d_backward.slim",
            (Self::Matrix, true) => "conv2d_forward.mma",
            (Self::Matrix, false) => "conv2d_backward.mma",
        }
    }

    /// Pixels and channels of a block, in PTX and in WGSL alike. WGSL has 16 KiB of shared memory, in which a step of 16 products
    /// fits for the first, one of 8 for the second.
    fn tile(self) -> Option<[usize; 2]> {
        match self {
            Self::Plain | Self::Narrow => None,
            Self::Tile | Self::Matrix => Some([128, 64]),
            Self::Slim => Some([256, 32]),
        }
    }
}

/// The kernel by subgroups of a convolution in a single group, and pixels and channels of its block. It pads no products, so there
/// is one for every shape; the message of an image has four channels.
fn by_subgroups(channels: usize, forward: bool) -> (&'static str, [usize; 2]) {
    let is_slim = matches!(Variant::tiled(channels), Variant::Slim);
    match (forward, is_slim) {
        (true, true) => ("conv2d_forward.slim.subgroup", [256, 32]),
        (true, false) => ("conv2d_forward.tile.subgroup", [128, 64]),
        (false, _) if channels <= 4 => ("conv2d_backward.thin.subgroup", [512, 4]),
        (false, true) => ("conv2d_backward.slim.subgroup", [256, 32]),
        (false, false) => ("conv2d_backward.tile.subgroup", [128, 64]),
    }
}

/// Tiles that cover an output: pixels a stride apart, of all items, by channels.
fn tiles(tile: [usize; 2], items: usize, size: [usize; 2], channels: usize, stride: [usize; 2]) -> usize {
    let pixels: usize = (0..2).map(|a| size[a].div_ceil(stride[a])).product();
    stride[0] * stride[1] * (items * pixels).div_ceil(tile[0]) * channels.div_ceil(tile[1])
}

/// Eight neighbouring values are halves in one vector, and so are eight neighbouring weights.
fn fits_matrix_units(program: &Program, step: &Step, [_, inputs, outputs, _]: [u32; 4]) -> bool {
    let (x, buffer) = (step.inputs[0], program.buffer(step.inputs[0]));
    let is_half = buffer.element == program.weight_element(step, &step.weights[0]) && buffer.element != Element::Float;
    let counts = [inputs as usize, outputs as usize, x.offset, buffer.channels];
    is_half && counts.iter().all(|count| count.is_multiple_of(8))
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
        by_subgroups: None,
    };
    for view in &step.inputs {
        pointers.view(*view);
    }
    match &step.kernel {
        Kernel::Conv2dForward(p) | Kernel::Conv2dBackward(p) => {
            pointers.weight(&step.weights[0]);
            pointers.bias(step.weights.get(1), y.channels);
            let forward = matches!(step.kernel, Kernel::Conv2dForward(_));
            let (from, to) = if forward { (x, y) } else { (y, x) };
            let groups = groups(step);
            fields.rest = window(program, from, to, p).into_iter().chain(groups).collect();
            let on_units = chip.matrix_units && fits_matrix_units(program, step, groups);
            let variant = Variant::of(groups, p, forward, on_units);
            fields.stem = variant.stem(forward);
            let stride = if forward { [1, 1] } else { p.stride };
            let blocks = |tile| tiles(tile, items, [buffer.height, buffer.width], y.channels, stride);
            fields.blocks = variant.tile().map_or(fields.blocks, blocks);
            if p.groups == 1 {
                let (stem, tile) = by_subgroups(y.channels, forward);
                fields.by_subgroups = Some((stem, blocks(tile)));
            }
        }
        Kernel::DepthwiseForward(p) | Kernel::DepthwiseBackward(p) => {
            pointers.weight(&step.weights[0]);
            pointers.bias(step.weights.get(1), y.channels);
            let forward = matches!(step.kernel, Kernel::DepthwiseForward(_));
            let (from, to) = if forward { (x, y) } else { (y, x) };
            fields.rest = window(program, from, to, p);
            if p.kernel[1] <= LANES && (forward || p.stride == [1, 1]) {
                let stem = if forward { "depthwise_forward.subgroup" } else { "depthwise_backward.subgroup" };
                let lanes = items * buffer.height * buffer.width.next_multiple_of(LANES) * runs;
                fields.by_subgroups = Some((stem, lanes.div_ceil(THREADS)));
            }
        }
        Kernel::PoolMaxForward { pool, index } => {
            fields.rest = pool_window(program, x, y, pool);
            fields.rest.push(u32::from(index.is_some()));
        }
        Kernel::PoolMaxBackward { pool } | Kernel::PoolMaxRescale { pool } => {
            fields.rest = pool_window(program, y, x, pool);
        }
        Kernel::PoolAverageForward { pool, sum } => {
            fields.rest = pool_window(program, x, y, pool).into_iter().chain(divisor(pool, *sum)).collect();
            if pool.kernel[0] * pool.kernel[1] >= WIDE {
                fields.stem = "pool_average_forward.wide";
                fields.blocks = items * area * y.channels.div_ceil(32);
            }
        }
        Kernel::PoolAverageBackward { pool } => {
            fields.rest = pool_window(program, y, x, pool).into_iter().chain(divisor(pool, false)).collect();
        }
        Kernel::LayerNormForward { epsilon } => {
            fields.rest = layer_norm(step, pointers, *epsilon).to_vec();
            (fields.count, fields.blocks) = (items * area, items * area);
        }
        Kernel::LayerNormBackward { epsilon, fixed } => {
            fields.rest = layer_norm(step, pointers, *epsilon).into_iter().chain([u32::from(*fixed)]).collect();
            (fields.count, fields.blocks) = (items * area, items * area);
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
        }
        Kernel::CamMix => {
            let w = program.buffer(x);
            let one_pixel = w.area() == 1 && area > 1;
            fields.rest = vec![step.inputs[1].channels as u32, u32::from(one_pixel)];
            (fields.count, fields.blocks) = (items * area, items * area);
        }
        Kernel::SquareRows => {
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32];
            (fields.count, fields.blocks) = (items * area, items * area);
        }
        Kernel::AuditEpsilon { eps } => {
            let relative = step.inputs.len() > 2;
            if !relative {
                pointers.push(Pointer::Zeros(4), Place::default());
            }
            pointers.bias(step.weights.first(), x.channels);
            let [biased, relative] = [!step.weights.is_empty(), relative].map(u32::from);
            let eps = (*eps as f32).to_bits();
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32, eps, biased, relative];
            (fields.count, fields.blocks) = (items * area, items * area);
        }
        Kernel::AuditRescale => {
            pointers.weight(&step.weights[0]);
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32];
            (fields.count, fields.blocks) = (items * area, items * area);
        }
        Kernel::Range => {
            fields.rest = vec![program.buffer(x).width as u32, x.channels as u32];
            (fields.count, fields.blocks) = (items * area, items * area);
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
