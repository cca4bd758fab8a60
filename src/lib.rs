//! Attribution heatmaps for trained CNNs.

pub mod backend;
#[doc(hidden)]
pub mod cli;
pub mod compare;
pub mod explain;
pub mod graph;
pub mod kernel;
pub mod measure;
pub mod method;
pub mod model;
pub mod onnx;
pub mod picture;
pub mod plan;
pub mod program;
pub mod rule;
pub mod suggest;
pub mod tensor;
