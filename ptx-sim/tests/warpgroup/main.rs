//! `wgmma`: products of warpgroups, and the checks of how kernels use them.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod product;
mod text;
