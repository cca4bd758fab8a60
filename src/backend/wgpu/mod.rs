//! The wgpu backend: the WGSL of `shaders/` on any Vulkan, Metal or DX12 device, in f32. What a program keeps in f16 is stored so
//! where the device has a type for it.
//!
//! Every slot of a program is a buffer, and on llvmpipe a texture too where steps load from it. Constants are uploaded once and shared
//! by sessions, each part of a program is one submission. Every kernel sums in an order of its own that the batch does not change.
//!
//! Whatever waits for the device is a future, which the traits of this crate wait for in `edge`: a browser cannot. A device
//! that is lost fails every operation with [`BackendError::DeviceLost`] until it is [opened anew](Backend::reopen).

mod account;
mod adapters;
mod bound;
mod clock;
mod device;
mod disk;
mod edge;
mod items;
mod memory;
mod mirrors;
mod opened;
mod pipelines;
mod roof;
mod session;
mod slots;
mod texels;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
pub use self::adapters::probe;
pub use self::adapters::{Absence, AdapterInfo, Wanted};
pub use self::device::Limits;
pub use self::session::WgpuSession;

use self::opened::Opened;
use self::session::Loading;
use super::{Backend, BackendError, Pending, Roof, Session};
use crate::program::Program;

const NAME: &str = "wgpu";

/// A device, computing in f32.
pub struct WgpuBackend {
    opened: Mutex<Arc<Opened>>,
    options: WgpuOptions,
    loading: Loading,
}

/// How a device is opened.
#[derive(Clone, Debug, Default)]
pub struct WgpuOptions {
    pub adapter: Wanted,
    pub limits: Limits,
    /// Where compiled kernels are kept between runs.
    pub folder: Option<PathBuf>,
}

impl WgpuBackend {
    /// # Errors
    /// [`BackendError::Unavailable`] where there is no such adapter, or the kernels do not run on it.
    #[cfg(not(target_family = "wasm"))]
    pub fn new(options: WgpuOptions) -> Result<Self, BackendError> {
        edge::ready(Self::open(options))
    }

    /// The same without waiting, as in a browser.
    ///
    /// # Errors
    /// As `new`.
    pub async fn open(options: WgpuOptions) -> Result<Self, BackendError> {
        let opened = Opened::new(&options).await?;
        Ok(Self { opened: Mutex::new(opened), options, loading: Loading::default() })
    }

    /// Compiles a small kernel, so that a driver which does not take them is found before anything runs.
    ///
    /// # Errors
    /// [`BackendError::Failed`] where the driver refuses the kernel.
    pub fn check(&self) -> Result<(), BackendError> {
        let opened = self.opened();
        let kernel = opened.pipelines.bare(&opened.device, "probes/copy", &[false, true]);
        edge::block_on(&opened.device, kernel).map(drop)
    }

    /// Fresh slots hold not-a-number instead of zero, so that tests see what a step fails to write.
    #[must_use]
    pub fn poisoned(mut self) -> Self {
        self.loading.poisoned = true;
        self
    }

    /// Kernels are those for hardware, also where the processor computes and others are faster. For tests.
    #[must_use]
    pub fn as_hardware(mut self) -> Self {
        self.loading.as_hardware = true;
        self
    }

    /// The adapter that computes.
    pub fn adapter(&self) -> AdapterInfo {
        self.opened().info().clone()
    }

    /// Destroys the device under all sessions, as a driver does that restarts. For tests.
    pub fn destroy(&self) {
        self.opened().device.raw.destroy();
    }

    /// How often the device was sent work, each time at a cost. For tests.
    pub fn submissions(&self) -> usize {
        self.opened().device.submissions()
    }

    /// The driver has taken what it made of kernels in an earlier run. For tests.
    pub fn takes_up_kernels(&self) -> bool {
        self.opened().pipelines.are_taken_up()
    }

    /// As [`Backend::load`], without waiting.
    ///
    /// # Errors
    /// As [`Backend::load`].
    pub async fn session(&self, program: Arc<Program>) -> Result<WgpuSession, BackendError> {
        let opened = self.opened();
        // A batch is halved by whoever asks for it, which costs less than to do without textures.
        let is_least = program.images * program.messages_per_image <= 1;
        let without_textures = Loading { without_textures: true, ..self.loading };
        let mut session = WgpuSession::new(&opened, Arc::clone(&program), self.loading).await;
        for loading in [Some(self.loading), is_least.then_some(without_textures)].into_iter().flatten() {
            if !matches!(session, Err(BackendError::OutOfMemory { .. })) {
                break;
            }
            drop(session);
            // What was dropped is freed once the device has done its work.
            opened.uploads.prune();
            opened.textures.prune();
            opened.device.idle().await?;
            session = WgpuSession::new(&opened, Arc::clone(&program), loading).await;
        }
        session
    }

    fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const WARM_UP: Duration = Duration::from_secs(2);

impl Backend for WgpuBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> String {
        let AdapterInfo { name, api, .. } = self.adapter();
        format!("{name}, {api}")
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        let opened = self.opened();
        Ok(Box::new(edge::block_on(&opened.device, self.session(program))?))
    }

    fn load_async(&self, program: Arc<Program>) -> Pending<'_, Result<Box<dyn Session>, BackendError>> {
        let load = async { Ok(Box::new(self.session(program).await?) as Box<dyn Session>) };
        edge::pending(&self.opened().device, None, load)
    }

    /// The host's work takes the time in which a device computes, unless it is the host that computes.
    fn sessions_in_flight(&self) -> usize {
        if self.adapter().is_software { 1 } else { 2 }
    }

    /// Drivers of graphics let an idle device's clocks fall, and raise them step by step.
    fn warm_up(&self) -> Duration {
        if self.adapter().is_software { Duration::ZERO } else { WARM_UP }
    }

    fn paints(&self) -> bool {
        true
    }

    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        roof::measure(&self.opened()).map(Some)
    }

    #[cfg(not(target_family = "wasm"))]
    fn reopen(&self) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.device.is_lost() {
            return true;
        }
        edge::ready(Opened::new(&self.options)).map(|anew| *opened = anew).is_ok()
    }

    #[cfg(target_family = "wasm")]
    fn reopen_async(&self) -> Pending<'_, bool> {
        Box::pin(async {
            if !self.opened().device.is_lost() {
                return true;
            }
            let anew = Opened::new(&self.options).await;
            anew.map(|anew| *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = anew).is_ok()
        })
    }
}
