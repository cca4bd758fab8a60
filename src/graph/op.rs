use std::sync::Arc;

use super::{Activation, Constant, Shape};

/// What a node computes. Weights are inside; the node's inputs are activations only.
#[derive(Clone, Debug)]
pub enum Op {
    Conv2d(Conv2d),
    /// `y = scale x + shift`, per channel.
    Affine(Affine),
    /// `y = (x - mean) / sqrt(variance + epsilon)` over the channels of each pixel (Ba et al. 2016); its scale and shift are an
    /// affine step of their own.
    LayerNorm {
        epsilon: f64,
    },
    Activation(Activation),
    Pool(Pool),
    /// `a + b`, or `a - b` where `negative`; an operand of height and width 1, or of one channel, is broadcast.
    Add {
        negative: bool,
    },
    /// `a * b`, broadcast likewise: a gate or a product of branches.
    Mul,
    /// Joins the channels of all inputs.
    Concat,
    Rearrange(Rearrange),
    Resize(Resize),
}

impl Op {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(conv) => match conv.kind {
                ConvKind::Conv => "Conv",
                ConvKind::Transposed => "ConvTranspose",
                ConvKind::Dense => "Dense",
            },
            Self::Affine(affine) => match affine.kind {
                AffineKind::BatchNorm => "BatchNorm",
                AffineKind::Scale => "Scale",
                AffineKind::Shift => "Shift",
                AffineKind::ScaleShift => "ScaleShift",
            },
            Self::LayerNorm { .. } => "LayerNorm",
            Self::Activation(activation) => activation.name(),
            Self::Pool(pool) => match pool.kind {
                PoolKind::Max => "MaxPool",
                PoolKind::Average { .. } => "AveragePool",
            },
            Self::Add { negative: false } => "Add",
            Self::Add { negative: true } => "Sub",
            Self::Mul => "Mul",
            Self::Concat => "Concat",
            Self::Rearrange(rearrange) => rearrange.name,
            Self::Resize(_) => "Resize",
        }
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Conv2d(conv) => conv.weight.len() + conv.bias.as_ref().map_or(0, Constant::len),
            Self::Affine(affine) => affine.scale.len() + affine.shift.len(),
            Self::Activation(Activation::PRelu { slope }) => slope.len(),
            _ => 0,
        }
    }
}

/// How a [`Conv2d`] appears in the model; rules select by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    Conv,
    Transposed,
    /// A dense layer: the kernel covers the whole input, the output is 1x1.
    Dense,
}

/// A convolution, a transposed one, or a dense layer.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub kind: ConvKind,
    /// `[out, in / groups, kh, kw]`; for `Transposed` `[in, out / groups, kh, kw]`. As in ONNX.
    pub weight: Constant,
    /// `[out]`
    pub bias: Option<Constant>,
    pub out_channels: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    pub groups: usize,
    /// Its input has blocks of pixels as channels; only the planner makes such.
    pub space_to_depth: Option<SpaceToDepth>,
}

/// A convolution over the pixels of blocks, `[C block_h block_w, H / block_h, W / block_w]`, of which the weight is that over
/// the image, `[out, C, kh, kw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpaceToDepth {
    pub block: [usize; 2],
    /// Of the weight.
    pub kernel: [usize; 2],
    /// Cells of the first tap's blocks that lie before the weight's first tap.
    pub lead: [usize; 2],
}

impl SpaceToDepth {
    /// Which of the values of one filter, `[C, kh, kw]`, belongs to a channel at a tap; `None` where there is none.
    pub fn stored(&self, channel: usize, tap: [usize; 2]) -> Option<usize> {
        let [down, across] = self.block;
        let pixel = [channel / across % down, channel % across];
        let along = |axis: usize| {
            let k = (tap[axis] * self.block[axis] + pixel[axis]).checked_sub(self.lead[axis])?;
            (k < self.kernel[axis]).then_some(k)
        };
        let [height, width] = self.kernel;
        Some((channel / (down * across) * height + along(0)?) * width + along(1)?)
    }
}

impl Conv2d {
    /// One filter for each channel.
    pub fn is_depthwise(&self) -> bool {
        let taps = self.kernel[0] * self.kernel[1];
        self.kind != ConvKind::Transposed
            && self.groups > 1
            && self.groups == self.out_channels
            && self.weight.len() == self.groups * taps
    }
}

/// What an [`Affine`] was in the model; LRP treats the kinds differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AffineKind {
    /// Batch normalisation that no convolution could absorb.
    BatchNorm,
    /// Multiplication by a constant: `shift` is zero.
    Scale,
    /// Addition of a constant: `scale` is one (or minus one).
    Shift,
    /// Both, as after a layer normalisation.
    ScaleShift,
}

/// `y = scale x + shift`, both `[channels]`.
#[derive(Clone, Debug)]
pub struct Affine {
    pub kind: AffineKind,
    pub scale: Constant,
    pub shift: Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    Max,
    /// `include_pad`: padded cells (not those that only ceil mode adds) count in the divisor.
    Average {
        include_pad: bool,
    },
}

/// A pool over windows. A global pool has a kernel of the size of its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    pub kind: PoolKind,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Round the number of windows up; a window that would start in the padding at the end is dropped.
    pub ceil: bool,
}

impl Pool {
    /// A window of this height and width at every place, none in padding; one over all of a map of that size.
    pub fn unpadded(kind: PoolKind, kernel: [usize; 2]) -> Self {
        Self { kind, kernel, stride: [1, 1], dilation: [1, 1], pads: [0; 4], ceil: false }
    }

    /// Number of windows along both axes of an input of this shape; `None` where not even one fits.
    pub fn windows(&self, input: Shape) -> Option<[usize; 2]> {
        let count = |axis: usize, size: usize| {
            let (before, after) = (self.pads[axis], self.pads[axis + 2]);
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let span = (size + before + after).checked_sub(reach)?;
            let stride = self.stride[axis];
            let mut count = if self.ceil { span.div_ceil(stride) } else { span / stride } + 1;
            if self.ceil && (count - 1) * stride >= size + before {
                count -= 1;
            }
            Some(count)
        };
        Some([count(0, input.height)?, count(1, input.width)?])
    }
}

/// Moves elements without arithmetic: transposes, reshapes, channel shuffles, pads, slices.
#[derive(Clone, Debug)]
pub struct Rearrange {
    /// The operation in the file, e.g. `Transpose`.
    pub name: &'static str,
    /// For every output element (C, H, W order) the input element (C, H, W order), or [`Rearrange::FILL`].
    pub table: Arc<[u32]>,
    /// Value of elements that come from nowhere (padding).
    pub fill: f64,
}

impl Rearrange {
    pub const FILL: u32 = u32::MAX;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// The cell at `floor(source)`.
    Nearest,
    /// Between the two nearest cells, clamped at the edges.
    Bilinear,
}

/// Separable resampling: output cell `i` reads at `source = scale i + offset` along each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    pub mode: ResizeMode,
    pub scale: [f64; 2],
    pub offset: [f64; 2],
}

impl Resize {
    /// Bilinear with half-pixel centres, edges clamped: what an upsampled CAM uses.
    pub fn half_pixel(input: [usize; 2], output: [usize; 2]) -> Self {
        let scale = [input[0] as f64 / output[0] as f64, input[1] as f64 / output[1] as f64];
        Self { mode: ResizeMode::Bilinear, scale, offset: scale.map(|s| 0.5 * s - 0.5) }
    }
}
