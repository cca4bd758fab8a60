//! Attribution heatmaps for trained CNNs.

pub mod compare;
pub mod graph;
pub mod measure;
pub mod picture;
pub mod suggest;
pub mod tensor;
