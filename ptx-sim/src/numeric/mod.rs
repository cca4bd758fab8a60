//! Numbers as PTX has them: formats, roundings, and the operations that need more than a plain f32 instruction.

mod convert;
mod format;

pub(crate) use convert::{Convert, Number};
pub(crate) use format::{Format, Rounding, decode, encode};

use crate::lanes::{max_f32, min_f32};
use format::{f64_from_odd, odd_sum};

/// A floating-point operation with its modifiers, computed as if exactly and rounded once.
///
/// Approximate operations (`.approx`, `.full`) give the correctly rounded result where their error bounds allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FloatOp {
    pub kind: FloatKind,
    pub format: Format,
    /// On both halves of 32 bits.
    pub packed: bool,
    pub rounding: Rounding,
    /// Subnormal inputs and results become zero.
    pub ftz: bool,
    /// Results are clamped to [0, 1], a NaN becomes 0.
    pub sat: bool,
    /// Negative results become 0.
    pub relu: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatKind {
    Neg,
    Abs,
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    /// By way of 1 / y, which is 0 above 2^126.
    DivApprox,
    Min,
    Max,
    /// A NaN wins.
    MinNan,
    MaxNan,
    Rcp,
    Sqrt,
    Rsqrt,
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
}

impl FloatOp {
    /// On the operands of one lane; unused ones are ignored.
    pub fn apply(self, x: u32, y: u32, z: u32) -> u32 {
        if !self.packed {
            return self.scalar(x, y, z);
        }
        let half = |shift: u32| self.scalar(x >> shift & 0xffff, y >> shift & 0xffff, z >> shift & 0xffff);
        half(0) | half(16) << 16
    }

    fn scalar(self, x: u32, y: u32, z: u32) -> u32 {
        let [a, b, c] = [x, y, z].map(|bits| decode(self.format, self.flushed(bits)));
        let exact = match self.kind {
            FloatKind::Neg => -a,
            FloatKind::Abs => a.abs(),
            FloatKind::Add => odd_sum(a, b),
            FloatKind::Sub => odd_sum(a, -b),
            FloatKind::Mul => a * b,
            FloatKind::Fma => odd_sum(a * b, c),
            FloatKind::Div => odd_quotient(a, b),
            FloatKind::DivApprox if b.is_finite() && b.abs() > 2f64.powi(126) => a * 0f64.copysign(b),
            FloatKind::DivApprox => odd_quotient(a, b),
            FloatKind::Rcp => odd_quotient(1.0, a),
            FloatKind::Sqrt => odd_root(a),
            FloatKind::Rsqrt => 1.0 / a.sqrt(),
            FloatKind::Ex2 => a.exp2(),
            FloatKind::Lg2 => a.log2(),
            FloatKind::Sin => a.sin(),
            FloatKind::Cos => a.cos(),
            FloatKind::Tanh => a.tanh(),
            FloatKind::Min => f64::from(min_f32(a as f32, b as f32)),
            FloatKind::Max => f64::from(max_f32(a as f32, b as f32)),
            FloatKind::MinNan | FloatKind::MaxNan if a.is_nan() || b.is_nan() => f64::NAN,
            FloatKind::MinNan => f64::from(min_f32(a as f32, b as f32)),
            FloatKind::MaxNan => f64::from(max_f32(a as f32, b as f32)),
        };
        let exact = match self {
            FloatOp { relu: true, .. } if exact <= 0.0 => 0.0,
            FloatOp { sat: true, .. } if exact.is_nan() => 0.0,
            // Zeros of either sign clamp to +0.
            FloatOp { sat: true, .. } if exact <= 0.0 => 0.0,
            FloatOp { sat: true, .. } => exact.min(1.0),
            _ => exact,
        };
        // An exact zero of x - x is -0 only when rounding down.
        let cancels = exact == 0.0 && matches!(self.kind, FloatKind::Add | FloatKind::Sub | FloatKind::Fma);
        if cancels
            && self.rounding == Rounding::Down
            && !self.sat
            && !self.relu
            && !both_positive_zero(self.kind, a, b, c)
        {
            return self.format.sign();
        }
        self.flushed(encode(self.format, exact, self.rounding))
    }

    fn flushed(self, bits: u32) -> u32 {
        if self.ftz && bits & self.format.infinity() == 0 { bits & self.format.sign() } else { bits }
    }
}

/// Whether both terms of a sum are +0, so that the sum is +0 in each rounding.
fn both_positive_zero(kind: FloatKind, a: f64, b: f64, c: f64) -> bool {
    let (left, right) = match kind {
        FloatKind::Sub => (a, -b),
        FloatKind::Fma => (a * b, c),
        _ => (a, b),
    };
    left.to_bits() == 0 && right.to_bits() == 0
}

/// x / y rounded to odd.
fn odd_quotient(x: f64, y: f64) -> f64 {
    let quotient = x / y;
    if !quotient.is_finite() || quotient == 0.0 {
        return quotient;
    }
    let rest = (-quotient).mul_add(y, x);
    f64_from_odd(quotient, if y < 0.0 { -rest } else { rest })
}

/// The square root rounded to odd.
fn odd_root(x: f64) -> f64 {
    let root = x.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    f64_from_odd(root, (-root).mul_add(root, x))
}
