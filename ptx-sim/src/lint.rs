//! Findings about a text that runs, but may not run everywhere as intended.

use std::fmt;

use crate::program::Module;

/// A finding and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Line of the PTX text, from 1.
    pub line: u32,
    pub kind: LintKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LintKind {
    /// A float `add`, `sub` or `mul` names no rounding: an assembler may fuse it with another.
    Rounding,
    /// A 64-bit parameter lacks `.ptr`.
    PointerParam,
    /// The kernel lacks `.maxntid`.
    MaxThreads,
    /// An access names no state space.
    Generic,
    /// Local memory is off-chip.
    Local,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            LintKind::Rounding => "float arithmetic without a rounding modifier may be fused",
            LintKind::PointerParam => "a 64-bit parameter without .ptr",
            LintKind::MaxThreads => "a kernel without .maxntid",
            LintKind::Generic => "an access without a state space",
            LintKind::Local => "local memory",
        };
        write!(f, "line {}: {text}", self.line)
    }
}

/// The findings of all kernels, in the order of their lines within each.
pub fn lint(module: &Module) -> Vec<Lint> {
    module.kernels().flat_map(|kernel| kernel.lints.iter().copied()).collect()
}
