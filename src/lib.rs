//! Attribution heatmaps for trained CNNs.

pub mod backend;
pub mod graph;
pub mod method;
pub mod plan;
pub mod program;
pub mod rule;
pub mod suggest;
pub mod tensor;
