//! Rules as data: what happens to a message at a node, and which node gets which rule.
//!
//! A message travels back from the logits. It is either a *multiplier* `m` (relevance is `m` times the value) or a
//! *relevance* `R`. A rule of layer-wise relevance propagation is a sum of groups of terms,
//!
//! ```text
//! R_in = sum_g factor_g sum_{t in g} x_t * W_tᵀ( R / stab( sum_{t in g} (W_t x_t + b_t) ) ),   stab(z) = z + eps sgn0(z)
//! ```
//!
//! with `x_t`, `W_t`, `b_t` [parts](Part) of input, weight and bias.

use crate::graph::{Activation, AffineKind, ConvKind, Graph, Op, PoolKind};
use crate::program::Part;

/// One product of a relevance rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub x: Part,
    pub weight: Part,
    pub bias: Part,
}

/// Terms that share a denominator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    pub factor: f64,
    pub terms: &'static [Term],
}

const fn term(x: Part, weight: Part, bias: Part) -> Term {
    Term { x, weight, bias }
}

/// LRP-epsilon (Bach et al. 2015).
pub const EPSILON: &[Group] = &[Group { factor: 1.0, terms: &[term(Part::All, Part::All, Part::All)] }];

/// LRP-z+ (Montavon et al. 2017), in the form for inputs of both signs.
pub const Z_PLUS: &[Group] =
    &[Group { factor: 1.0, terms: &[term(Part::Pos, Part::Pos, Part::Pos), term(Part::Neg, Part::Neg, Part::Zero)] }];

/// Flat rule (Lapuschkin et al. 2019): relevance is spread evenly over the real taps of each window.
pub const FLAT: &[Group] = &[Group { factor: 1.0, terms: &[term(Part::One, Part::One, Part::Zero)] }];

/// What a node does with the message at its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The derivative: `f'(z)`, the transpose of a linear map, the winner of a max-pool, the product rule.
    Gradient,
    /// `f'(z) max(m, 0)` (Springenberg et al. 2015).
    Guided,
    /// `max(m, 0)` (Zeiler and Fergus 2014).
    Deconvnet,
    /// DeepLIFT's finite difference against the reference (Shrikumar et al. 2017).
    Rescale,
    /// Relevance passes unchanged.
    Pass,
    /// The winner of a max-pool takes all.
    Winner,
    /// A product: the factor that is not behind a sigmoid takes all; two signals share evenly.
    Signal,
    /// Redistribution by groups of terms.
    Relevance(&'static [Group]),
}

impl Rule {
    /// What `inspect` calls the rule.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gradient => "gradient",
            Self::Guided => "guided",
            Self::Deconvnet => "deconvnet",
            Self::Rescale => "rescale",
            Self::Pass => "pass",
            Self::Winner => "winner-take-all",
            Self::Signal => "signal-take-all",
            Self::Relevance(groups) if groups == EPSILON => "epsilon",
            Self::Relevance(groups) if groups == Z_PLUS => "z+",
            Self::Relevance(groups) if groups == FLAT => "flat",
            Self::Relevance(_) => "relevance",
        }
    }
}

/// A class of nodes that a composite can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Plain or transposed.
    Conv,
    Dense,
    /// Batch normalisation that stands alone.
    BatchNorm,
    /// Layer normalisation over the channels of a pixel; its scale and shift are a node of their own.
    LayerNorm,
    /// Multiplication by a constant.
    Scale,
    /// Addition of a constant.
    Shift,
    /// Multiplication by a constant, then addition of another.
    ScaleShift,
    /// ReLU and Clip: what DeconvNet rectifies.
    Rectifier,
    /// Every other activation.
    Smooth,
    MaxPool,
    AveragePool,
    Sum,
    Product,
    /// Concatenations, reshapes, transposes: they move elements.
    Move,
    Resize,
}

impl Kind {
    pub fn of(op: &Op) -> Self {
        match op {
            Op::Conv2d(conv) if conv.kind == ConvKind::Dense => Self::Dense,
            Op::Conv2d(_) => Self::Conv,
            Op::Affine(affine) => match affine.kind {
                AffineKind::BatchNorm => Self::BatchNorm,
                AffineKind::Scale => Self::Scale,
                AffineKind::Shift => Self::Shift,
                AffineKind::ScaleShift => Self::ScaleShift,
            },
            Op::LayerNorm { .. } => Self::LayerNorm,
            Op::Activation(Activation::Relu | Activation::Clip { .. }) => Self::Rectifier,
            Op::Activation(_) => Self::Smooth,
            Op::Pool(pool) if pool.kind == PoolKind::Max => Self::MaxPool,
            Op::Pool(_) => Self::AveragePool,
            Op::Add { .. } => Self::Sum,
            Op::Mul => Self::Product,
            Op::Concat | Op::Rearrange(_) => Self::Move,
            Op::Resize(_) => Self::Resize,
        }
    }
}

/// Which nodes a row of a composite is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    Any,
    Kind(Kind),
    /// The first node of the kind, from the input.
    First(Kind),
}

/// A rule for the nodes that a selector names.
pub type Row = (Selector, Rule);

/// An ordered list of rows, in parts that composites share; the first match wins.
#[derive(Debug)]
pub struct Composite {
    pub name: &'static str,
    pub rows: &'static [&'static [Row]],
    /// The forward pass of the reference (baseline) is needed too.
    pub needs_reference: bool,
}

use Selector::{Any, First, Kind as Each};

pub static GRADIENT: Composite =
    Composite { name: "gradient", rows: &[&[(Any, Rule::Gradient)]], needs_reference: false };

pub static GUIDED: Composite = Composite {
    name: "guided",
    rows: &[&[(Each(Kind::Rectifier), Rule::Guided), (Each(Kind::Smooth), Rule::Guided), (Any, Rule::Gradient)]],
    needs_reference: false,
};

pub static DECONVNET: Composite = Composite {
    name: "deconvnet",
    rows: &[&[(Each(Kind::Rectifier), Rule::Deconvnet), (Any, Rule::Gradient)]],
    needs_reference: false,
};

pub static RESCALE: Composite = Composite { name: "rescale", rows: &[&[(Any, Rule::Rescale)]], needs_reference: true };

/// What every LRP composite does with the nodes that its own rows leave.
const LRP_REST: &[Row] = &[
    (Each(Kind::Rectifier), Rule::Pass),
    (Each(Kind::Smooth), Rule::Pass),
    (Each(Kind::Scale), Rule::Pass),
    (Each(Kind::Move), Rule::Pass),
    (Each(Kind::Product), Rule::Signal),
    (Any, Rule::Relevance(EPSILON)),
];

pub static LRP_EPSILON: Composite = Composite { name: "lrp-epsilon", rows: &[LRP_REST], needs_reference: false };

pub static LRP_Z_PLUS: Composite = Composite {
    name: "lrp-zplus",
    rows: &[
        &[
            (Each(Kind::Conv), Rule::Relevance(Z_PLUS)),
            (Each(Kind::Dense), Rule::Relevance(Z_PLUS)),
            (Each(Kind::MaxPool), Rule::Winner),
        ],
        LRP_REST,
    ],
    needs_reference: false,
};

pub static EPSILON_PLUS_FLAT: Composite = Composite {
    name: "epsilon-plus-flat",
    rows: &[
        &[
            (First(Kind::Conv), Rule::Relevance(FLAT)),
            (Each(Kind::Conv), Rule::Relevance(Z_PLUS)),
            (Each(Kind::MaxPool), Rule::Winner),
        ],
        LRP_REST,
    ],
    needs_reference: false,
};

/// How LRP treats batch normalisation that no convolution could absorb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BatchNormRule {
    /// An affine layer under the epsilon rule.
    #[default]
    Epsilon,
    /// Relevance passes unchanged (Zennit's way); it explodes in dense nets.
    Pass,
}

/// The numbers and choices of the relevance rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleOptions {
    /// Absolute stabiliser of every denominator.
    pub epsilon: f64,
    pub batch_norm: BatchNormRule,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self { epsilon: 1e-6, batch_norm: BatchNormRule::default() }
    }
}

impl Composite {
    /// The rule of every node of a graph.
    pub fn assign(&self, graph: &Graph, options: &RuleOptions) -> Vec<Rule> {
        let mut seen = std::collections::HashSet::new();
        let mut assign = |op: &Op| {
            let kind = Kind::of(op);
            let first = seen.insert(kind);
            let matches = |selector: &Selector| match selector {
                Any => true,
                Each(wanted) => *wanted == kind,
                First(wanted) => *wanted == kind && first,
            };
            let rule = self
                .rows
                .iter()
                .copied()
                .flatten()
                .find(|(selector, _)| matches(selector))
                .map_or(Rule::Gradient, |row| row.1);
            match (rule, kind, options.batch_norm) {
                (Rule::Relevance(_), Kind::BatchNorm, BatchNormRule::Pass) => Rule::Pass,
                _ => rule,
            }
        };
        graph.nodes.iter().map(|node| assign(&node.op)).collect()
    }
}
