//! Work that streams carry and graphs replay.

use std::sync::Arc;

use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::handle::Handle;
use crate::launch::Launching;

/// Bytes of the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostSpan {
    pub start: usize,
    pub len: usize,
    /// Whether the driver has allocated them.
    pub pinned: bool,
}

impl HostSpan {
    /// The bytes.
    ///
    /// # Safety
    /// They must be readable as long as the slice is used.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(self.start), self.len) }
    }

    /// Writes bytes at the start.
    ///
    /// # Safety
    /// They must be writable.
    unsafe fn write(self, bytes: &[u8]) {
        // SAFETY: as the caller promises; device memory is the driver's own and overlaps nothing of the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::with_exposed_provenance_mut(self.start),
                bytes.len().min(self.len),
            );
        }
    }
}

/// Where a copy to the device finds its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Host(HostSpan),
    /// Taken when the copy was submitted.
    Staged(Arc<[u8]>),
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Launch(Arc<Launching>),
    CopyIn {
        to: u64,
        from: Source,
    },
    CopyOut {
        from: u64,
        to: HostSpan,
    },
    CopyAcross {
        to: u64,
        from: u64,
        len: usize,
    },
    Fill {
        to: u64,
        pattern: Arc<[u8]>,
        count: usize,
    },
    Free {
        address: u64,
    },
    /// Notes the time of an event.
    Stamp {
        event: Handle,
    },
    /// Nothing; it waits for other streams.
    Join,
    Graph(Arc<[Op]>),
}

impl Driver {
    /// Does the work. What fails here failed on the device, hence for good.
    pub fn execute(&mut self, op: &Op) -> Result<()> {
        if let Some(code) = self.sticky {
            return Err(code.into());
        }
        let done = match op {
            Op::Launch(launching) => return self.run(launching),
            Op::Graph(ops) => return ops.iter().try_for_each(|op| self.execute(op)),
            Op::Stamp { event } => {
                self.stamp(*event);
                Ok(())
            }
            Op::Join => Ok(()),
            Op::Free { address } => self.memory.free(*address),
            Op::CopyIn { .. } | Op::CopyOut { .. } if self.knobs.pace.is_some() => Ok(()),
            Op::CopyIn { to, from } => self.copy_in(*to, from),
            Op::CopyOut { from, to } => self.copy_out(*from, *to),
            Op::CopyAcross { to, from, len } => self.memory.copy(*to, *from, *len).map_err(gone),
            Op::Fill { to, pattern, count } => self.fill(*to, pattern, *count),
        };
        done.map_err(|error| self.fault(Code::IllegalAddress, error.text.unwrap_or_default()))
    }

    fn copy_in(&mut self, to: u64, from: &Source) -> Result<()> {
        match from {
            Source::Staged(bytes) => self.memory.memory.write(to, bytes).map_err(gone),
            Source::Host(span) => {
                self.check_host(*span)?;
                // SAFETY: the caller of the copy keeps the bytes until the stream has done it, as CUDA demands; a freed
                // block of pinned memory was found by the check.
                let bytes = unsafe { span.bytes() };
                self.memory.memory.write(to, bytes).map_err(gone)
            }
        }
    }

    fn copy_out(&mut self, from: u64, to: HostSpan) -> Result<()> {
        self.check_host(to)?;
        let bytes = self.memory.memory.read(from, to.len).map_err(gone)?;
        // SAFETY: the caller of the copy keeps the bytes until the stream has done it, as CUDA demands; a freed block of
        // pinned memory was found by the check.
        unsafe { to.write(bytes) };
        Ok(())
    }

    fn fill(&mut self, to: u64, pattern: &[u8], count: usize) -> Result<()> {
        match pattern {
            [byte] => self.memory.memory.fill(to, *byte, count).map_err(gone),
            _ => self.memory.memory.write(to, &pattern.repeat(count)).map_err(gone),
        }
    }

    fn check_host(&self, span: HostSpan) -> Result<()> {
        if span.pinned && !self.pinned.contains(span.start, span.len) {
            return Err(Error::new(
                Code::IllegalAddress,
                format!("a copy of {} bytes to or from freed pinned memory", span.len),
            ));
        }
        Ok(())
    }
}

/// What was there when the work was submitted is there no more.
fn gone(error: ptx_sim::MemoryError) -> Error {
    Error::new(Code::IllegalAddress, format!("a copy or fill in a stream: {error}"))
}
