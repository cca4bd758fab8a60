//! Constants on the device: weights, tables, zeros. Each is there once, whatever the number of sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::memory::Memory;
use super::stream::Stream;
use crate::backend::BackendError;
use crate::backend::gpu::number;
use crate::graph::Constant;
use crate::kernel::Type;
use crate::program::{Arrangement, Part, Weight};

/// What a constant is known by.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Weight((usize, Part, Arrangement), Type),
    Table(Arc<[u32]>),
    Zeros(usize),
}

/// A constant on the device.
pub struct Upload {
    memory: Memory,
    /// A constant's identity is good while it lives.
    _source: Option<Constant>,
}

impl Upload {
    pub fn address(&self) -> u64 {
        self.memory.address()
    }
}

/// The constants of a device.
#[derive(Default)]
pub struct Uploads {
    kept: Mutex<HashMap<Key, Arc<Upload>>>,
}

impl Uploads {
    /// A weight, stored in a type.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn weight(&self, stream: &Stream, weight: &Weight, stored: Type) -> Result<Arc<Upload>, BackendError> {
        let source = Some(weight.source.clone());
        self.get(stream, Key::Weight(weight.key(), stored), source, || number::stored(weight.materialise_f32(), stored))
    }

    /// A table of a rearrangement.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn table(&self, stream: &Stream, table: &Arc<[u32]>) -> Result<Arc<Upload>, BackendError> {
        self.get(stream, Key::Table(Arc::clone(table)), None, || bytemuck::cast_slice(table).to_vec())
    }

    /// So many zeros.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn zeros(&self, stream: &Stream, count: usize) -> Result<Arc<Upload>, BackendError> {
        self.get(stream, Key::Zeros(count), None, || vec![0; 4 * count])
    }

    fn get(
        &self,
        stream: &Stream,
        key: Key,
        source: Option<Constant>,
        make: impl FnOnce() -> Vec<u8>,
    ) -> Result<Arc<Upload>, BackendError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upload) = kept.get(&key) {
            return Ok(Arc::clone(upload));
        }
        let bytes = make();
        let memory = Memory::new(&stream.device, bytes.len())?;
        // SAFETY: the bytes live until the copy has ended, a line below.
        let copied = unsafe { stream.upload(&bytes, &memory, 0) };
        copied.and(stream.wait())?;
        let upload = Arc::new(Upload { memory, _source: source });
        kept.insert(key, Arc::clone(&upload));
        Ok(upload)
    }

    /// Frees what no session uses; true where there was something.
    pub fn prune(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.len();
        kept.retain(|_, upload| Arc::strong_count(upload) > 1);
        kept.len() < before
    }
}
