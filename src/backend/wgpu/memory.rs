//! Buffers of the device, counted.

use std::sync::Arc;

use super::NAME;
use super::account::Account;
use super::device::{Device, failed};
use super::edge::promise;
use crate::backend::BackendError;

/// What sizes are a multiple of: a vector of four lanes, which is also the least that a kernel binds.
pub const GRAIN: usize = 16;
/// What a buffer is used for that the host reads.
pub const RECEIVES: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
/// Bytes that travel to the device at a time.
const PARCEL: usize = 32 << 20;

/// A buffer.
pub struct Memory {
    pub buffer: wgpu::Buffer,
    account: Arc<Account>,
}

impl Memory {
    /// So many bytes, rounded up; zeros, unless they are `poisoned`.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub async fn new(
        device: &Arc<Device>,
        what: &str,
        bytes: usize,
        usage: wgpu::BufferUsages,
        poisoned: bool,
    ) -> Result<Self, BackendError> {
        let out_of_memory = BackendError::OutOfMemory { backend: NAME, bytes };
        let Some(size) = bytes.max(1).checked_next_multiple_of(GRAIN).map(|size| size as u64) else {
            return Err(out_of_memory);
        };
        if size > device.limits.max_buffer_size || !device.account.take(size) {
            return Err(out_of_memory);
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: poisoned };
        let made = device.attempt(&format!("make {what}"), bytes, |raw| {
            let buffer = raw.create_buffer(&descriptor);
            if poisoned {
                if let Ok(mut bytes) = buffer.get_mapped_range_mut(..) {
                    bytes.slice(..).fill(0xFF);
                }
                buffer.unmap();
            }
            // Dropped, it gives back what it took: where it is refused, and where nobody waits for the answer.
            Self { buffer, account: Arc::clone(&device.account) }
        });
        made.await
    }

    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Copies to the beginning of it, after what was submitted.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn fill(&self, device: &Arc<Device>, bytes: &[u8]) -> Result<(), BackendError> {
        for (number, parcel) in bytes.chunks(PARCEL).enumerate() {
            let sent = device.attempt("copy to the device", parcel.len(), |_| {
                device.queue.write_buffer(&self.buffer, (number * PARCEL) as u64, parcel);
                if bytes.len() > PARCEL {
                    // What waits to be copied is held in memory until then.
                    device.submit([]);
                }
            });
            sent.await?;
        }
        Ok(())
    }

    /// Words of another buffer from the byte `at` on, by way of this one, which [receives](RECEIVES).
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn receive(
        &self,
        device: &Arc<Device>,
        from: &wgpu::Buffer,
        at: usize,
        bytes: usize,
    ) -> Result<Vec<u32>, BackendError> {
        self.copy(device, from, at, bytes).await?;
        self.read(device, bytes).await
    }

    /// Copies bytes of another buffer from the byte `at` on, after what was submitted; with the copy's place in the queue.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn copy(
        &self,
        device: &Arc<Device>,
        from: &wgpu::Buffer,
        at: usize,
        bytes: usize,
    ) -> Result<wgpu::SubmissionIndex, BackendError> {
        let sent = device.attempt("copy from the device", bytes, |raw| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(from, at as u64, &self.buffer, 0, bytes as u64);
            device.submit([encoder.finish()])
        });
        sent.await
    }

    /// The first words, once the device has done what it was sent.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn read(&self, device: &Arc<Device>, bytes: usize) -> Result<Vec<u32>, BackendError> {
        let (done, keeper) = promise();
        let range = 0..bytes as u64;
        let asked = device.attempt("read a buffer", bytes, |_| {
            self.buffer.map_async(wgpu::MapMode::Read, range.clone(), move |mapped| keeper.keep(mapped));
        });
        asked.await?;
        let failed = |reason: String| device.explained(failed("read a buffer", &reason));
        done.await.map_err(|error| failed(error.to_string()))?;
        let copied = device.attempt("read a buffer", bytes, |_| {
            let words = self.buffer.get_mapped_range(range).map(|view| bytemuck::pod_collect_to_vec(&view[..]));
            self.buffer.unmap();
            words
        });
        copied.await?.map_err(|error| failed(error.to_string()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.account.give(self.buffer.size());
    }
}
