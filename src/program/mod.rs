//! A program: flat steps over numbered buffers, which a backend replays.
//!
//! The planner writes programs, backends run them; neither knows the other. Every buffer is written once per run
//! (a concatenation by several steps, each its own channels) and lives in a slot chosen by [`slots::assign`].
//! Layout on every backend is NHWC with channels padded by zeros to full vectors.

mod layout;
mod print;
mod prologue;
pub mod slots;
mod split;
mod stage;
mod weight;
mod work;

pub use layout::{Layout, Segment};
pub use prologue::{Prologue, ScaleShift};
pub(crate) use split::partial;
pub use split::{Split, split};
pub use stage::{Channels, Numerator, Operand, Part, Stage};
pub use weight::{Arrangement, Weight, WeightKey};

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::graph::{Pool, Precision, Resize};

/// How often a buffer exists: once per image, per reference (baseline) or per message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    Image,
    Reference,
    /// Several messages (targets) may travel back through one image.
    Message,
}

/// Element type of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// f32, or f64 on a backend that computes in it.
    Float,
    /// A float in half the bytes, on a backend that stores it so; on others as [`Element::Float`].
    F16,
    Bf16,
    /// One bit per channel, eight channels a byte, lowest bit first.
    Bits,
    /// Position of a max-pool's winner in its window, row-major.
    Index,
    /// A level of a picture, `0..=255`.
    Byte,
}

impl Element {
    /// Values, not marks.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::F16 | Self::Bf16)
    }
}

impl From<Precision> for Element {
    /// How values that stay inside of a program are stored.
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::F64 => Self::Float,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// Index into [`Program::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// An NHWC array of `count(per)` items.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub name: String,
    pub per: Per,
    pub element: Element,
    pub height: usize,
    pub width: usize,
    /// Physical channels of a pixel, padding included.
    pub channels: usize,
}

impl Buffer {
    pub fn area(&self) -> usize {
        self.height * self.width
    }

    /// Storage units of one item: floats, bytes of eight bits, indices, or bytes.
    pub fn item_len(&self) -> usize {
        let per_pixel = match self.element {
            Element::Bits => self.channels.div_ceil(8),
            Element::Float | Element::F16 | Element::Bf16 | Element::Index | Element::Byte => self.channels,
        };
        self.area() * per_pixel
    }
}

/// Neighbouring channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub buffer: BufferId,
    /// First physical channel.
    pub offset: usize,
    /// Physical channels.
    pub channels: usize,
}

impl View {
    /// The channel after the last.
    fn end(&self) -> usize {
        self.offset + self.channels
    }

    /// Some of these channels, counted from the first.
    #[must_use]
    pub fn cut(self, range: Range<usize>) -> Self {
        Self { offset: self.offset + range.start, channels: range.len(), ..self }
    }

    /// All channels of `other` are among these.
    pub fn contains(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.offset <= other.offset && other.end() <= self.end()
    }

    /// Some channel belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.offset < other.end() && other.offset < self.end()
    }
}

/// Window geometry of a convolution; its spatial sizes are those of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvParams {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    pub groups: usize,
}

/// How a map is laid over a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverlayParams {
    /// Every pixel of the picture becomes `factor` x `factor`.
    pub factor: usize,
    /// The rectangle that the map covers, in pixels of the picture: left, top, width, height.
    pub window: [f32; 4],
    /// The scale is -peak to peak, not 0 to the greatest value.
    pub symmetric: bool,
    /// Opacity of the strongest value, `0..=1`.
    pub alpha: f32,
    /// How much darker the picture is outside of the window.
    pub dimmed: f32,
}

/// The kernel of a step, with its parameters. Inputs and output are named in the order of [`Step::inputs`].
#[derive(Clone, Debug)]
pub enum Kernel {
    /// `y[oy,ox,o] = b[o] + sum x[oy s + ky d - p, ..., i] w[ky,kx,i,o]`; inputs x; weights w, optionally b.
    Conv2dForward(ConvParams),
    /// `m_x[iy,ix,i] = sum m_y[oy,ox,o] w[ky,kx,i,o]` over `oy s + ky d - p = iy`; inputs m_y; weights w, optionally b.
    /// Also the forward of a transposed convolution.
    Conv2dBackward(ConvParams),
    /// One filter per channel; inputs x; weights w `[ky,kx,c]`, optionally b.
    DepthwiseForward(ConvParams),
    /// Its transpose; inputs m_y; weights w.
    DepthwiseBackward(ConvParams),
    /// Largest of each window, first one on ties; inputs x; `index` receives the winner's place in its window.
    PoolMaxForward { pool: Pool, index: Option<View> },
    /// `m_x` = sum of m_y over the windows that x's cell won; inputs m_y, index.
    PoolMaxBackward { pool: Pool },
    /// DeepLIFT through a max-pool, additive where windows overlap; inputs m_y, x, x', y, y', index, index'.
    PoolMaxRescale { pool: Pool },
    /// Mean of each window (`sum`: without the division); inputs x.
    PoolAverageForward { pool: Pool, sum: bool },
    /// Its transpose; inputs m_y.
    PoolAverageBackward { pool: Pool },
    /// `y = (x - mean) / sqrt(variance + epsilon)` over the channels of a pixel; inputs x; weights a mask of the channels that
    /// count.
    LayerNormForward { epsilon: f64 },
    /// Its derivative, `m_x = (m_y - mean(m_y) - y mean(m_y y)) / sqrt(variance + epsilon)`; without the third term where
    /// the deviation is `fixed`; inputs m_y, x; weights the mask.
    LayerNormBackward { epsilon: f64, fixed: bool },
    /// The identity, for its stages; inputs x.
    ActivationForward,
    /// The identity, for its stages; inputs m_y.
    ActivationBackward,
    /// Moves elements; inputs x. `table[i]` is the physical element of x for physical element i of y.
    Rearrange { table: Arc<[u32]>, fill: f64 },
    /// Bilinear (or nearest) resampling; inputs x.
    UpsampleBilinear(Resize),
    /// Its transpose; inputs m_y.
    UpsampleBilinearBackward(Resize),
    /// `y[p] = sum_c w[c] a[p,c]` (w of one pixel), or `sum_c w[p,c] a[p,c]`; inputs w, a. One channel comes out.
    CamMix,
    /// Sum of the squares of a row of pixels: `y[0]`; inputs x.
    SquareRows,
    /// What biases and the stabiliser of an epsilon layer absorb in a row of pixels: `y[0] = sum s b`,
    /// `y[1] = eps sum s sgn0(z)`, with `eps rms` for eps where that is given; inputs s, z, optionally rms of one pixel;
    /// weights optionally b. Without `signs`, s is zero wherever z is negative, and stands in its place.
    AuditEpsilon { eps: f64, signs: bool },
    /// Elements of a row where `|z - z'| < TINY`, so that DeepLIFT takes the derivative: `y[0]`; inputs z, z'; weights
    /// a mask of the channels that count.
    AuditRescale,
    /// The message at the logits: one-hot rows, of which that of an image's m-th message is at its m-th greatest logit, the first
    /// on ties; inputs the logits, one pixel; weights a mask of the channels that count.
    RankSeeds,
    /// `y[0]` the least and `y[1]` the greatest of zero and a row's values; `y[2]` is zero, or not-a-number where one of them
    /// is not finite; inputs x. Output pixel p is of row p, whatever its shape, so that a second step does all rows at once.
    Range,
    /// The levels of a picture, `x + part (colour - x)` rounded, no stages; inputs a map of one channel, its [`Kernel::Range`]
    /// over all rows, the picture; weights the colours of the scale from low to high, four lanes each, between which they
    /// are linear. Inside the window, colour is that of the map's value v, interpolated bilinearly, and part is alpha times
    /// its strength: |v| / peak, or its place on a scale from zero. Outside, colour is black and part is `dimmed`.
    Overlay(OverlayParams),
}

impl Kernel {
    /// Marks an element of [`Kernel::Rearrange`] that takes the fill value.
    pub const FILL: u32 = u32::MAX;
    /// Marks a padding lane of [`Kernel::Rearrange`], always zero.
    pub const ZERO: u32 = u32::MAX - 1;

    /// The file name of the kernel on every backend.
    pub fn stem(&self) -> &'static str {
        match self {
            Self::Conv2dForward(_) => "conv2d_forward",
            Self::Conv2dBackward(_) => "conv2d_backward",
            Self::DepthwiseForward(_) => "depthwise_forward",
            Self::DepthwiseBackward(_) => "depthwise_backward",
            Self::PoolMaxForward { .. } => "pool_max_forward",
            Self::PoolMaxBackward { .. } => "pool_max_backward",
            Self::PoolMaxRescale { .. } => "pool_max_rescale",
            Self::PoolAverageForward { .. } => "pool_average_forward",
            Self::PoolAverageBackward { .. } => "pool_average_backward",
            Self::LayerNormForward { .. } => "layer_norm_forward",
            Self::LayerNormBackward { .. } => "layer_norm_backward",
            Self::ActivationForward => "activation_forward",
            Self::ActivationBackward => "activation_backward",
            Self::Rearrange { .. } => "rearrange",
            Self::UpsampleBilinear(_) => "upsample_bilinear",
            Self::UpsampleBilinearBackward(_) => "upsample_bilinear_backward",
            Self::CamMix => "cam_mix",
            Self::SquareRows => "square_rows",
            Self::AuditEpsilon { .. } => "audit_epsilon",
            Self::AuditRescale => "audit_rescale",
            Self::RankSeeds => "rank_seeds",
            Self::Range => "range",
            Self::Overlay(_) => "overlay",
        }
    }

    /// Input `i` is a value of the forward pass that the kernel can load by way of a [`Prologue`].
    pub fn loads_through(&self, i: usize) -> bool {
        match self {
            Self::Conv2dForward(_) | Self::PoolAverageForward { .. } | Self::SquareRows => i == 0,
            Self::AuditEpsilon { .. } => i == 1,
            Self::AuditRescale => true,
            _ => false,
        }
    }
}

/// One kernel launch: `output = stages(kernel(prologue(inputs), weights))`.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node it serves, for listings and errors.
    pub label: String,
    pub kernel: Kernel,
    pub inputs: Vec<View>,
    pub weights: Vec<Weight>,
    pub output: View,
    /// Elementwise head, of the inputs that [`Kernel::loads_through`] names.
    pub prologue: Option<Prologue>,
    /// Elementwise tail, applied in order while the result is in registers.
    pub stages: Vec<Stage>,
}

impl Step {
    /// The prologue of input `i`.
    pub fn prologue_of(&self, i: usize) -> Option<&Prologue> {
        self.prologue.as_ref().filter(|_| self.kernel.loads_through(i))
    }

    /// Every weight that the step reads: its own, those of its prologue, those of its stages.
    pub fn constants(&self) -> impl Iterator<Item = &Weight> {
        let prologue = self.prologue.iter().flat_map(Prologue::weights);
        self.weights.iter().chain(prologue).chain(self.stages.iter().flat_map(Stage::constants))
    }

    /// Every view the step reads: inputs, then the operands of its stages.
    pub fn reads(&self) -> Vec<View> {
        self.inputs.iter().copied().chain(self.stages.iter().flat_map(Stage::reads)).collect()
    }

    /// Every view the step writes.
    pub fn writes(&self) -> Vec<View> {
        let index = match &self.kernel {
            Kernel::PoolMaxForward { index, .. } => *index,
            _ => None,
        };
        [self.output].into_iter().chain(index).chain(self.stages.iter().filter_map(Stage::writes)).collect()
    }
}

/// A tensor that leaves or enters the program, with what is needed to address its real channels.
#[derive(Clone, Debug)]
pub struct Port {
    pub view: View,
    pub layout: Layout,
    pub height: usize,
    pub width: usize,
}

impl Port {
    /// All physical channels of a buffer.
    pub fn whole(buffer: &Buffer, id: BufferId) -> Self {
        let &Buffer { channels, height, width, .. } = buffer;
        let layout = Layout { segments: vec![Segment { real: channels, padded: channels }] };
        Self { view: View { buffer: id, offset: 0, channels }, layout, height, width }
    }

    /// Elements of one item without padding.
    pub fn len(&self) -> usize {
        self.layout.real() * self.height * self.width
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of a program. They run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The baselines through the network, whenever they change.
    Reference,
    /// The images through it, once a batch.
    Forward,
    /// The messages back, once a set of seeds.
    Backward,
}

impl Phase {
    pub const ALL: [Self; 3] = [Self::Reference, Self::Forward, Self::Backward];

    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// Steps over buffers, in the parts that [`Phase`] names.
#[derive(Clone, Debug)]
pub struct Program {
    pub images: usize,
    pub references: usize,
    pub messages_per_image: usize,
    pub buffers: Vec<Buffer>,
    pub steps: Vec<Step>,
    /// Steps before this one are the reference part.
    pub forward_from: usize,
    /// Steps from this one on are the backward part.
    pub backward_from: usize,
    /// Images, baselines and maps of a network are as their owners have them: the elements, in the order C, H, W, are channels
    /// of one pixel.
    pub input: Port,
    pub reference: Option<Port>,
    pub logits: Port,
    pub reference_logits: Option<Port>,
    /// The message at the logits: one-hot rows, written by the caller unless the way back begins with [`Kernel::RankSeeds`].
    pub seeds: Option<Port>,
    /// What the planner was asked for, in its order.
    pub outputs: Vec<Port>,
    /// For each of them, where its rules are audited, the two sums of [`Kernel::AuditEpsilon`] over all layers, or the
    /// count of [`Kernel::AuditRescale`].
    pub audits: Vec<Option<Port>>,
    /// Slot of every buffer, and the size of every slot.
    pub slots: slots::Slots,
}

impl Program {
    /// The steps of a part.
    pub fn part(&self, phase: Phase) -> Range<usize> {
        match phase {
            Phase::Reference => 0..self.forward_from,
            Phase::Forward => self.forward_from..self.backward_from,
            Phase::Backward => self.backward_from..self.steps.len(),
        }
    }

    /// The part that a step belongs to.
    pub fn phase_of(&self, step: usize) -> Phase {
        match step {
            _ if step < self.forward_from => Phase::Reference,
            _ if step < self.backward_from => Phase::Forward,
            _ => Phase::Backward,
        }
    }

    /// The way back begins at the greatest logits of each image, whichever those are.
    pub fn ranks_logits(&self) -> bool {
        self.steps.get(self.backward_from).is_some_and(|step| matches!(step.kernel, Kernel::RankSeeds))
    }

    /// A part writes a buffer.
    pub(crate) fn is_written_by(&self, phase: Phase, id: BufferId) -> bool {
        self.steps[self.part(phase)].iter().flat_map(Step::writes).any(|view| view.buffer == id)
    }

    /// Buffers that a part leaves to later ones, which may run several times after it.
    pub(crate) fn left_by(&self, phase: Phase) -> BTreeSet<usize> {
        let part = self.part(phase);
        let (own, later) = (&self.steps[part.clone()], &self.steps[part.end..]);
        let written: BTreeSet<usize> = own.iter().flat_map(Step::writes).map(|view| view.buffer.0).collect();
        let read = later.iter().flat_map(Step::reads).map(|view| view.buffer.0);
        read.filter(|buffer| written.contains(buffer)).collect()
    }

    pub fn count(&self, per: Per) -> usize {
        match per {
            Per::Image => self.images,
            Per::Reference => self.references,
            Per::Message => self.images * self.messages_per_image,
        }
    }

    pub fn buffer(&self, view: View) -> &Buffer {
        &self.buffers[view.buffer.0]
    }

    /// How a weight of a step is stored: filters as their values are, or their results where those are halves; constants
    /// per channel are floats.
    pub fn weight_element(&self, step: &Step, weight: &Weight) -> Element {
        let of_views = [step.inputs.first().copied(), Some(step.output)];
        let elements = of_views.into_iter().flatten().map(|view| self.buffer(view).element);
        match weight.arrangement {
            Arrangement::Channel { .. } => Element::Float,
            Arrangement::Conv { .. } | Arrangement::Depthwise { .. } => {
                elements.into_iter().find(|element| *element != Element::Float).unwrap_or(Element::Float)
            }
        }
    }

    /// The same with [`Element::Float`] for halves that a device does not store.
    #[must_use]
    pub fn storing(mut self, stores: impl Fn(Element) -> bool) -> Self {
        let of_slots = self.slots.slots.iter_mut().map(|slot| &mut slot.element);
        let all = self.buffers.iter_mut().map(|buffer| &mut buffer.element).chain(of_slots);
        all.filter(|element| element.is_float() && !stores(**element)).for_each(|element| *element = Element::Float);
        self
    }

    /// The item of a `per` buffer that belongs to item `n` of a buffer per `of`.
    pub fn item(&self, per: Per, of: Per, n: usize) -> usize {
        let image = if of == Per::Message { n / self.messages_per_image } else { n };
        match per {
            Per::Message => n,
            Per::Image => image,
            Per::Reference if self.references == 1 => 0,
            Per::Reference => image,
        }
    }

    /// Everything that enters or leaves.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        let sides = [&self.input, &self.logits].into_iter().chain(&self.reference).chain(&self.reference_logits);
        sides.chain(&self.seeds).chain(&self.outputs).chain(self.audits.iter().flatten())
    }

    /// Bytes of all slots for floats of `float_bytes` bytes; weights are not counted.
    pub fn slot_bytes(&self, float_bytes: usize) -> usize {
        self.slots.bytes(float_bytes)
    }
}
