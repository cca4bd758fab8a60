#![doc = include_str!("../README.md")]

mod block;
mod decode;
mod fault;
mod lanes;
mod launch;
mod lint;
mod memory;
mod numeric;
mod parse;
mod program;
mod report;
mod shadow;
mod warp;

pub use fault::{Access, Fault, FaultKind, LaunchError, OtherThread, Space};
pub use launch::{Launch, Options, run, run_seeds};
pub use lint::{Lint, LintKind, lint};
pub use memory::{Memory, MemoryError};
pub use parse::ParseError;
pub use program::{Kernel, Module, Param};
pub use report::{LineReport, Report};
