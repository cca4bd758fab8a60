use std::ops::Range;

use super::{ScaleShift, View, Weight};
use crate::graph::Activation;

/// A tensor that a stage reads at the element it works on.
#[derive(Clone, Debug)]
pub struct Operand {
    pub view: View,
    /// One pixel serves the whole image: a squeeze-and-excitation gate.
    pub one_pixel: bool,
    /// One channel serves all: a spatial mask, a CAM.
    pub one_channel: bool,
    /// The stage reads this image of the tensor, which is not stored; a channel of its own for each.
    pub scale_shift: Option<ScaleShift>,
}

impl From<View> for Operand {
    fn from(view: View) -> Self {
        Self { view, one_pixel: false, one_channel: false, scale_shift: None }
    }
}

impl Operand {
    fn cut(&mut self, range: Range<usize>) {
        if !self.one_channel {
            self.view = self.view.cut(range.clone());
            if let Some(ScaleShift { scale, shift }) = &mut self.scale_shift {
                (*scale, *shift) = (scale.cut(range.clone()), shift.cut(range));
            }
        }
    }
}

/// A part of a tensor, the vocabulary of the LRP rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    All,
    /// `max(v, 0)`
    Pos,
    /// `min(v, 0)`
    Neg,
    /// `v v`
    Square,
    /// 1 at every real element.
    One,
    Zero,
}

impl Part {
    pub fn of(self, v: f64) -> f64 {
        match self {
            Self::All => v,
            Self::Pos => v.max(0.0),
            Self::Neg => v.min(0.0),
            Self::Square => v * v,
            Self::One => 1.0,
            Self::Zero => 0.0,
        }
    }
}

/// What stands over the stabilised denominator of [`Stage::Epsilon`].
#[derive(Clone, Debug)]
pub enum Numerator {
    /// The message is a relevance.
    One,
    /// The message multiplies z.
    Z,
    /// The message multiplies `f(z)`.
    Activated(Activation),
}

/// Neighbouring physical channels of a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    pub first: usize,
    pub count: usize,
}

/// One elementwise operation on a step's result `v`, at the element (item, pixel, channel).
///
/// With sgn0(z) = +1 for z >= 0, else -1. Per-channel weights are in physical order, zero in padding lanes.
#[derive(Clone, Debug)]
pub enum Stage {
    /// `v + operand`, or `v - operand`
    Add { operand: Operand, negative: bool },
    /// `scale[c] v + shift[c]`
    Affine { scale: Weight, shift: Weight },
    /// `factor[c] v`, and 0 where the factor is, whatever v
    Scale { factor: Weight },
    /// `factor v`
    Multiply { factor: f64 },
    /// `f(v)`; a `PRelu` reads `slope` per channel.
    Activate { activation: Activation, slope: Option<Weight> },
    /// `part(v)`
    Take { part: Part },
    /// Writes v to another buffer and goes on.
    Keep { into: View },
    /// Writes the bit "f'(v) is the larger of its two values" and goes on.
    KeepBits { into: View, activation: Activation },
    /// `v high` where the bit is set, else `v low` (`slope[c] v` where given).
    Gate { bits: Operand, high: f64, low: f64, slope: Option<Weight> },
    /// `max(v, 0)`
    Positive,
    /// `v f'(z)`
    Derivative { z: Operand, activation: Activation },
    /// The square root of v.
    Root,
    /// `v part(operand)`
    Times { operand: Operand, part: Part },
    /// `v (a - b)`
    TimesDifference { a: Operand, b: Operand },
    /// `v (a + b) / 2`
    TimesMean { a: Operand, b: Operand },
    /// `v numerator / (z + eps sgn0(z))`, and 0 where the denominator is; with `eps rms` for eps where that is given
    Epsilon { z: Operand, numerator: Numerator, slope: Option<Weight>, eps: f64, rms: Option<Operand> },
    /// `v (f(z) - f(z')) / (z - z')`, or `v f'(z)` where `|z - z'| < tiny`
    Rescale { z: Operand, reference: Operand, activation: Activation, slope: Option<Weight> },
    /// The stage at some channels, of which its operands and weights are; the others stay. Not for stages that keep.
    Within { channels: Channels, stage: Box<Self> },
}

impl Stage {
    /// `|z - z'|` below which DeepLIFT's quotient gives way to the derivative.
    pub const TINY: f64 = 1e-10;

    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Self::Add { operand, .. } | Self::Times { operand, .. } => vec![operand],
            Self::Gate { bits, .. } => vec![bits],
            Self::Derivative { z, .. } => vec![z],
            Self::Epsilon { z, rms, .. } => std::iter::once(z).chain(rms).collect(),
            Self::TimesDifference { a, b } | Self::TimesMean { a, b } => vec![a, b],
            Self::Rescale { z, reference, .. } => vec![z, reference],
            Self::Within { stage, .. } => stage.operands(),
            Self::Affine { .. }
            | Self::Scale { .. }
            | Self::Multiply { .. }
            | Self::Activate { .. }
            | Self::Take { .. }
            | Self::Keep { .. }
            | Self::KeepBits { .. }
            | Self::Positive
            | Self::Root => Vec::new(),
        }
    }

    /// The stage itself, at whichever channels.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Within { stage, .. } => stage,
            stage => stage,
        }
    }

    /// Its own constants per channel, not those of its operands.
    pub fn weights(&self) -> Vec<&Weight> {
        match self {
            Self::Affine { scale, shift } => vec![scale, shift],
            Self::Scale { factor } => vec![factor],
            Self::Activate { slope, .. }
            | Self::Gate { slope, .. }
            | Self::Epsilon { slope, .. }
            | Self::Rescale { slope, .. } => slope.iter().collect(),
            Self::Within { stage, .. } => stage.weights(),
            _ => Vec::new(),
        }
    }

    /// Its own constants per channel, then the scale and the shift of each operand that has them.
    pub fn constants(&self) -> Vec<&Weight> {
        let scaled = self.operands().into_iter().filter_map(|operand| operand.scale_shift.as_ref());
        self.weights().into_iter().chain(scaled.flat_map(ScaleShift::weights)).collect()
    }

    /// The stage for some channels of the step's output; `None` where it is for others.
    pub fn cut(&self, range: Range<usize>) -> Option<Self> {
        if let Self::Within { channels: Channels { first, count }, stage } = self {
            let [start, end] = [range.start, range.end].map(|at| at.clamp(*first, first + count));
            let stage = stage.cut(start - first..end - first).filter(|_| start < end)?;
            let channels = Channels { first: start - range.start, count: end - start };
            return Some(Self::Within { channels, stage: Box::new(stage) });
        }
        let mut cut = self.clone();
        let (operands, weights, written) = cut.parts_mut();
        operands.into_iter().for_each(|operand| operand.cut(range.clone()));
        weights.into_iter().for_each(|weight| *weight = weight.cut(range.clone()));
        if let Some(view) = written {
            *view = view.cut(range);
        }
        Some(cut)
    }

    /// Its operands, its own constants, and what it writes.
    fn parts_mut(&mut self) -> (Vec<&mut Operand>, Vec<&mut Weight>, Option<&mut View>) {
        match self {
            Self::Add { operand, .. } | Self::Times { operand, .. } => (vec![operand], vec![], None),
            Self::Derivative { z, .. } => (vec![z], vec![], None),
            Self::TimesDifference { a, b } | Self::TimesMean { a, b } => (vec![a, b], vec![], None),
            Self::Gate { bits, slope, .. } => (vec![bits], slope.iter_mut().collect(), None),
            Self::Epsilon { z, rms, slope, .. } => {
                (std::iter::once(z).chain(rms).collect(), slope.iter_mut().collect(), None)
            }
            Self::Rescale { z, reference, slope, .. } => (vec![z, reference], slope.iter_mut().collect(), None),
            Self::Activate { slope, .. } => (vec![], slope.iter_mut().collect(), None),
            Self::Affine { scale, shift } => (vec![], vec![scale, shift], None),
            Self::Scale { factor } => (vec![], vec![factor], None),
            Self::Keep { into } | Self::KeepBits { into, .. } => (vec![], vec![], Some(into)),
            Self::Within { stage, .. } => stage.parts_mut(),
            Self::Multiply { .. } | Self::Take { .. } | Self::Positive | Self::Root => (vec![], vec![], None),
        }
    }

    /// How many tensors it reads and writes, weights among them.
    pub fn tensors(&self) -> usize {
        self.operands().len() + self.constants().len() + usize::from(self.writes().is_some())
    }

    pub fn reads(&self) -> Vec<View> {
        self.operands().into_iter().map(|operand| operand.view).collect()
    }

    pub fn writes(&self) -> Option<View> {
        match self {
            Self::Keep { into } | Self::KeepBits { into, .. } => Some(*into),
            _ => None,
        }
    }
}
