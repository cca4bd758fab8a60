//! Attribution heatmaps for trained CNNs.

pub mod backend;
pub mod graph;
pub mod kernel;
pub mod program;
pub mod suggest;
pub mod tensor;
