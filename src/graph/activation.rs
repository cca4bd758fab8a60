use super::Constant;

/// An elementwise nonlinearity `a = f(z)`.
#[derive(Clone, Debug)]
pub enum Activation {
    Relu,
    /// `min(max(z, low), high)`; ReLU6 is `Clip { low: 0, high: 6 }`. A missing bound is infinite.
    Clip {
        low: f64,
        high: f64,
    },
    LeakyRelu {
        slope: f64,
    },
    /// One slope per channel.
    PRelu {
        slope: Constant,
    },
    Elu {
        alpha: f64,
    },
    Sigmoid,
    /// `min(max(alpha z + beta, 0), 1)`
    HardSigmoid {
        alpha: f64,
        beta: f64,
    },
    /// `z min(max(z/6 + 1/2, 0), 1)`
    HardSwish,
    Tanh,
    Softplus,
    /// `z sigmoid(z)`
    Silu,
    /// `z Phi(z)`, exact (erf) form.
    Gelu,
    /// `1/z`, the second factor of a division by data.
    Reciprocal,
}

impl Activation {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::Clip { .. } => "Clip",
            Self::LeakyRelu { .. } => "LeakyRelu",
            Self::PRelu { .. } => "PRelu",
            Self::Elu { .. } => "Elu",
            Self::Sigmoid => "Sigmoid",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::HardSwish => "HardSwish",
            Self::Tanh => "Tanh",
            Self::Softplus => "Softplus",
            Self::Silu => "Silu",
            Self::Gelu => "Gelu",
            Self::Reciprocal => "Reciprocal",
        }
    }

    /// The derivative takes two values, so that one bit per element is all that a gradient needs.
    pub fn is_two_valued(&self) -> bool {
        matches!(
            self,
            Self::Relu | Self::Clip { .. } | Self::LeakyRelu { .. } | Self::PRelu { .. } | Self::HardSigmoid { .. }
        )
    }

    /// A (hard) sigmoid: as a factor of a product it is a gate.
    pub fn is_gate(&self) -> bool {
        matches!(self, Self::Sigmoid | Self::HardSigmoid { .. })
    }

    /// `f(z) >= 0` for every `z`.
    pub fn is_non_negative(&self) -> bool {
        match self {
            Self::Relu | Self::Sigmoid | Self::HardSigmoid { .. } | Self::Softplus => true,
            Self::Clip { low, .. } => *low >= 0.0,
            _ => false,
        }
    }
}
