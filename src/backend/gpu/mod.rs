//! What the GPU backends share: steps as launches of named kernels, numbers as devices store them.

mod fields;
mod launch;
pub mod number;
mod stages;

pub use launch::{Chip, Launch, PARAM_BYTES, Pointer, launch, launch_on, type_of};
