//! What the GPU backends share: steps as launches of named kernels, numbers as devices store them, and which constants are on
//! a device.

mod bindings;
mod convolution;
mod dense;
mod depthwise;
mod fields;
mod iterations;
mod launch;
pub mod number;
mod portable;
pub(super) mod roof;
mod stages;
mod uploads;

pub use bindings::within_bindings;
pub use fields::LANES;
pub use iterations::MOST_OF_LLVMPIPE;
pub use launch::{
    Chip, Launch, LaunchError, MatrixUnits, OnCpu, PARAM_BYTES, Pointer, SplitFilters, launch, launch_on, type_of,
};
pub use uploads::{Upload, Uploads};
