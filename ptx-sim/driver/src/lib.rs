#![doc = include_str!("../README.md")]

mod api;
mod capture;
mod context;
mod driver;
mod error;
mod event;
mod graph;
mod handle;
mod install;
mod knobs;
mod launch;
mod ledger;
mod memory;
mod module;
mod op;
mod pace;
mod pinned;
mod stream;

pub use install::{InstallError, Variant, install, library, preload};
