//! Binary floating-point formats up to f32 as bits, by way of f64.
//!
//! An f64 that was *rounded to odd* (truncated, with the last bit set where something was lost) rounds to any of these
//! formats as the exact value would: it has more than two bits more than they have.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F16,
    Bf16,
    /// 10 bits of mantissa in the upper bits of an f32.
    Tf32,
    F32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// `.rn`: ties to even.
    Nearest,
    /// `.rna`: ties away from zero.
    Away,
    /// `.rz`
    Zero,
    /// `.rm`
    Down,
    /// `.rp`
    Up,
}

impl Format {
    fn mantissa(self) -> u32 {
        match self {
            Format::F16 | Format::Tf32 => 10,
            Format::Bf16 => 7,
            Format::F32 => 23,
        }
    }

    fn exponent_bits(self) -> u32 {
        if self == Format::F16 { 5 } else { 8 }
    }

    /// How far up the register the bits are.
    fn shift(self) -> u32 {
        if self == Format::Tf32 { 13 } else { 0 }
    }

    /// The bit of the sign.
    pub fn sign(self) -> u32 {
        1 << (self.mantissa() + self.exponent_bits() + self.shift())
    }

    /// The bits of the exponent, which are those of infinity.
    pub fn infinity(self) -> u32 {
        ((1 << self.exponent_bits()) - 1) << (self.mantissa() + self.shift())
    }

    /// The one that operations return.
    pub fn nan(self) -> u32 {
        match self {
            Format::F16 | Format::Bf16 => 0x7fff,
            Format::Tf32 | Format::F32 => 0x7fff_ffff,
        }
    }

    /// The largest finite number.
    pub fn max(self) -> u32 {
        self.infinity() - (1 << self.shift())
    }
}

/// The value of bits.
pub(crate) fn decode(format: Format, bits: u32) -> f64 {
    match format {
        Format::F32 | Format::Tf32 => f64::from(f32::from_bits(bits)),
        Format::Bf16 => f64::from(f32::from_bits(bits << 16)),
        Format::F16 => {
            let magnitude = match bits & 0x7fff {
                inf_or_nan @ 0x7c00.. => f64::from(f32::from_bits(0x7f80_0000 | (inf_or_nan & 0x3ff) << 13)),
                // The exponent's bias is 15, not 127: scale by 2^112.
                finite => f64::from(f32::from_bits(finite << 13)) * 2f64.powi(112),
            };
            if bits & 0x8000 == 0 { magnitude } else { -magnitude }
        }
    }
}

/// The bits of a value, rounded.
pub(crate) fn encode(format: Format, value: f64, rounding: Rounding) -> u32 {
    let sign = if value.is_sign_negative() { format.sign() } else { 0 };
    if value.is_nan() {
        return format.nan();
    }
    if value == 0.0 || value.is_infinite() {
        return sign | if value == 0.0 { 0 } else { format.infinity() };
    }
    let bits = value.abs().to_bits();
    // |value| = significand 2^exponent
    let (significand, exponent) = match (bits >> 52) as i32 {
        0 => (bits, -1074),
        biased => ((bits & ((1 << 52) - 1)) | 1 << 52, biased - 1075),
    };
    // The exponents of the last place: of the value, and of subnormals.
    let mantissa = format.mantissa() as i32;
    let lowest = 2 - (1 << (format.exponent_bits() - 1)) - mantissa;
    let place = (exponent + 63 - significand.leading_zeros() as i32 - mantissa).max(lowest);
    let rounded = shift_right(significand, place - exponent, rounding, sign != 0);
    // A carry out of the mantissa is one into the exponent.
    let magnitude = (((place - lowest) as u64) << mantissa) + rounded;
    let magnitude = (magnitude << format.shift()).min(u64::from(format.infinity())) as u32;
    let toward_zero =
        matches!((rounding, sign != 0), (Rounding::Zero, _) | (Rounding::Down, false) | (Rounding::Up, true));
    if magnitude == format.infinity() && toward_zero { sign | format.max() } else { sign | magnitude }
}

/// `significand / 2^shift` to an integer.
fn shift_right(significand: u64, shift: i32, rounding: Rounding, negative: bool) -> u64 {
    if shift <= 0 {
        return significand << -shift;
    }
    // Below a quarter of the last place all values round alike.
    let shift = shift.min(55);
    let (whole, rest) = (significand >> shift, significand & ((1 << shift) - 1));
    let half = 1 << (shift - 1);
    let up = match rounding {
        Rounding::Nearest => rest > half || (rest == half && whole & 1 == 1),
        Rounding::Away => rest >= half,
        Rounding::Zero => false,
        Rounding::Down => negative && rest != 0,
        Rounding::Up => !negative && rest != 0,
    };
    whole + u64::from(up)
}

/// The sum rounded to odd.
pub(crate) fn odd_sum(x: f64, y: f64) -> f64 {
    let sum = x + y;
    if !sum.is_finite() {
        return sum;
    }
    // Two-sum: what the rounding lost, exactly.
    let other = sum - x;
    f64_from_odd(sum, (x - (sum - other)) + (y - other))
}

/// A value that is off by some amount of the sign of `rest`, rounded to odd.
pub(crate) fn f64_from_odd(nearest: f64, rest: f64) -> f64 {
    let bits = nearest.to_bits();
    if rest == 0.0 || bits & 1 == 1 {
        return nearest;
    }
    // Toward `rest` lies the odd neighbour.
    f64::from_bits(if (rest > 0.0) == (nearest > 0.0) { bits + 1 } else { bits - 1 })
}
