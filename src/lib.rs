//! Attribution heatmaps for trained CNNs.

pub mod tensor;
