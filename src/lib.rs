//! Attribution heatmaps for trained CNNs.

pub mod graph;
pub mod suggest;
pub mod tensor;
