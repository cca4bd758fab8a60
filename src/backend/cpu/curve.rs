//! Activations with their derivatives, as functions that loops inline.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use super::real::Real;

/// `f(z)` and `f'(z)`. `slope` is the channel's own parameter; only [`PRelu`] reads it.
pub trait Curve<T>: Copy {
    fn value(self, z: T, slope: T) -> T;
    fn derivative(self, z: T, slope: T) -> T;
}

#[inline(always)]
fn select<T>(condition: bool, yes: T, no: T) -> T {
    if condition { yes } else { no }
}

#[derive(Clone, Copy)]
pub struct Relu;

impl<T: Real> Curve<T> for Relu {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z.at_least(T::ZERO)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        select(z > T::ZERO, T::ONE, T::ZERO)
    }
}

#[derive(Clone, Copy)]
pub struct Clip<T> {
    pub low: T,
    pub high: T,
}

impl<T: Real> Curve<T> for Clip<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z.at_least(self.low).at_most(self.high)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        select(z > self.low && z < self.high, T::ONE, T::ZERO)
    }
}

#[derive(Clone, Copy)]
pub struct LeakyRelu<T> {
    pub slope: T,
}

impl<T: Real> Curve<T> for LeakyRelu<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        select(z > T::ZERO, z, self.slope * z)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        select(z > T::ZERO, T::ONE, self.slope)
    }
}

#[derive(Clone, Copy)]
pub struct PRelu;

impl<T: Real> Curve<T> for PRelu {
    #[inline(always)]
    fn value(self, z: T, slope: T) -> T {
        select(z > T::ZERO, z, slope * z)
    }
    #[inline(always)]
    fn derivative(self, z: T, slope: T) -> T {
        select(z > T::ZERO, T::ONE, slope)
    }
}

#[derive(Clone, Copy)]
pub struct Elu<T> {
    pub alpha: T,
}

impl<T: Real> Curve<T> for Elu<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        select(z > T::ZERO, z, self.alpha * z.at_most(T::ZERO).exp_m1())
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        select(z > T::ZERO, T::ONE, self.alpha * z.at_most(T::ZERO).exp())
    }
}

#[derive(Clone, Copy)]
pub struct Sigmoid;

impl<T: Real> Curve<T> for Sigmoid {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z.sigmoid()
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        let s = z.sigmoid();
        s * (T::ONE - s)
    }
}

#[derive(Clone, Copy)]
pub struct HardSigmoid<T> {
    pub alpha: T,
    pub beta: T,
}

impl<T: Real> Curve<T> for HardSigmoid<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        (self.alpha * z + self.beta).at_least(T::ZERO).at_most(T::ONE)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        let line = self.alpha * z + self.beta;
        select(line > T::ZERO && line < T::ONE, self.alpha, T::ZERO)
    }
}

#[derive(Clone, Copy)]
pub struct HardSwish<T> {
    pub three: T,
    pub six: T,
}

impl<T: Real> Curve<T> for HardSwish<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z * ((z + self.three) / self.six).at_least(T::ZERO).at_most(T::ONE)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        // z/3 + 1/2 between the kinks at -3 and 3
        let inner = (z + z + self.three) / self.six;
        select(z <= -self.three, T::ZERO, select(z >= self.three, T::ONE, inner))
    }
}

#[derive(Clone, Copy)]
pub struct Tanh;

impl<T: Real> Curve<T> for Tanh {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z.tanh()
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        let t = z.tanh();
        T::ONE - t * t
    }
}

#[derive(Clone, Copy)]
pub struct Softplus;

impl<T: Real> Curve<T> for Softplus {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z.at_least(T::ZERO) + (-z.abs()).exp().ln_1p()
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        z.sigmoid()
    }
}

#[derive(Clone, Copy)]
pub struct Silu;

impl<T: Real> Curve<T> for Silu {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z * z.sigmoid()
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        let s = z.sigmoid();
        s * (T::ONE + z * (T::ONE - s))
    }
}

#[derive(Clone, Copy)]
pub struct Gelu<T> {
    half: T,
    root_half: T,
    density: T,
}

impl<T: Real> Default for Gelu<T> {
    fn default() -> Self {
        Self { half: T::from_f64(0.5), root_half: T::from_f64(FRAC_1_SQRT_2), density: T::from_f64(1.0 / TAU.sqrt()) }
    }
}

impl<T: Real> Gelu<T> {
    #[inline(always)]
    fn phi(self, z: T) -> T {
        self.half * (T::ONE + (z * self.root_half).erf())
    }
}

impl<T: Real> Curve<T> for Gelu<T> {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        z * self.phi(z)
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        self.phi(z) + z * (-z * z * self.half).exp() * self.density
    }
}

#[derive(Clone, Copy)]
pub struct Reciprocal;

impl<T: Real> Curve<T> for Reciprocal {
    #[inline(always)]
    fn value(self, z: T, _: T) -> T {
        T::ONE / z
    }
    #[inline(always)]
    fn derivative(self, z: T, _: T) -> T {
        -T::ONE / (z * z)
    }
}

/// Runs `$body` with `$curve` bound to the function of `$activation`, for floats of type `$T`.
macro_rules! with_curve {
    ($activation:expr, $T:ty, $curve:ident => $body:expr) => {{
        use $crate::backend::cpu::{curve, real::Real};
        use $crate::graph::Activation;
        let real = <$T as Real>::from_f64;
        match $activation {
            Activation::Relu => {
                let $curve = curve::Relu;
                $body
            }
            Activation::Clip { low, high } => {
                let $curve = curve::Clip { low: real(*low), high: real(*high) };
                $body
            }
            Activation::LeakyRelu { slope } => {
                let $curve = curve::LeakyRelu { slope: real(*slope) };
                $body
            }
            Activation::PRelu { .. } => {
                let $curve = curve::PRelu;
                $body
            }
            Activation::Elu { alpha } => {
                let $curve = curve::Elu { alpha: real(*alpha) };
                $body
            }
            Activation::Sigmoid => {
                let $curve = curve::Sigmoid;
                $body
            }
            Activation::HardSigmoid { alpha, beta } => {
                let $curve = curve::HardSigmoid { alpha: real(*alpha), beta: real(*beta) };
                $body
            }
            Activation::HardSwish => {
                let $curve = curve::HardSwish { three: real(3.0), six: real(6.0) };
                $body
            }
            Activation::Tanh => {
                let $curve = curve::Tanh;
                $body
            }
            Activation::Softplus => {
                let $curve = curve::Softplus;
                $body
            }
            Activation::Silu => {
                let $curve = curve::Silu;
                $body
            }
            Activation::Gelu => {
                let $curve = curve::Gelu::<$T>::default();
                $body
            }
            Activation::Reciprocal => {
                let $curve = curve::Reciprocal;
                $body
            }
        }
    }};
}

pub(super) use with_curve;
