//! What the GPU backends share: steps as launches of named kernels, and which constants are on a device.

mod fields;
mod launch;
mod portable;
pub(super) mod roof;
mod stages;
mod uploads;

pub use launch::{Launch, LaunchError, PARAM_BYTES, Pointer, launch};
pub use uploads::{Upload, Uploads};
