//! Launches of kernels.

use std::ffi::{c_uint, c_void};
use std::sync::Arc;

use ptx_sim::Kernel;

use super::Array;
use crate::driver::in_context;
use crate::error::{Code, Error, Result};
use crate::handle::Handle;
use crate::launch::{Arguments, Shape};
use crate::op::Op;

/// Markers in the array of extra options.
const PARAM_END: usize = 0;
const PARAM_BUFFER: usize = 1;
const PARAM_BUFFER_SIZE: usize = 2;

/// The two ways in which callers hand over parameters.
struct Passed {
    /// An address for each parameter.
    addresses: Array<Array<u8>>,
    /// Markers, each followed by a value.
    extra: Array<usize>,
}

impl Arguments for Passed {
    fn gather(&self, kernel: &Kernel) -> Result<Vec<u8>> {
        match (self.addresses.is_null(), self.extra.is_null()) {
            (false, true) => self.of_addresses(kernel),
            (true, false) => self.of_buffer(kernel),
            (true, true) if kernel.params().is_empty() => Ok(Vec::new()),
            (true, true) => Err(refused(kernel, "it has parameters, the launch has none".into())),
            (false, false) => Err(refused(kernel, "parameters are given twice".into())),
        }
    }
}

impl Passed {
    fn of_addresses(&self, kernel: &Kernel) -> Result<Vec<u8>> {
        let mut bytes = vec![0; kernel.param_bytes()];
        for (index, param) in kernel.params().iter().enumerate() {
            // SAFETY: the caller says that there is an address for each parameter.
            let value = unsafe { self.addresses.get(index) }?;
            if value.is_null() {
                return Err(refused(kernel, format!("parameter {} ({index}) has a null address", param.name)));
            }
            // SAFETY: the caller says that a value of the parameter's size is there.
            let value = unsafe { std::slice::from_raw_parts(value.0, param.size) };
            bytes[param.offset..param.offset + param.size].copy_from_slice(value);
        }
        Ok(bytes)
    }

    fn of_buffer(&self, kernel: &Kernel) -> Result<Vec<u8>> {
        let (mut buffer, mut size) = (None, None);
        for pair in 0.. {
            // SAFETY: the caller says that the array goes on until its end marker.
            let marker = unsafe { self.extra.get(2 * pair) }?;
            if marker == PARAM_END {
                break;
            }
            // SAFETY: a marker that is not the end has a value.
            let value = unsafe { self.extra.get(2 * pair + 1) }?;
            match marker {
                PARAM_BUFFER => buffer = Some(Array::<u8>(std::ptr::with_exposed_provenance(value))),
                PARAM_BUFFER_SIZE => {
                    let address = Array::<usize>(std::ptr::with_exposed_provenance(value));
                    // SAFETY: this marker's value is the address of a size.
                    size = Some(unsafe { address.get(0) }?);
                }
                other => return Err(refused(kernel, format!("unknown extra option {other}"))),
            }
        }
        let (Some(buffer), Some(size)) = (buffer.filter(|buffer| !buffer.is_null()), size) else {
            return Err(refused(kernel, "the extra options have no buffer or no size".into()));
        };
        let want = kernel.param_bytes();
        let align = kernel.params().iter().map(|param| param.align).max().unwrap_or(1);
        if size != want && size != want.next_multiple_of(align) {
            return Err(refused(kernel, format!("{size} bytes of parameters, declared are {want}")));
        }
        // SAFETY: the caller says that the buffer has `size` bytes, which are at least as many as are read.
        Ok(unsafe { std::slice::from_raw_parts(buffer.0, want) }.to_vec())
    }
}

fn refused(kernel: &Kernel, text: String) -> Error {
    Error::new(Code::InvalidValue, format!("kernel {}: {text}", kernel.name()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    params: Array<*const c_void>,
    extra: Array<*const c_void>,
) -> u32 {
    in_context(|driver, device| {
        let stream = driver.stream(device, stream)?;
        let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared_bytes };
        let passed = Passed { addresses: Array(params.0.cast()), extra: Array(extra.0.cast()) };
        let launching = driver.prepare(function, shape, &passed)?;
        driver.submit(stream, Op::Launch(Arc::new(launching)))
    })
}

/// Blocks of a grid run one after the other here, so that one which waits for another never ends.
#[unsafe(no_mangle)]
pub extern "C" fn cuLaunchCooperativeKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    params: Array<*const c_void>,
) -> u32 {
    let none = Array(std::ptr::null());
    cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, params, none)
}
