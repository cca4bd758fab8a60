//! The prologue and the stages of a step as text: words of `kernels/stages/`, their tensors and constants.

use super::launch::Pointers;
use crate::graph::Activation;
use crate::kernel::{Fused, Operand as Named, StageText};
use crate::program::{Channels, Numerator, Operand, Part, Prologue, ScaleShift, Stage, Step, View, Weight};

/// All that a step does element by element beside its kernel.
#[derive(Default)]
pub struct Elementwise {
    pub fused: Fused,
    /// Words: floats, and channels as integers.
    pub constants: Vec<u32>,
}

/// What a stage points to.
enum Tensor<'a> {
    Operand(&'a Operand),
    Written(View),
    Weight(&'a Weight),
}

impl Tensor<'_> {
    /// Gives it a place among the pointers, its scale and shift the next two.
    fn name(self, pointers: &mut Pointers) -> Named {
        let (slot, spread) = match self {
            Self::Operand(operand) => (pointers.operand(operand), operand.one_channel),
            Self::Written(view) => (pointers.output(view), false),
            Self::Weight(weight) => (pointers.weight(weight), false),
        };
        let scale_shift = match self {
            Self::Operand(operand) => operand.scale_shift.as_ref(),
            Self::Written(_) | Self::Weight(_) => None,
        };
        let weights = scale_shift.into_iter().flat_map(ScaleShift::weights);
        let scale_shift = weights.map(|weight| Tensor::Weight(weight).name(pointers)).collect();
        Named { pointer: format!("operand{slot}"), slot, spread, scale_shift }
    }
}

/// A prologue or a stage in the making.
#[derive(Default)]
struct Parts<'a> {
    word: &'static str,
    variant: &'static str,
    tensors: Vec<Tensor<'a>>,
    constants: Vec<f64>,
    curve: Option<&'a Activation>,
    channels: Option<Channels>,
}

impl Elementwise {
    pub fn new(step: &Step, pointers: &mut Pointers) -> Self {
        let mut all = Self::default();
        all.fused.prologue = step.prologue.as_ref().map(|prologue| all.text(prologue_parts(prologue), pointers));
        all.fused.stages = step.stages.iter().map(|stage| all.text(parts(stage), pointers)).collect();
        all
    }

    fn text(&mut self, parts: Parts, pointers: &mut Pointers) -> StageText {
        let Parts { word, variant, tensors, constants, curve, channels } = parts;
        let first = self.constants.len();
        let of_curve = curve.map(curve_constants).unwrap_or_default();
        self.constants.extend(of_curve.iter().chain(&constants).map(|c| (*c as f32).to_bits()));
        let channels = channels.map(|Channels { first, count }| {
            self.constants.extend([first as u32, count as u32]);
            self.constants.len() - 2
        });
        StageText {
            word,
            curve: curve.map(curve_file),
            operands: tensors.into_iter().map(|tensor| tensor.name(pointers)).collect(),
            constants: first,
            curve_constants: of_curve.len(),
            channels,
            variant,
        }
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::All => "all",
        Part::Pos => "pos",
        Part::Neg => "neg",
        Part::Square => "square",
        Part::One => "one",
        Part::Zero => "zero",
    }
}

fn prologue_parts(prologue: &Prologue) -> Parts<'_> {
    Parts {
        word: "prologue",
        tensors: prologue.scale_shift.iter().flat_map(ScaleShift::weights).map(Tensor::Weight).collect(),
        curve: prologue.activation.as_ref(),
        ..Parts::default()
    }
}

/// Operands first, then the slopes of a PRelu.
fn parts(stage: &Stage) -> Parts<'_> {
    use Tensor::{Operand as Of, Weight as Per, Written as At};
    let word = |word: &'static str| Parts { word, ..Parts::default() };
    match stage {
        Stage::Add { operand, negative } => {
            let variant = if *negative { "sub" } else { "add" };
            Parts { tensors: vec![Of(operand)], variant, ..word("add") }
        }
        Stage::Affine { scale, shift } => Parts { tensors: vec![Per(scale), Per(shift)], ..word("affine") },
        Stage::Scale { factor } => Parts { tensors: vec![Per(factor)], ..word("scale") },
        Stage::Multiply { factor } => Parts { constants: vec![*factor], ..word("multiply") },
        Stage::Activate { activation, slope } => {
            Parts { curve: Some(activation), tensors: slope.iter().map(Per).collect(), ..word("activate") }
        }
        Stage::Take { part } => Parts { variant: part_name(*part), ..word("take") },
        Stage::Keep { into } => Parts { tensors: vec![At(*into)], ..word("keep") },
        Stage::KeepBits { into, activation } => {
            Parts { tensors: vec![At(*into)], curve: Some(activation), ..word("keep_bits") }
        }
        Stage::Gate { bits, high, low, slope } => Parts {
            tensors: [Of(bits)].into_iter().chain(slope.iter().map(Per)).collect(),
            constants: vec![*high, *low],
            variant: if slope.is_some() { "slope" } else { "" },
            ..word("gate")
        },
        Stage::Positive => word("positive"),
        Stage::Derivative { z, activation } => {
            Parts { tensors: vec![Of(z)], curve: Some(activation), ..word("derivative") }
        }
        Stage::Times { operand, part } => {
            Parts { tensors: vec![Of(operand)], variant: part_name(*part), ..word("times") }
        }
        Stage::TimesDifference { a, b } => Parts { tensors: vec![Of(a), Of(b)], ..word("times_difference") },
        Stage::TimesMean { a, b } => Parts { tensors: vec![Of(a), Of(b)], ..word("times_mean") },
        Stage::Root => word("root"),
        Stage::Epsilon { z, numerator, slope, eps, rms } => Parts {
            tensors: std::iter::once(Of(z)).chain(rms.iter().map(Of)).chain(slope.iter().map(Per)).collect(),
            constants: vec![*eps],
            curve: if let Numerator::Activated(activation) = numerator { Some(activation) } else { None },
            variant: match (matches!(numerator, Numerator::Z), rms.is_some()) {
                (false, false) => "",
                (true, false) => "over_z",
                (false, true) => "relative",
                (true, true) => "over_z, relative",
            },
            ..word("epsilon")
        },
        Stage::Rescale { z, reference, activation, slope } => Parts {
            tensors: [Of(z), Of(reference)].into_iter().chain(slope.iter().map(Per)).collect(),
            constants: vec![Stage::TINY],
            curve: Some(activation),
            ..word("rescale")
        },
        Stage::Within { channels, stage } => Parts { channels: Some(*channels), ..parts(stage) },
    }
}

/// The file of `kernels/curves/`.
fn curve_file(activation: &Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Clip { .. } => "clip",
        Activation::LeakyRelu { .. } => "leaky_relu",
        Activation::PRelu { .. } => "prelu",
        Activation::Elu { .. } => "elu",
        Activation::Sigmoid => "sigmoid",
        Activation::HardSigmoid { .. } => "hard_sigmoid",
        Activation::HardSwish => "hard_swish",
        Activation::Tanh => "tanh",
        Activation::Softplus => "softplus",
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::Reciprocal => "reciprocal",
    }
}

fn curve_constants(activation: &Activation) -> Vec<f64> {
    match activation {
        Activation::Clip { low, high } => vec![*low, *high],
        Activation::LeakyRelu { slope } => vec![*slope],
        Activation::Elu { alpha } => vec![*alpha],
        Activation::HardSigmoid { alpha, beta } => vec![*alpha, *beta],
        _ => Vec::new(),
    }
}
