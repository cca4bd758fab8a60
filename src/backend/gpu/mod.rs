//! What the GPU backends share: steps as launches of named kernels.

mod fields;
mod launch;
mod stages;

pub use launch::{Launch, PARAM_BYTES, Pointer, launch};
