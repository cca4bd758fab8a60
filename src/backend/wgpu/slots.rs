//! A buffer for every slot of a program: a kernel may read one and write another, but not two parts of one buffer.

use std::sync::Arc;

use super::NAME;
use super::device::Device;
use super::memory::Memory;
use crate::backend::BackendError;
use crate::program::slots::unit_bytes;
use crate::program::{BufferId, Program};

/// What slots are used for.
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Bytes of a number.
const FLOAT: usize = 4;
/// Bytes that are copied at a time.
const WORD: usize = 4;

/// The slots of a program.
pub struct Slots {
    memories: Vec<Memory>,
}

impl Slots {
    /// Room for the slots: zeros, unless they are `poisoned`.
    ///
    /// # Errors
    /// [`BackendError::TooLarge`] for a buffer that no kernel can bind, [`BackendError::OutOfMemory`].
    pub async fn new(device: &Arc<Device>, program: &Program, poisoned: bool) -> Result<Self, BackendError> {
        let live = (0..program.buffers.len()).filter(|&i| program.slots.of[i].is_some()).map(BufferId);
        for id in live {
            check(device, &program.buffers[id.0].name, bytes(program, id))?;
        }
        let mut memories = Vec::new();
        for slot in &program.slots.slots {
            let bytes = slot.len.saturating_mul(unit_bytes(slot.element, FLOAT));
            memories.push(Memory::new(device, "a slot", bytes, USAGE, poisoned).await?);
        }
        Ok(Self { memories })
    }

    /// The buffer that holds one of the program's.
    pub fn of(&self, program: &Program, id: BufferId) -> &wgpu::Buffer {
        &self.memories[number(program, id)].buffer
    }

    /// Bytes of all.
    pub fn bytes(&self) -> usize {
        self.memories.iter().map(|memory| memory.bytes() as usize).sum()
    }
}

/// The slot that holds a buffer.
pub fn number(program: &Program, id: BufferId) -> usize {
    program.slots.of[id.0].unwrap_or_else(|| panic!("{} has no slot", program.buffers[id.0].name))
}

/// Bytes of the largest tensor that a kernel can bind.
pub fn most(device: &Device) -> usize {
    let most = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// # Errors
/// [`BackendError::TooLarge`] where a kernel cannot bind so many bytes.
pub fn check(device: &Device, name: &str, bytes: usize) -> Result<(), BackendError> {
    let most = most(device);
    if bytes <= most {
        return Ok(());
    }
    Err(BackendError::TooLarge { backend: NAME, what: name.to_owned(), bytes, most })
}

/// Bytes of the items of a buffer, in whole words.
pub fn bytes(program: &Program, id: BufferId) -> usize {
    let buffer = &program.buffers[id.0];
    let units = program.count(buffer.per).saturating_mul(buffer.item_len());
    units.saturating_mul(unit_bytes(buffer.element, FLOAT)).checked_next_multiple_of(WORD).unwrap_or(usize::MAX)
}
