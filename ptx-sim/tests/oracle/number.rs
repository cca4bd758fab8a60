//! Numbers by definition: what bits are worth, and the bits of a value that a format may not hold, found by search.

use std::cmp::Ordering;

/// A sign, an exponent and a mantissa, and bits below that are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    unused: u32,
}

pub const F16: Format = Format { exponent_bits: 5, mantissa_bits: 10, unused: 0 };
pub const BF16: Format = Format { exponent_bits: 8, mantissa_bits: 7, unused: 0 };
pub const TF32: Format = Format { exponent_bits: 8, mantissa_bits: 10, unused: 13 };
pub const F32: Format = Format { exponent_bits: 8, mantissa_bits: 23, unused: 0 };

impl Format {
    /// The format of a type; that of both halves where it ends in `x2`.
    pub fn named(ty: &str) -> Option<Self> {
        let formats = [("f16", F16), ("bf16", BF16), ("tf32", TF32), ("f32", F32)];
        formats.into_iter().find(|(name, _)| *name == ty.trim_end_matches("x2")).map(|(_, format)| format)
    }

    pub fn sign(self) -> u32 {
        1 << (self.exponent_bits + self.mantissa_bits + self.unused)
    }

    pub fn infinity(self) -> u32 {
        ((1 << self.exponent_bits) - 1) << (self.mantissa_bits + self.unused)
    }

    /// Those of the bits of a register that are read.
    pub fn of(self, register: u64) -> u32 {
        register as u32 & (self.sign() | (self.sign() - 1))
    }

    /// The one NaN that operations return.
    pub fn nan(self) -> u32 {
        self.sign() - 1
    }

    pub fn is_nan(self, bits: u32) -> bool {
        bits & (self.sign() - 1) > self.infinity()
    }

    /// Bits with zero for a subnormal number.
    pub fn flush(self, bits: u32) -> u32 {
        if bits & self.infinity() == 0 { bits & self.sign() } else { bits }
    }

    pub fn value(self, bits: u32) -> f64 {
        let magnitude = (bits & (self.sign() - 1)) >> self.unused;
        let exponent = (magnitude >> self.mantissa_bits) as i32;
        let mantissa = f64::from(magnitude & ((1 << self.mantissa_bits) - 1)) / f64::from(1u32 << self.mantissa_bits);
        let (top, bias) = ((1 << self.exponent_bits) - 1, (1 << (self.exponent_bits - 1)) - 1);
        let value = match exponent {
            e if e == top && mantissa == 0.0 => f64::INFINITY,
            e if e == top => f64::NAN,
            0 => mantissa * 2f64.powi(1 - bias),
            e => (1.0 + mantissa) * 2f64.powi(e - bias),
        };
        if bits & self.sign() == 0 { value } else { -value }
    }
}

/// A value that f64 may not hold.
#[derive(Clone, Copy, Debug)]
pub enum Exact {
    /// The sum of two: the second is what the first lacks.
    Sum(f64, f64),
    /// The zero of terms of opposite signs: -0 where it is rounded down.
    Cancelled,
    Quotient(f64, f64),
    Root(f64),
}

impl Exact {
    pub fn of(value: f64) -> Self {
        Exact::Sum(value, 0.0)
    }

    /// Of products of two f32, and of what they are added to.
    pub fn sum(a: f64, b: f64) -> Self {
        let sum = a + b;
        if sum == 0.0 && a.is_sign_negative() != b.is_sign_negative() {
            return Exact::Cancelled;
        }
        let b_there = sum - a;
        let lost = (a - (sum - b_there)) + (b - b_there);
        Exact::Sum(sum, if sum.is_finite() { lost } else { 0.0 })
    }

    /// The f64 next to it: of its sign, infinite or no number as it is, and 0 only where it is.
    fn nearest(self) -> f64 {
        match self {
            Exact::Sum(sum, _) => sum,
            Exact::Cancelled => 0.0,
            Exact::Quotient(x, y) => x / y,
            Exact::Root(x) => x.sqrt(),
        }
    }

    /// How its magnitude, which is finite and not 0, is to a number of at most 25 bits.
    fn compare(self, number: f64) -> Ordering {
        let (magnitude, number, rest) = match self {
            Exact::Sum(sum, rest) => (sum.abs(), number, rest * sum.signum()),
            Exact::Cancelled => (0.0, number, 0.0),
            Exact::Quotient(x, y) => (x.abs(), number * y.abs(), 0.0),
            Exact::Root(x) => (x, number * number, 0.0),
        };
        let [first, second] =
            [magnitude.partial_cmp(&number), rest.partial_cmp(&0.0)].map(|order| order.expect("numbers"));
        first.then(second)
    }
}

/// The bits of the number that a value is rounded to.
pub fn round(exact: Exact, format: Format, rounding: &str) -> u32 {
    let nearest = exact.nearest();
    let negative = nearest.is_sign_negative() || (matches!(exact, Exact::Cancelled) && rounding == "rm");
    let sign = if negative { format.sign() } else { 0 };
    if nearest.is_nan() {
        return format.nan();
    }
    if nearest.is_infinite() || nearest == 0.0 {
        return sign | if nearest == 0.0 { 0 } else { format.infinity() };
    }
    let value = |count: u32| format.value(count << format.unused);
    // The numbers in their order: the last that is not above, and the first that is.
    let (mut below, mut above) = (0, format.infinity() >> format.unused);
    let infinity = above;
    while above - below > 1 {
        let middle = below.midpoint(above);
        if exact.compare(value(middle)).is_lt() {
            above = middle;
        } else {
            below = middle;
        }
    }
    // Infinity stands where the next number would.
    let next = if above == infinity { 2.0 * value(below) - value(below - 1) } else { value(above) };
    let to_middle = exact.compare(f64::midpoint(value(below), next));
    let up = exact.compare(value(below)).is_gt()
        && match rounding {
            "rn" => to_middle.is_gt() || (to_middle.is_eq() && below % 2 == 1),
            "rna" => to_middle.is_ge(),
            "rz" => false,
            "rm" => negative,
            "rp" => !negative,
            _ => unreachable!("{rounding}"),
        };
    sign | (if up { above } else { below }) << format.unused
}
