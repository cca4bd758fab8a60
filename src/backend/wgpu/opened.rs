//! A device with what was made on it.

use std::path::Path;
use std::sync::Arc;

use super::adapters::{self, AdapterInfo, Wanted};
use super::device::Device;
use super::memory::Memory;
use super::pipelines::Pipelines;
use crate::backend::BackendError;
use crate::backend::gpu::Uploads;

/// A device, its constants and its kernels.
pub struct Opened {
    pub uploads: Uploads<Memory>,
    pub pipelines: Pipelines,
    pub device: Arc<Device>,
}

impl Opened {
    /// # Errors
    /// [`BackendError::Unavailable`]
    pub async fn new(wanted: &Wanted, memory: Option<u64>, folder: Option<&Path>) -> Result<Arc<Self>, BackendError> {
        let adapter = adapters::find(wanted).await?;
        let device = Device::open(adapter, memory).await?;
        let pipelines = Pipelines::new(&device, folder);
        Ok(Arc::new(Self { uploads: Uploads::default(), pipelines, device }))
    }

    pub fn info(&self) -> &AdapterInfo {
        &self.device.info
    }
}
