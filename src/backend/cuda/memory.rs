//! Memory of the device, and pinned memory of the host.

use std::ffi::c_void;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;

use super::device::Device;
use crate::backend::BackendError;

/// Bytes on the device.
pub struct Memory {
    device: Arc<Device>,
    address: CUdeviceptr,
    bytes: usize,
}

impl Memory {
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, BackendError> {
        let api = device.enter()?;
        let bytes = bytes.max(1);
        let mut address = 0;
        // SAFETY: the context is current; the pointer is valid for the call.
        let code = unsafe { (api.alloc)(&raw mut address, bytes) };
        device.check_memory("allocate memory", bytes, code)?;
        Ok(Self { device: Arc::clone(device), address, bytes })
    }

    pub fn address(&self) -> CUdeviceptr {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Ok(api) = self.device.enter() {
            // SAFETY: allocated by `new`, freed once; it waits for what the device is doing.
            let code = unsafe { (api.free)(self.address) };
            // Nobody is left to tell; a sticky fault is remembered by the device.
            _ = self.device.check("free memory", code);
        }
    }
}

/// Page-locked zeros on the host, which the device copies from and to by itself. Cached, so that reading is fast.
pub struct Pinned {
    device: Arc<Device>,
    data: *mut u8,
    bytes: usize,
}

// SAFETY: it owns its memory, which any thread may use.
unsafe impl Send for Pinned {}

impl Pinned {
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Self, BackendError> {
        let api = device.enter()?;
        let bytes = bytes.max(1);
        let mut data: *mut c_void = std::ptr::null_mut();
        // SAFETY: the context is current; the pointer is valid for the call.
        let code = unsafe { (api.alloc_host)(&raw mut data, bytes, 0) };
        device.check_memory("allocate pinned memory", bytes, code)?;
        let data = data.cast::<u8>();
        // SAFETY: the driver gave so many bytes.
        unsafe { data.write_bytes(0, bytes) };
        Ok(Self { device: Arc::clone(device), data, bytes })
    }
}

impl Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes, all initialised; whoever starts a copy into them waits for its end before reading.
        unsafe { std::slice::from_raw_parts(self.data, self.bytes) }
    }
}

impl DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Ok(api) = self.device.enter() {
            // SAFETY: allocated by `new`, freed once, after the stream that copies it.
            let code = unsafe { (api.free_host)(self.data.cast()) };
            _ = self.device.check("free pinned memory", code);
        }
    }
}
