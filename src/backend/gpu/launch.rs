//! A step of a program as a launch: a kernel by name, its pointers, one block of parameters.
//!
//! Parameters are 512 bytes: 16 words of the kernel's own, of which the first four are how many threads have work, runs of
//! four channels a pixel, pixels an item and messages an image; from byte 64 on 16 places of tensors, in the order of the
//! pointers; from byte 320 on 48 constants of the prologue and the stages.

use std::sync::Arc;

use super::fields::{fields, window_of};
use super::stages::Elementwise;
use crate::kernel::{Fused, MOST_TENSORS, Type, Window};
use crate::program::{BufferId, Element, Kernel, Operand, Per, Program, Step, View, Weight};

/// Bytes of the parameters.
pub const PARAM_BYTES: usize = 512;

/// Where the places of tensors, and the constants of stages, begin.
pub const PLACES: usize = 64;
const CONSTANTS: usize = 320;
/// How many of them fit.
const _: () = assert!(MOST_TENSORS == (CONSTANTS - PLACES) / 16, "places lie side by side");
const MOST_CONSTANTS: usize = (PARAM_BYTES - CONSTANTS) / 4;

/// Height and width are halves of a word.
const LONGEST_SIDE: usize = u16::MAX as usize;

/// What a kernel's argument points to.
#[derive(Clone, Debug)]
pub enum Pointer {
    Buffer(BufferId),
    /// Materialised in a type.
    Weight(Weight, Type),
    /// A convolution's filters for the matrix units of warpgroups.
    SplitFilters(SplitFilters),
    /// Several, one after another, in f32.
    Weights(Vec<Weight>),
    /// Physical elements of a [`Kernel::Rearrange`].
    Table(Arc<[u32]>),
    /// So many zeros, in place of a bias that the step does not have; or four bytes that are never written.
    Zeros(usize),
}

impl Pointer {
    /// How many numbers it points to, if they are f32.
    pub fn floats(&self, program: &Program) -> Option<usize> {
        match self {
            Self::Buffer(id) => {
                let buffer = &program.buffers[id.0];
                (buffer.element == Element::Float).then(|| program.count(buffer.per).saturating_mul(buffer.item_len()))
            }
            Self::Weight(weight, stored) => (*stored == Type::F32).then(|| weight.physical()),
            Self::SplitFilters(filters) => Some(2 * filters.weight.physical()),
            Self::Weights(weights) => Some(weights.iter().map(Weight::physical).sum()),
            Self::Table(_) => None,
            Self::Zeros(count) => Some(*count),
        }
    }

    /// How its numbers are stored; of no meaning for marks and tables.
    fn stored(&self, program: &Program) -> Type {
        match self {
            Self::Buffer(id) => type_of(program.buffers[id.0].element),
            Self::Weight(_, stored) => *stored,
            Self::SplitFilters(_) | Self::Weights(_) | Self::Table(_) | Self::Zeros(_) => Type::F32,
        }
    }
}

/// Filters of a single group in f32 as two numbers each, whose products lose no more than f32 does: the upper 11 bits of all,
/// rounded, then what is left of all. Their order is `[kh, kw, columns, k]`, where k are the channels that are summed.
#[derive(Clone, Debug)]
pub struct SplitFilters {
    pub weight: Weight,
    /// k are the input channels, else the output channels.
    pub over_inputs: bool,
}

/// The type of a GPU that stores an element.
pub fn type_of(element: Element) -> Type {
    match element {
        Element::F16 => Type::F16,
        Element::Bf16 => Type::Bf16,
        Element::Float | Element::Bits | Element::Index | Element::Byte => Type::F32,
    }
}

/// How a kernel sees a tensor: units are numbers, bytes of bits, or bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub item_stride: u32,
    pub pixel_stride: u32,
    pub offset: u32,
    /// The tensor has an item per image where the output has one per message.
    pub per_image: u32,
}

impl Place {
    /// As a kernel reads them.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let words = [self.item_stride, self.pixel_stride, self.offset, self.per_image];
        bytes.chunks_exact_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        bytes
    }
}

/// One launch of a kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The file of `kernels/`, without its ending.
    pub stem: &'static str,
    pub fused: Fused,
    /// Inputs, weights, outputs, then the operands of the prologue and of the stages.
    pub pointers: Vec<Pointer>,
    /// Which of them the kernel writes.
    pub written: Vec<bool>,
    pub params: Box<[u8; PARAM_BYTES]>,
    /// Blocks of 256 threads, of 64 or 8 by subgroups.
    pub blocks: u32,
    /// A bound on the iterations of a thread's loops, all together, in WGSL.
    pub iterations: usize,
    /// The kernel in place of this one for a driver that computes on a CPU, where there is one in WGSL.
    pub on_cpu: Option<OnCpu>,
    /// Its WGSL is the one [by locals](crate::kernel::by_locals).
    pub locals: bool,
    /// Its WGSL is the one [by pairs](crate::kernel::by_pairs).
    pub pairs: bool,
    /// Which pointers its WGSL has as [textures](crate::kernel::by_texels).
    pub texels: [bool; MOST_TENSORS],
}

/// Another kernel for the same launch.
#[derive(Clone, Copy, Debug)]
pub struct OnCpu {
    /// As that of [`Launch`].
    pub stem: &'static str,
    pub blocks: u32,
    pub iterations: usize,
    pub window: Window,
    pub whole_words: bool,
}

/// A step that cannot be launched on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {what} {count} exceeds the {limit} of a kernel")]
pub struct LaunchError {
    pub step: String,
    pub what: &'static str,
    pub count: usize,
    pub limit: usize,
}

/// What multiplies matrices of halves and of tf32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatrixUnits {
    #[default]
    None,
    /// A warp's: CUDA's capability 8.0 and later.
    Warp,
    /// And a warpgroup's, which read filters from shared memory: CUDA's capability 9.0 alone.
    Warpgroup,
}

/// What of a chip decides which kernel computes a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chip {
    pub matrix_units: MatrixUnits,
    /// How many blocks it computes at once, at least; 0 where that is not known.
    pub processors: u32,
}

/// The launch of a step on any chip.
///
/// # Errors
/// Where a count does not fit into the parameters.
pub fn launch(program: &Program, step: &Step) -> Result<Launch, LaunchError> {
    launch_on(Chip::default(), program, step)
}

/// The launch of a step on a chip.
///
/// # Errors
/// Where a count does not fit into the parameters.
pub fn launch_on(chip: Chip, program: &Program, step: &Step) -> Result<Launch, LaunchError> {
    let fail = |what, count, limit| LaunchError { step: step.label.clone(), what, count, limit };
    let buffers = step.reads().into_iter().chain(step.writes()).map(|view| program.buffer(view));
    if let Some(side) = buffers.flat_map(|buffer| [buffer.height, buffer.width]).find(|side| *side > LONGEST_SIDE) {
        return Err(fail("height or width", side, LONGEST_SIDE));
    }
    let window = window_of(&step.kernel)
        .into_iter()
        .flat_map(|p| [p.kernel, p.stride, p.dilation, [p.pads[0], p.pads[1]], [p.pads[2], p.pads[3]]]);
    if let Some(cells) = window.flatten().find(|cells| *cells > LONGEST_SIDE) {
        return Err(fail("cells of a window, its strides or its padding", cells, LONGEST_SIDE));
    }
    let (of, list, written) = (program.buffer(step.output).per, Vec::new(), Vec::new());
    let mut pointers = Pointers { program, step, of, list, written };
    let fields = fields(chip, program, step, &mut pointers);
    let mut elementwise = Elementwise::new(step, &mut pointers);
    let most = u32::MAX as usize;
    if let Some((what, count)) = fields.counts().into_iter().find(|(_, count)| *count > most) {
        return Err(fail(what, count, most));
    }
    if pointers.list.len() > MOST_TENSORS {
        return Err(fail("number of tensors", pointers.list.len(), MOST_TENSORS));
    }
    for (stored, (pointer, _)) in elementwise.fused.types.iter_mut().zip(&pointers.list) {
        *stored = pointer.stored(program);
    }
    if elementwise.constants.len() > MOST_CONSTANTS {
        return Err(fail("number of constants", elementwise.constants.len(), MOST_CONSTANTS));
    }
    let mut params = Box::new([0; PARAM_BYTES]);
    for (at, word) in fields.words().into_iter().enumerate() {
        params[4 * at..][..4].copy_from_slice(&word.to_le_bytes());
    }
    for (i, (_, place)) in pointers.list.iter().enumerate() {
        params[PLACES + 16 * i..][..16].copy_from_slice(&place.bytes());
    }
    for (i, constant) in elementwise.constants.iter().enumerate() {
        params[CONSTANTS + 4 * i..][..4].copy_from_slice(&constant.to_le_bytes());
    }
    let written = (0..pointers.list.len()).map(|number| pointers.written.contains(&number)).collect();
    let list = pointers.list.into_iter().map(|(pointer, _)| pointer).collect();
    let (blocks, iterations, on_cpu) = (fields.blocks(), fields.iterations(), fields.on_cpu());
    let (stem, fused, pointers) = (fields.stem, elementwise.fused, list);
    let (locals, pairs, texels) = (false, false, [false; MOST_TENSORS]);
    Ok(Launch { stem, fused, pointers, written, params, blocks, iterations, on_cpu, locals, pairs, texels })
}

/// The arguments of a launch, in order, each with its place.
pub struct Pointers<'a> {
    pub program: &'a Program,
    pub step: &'a Step,
    /// How often the output exists.
    pub of: Per,
    pub list: Vec<(Pointer, Place)>,
    /// Numbers of those that the kernel writes.
    written: Vec<usize>,
}

impl Pointers<'_> {
    /// A tensor of the program; gives its number.
    pub fn view(&mut self, view: View) -> usize {
        self.operand(&Operand::from(view))
    }

    /// A tensor that the kernel writes; gives its number.
    pub fn output(&mut self, view: View) -> usize {
        let number = self.view(view);
        self.written.push(number);
        number
    }

    pub fn operand(&mut self, operand: &Operand) -> usize {
        let view = operand.view;
        let buffer = self.program.buffer(view);
        let bits = buffer.element == Element::Bits;
        let unit = |channels: usize| if bits { channels.div_ceil(8) } else { channels } as u32;
        let shared = buffer.per == Per::Reference && self.program.references == 1;
        let place = Place {
            item_stride: if shared { 0 } else { buffer.item_len() as u32 },
            pixel_stride: if operand.one_pixel { 0 } else { unit(buffer.channels) },
            offset: unit(view.offset),
            per_image: u32::from(buffer.per != Per::Message && self.of == Per::Message),
        };
        self.push(Pointer::Buffer(view.buffer), place)
    }

    /// A weight of a step; one of a stage has a value per channel, the same at every pixel.
    pub fn weight(&mut self, weight: &Weight) -> usize {
        let stored = type_of(self.program.weight_element(self.step, weight));
        self.push(Pointer::Weight(weight.clone(), stored), Place::default())
    }

    /// A weight that may be absent, with `channels` zeros in its place.
    pub fn bias(&mut self, weight: Option<&Weight>, channels: usize) -> usize {
        match weight {
            Some(weight) => self.weight(weight),
            None => self.push(Pointer::Zeros(channels), Place::default()),
        }
    }

    pub fn push(&mut self, pointer: Pointer, place: Place) -> usize {
        self.list.push((pointer, place));
        self.list.len() - 1
    }

    /// Where a max-pool's winners go, or what stands there when nobody reads them.
    pub fn winners(&mut self, kernel: &Kernel) {
        match kernel {
            Kernel::PoolMaxForward { index: Some(view), .. } => _ = self.output(*view),
            Kernel::PoolMaxForward { index: None, .. } => {
                let number = self.push(Pointer::Zeros(4), Place::default());
                self.written.push(number);
            }
            _ => {}
        }
    }
}
