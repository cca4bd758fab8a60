//! `cvt`.

use super::format::{Format, Rounding, decode, encode};

/// A type of `cvt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Unsigned(u8),
    Signed(u8),
    Float(Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convert {
    pub to: Number,
    pub from: Number,
    pub rounding: Rounding,
    /// Float results are integral (`.rni` and so on).
    pub integral: bool,
    pub ftz: bool,
    pub sat: bool,
    /// Infinities and what overflows become the largest number.
    pub satfinite: bool,
    pub relu: bool,
    /// Bits of the registers: 16, 32 or 64.
    pub to_bits: u8,
    pub from_bits: u8,
}

impl Convert {
    pub fn apply(&self, bits: u64) -> u64 {
        let result = match (self.from, self.to) {
            (Number::Float(from), Number::Float(to)) => u64::from(self.float_to_float(from, to, bits as u32)),
            (Number::Float(from), to) => self.float_to_integer(decode(from, self.flushed(from, bits as u32)), to),
            (from, Number::Float(to)) => u64::from(self.integer_to_float(integer_of(from, bits), to)),
            (from, to) => {
                let value = integer_of(from, bits);
                let (low, high) = range(to);
                integer_bits(if self.sat { value.clamp(low, high) } else { value }, to)
            }
        };
        if self.to_bits == 64 { result } else { result & ((1 << self.to_bits) - 1) }
    }

    fn flushed(&self, format: Format, bits: u32) -> u32 {
        if self.ftz && format == Format::F32 && bits & format.infinity() == 0 { bits & format.sign() } else { bits }
    }

    fn float_to_float(&self, from: Format, to: Format, bits: u32) -> u32 {
        let value = decode(from, self.flushed(from, bits));
        let value = if self.integral { integral(value, self.rounding) } else { value };
        let value = match self {
            Convert { relu: true, .. } if value <= 0.0 => 0.0,
            Convert { sat: true, .. } if value.is_nan() || value <= 0.0 => 0.0,
            Convert { sat: true, .. } => value.min(1.0),
            _ => value,
        };
        let result = encode(to, value, if self.integral { Rounding::Nearest } else { self.rounding });
        if self.satfinite && result & !to.sign() == to.infinity() {
            return result & to.sign() | to.max();
        }
        self.flushed(to, result)
    }

    fn float_to_integer(&self, value: f64, to: Number) -> u64 {
        let (low, high) = range(to);
        if value.is_nan() {
            return match to {
                Number::Unsigned(64) | Number::Signed(64) => 1 << 63,
                _ => 0,
            };
        }
        // f64 to i128 saturates, far outside each range.
        integer_bits((integral(value, self.rounding) as i128).clamp(low, high), to)
    }

    fn integer_to_float(&self, value: i128, to: Format) -> u32 {
        // Rounded to odd where f64 cannot hold it.
        let shift = (128 - value.unsigned_abs().leading_zeros()).saturating_sub(53);
        let kept = value.unsigned_abs() >> shift;
        let lost = value.unsigned_abs() != kept << shift;
        let magnitude = (kept | u128::from(lost)) as f64 * 2f64.powi(shift as i32);
        let value = if value < 0 { -magnitude } else { magnitude };
        encode(to, if self.sat { value.clamp(0.0, 1.0) } else { value }, self.rounding)
    }
}

fn integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::Away => value.round(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

fn integer_of(from: Number, bits: u64) -> i128 {
    match from {
        Number::Unsigned(64) | Number::Float(_) => i128::from(bits),
        Number::Unsigned(width) => i128::from(bits & ((1 << width) - 1)),
        Number::Signed(width) => {
            let unused = 64 - u32::from(width);
            i128::from((bits << unused) as i64 >> unused)
        }
    }
}

/// Truncated to the type, then extended as the type is.
fn integer_bits(value: i128, to: Number) -> u64 {
    integer_of(to, value as u64) as u64
}

fn range(to: Number) -> (i128, i128) {
    match to {
        Number::Unsigned(width) => (0, (1 << width) - 1),
        Number::Signed(width) => (-(1 << (width - 1)), (1 << (width - 1)) - 1),
        Number::Float(_) => (i128::MIN, i128::MAX),
    }
}
