//! Backends replay programs. A backend knows no method and no rule.

pub mod cpu;
pub mod cuda;
pub mod gpu;
mod items;
mod roof;
pub mod step_check;

pub use self::roof::Roof;

use std::sync::Arc;
use std::time::Duration;

use crate::program::{Port, Program};

/// Which part of a program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Forward,
    Backward,
}

/// What can go wrong while a backend loads or runs a program.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("the {backend} backend is not available: {reason}")]
    Unavailable { backend: &'static str, reason: String },
    /// Bytes are zero where the device does not say.
    #[error("the {backend} backend could not allocate {}; use a smaller --batch{}", amount(*.bytes), elsewhere(.backend))]
    OutOfMemory { backend: &'static str, bytes: usize },
    /// Nothing more can be computed on this device in this process.
    #[error("the {backend} device stopped: {reason}; run again, and where it stops again use --backend cpu")]
    DeviceLost { backend: &'static str, reason: String },
    #[error("the {backend} backend could not {what}: {reason}; use --backend cpu")]
    Failed { backend: &'static str, what: String, reason: String },
    #[error("{what} takes {want} values, got {got}")]
    Length { what: String, want: usize, got: usize },
}

fn amount(bytes: usize) -> String {
    if bytes == 0 { "memory".to_owned() } else { format!("{bytes} bytes") }
}

/// Memory of a GPU is less than that of the machine.
fn elsewhere(backend: &str) -> &'static str {
    if backend == "cpu" { "" } else { ", or --backend cpu" }
}

/// A device that can run programs.
pub trait Backend: Send + Sync {
    fn name(&self) -> &'static str;

    /// What computes, for people.
    fn device(&self) -> String;

    /// Allocates the program's slots and prepares its weights. Weights that another session of this backend has
    /// prepared the same way are shared.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`] where the slots do not fit.
    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError>;

    /// Measures what the device can do at most, which takes a second or so; `None` where the backend has no probes.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        Ok(None)
    }
}

/// A loaded program with its storage.
pub trait Session: Send {
    fn program(&self) -> &Program;

    /// Fills a port with NCHW items without padding, as many as its buffer has.
    ///
    /// # Errors
    /// [`BackendError::Length`] where the number of values differs.
    fn write(&mut self, port: &Port, items: &[f64]) -> Result<(), BackendError>;

    /// Runs one part of the program; with `times`, the wall time of every step run is appended.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError>;

    /// The NCHW items of a port without padding.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn read(&self, port: &Port) -> Result<Vec<f64>, BackendError>;

    /// Bytes held for slots; weights are not counted.
    fn slot_bytes(&self) -> usize;
}
