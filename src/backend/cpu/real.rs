//! The two float types that the CPU backend computes in.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::error_function::erf;
use super::simd::widest;
use crate::backend::Values;

/// f32 or f64. Every method is straight-line code or a call, so that loops over it vectorise where they can.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + bytemuck::Pod
{
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;

    fn from_f64(v: f64) -> Self;
    fn to_f64(self) -> f64;
    fn values(values: Vec<Self>) -> Values<'static>;
    /// The same slice, where `Self` is f32.
    fn as_f32s(values: &[Self]) -> Option<&[f32]>;
    /// The same slice, where `Self` is f32.
    fn from_f32s(values: &mut [f32]) -> Option<&mut [Self]>;
    /// Runs `body`, a loop over this type: f32 with the [widest] vectors, f64, the reference, with the baseline's.
    fn vectorised<R>(body: impl FnOnce() -> R) -> R;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    /// `exp(v) - 1`
    fn exp_m1(self) -> Self;
    /// `ln(1 + v)`
    fn ln_1p(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;

    /// `max(v, low)`; not-a-number stays.
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        if self < low { low } else { self }
    }

    /// `min(v, high)`; not-a-number stays.
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        if self > high { high } else { self }
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }

    /// `1 / (1 + exp(-v))`
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f64::INFINITY;

    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        v
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    fn values(values: Vec<Self>) -> Values<'static> {
        values.into()
    }
    #[inline(always)]
    fn as_f32s(_: &[Self]) -> Option<&[f32]> {
        None
    }
    #[inline(always)]
    fn from_f32s(_: &mut [f32]) -> Option<&mut [Self]> {
        None
    }
    #[inline(always)]
    fn vectorised<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn exp_m1(self) -> Self {
        self.exp_m1()
    }
    fn ln_1p(self) -> Self {
        self.ln_1p()
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn erf(self) -> Self {
        erf(self)
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f32::INFINITY;

    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        v as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn values(values: Vec<Self>) -> Values<'static> {
        values.into()
    }
    #[inline(always)]
    fn as_f32s(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
    #[inline(always)]
    fn from_f32s(values: &mut [f32]) -> Option<&mut [Self]> {
        Some(values)
    }
    #[inline(always)]
    fn vectorised<R>(body: impl FnOnce() -> R) -> R {
        widest(body)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp_f32(self)
    }
    fn exp_m1(self) -> Self {
        self.exp_m1()
    }
    fn ln_1p(self) -> Self {
        self.ln_1p()
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn erf(self) -> Self {
        erf(f64::from(self)) as f32
    }
}

/// `exp(x) = 2^n exp(r)`, `|r| <= ln(2)/2`, with the polynomial of Cephes' `expf`: two ulp, and it vectorises.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];
    let x = x.at_least(-104.0).at_most(89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = POLYNOMIAL.into_iter().fold(0.0, |p, c| p * r + c);
    let bits = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    // 2^n as a product of two, since n reaches from the denormals to infinity.
    let half = bits >> 1;
    (p * r * r + r + 1.0) * power_of_two(half) * power_of_two(bits.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp_and_saturates() {
        for i in -8700..=8850 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp();
            let error = (f64::from(Real::exp(x)) - want).abs() / want;
            assert!(error < 2.4e-7, "exp({x}): relative error {error:e}");
        }
        assert_eq!(Real::exp(100.0f32), f32::INFINITY);
        assert_eq!(Real::exp(-200.0f32), 0.0);
        assert!(Real::exp(f32::NAN).is_nan());
    }
}
