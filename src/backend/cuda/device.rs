//! A device's primary context, and what its errors mean.

use std::sync::{Arc, OnceLock};

use cudarc::driver::sys::{CUcontext, CUdevice};

use super::NAME;
use super::api::{Api, Code};
use super::probe::{self, DeviceInfo, describe};
use crate::backend::BackendError;

/// `CUDA_ERROR_OUT_OF_MEMORY`
const OUT_OF_MEMORY: Code = 2;

/// Faults that stay: every later call of the process on this context fails too.
///
/// Deinitialised, unavailable, uncorrectable memory or link, contained; then illegal address, launch timeout, context
/// destroyed, assertion, stack, illegal instruction, misaligned address, address space, program counter, launch failed,
/// tensor memory leak; external device, unknown.
const STICKY: [Code; 17] = [4, 46, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 911];
const UNKNOWN: Code = 999;

/// A device that is open in this process. Once it is lost, no call reaches it.
pub struct Device {
    api: &'static Api,
    handle: CUdevice,
    context: CUcontext,
    pub info: DeviceInfo,
    lost: OnceLock<String>,
}

// SAFETY: a context may be current in any number of threads, and the driver locks it.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// # Errors
    /// [`BackendError::Unavailable`]
    pub fn open(ordinal: usize) -> Result<Arc<Self>, BackendError> {
        let (api, handle, info) = probe::find(ordinal)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: the handle is a device of this driver; the pointer is valid for the call.
        let code = unsafe { (api.retain)(&raw mut context, handle) };
        if code != 0 {
            return Err(super::Absence::Refused(format!("{}: {}", info.name, describe(api, code))).into());
        }
        Ok(Arc::new(Self { api, handle, context, info, lost: OnceLock::new() }))
    }

    /// The driver's functions, with this device current in the calling thread.
    ///
    /// # Errors
    /// [`BackendError::DeviceLost`] from the first sticky fault on.
    pub fn enter(&self) -> Result<&'static Api, BackendError> {
        if let Some(reason) = self.lost.get() {
            return Err(lost(reason));
        }
        // SAFETY: the context is retained until this is dropped.
        let code = unsafe { (self.api.set_current)(self.context) };
        self.check("start on this thread", code)?;
        Ok(self.api)
    }

    /// Turns a code into an error; `what` the device was to do.
    ///
    /// # Errors
    /// [`BackendError::DeviceLost`] for a sticky fault, else [`BackendError::Failed`].
    pub fn check(&self, what: &str, code: Code) -> Result<(), BackendError> {
        if code == 0 {
            return Ok(());
        }
        // The launch's fault is reported by whichever call comes next: what that call was for says nothing.
        let reason = describe(self.api, code);
        if STICKY.contains(&code) || code == UNKNOWN {
            return Err(lost(self.lost.get_or_init(|| reason)));
        }
        Err(BackendError::Failed { backend: NAME, what: what.to_owned(), reason })
    }

    /// The same for a call that needs memory.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`], or as [`Device::check`].
    pub fn check_memory(&self, what: &str, bytes: usize, code: Code) -> Result<(), BackendError> {
        match code {
            OUT_OF_MEMORY => Err(BackendError::OutOfMemory { backend: NAME, bytes }),
            _ => self.check(what, code),
        }
    }
}

fn lost(reason: &str) -> BackendError {
    BackendError::DeviceLost { backend: NAME, reason: reason.to_owned() }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.lost.get().is_none() {
            // SAFETY: retained once when opened; everything in the context holds this device and is gone.
            unsafe { (self.api.release)(self.handle) };
        }
    }
}
