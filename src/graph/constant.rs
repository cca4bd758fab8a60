use std::sync::Arc;

/// The type in which constants are kept and folded, and in which the CPU backend computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    #[default]
    F32,
    F64,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
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
    /// Keeps `values` in the given precision.
    pub fn new(values: impl IntoIterator<Item = f64>, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(values.into_iter().map(|v| v as f32).collect()),
            Precision::F64 => Self::F64(values.into_iter().collect()),
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
