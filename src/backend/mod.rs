//! Backends replay programs. A backend knows no method and no rule.

pub mod cpu;
#[cfg(not(target_family = "wasm"))]
pub mod cuda;
pub mod gpu;
mod items;
mod pending;
mod roof;
pub mod step_check;
mod values;
pub mod wgpu;

pub use self::pending::{Pending, answered};
pub use self::roof::{Rate, Roof};
pub use self::values::Values;

use std::sync::Arc;
use std::time::Duration;

use self::gpu::LaunchError;
pub use crate::program::Phase;
use crate::program::{Port, Program};

/// What can go wrong while a backend loads or runs a program.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("the {backend} backend is not available: {reason}")]
    Unavailable { backend: &'static str, reason: String },
    /// Bytes are zero where the device does not say.
    #[error("the {backend} backend could not allocate {}; use a smaller --batch{}", amount(*.bytes), elsewhere(.backend))]
    OutOfMemory { backend: &'static str, bytes: usize },
    /// A kernel of this device takes no tensor of this size.
    #[error("the {backend} device takes {most} bytes a tensor, and {what} has {bytes}; use a smaller --batch{}", elsewhere(.backend))]
    TooLarge { backend: &'static str, what: String, bytes: usize, most: usize },
    /// A step has more threads, say, than a kernel can count.
    #[error("the {backend} device cannot run {error}; use a smaller --batch{}", elsewhere(.backend))]
    TooMany { backend: &'static str, error: LaunchError },
    /// Nothing more can be computed on this device until it is opened anew.
    #[error("the {backend} device stopped: {reason}; run again, and where it stops again use --backend cpu")]
    DeviceLost { backend: &'static str, reason: String },
    #[error("the {backend} backend could not {what}: {reason}; use --backend cpu")]
    Failed { backend: &'static str, what: String, reason: String },
    #[error("{what} takes {want} values, got {got}")]
    Length { what: String, want: usize, got: usize },
}

impl BackendError {
    /// Fewer images at a time may do.
    pub fn is_size(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. } | Self::TooLarge { .. } | Self::TooMany { .. })
    }

    pub fn is_loss(&self) -> bool {
        matches!(self, Self::DeviceLost { .. })
    }
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
    /// [`BackendError::OutOfMemory`] where the slots do not fit, [`BackendError::TooLarge`] where one of them is,
    /// [`BackendError::TooMany`] where a kernel cannot count what it has to do.
    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError>;

    /// As [`Backend::load`], for whoever must not wait.
    fn load_async(&self, program: Arc<Program>) -> Pending<'_, Result<Box<dyn Session>, BackendError>> {
        answered(self.load(program))
    }

    /// Sessions that keep the device busy between them. More than one where [`Session::run`] returns before its work is
    /// done: while one computes, the items of another travel and the host deals with them.
    fn sessions_in_flight(&self) -> usize {
        1
    }

    /// How long a device that was idle computes until it is as fast as it goes on to be.
    fn warm_up(&self) -> Duration {
        Duration::ZERO
    }

    /// The device draws pictures, by programs of [`plan::paint`](crate::plan::paint()); else the host does.
    fn paints(&self) -> bool {
        false
    }

    /// Opens a device that was lost anew; true where there is one. Sessions of the lost one stay lost.
    fn reopen(&self) -> bool {
        false
    }

    /// As [`Backend::reopen`], for whoever must not wait.
    fn reopen_async(&self) -> Pending<'_, bool> {
        answered(self.reopen())
    }

    /// Measures what the device can do at most, which takes a second or so; `None` where the backend has no probes.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        Ok(None)
    }
}

/// A backend that several explainers use: they share weights and kernels.
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn device(&self) -> String {
        (**self).device()
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        (**self).load(program)
    }

    fn load_async(&self, program: Arc<Program>) -> Pending<'_, Result<Box<dyn Session>, BackendError>> {
        (**self).load_async(program)
    }

    fn sessions_in_flight(&self) -> usize {
        (**self).sessions_in_flight()
    }

    fn warm_up(&self) -> Duration {
        (**self).warm_up()
    }

    fn paints(&self) -> bool {
        (**self).paints()
    }

    fn reopen(&self) -> bool {
        (**self).reopen()
    }

    fn reopen_async(&self) -> Pending<'_, bool> {
        (**self).reopen_async()
    }

    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        (**self).roof()
    }
}

/// A loaded program with its storage.
pub trait Session: Send {
    fn program(&self) -> &Program;

    /// Fills a port with NCHW items without padding, as many as its buffer has; every piece holds whole items.
    ///
    /// # Errors
    /// [`BackendError::Length`] where the number of values differs.
    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError>;

    /// The same for items in one piece, in f64 whatever the backend computes in.
    ///
    /// # Errors
    /// As [`Session::write_items`].
    fn write(&mut self, port: &Port, items: &[f64]) -> Result<(), BackendError> {
        self.write_items(port, &[Values::from(items)])
    }

    /// Runs one part of the program; with `times`, the wall time of every step run is appended.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError>;

    /// Starts the way back of these ports of the program, which are to be read next. On a device whose work queues up a read would
    /// else wait for what another session has sent meanwhile. A copy is void once its port is written, or a part is run that
    /// writes it: a read gives what is there.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn prefetch(&mut self, ports: &[Port]) -> Result<(), BackendError> {
        _ = ports;
        Ok(())
    }

    /// The NCHW items of a port without padding, one by one; floats in the type that the backend computes in.
    ///
    /// # Errors
    /// Whatever the device reports.
    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError>;

    /// The same in one piece, in f64 whatever the backend computes in.
    ///
    /// # Errors
    /// As [`Session::read_items`].
    fn read(&self, port: &Port) -> Result<Vec<f64>, BackendError> {
        Ok(self.read_items(port)?.into_iter().flat_map(Values::into_f64).collect())
    }

    /// As [`Session::write_items`], for whoever must not wait.
    fn write_items_async<'a>(
        &'a mut self,
        port: &'a Port,
        pieces: &'a [Values<'a>],
    ) -> Pending<'a, Result<(), BackendError>> {
        answered(self.write_items(port, pieces))
    }

    /// As [`Session::run`], for whoever must not wait.
    fn run_async(&mut self, phase: Phase) -> Pending<'_, Result<(), BackendError>> {
        answered(self.run(phase, None))
    }

    /// As [`Session::prefetch`], for whoever must not wait.
    fn prefetch_async<'a>(&'a mut self, ports: &'a [Port]) -> Pending<'a, Result<(), BackendError>> {
        answered(self.prefetch(ports))
    }

    /// As [`Session::read_items`], for whoever must not wait.
    fn read_items_async<'a>(&'a self, port: &'a Port) -> Pending<'a, Result<Vec<Values<'static>>, BackendError>> {
        answered(self.read_items(port))
    }

    /// As [`Session::read`], for whoever must not wait.
    fn read_async<'a>(&'a self, port: &'a Port) -> Pending<'a, Result<Vec<f64>, BackendError>> {
        let items = self.read_items_async(port);
        Box::pin(async { Ok(items.await?.into_iter().flat_map(Values::into_f64).collect()) })
    }

    /// Bytes held for slots; weights are not counted.
    fn slot_bytes(&self) -> usize;

    /// Bytes of the weights that this session uses, as the backend lays them out, and of the tables that it holds of its own,
    /// each once. Other sessions of the backend may use them too.
    fn constant_bytes(&self) -> usize;
}
