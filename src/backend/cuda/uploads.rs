//! Constants to the device.

use std::sync::Arc;

use super::memory::Memory;
use super::stream::Stream;
use crate::backend::BackendError;
use crate::backend::gpu::{Pointer, Upload, Uploads};

/// A constant, copied where it is not there.
///
/// # Errors
/// [`BackendError::OutOfMemory`]
pub fn upload(
    uploads: &Uploads<Memory>,
    stream: &Stream,
    pointer: &Pointer,
) -> Result<Arc<Upload<Memory>>, BackendError> {
    if let Some(upload) = uploads.find(pointer) {
        return Ok(upload);
    }
    let words = pointer.words();
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    let memory = Memory::new(&stream.device, bytes.len())?;
    // SAFETY: the words live until the copy has ended, in the next line.
    let copied = unsafe { stream.upload(bytes, &memory, 0) };
    copied.and(stream.wait())?;
    Ok(uploads.keep(pointer, memory))
}
