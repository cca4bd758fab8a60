//! Memory of devices and page-locked memory of the host: allocations, copies, fills.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;

use super::{Bytes, Out};
use crate::driver::{Driver, in_context};
use crate::error::{Code, Error, Result};
use crate::handle::Handle;
use crate::knobs::Order;
use crate::op::{HostSpan, Op, Source};

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> u32 {
    in_context(|driver, device| {
        address.required()?;
        driver.refuse_unsafe_call("cuMemAlloc")?;
        if bytes == 0 {
            return Err(Code::InvalidValue.into());
        }
        address.set(allocate(driver, device, bytes)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: Handle) -> u32 {
    in_context(|driver, device| {
        address.required()?;
        refuse_in_capture(driver, device, stream, "cuMemAllocAsync")?;
        address.set(allocate(driver, device, bytes)?)
    })
}

/// Frees that wait in streams may make room.
fn allocate(driver: &mut Driver, device: usize, bytes: usize) -> Result<u64> {
    if !driver.memory.fits(device, bytes as u64) {
        driver.finish_device(device)?;
    }
    driver.memory.alloc(device, bytes as u64)
}

fn refuse_in_capture(driver: &mut Driver, device: usize, stream: Handle, name: &str) -> Result<()> {
    let stream = driver.stream(device, stream)?;
    driver
        .refuse_capturing(stream)
        .map_err(|error| Error::new(error.code, format!("{name} in a capture is not simulated")))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> u32 {
    in_context(|driver, device| {
        driver.refuse_unsafe_call("cuMemFree")?;
        if address == 0 {
            return Ok(());
        }
        driver.finish_device(device)?;
        driver.memory.free(address)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> u32 {
    in_context(|driver, device| {
        refuse_in_capture(driver, device, stream, "cuMemFreeAsync")?;
        if address == 0 {
            return Ok(());
        }
        if driver.memory.memory.size_of(address).is_none() {
            return Err(Error::new(Code::InvalidValue, format!("cuMemFreeAsync: {address:#x} is no allocation")));
        }
        driver.submit(driver.stream(device, stream)?, Op::Free { address })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> u32 {
    in_context(|driver, device| {
        let (free_bytes, total_bytes) = driver.memory.info(device);
        free.set(free_bytes as usize)?;
        total.set(total_bytes as usize)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemGetAddressRange_v2(start: Out<u64>, bytes: Out<usize>, address: u64) -> u32 {
    in_context(|driver, _| {
        let (first, len) = driver.memory.range_of(address)?;
        start.set_if_wanted(first);
        bytes.set_if_wanted(len as usize);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostAlloc(address: Out<*mut c_void>, bytes: usize, _flags: c_uint) -> u32 {
    in_context(|driver, _| {
        address.required()?;
        driver.refuse_unsafe_call("cuMemHostAlloc")?;
        address.set(std::ptr::with_exposed_provenance_mut(driver.pinned.alloc(bytes)?))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAllocHost_v2(address: Out<*mut c_void>, bytes: usize) -> u32 {
    cuMemHostAlloc(address, bytes, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(address: Bytes) -> u32 {
    in_context(|driver, device| {
        driver.refuse_unsafe_call("cuMemFreeHost")?;
        driver.finish_device(device)?;
        driver.pinned.free(address.0.expose_provenance())
    })
}

/// When a copy returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// After it is done, in the default stream.
    Done,
    Submitted(Handle),
}

impl Wait {
    /// Refuses what a capture does not allow, and gives the stream.
    fn stream(self, driver: &mut Driver, device: usize, name: &str) -> Result<Handle> {
        match self {
            Wait::Done => {
                driver.refuse_unsafe_call(name)?;
                driver.stream(device, Handle::NULL)
            }
            Wait::Submitted(stream) => driver.stream(device, stream),
        }
    }

    fn submit(self, driver: &mut Driver, stream: Handle, op: Op) -> Result<()> {
        driver.submit(stream, op)?;
        if self == Wait::Done { driver.finish(stream) } else { Ok(()) }
    }
}

fn host_span(driver: &Driver, bytes: Bytes, len: usize) -> Result<HostSpan> {
    if bytes.0.is_null() {
        return Err(Code::InvalidValue.into());
    }
    let start = bytes.0.expose_provenance();
    Ok(HostSpan { start, len, pinned: driver.pinned.contains(start, len) })
}

fn copy_in(to: u64, from: Bytes, len: usize, wait: Wait) -> u32 {
    in_context(|driver, device| {
        let stream = wait.stream(driver, device, "cuMemcpyHtoD")?;
        if len == 0 {
            return Ok(());
        }
        driver.memory.check("cuMemcpyHtoD", to, len)?;
        let span = host_span(driver, from, len)?;
        // Pageable memory is the caller's again when the call returns; in a capture it is read at each replay.
        let late = driver.knobs.order == Order::Late && driver.streams.get(stream)?.capture.is_none();
        let from = if late && wait != Wait::Done && !span.pinned {
            // SAFETY: the caller's bytes are valid during the call.
            Source::Staged(Arc::from(unsafe { span.bytes() }))
        } else {
            Source::Host(span)
        };
        wait.submit(driver, stream, Op::CopyIn { to, from })
    })
}

fn copy_out(to: Bytes, from: u64, len: usize, wait: Wait) -> u32 {
    in_context(|driver, device| {
        let stream = wait.stream(driver, device, "cuMemcpyDtoH")?;
        if len == 0 {
            return Ok(());
        }
        driver.memory.check("cuMemcpyDtoH", from, len)?;
        let to = host_span(driver, to, len)?;
        wait.submit(driver, stream, Op::CopyOut { from, to })?;
        // A copy to pageable memory is done when the call returns.
        let captured = driver.streams.get(stream)?.capture.is_some();
        if to.pinned || captured { Ok(()) } else { driver.finish(stream) }
    })
}

fn copy_across(to: u64, from: u64, len: usize, wait: Wait) -> u32 {
    in_context(|driver, device| {
        let stream = wait.stream(driver, device, "cuMemcpyDtoD")?;
        if len == 0 {
            return Ok(());
        }
        driver.memory.check("cuMemcpyDtoD", from, len)?;
        driver.memory.check("cuMemcpyDtoD", to, len)?;
        wait.submit(driver, stream, Op::CopyAcross { to, from, len })
    })
}

fn fill(to: u64, pattern: &[u8], count: usize, wait: Wait) -> u32 {
    in_context(|driver, device| {
        let stream = wait.stream(driver, device, "cuMemset")?;
        if count == 0 {
            return Ok(());
        }
        if !to.is_multiple_of(pattern.len() as u64) {
            return Err(Error::new(Code::InvalidValue, format!("cuMemset: {to:#x} is misaligned")));
        }
        let bytes = count.checked_mul(pattern.len()).ok_or(Code::InvalidValue)?;
        driver.memory.check("cuMemset", to, bytes)?;
        wait.submit(driver, stream, Op::Fill { to, pattern: Arc::from(pattern), count })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoD_v2(to: u64, from: Bytes, len: usize) -> u32 {
    copy_in(to, from, len, Wait::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: Bytes, len: usize, stream: Handle) -> u32 {
    copy_in(to, from, len, Wait::Submitted(stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoH_v2(to: Bytes, from: u64, len: usize) -> u32 {
    copy_out(to, from, len, Wait::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: Bytes, from: u64, len: usize, stream: Handle) -> u32 {
    copy_out(to, from, len, Wait::Submitted(stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, len: usize) -> u32 {
    copy_across(to, from, len, Wait::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, len: usize, stream: Handle) -> u32 {
    copy_across(to, from, len, Wait::Submitted(stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(to: u64, value: u8, count: usize) -> u32 {
    fill(to, &[value], count, Wait::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) -> u32 {
    fill(to, &[value], count, Wait::Submitted(stream))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32_v2(to: u64, value: c_uint, count: usize) -> u32 {
    fill(to, &value.to_le_bytes(), count, Wait::Done)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: Handle) -> u32 {
    fill(to, &value.to_le_bytes(), count, Wait::Submitted(stream))
}

/// Makes each store of a kernel to the allocation that starts here a fault, or allows stores again.
#[unsafe(no_mangle)]
pub extern "C" fn ptx_sim_set_read_only(address: u64, read_only: c_int) -> u32 {
    in_context(|driver, _| {
        let done = driver.memory.memory.set_read_only(address, read_only != 0);
        done.map_err(|error| Error::new(Code::InvalidValue, error.to_string()))
    })
}
