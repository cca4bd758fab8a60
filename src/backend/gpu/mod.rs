//! What the GPU backends share: steps as launches of named kernels, numbers as devices store them.

mod fields;
mod launch;
pub mod number;
mod stages;

pub use launch::{Launch, PARAM_BYTES, Pointer, launch, type_of};
