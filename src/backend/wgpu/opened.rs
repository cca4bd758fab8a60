//! A device with what was made on it.

use std::sync::Arc;

use super::WgpuOptions;
use super::adapters::{self, AdapterInfo};
use super::device::Device;
use super::memory::Memory;
use super::pipelines::Pipelines;
use super::texels::Texels;
use crate::backend::BackendError;
use crate::backend::gpu::Uploads;

/// A device, its constants, in buffers and in textures, and its kernels.
pub struct Opened {
    pub uploads: Uploads<Memory>,
    pub textures: Uploads<Texels>,
    pub pipelines: Pipelines,
    pub device: Arc<Device>,
}

impl Opened {
    /// # Errors
    /// [`BackendError::Unavailable`]
    pub async fn new(options: &WgpuOptions) -> Result<Arc<Self>, BackendError> {
        let adapter = adapters::find(&options.adapter).await?;
        let device = Device::open(adapter, &options.limits).await?;
        let pipelines = Pipelines::new(&device, options.folder.as_deref()).await;
        Ok(Arc::new(Self { uploads: Uploads::default(), textures: Uploads::default(), pipelines, device }))
    }

    pub fn info(&self) -> &AdapterInfo {
        &self.device.info
    }
}
