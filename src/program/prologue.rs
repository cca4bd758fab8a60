use super::Weight;
use crate::graph::Activation;

/// `scale[c] v + shift[c]`; both weights are in physical order, zero in padding lanes.
#[derive(Clone, Debug)]
pub struct ScaleShift {
    pub scale: Weight,
    pub shift: Weight,
}

impl ScaleShift {
    pub fn weights(&self) -> [&Weight; 2] {
        [&self.scale, &self.shift]
    }
}

/// Elementwise head of a step: `f(scale[c] x + shift[c])` of the values that it loads, at the channels `c` of x. The
/// padding of a window stays zero.
#[derive(Clone, Debug, Default)]
pub struct Prologue {
    pub scale_shift: Option<ScaleShift>,
    /// Not a `PRelu`, which needs a slope per channel; `f(0) = 0` where x has padding lanes.
    pub activation: Option<Activation>,
}

impl Prologue {
    /// Its scale and its shift, where it has them.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.scale_shift.iter().flat_map(ScaleShift::weights)
    }
}
