//! Which kernel computes a convolution, and what it is told.

use super::dense;
use super::fields::{BITS_OF_A_WORD, Fields, keeps_whole_words, pair_of, window};
use super::iterations::{self, over_cells, plain};
use super::launch::{Chip, MatrixUnits, Place, Pointer, Pointers, SplitFilters};
use crate::kernel::pair;
use crate::program::{Arrangement, ConvParams, Element, Kernel, Program, Step, Weight};

/// With fewer channels, or products of a sum, a tile would be padding for the most part.
const FEWEST_CHANNELS: usize = 16;
const FEWEST_PRODUCTS: usize = 32;
/// The same on the matrix units.
const FEWEST_PRODUCTS_OF_UNITS: usize = 16;

/// So many groups with too few channels for a tile are one at most: all products between them are with zeros, and still a tile of four
/// is done sooner than the kernels that have a thread for a pixel (as measured on llvmpipe).
const MOST_MERGED: usize = 4;

/// Groups, input and output channels of a group (all physical ones of a single group), the length of a filter's row.
fn groups(step: &Step, filters: &Weight) -> [u32; 4] {
    let Arrangement::Conv { groups, merged, input, output, .. } = &filters.arrangement else {
        unreachable!("{}: a convolution has the weights of one", step.label)
    };
    let pitch = output.physical();
    let [inputs, outputs] = match groups {
        1 => [input.physical(), pitch],
        _ => [input.real() / groups * merged, output.real() / groups * merged],
    };
    [groups / merged, inputs, outputs, pitch].map(|word| word as u32)
}

/// What a convolution is computed with.
struct Choice {
    filters: Weight,
    groups: [u32; 4],
    variant: Variant,
}

impl Choice {
    /// The filters of a step as they are, or with the fewest groups merged of which there are tiles. Of a single group, so many pixels
    /// of the output are one.
    fn of(chip: Chip, program: &Program, step: &Step, p: &ConvParams, pixels: usize) -> Self {
        let forward = matches!(step.kernel, Kernel::Conv2dForward(_));
        let of = |filters: Weight| {
            let mut groups = groups(step, &filters);
            groups[1] *= pixels as u32;
            let units = units(chip, program, step, groups);
            Self { filters, groups, variant: Variant::of(groups, p, forward, units) }
        };
        let alone = of(step.weights[0].clone());
        if p.groups == 1 {
            return alone;
        }
        // Tiles of groups write and read no padding.
        if has_padding(&step.weights[0]) {
            return Self { variant: Variant::by_pixel(alone.groups), ..alone };
        }
        let is_wide = |Self { groups: [_, inputs, outputs, _], .. }: &Self| {
            are_whole(*inputs, *outputs) && has_enough_channels(if forward { *outputs } else { *inputs })
        };
        if is_wide(&alone) {
            return alone;
        }
        let counts = (2..=MOST_MERGED).filter(|count| p.groups.is_multiple_of(*count));
        let wide = counts.map(|count| of(step.weights[0].merging(count))).find(is_wide);
        wide.filter(|choice| choice.variant.tile().is_some()).unwrap_or(alone)
    }
}

/// Some lane of what a convolution reads or writes belongs to no channel.
fn has_padding(filters: &Weight) -> bool {
    let Arrangement::Conv { input, output, .. } = &filters.arrangement else { return false };
    input.has_padding() || output.has_padding()
}

/// Not too few for a tile.
fn has_enough_channels(channels: u32) -> bool {
    channels as usize >= FEWEST_CHANNELS
}

/// Groups of so many channels share no byte of bits.
fn are_whole(inputs: u32, outputs: u32) -> bool {
    inputs.is_multiple_of(8) && outputs.is_multiple_of(8)
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
    /// The same on the matrix units.
    MatrixTile,
    MatrixSlim,
    /// 256 pixels by 8 channels: the messages of images.
    MatrixThin,
    /// 64 pixels by 32 channels, where larger tiles would leave processors without work.
    MatrixSmall,
    /// [`Self::MatrixTile`] and [`Self::MatrixSlim`], this of 128 pixels, on the matrix units of warpgroups; the bits are the same.
    WarpgroupTile,
    WarpgroupSlim,
    /// Of several groups: a block computes 256 pixels by 32 channels of one.
    Groups,
    /// 128 pixels by 32 channels of a group, on the matrix units.
    MatrixGroups,
}

impl Variant {
    /// Never by the batch, on which no image's result shall depend; [`Self::among`] chooses among those that add up in one order.
    fn of(words: [u32; 4], p: &ConvParams, forward: bool, units: MatrixUnits) -> Self {
        let [groups, inputs, outputs, _] = words;
        let [from, to] = if forward { [inputs, outputs] } else { [outputs, inputs] };
        let products = p.kernel[0] * p.kernel[1] * from as usize;
        let on_units = units > MatrixUnits::None;
        let fewest = if on_units { FEWEST_PRODUCTS_OF_UNITS } else { FEWEST_PRODUCTS };
        let is_tiled = has_enough_channels(to) && products >= fewest;
        match groups {
            1 if is_tiled => Self::tiled(to as usize).on(units),
            1 if on_units && !forward && to <= 8 && products >= fewest => Self::MatrixThin,
            1 => Self::Plain,
            _ if is_tiled && are_whole(inputs, outputs) => Self::Groups.on(units),
            _ => Self::by_pixel(words),
        }
    }

    /// Of several groups, those of which a thread computes a pixel.
    fn by_pixel([_, inputs, outputs, _]: [u32; 4]) -> Self {
        if inputs.is_multiple_of(4) && outputs.is_multiple_of(4) { Self::Plain } else { Self::Narrow }
    }

    /// Of those in tiles, the one that pads so many channels less.
    fn tiled(channels: usize) -> Self {
        if channels <= 96 && (channels - 1) % 64 < 32 { Self::Slim } else { Self::Tile }
    }

    /// A smaller tile where there are fewer of these than processors, of a warpgroup's than two thirds of them.
    fn among(self, tiles: impl Fn([usize; 2]) -> usize, processors: u32) -> Self {
        let (tiles, processors) = (self.tile().map_or(0, tiles), processors as usize);
        match self {
            Self::MatrixTile | Self::MatrixSlim if tiles < processors => Self::MatrixSmall,
            Self::WarpgroupTile | Self::WarpgroupSlim if 3 * tiles < 2 * processors => Self::MatrixSmall,
            _ => self,
        }
    }

    fn on(self, units: MatrixUnits) -> Self {
        match (self, units) {
            (Self::Tile, MatrixUnits::Warp) => Self::MatrixTile,
            (Self::Slim, MatrixUnits::Warp) => Self::MatrixSlim,
            (Self::Tile, MatrixUnits::Warpgroup) => Self::WarpgroupTile,
            (Self::Slim, MatrixUnits::Warpgroup) => Self::WarpgroupSlim,
            (Self::Groups, MatrixUnits::Warp | MatrixUnits::Warpgroup) => Self::MatrixGroups,
            _ => self,
        }
    }

    /// It reads filters that are split.
    fn splits(self) -> bool {
        matches!(self, Self::WarpgroupTile | Self::WarpgroupSlim)
    }

    fn stem(self, forward: bool) -> &'static str {
        self.row().0[usize::from(!forward)]
    }

    fn tile(self) -> Option<[usize; 2]> {
        self.row().1
    }

    /// A bound on the iterations of a thread's loops, all together, in WGSL.
    fn iterations(self, p: &ConvParams, inputs: usize) -> usize {
        match self {
            Self::Plain => over_cells(p.kernel, plain(inputs.div_ceil(4))).entered,
            Self::Narrow => over_cells(p.kernel, plain(inputs)).entered,
            Self::Tile => iterations::tile(p, inputs, 16),
            _ => iterations::tile(p, inputs, 8),
        }
    }

    /// The stems forward and backward; pixels and channels of a block, in PTX and in WGSL alike. WGSL has 16 KiB of shared memory, in
    /// which a step of 16 products fits for the first tile, one of 8 for the second.
    fn row(self) -> ([&'static str; 2], Option<[usize; 2]>) {
        match self {
            Self::Plain => (["conv2d_forward", "conv2d_backward"], None),
            Self::Narrow => (["conv2d_forward.narrow", "conv2d_backward.narrow"], None),
            Self::Tile => (["conv2d_forward.tile", "conv2d_backward.tile"], Some([128, 64])),
            Self::Slim => (["conv2d_forward.slim", "conv2d_backward.slim"], Some([256, 32])),
            Self::MatrixTile => (["conv2d_forward.tile.mma", "conv2d_backward.tile.mma"], Some([128, 64])),
            Self::MatrixSlim => (["conv2d_forward.slim.mma", "conv2d_backward.slim.mma"], Some([256, 32])),
            Self::MatrixSmall => (["conv2d_forward.small.mma", "conv2d_backward.small.mma"], Some([64, 32])),
            Self::WarpgroupTile => (["conv2d_forward.tile.wgmma", "conv2d_backward.tile.wgmma"], Some([128, 64])),
            Self::WarpgroupSlim => (["conv2d_forward.slim.wgmma", "conv2d_backward.slim.wgmma"], Some([128, 32])),
            Self::Groups => (["conv2d_forward.groups", "conv2d_backward.groups"], Some([256, 32])),
            Self::MatrixGroups => (["conv2d_forward.groups.mma", "conv2d_backward.groups.mma"], Some([128, 32])),
            // Never chosen forward.
            Self::MatrixThin => (["conv2d_backward.thin.mma"; 2], Some([256, 8])),
        }
    }
}

/// The kernel by subgroups, and pixels and channels of its block. It pads no products, so there is one for every shape of a single
/// group; the message of an image has four channels. Of several groups, those in tiles.
fn by_subgroups(variant: Variant, groups: usize, channels: usize, forward: bool) -> Option<(&'static str, [usize; 2])> {
    let is_slim = matches!(Variant::tiled(channels), Variant::Slim);
    Some(match (forward, is_slim) {
        _ if groups > 1 => match variant {
            Variant::Groups if forward => ("conv2d_forward.groups.subgroup", [256, 32]),
            Variant::Groups => ("conv2d_backward.groups.subgroup", [256, 32]),
            _ => return None,
        },
        (true, true) => ("conv2d_forward.slim.subgroup", [256, 32]),
        (true, false) => ("conv2d_forward.tile.subgroup", [128, 64]),
        (false, _) if channels <= 4 => ("conv2d_backward.thin.subgroup", [512, 4]),
        (false, true) => ("conv2d_backward.slim.subgroup", [256, 32]),
        (false, false) => ("conv2d_backward.tile.subgroup", [128, 64]),
    })
}

/// Tiles that cover the channels of a group: pixels a stride apart, of all items, by channels.
fn tiles(tile: [usize; 2], items: usize, size: [usize; 2], channels: usize, stride: [usize; 2]) -> usize {
    let pixels: usize = (0..2).map(|a| size[a].div_ceil(stride[a])).product();
    stride[0] * stride[1] * (items * pixels).div_ceil(tile[0]) * channels.div_ceil(tile[1])
}

/// Those of a chip that take the step. Neighbouring values of 16 bytes have to lie in one vector, and so have neighbouring weights of
/// the same type: eight halves, which a warp's multiply, or four f32.
fn units(chip: Chip, program: &Program, step: &Step, [_, inputs, outputs, _]: [u32; 4]) -> MatrixUnits {
    let (x, buffer) = (step.inputs[0], program.buffer(step.inputs[0]));
    let run = if buffer.element == Element::Float { 4 } else { 8 };
    let counts = [inputs as usize, outputs as usize, x.offset, buffer.channels];
    let fits = buffer.element == program.weight_element(step, &step.weights[0])
        && counts.iter().all(|count| count.is_multiple_of(run));
    match buffer.element {
        _ if !fits => MatrixUnits::None,
        Element::Float => chip.matrix_units,
        _ => chip.matrix_units.min(MatrixUnits::Warp),
    }
}

/// The words of a convolution; its tensors join `pointers`.
pub fn convolution(
    chip: Chip,
    program: &Program,
    step: &Step,
    p: &ConvParams,
    fields: &mut Fields,
    pointers: &mut Pointers,
) {
    let (x, y) = (step.inputs[0], step.output);
    let buffer = program.buffer(y);
    let items = program.count(buffer.per);
    let forward = matches!(step.kernel, Kernel::Conv2dForward(_));
    let (from, to) = if forward { (x, y) } else { (y, x) };
    let mut words = window(program, from, to, p);
    let (mut p, mut size, mut channels, mut pixels) = (*p, [buffer.height, buffer.width], y.channels, 1);
    if !forward && dense::is_one_window(program, step, &p) {
        p = ConvParams { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], ..p };
        pixels = buffer.area();
        channels *= pixels;
        words = [pair(1, 1); 2].into_iter().chain([p.kernel, p.stride, p.dilation, [0, 0]].map(pair_of)).collect();
        size = [1, 1];
        (fields.area, fields.runs) = (1, channels.div_ceil(4));
    }
    let Choice { filters, groups, variant } = Choice::of(chip, program, step, &p, pixels);
    let count = groups[0] as usize;
    let stride = if forward { [1, 1] } else { p.stride };
    let blocks = |tile| count * tiles(tile, items, size, channels / count, stride);
    let variant = variant.among(blocks, chip.processors);
    if variant.splits() {
        let filters = SplitFilters { weight: filters, over_inputs: forward };
        pointers.push(Pointer::SplitFilters(filters), Place::default());
    } else {
        pointers.weight(&filters);
    }
    pointers.bias(step.weights.get(1), channels);
    fields.stem = variant.stem(forward);
    fields.blocks = variant.tile().map_or(fields.blocks, blocks);
    let inputs = groups[if forward { 1 } else { 2 }] as usize;
    fields.iterations = variant.iterations(&p, inputs);
    let of_tile = iterations::by_subgroups(&p, inputs);
    fields.on_cpu = match dense::on_cpu(program, step, &p, size, of_tile) {
        Some(stem) => Some((stem, dense::blocks(program, step, items, channels), iterations::dense(&p, inputs))),
        None => by_subgroups(variant, count, channels, forward).map(|(stem, tile)| (stem, blocks(tile), of_tile)),
    };
    // A thread's 32 channels begin at those of a word, unless an earlier group ends within one.
    let begins_words = count == 1 || (channels / count).is_multiple_of(BITS_OF_A_WORD);
    fields.whole_words = size == [buffer.height, buffer.width] && begins_words && keeps_whole_words(program, step);
    fields.rest = words.into_iter().chain(groups).collect();
}
