//! Attribution heatmaps for trained CNNs.

pub mod graph;
pub mod onnx;
pub mod suggest;
pub mod tensor;
