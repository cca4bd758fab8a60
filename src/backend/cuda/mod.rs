//! The CUDA backend: the PTX of `kernels/` on an NVIDIA device. It computes in f32; values are stored as a program says.
//!
//! Nothing of CUDA is needed to build, and nothing but the driver to run: it compiles the PTX. All slots of a program are one
//! allocation; constants are uploaded once and shared by sessions; each part of a program is recorded as a graph on its
//! first run and replayed afterwards. Every kernel sums in an order of its own that the batch does not change.
//!
//! After a sticky fault (an illegal address, say) CUDA fails every call of the process. The device is then lost: no call
//! reaches it any more, and every operation ends in [`BackendError::DeviceLost`].

mod api;
mod arena;
mod device;
mod memory;
mod modules;
mod probe;
mod roof;
mod session;
mod stream;
mod uploads;

use std::sync::Arc;

pub use self::probe::{Absence, DeviceInfo, Driver, first, named, probe};
pub use self::session::CudaSession;

use self::device::Device;
use self::memory::Memory;
use self::modules::Modules;
use super::gpu::{Chip, Uploads};
use super::{Backend, BackendError, Roof, Session};
use crate::kernel::Fused;
use crate::program::Program;

const NAME: &str = "cuda";

/// An NVIDIA device.
pub struct CudaBackend {
    uploads: Uploads<Memory>,
    modules: Modules,
    device: Arc<Device>,
    /// Which kernels are chosen for.
    chip: Chip,
    poison: bool,
}

impl CudaBackend {
    /// Device `ordinal` of those that `CUDA_VISIBLE_DEVICES` leaves.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] where there is no driver or no such device, or one is too old.
    pub fn new(ordinal: usize) -> Result<Self, BackendError> {
        let (uploads, modules, device) = (Uploads::default(), Modules::default(), Device::open(ordinal)?);
        let chip = device.info.chip();
        Ok(Self { uploads, modules, device, chip, poison: false })
    }

    /// Takes the kernels that another chip would, which the device must be able to run: those without matrix units, or
    /// large tiles for tensors as small as those of tests.
    #[must_use]
    pub fn choosing_for(mut self, chip: Chip) -> Self {
        self.chip = chip;
        self
    }

    /// Loads a small kernel, so that a driver which does not take them is found before anything runs.
    ///
    /// # Errors
    /// [`BackendError::Failed`] with the driver's log where it refuses the kernel.
    pub fn check(&self) -> Result<(), BackendError> {
        self.modules.get(&self.device, "probes/copy", &Fused::default()).map(drop)
    }

    /// Fresh slots hold not-a-number instead of zero, so that tests see what a step fails to write.
    #[must_use]
    pub fn poisoned(mut self) -> Self {
        self.poison = true;
        self
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> String {
        self.device.info.name.clone()
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        let attempt = || CudaSession::new(self, Arc::clone(&program));
        let session = match attempt() {
            Err(BackendError::OutOfMemory { .. }) if self.uploads.prune() => attempt(),
            session => session,
        };
        Ok(Box::new(session?))
    }

    /// Each has a stream of its own: the copies of one, and the host's work between its parts, take the time in which the
    /// other computes.
    fn sessions_in_flight(&self) -> usize {
        2
    }

    fn paints(&self) -> bool {
        true
    }

    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        roof::measure(&self.device, &self.modules).map(Some)
    }
}
