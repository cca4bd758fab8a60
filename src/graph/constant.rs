use std::sync::Arc;

/// The type in which values are stored between kernels. Arithmetic is in f32, or throughout in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    #[default]
    F32,
    F64,
    /// 11 bits, up to 65504: values, messages and filters of a GPU. What enters and leaves a program stays f32.
    F16,
    /// 8 bits, with the range of f32: the same.
    Bf16,
}

impl Precision {
    /// The type in which constants are kept and folded, and sums are made.
    #[must_use]
    pub fn arithmetic(self) -> Self {
        match self {
            Self::F64 => Self::F64,
            Self::F32 | Self::F16 | Self::Bf16 => Self::F32,
        }
    }

    pub fn is_half(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16)
    }

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// Weights, shared and immutable. Arithmetic on constants is done in f64 and rounded once.
#[derive(Clone, Debug)]
pub enum Constant {
    F32(Arc<[f32]>),
    F64(Arc<[f64]>),
}

impl Constant {
    /// Keeps `values` in the arithmetic of the given precision.
    pub fn new(values: impl IntoIterator<Item = f64>, precision: Precision) -> Self {
        match precision {
            Precision::F64 => Self::F64(values.into_iter().collect()),
            Precision::F32 | Precision::F16 | Precision::Bf16 => {
                Self::F32(values.into_iter().map(|v| v as f32).collect())
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, i: usize) -> f64 {
        match self {
            Self::F32(values) => f64::from(values[i]),
            Self::F64(values) => values[i],
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    pub fn to_vec(&self) -> Vec<f64> {
        self.iter().collect()
    }

    pub fn precision(&self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::F64(_) => Precision::F64,
        }
    }

    /// An address that is equal for clones of one constant, so that backends can pack it once.
    pub fn identity(&self) -> usize {
        match self {
            Self::F32(values) => values.as_ptr().addr(),
            Self::F64(values) => values.as_ptr().addr(),
        }
    }
}
