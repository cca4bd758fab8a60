//! Modules, their functions, and occupancy.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{Array, Out, Text};
use crate::driver::{Driver, in_context};
use crate::error::{Code, Error, Result};
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoad(module: Out<Handle>, path: Text) -> u32 {
    in_context(|driver, device| {
        module.required()?;
        let path = path.str()?;
        let text = std::fs::read(path).map_err(|error| Error::new(Code::FileNotFound, format!("{path}: {error}")))?;
        module.set(driver.load_module(device, &text)?.0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadData(module: Out<Handle>, image: Text) -> u32 {
    in_context(|driver, device| {
        module.required()?;
        module.set(driver.load_module(device, image.bytes()?)?.0)
    })
}

/// Numbers of `CUjit_option`.
const INFO_LOG: c_uint = 3;
const ERROR_LOG: c_uint = 5;

/// What the assembler writes, and where.
struct Logs {
    options: Array<c_uint>,
    values: *mut *mut c_void,
    count: usize,
}

impl Logs {
    /// Where an option has its value.
    fn slot(&self, option: c_uint) -> Option<*mut *mut c_void> {
        // SAFETY: the caller says that both arrays have `count` items.
        let is = |index: &usize| unsafe { self.options.get(*index) }.is_ok_and(|own| own == option);
        let index = (0..self.count).find(is)?;
        // SAFETY: as above.
        (!self.values.is_null()).then(|| unsafe { self.values.add(index) })
    }

    /// Writes a log where the caller has a buffer for it; the option after a buffer has its size, and gets the bytes written.
    fn write(&self, log: c_uint, text: &str) -> Result<()> {
        let (Some(buffer), Some(size)) = (self.slot(log), self.slot(log + 1)) else { return Ok(()) };
        // SAFETY: both are items of the array of values.
        let (buffer, capacity) = unsafe { (buffer.read(), size.read().addr()) };
        if buffer.is_null() || capacity == 0 {
            return Ok(());
        }
        Out(buffer.cast::<c_char>()).set_text(text.as_bytes(), capacity)?;
        // SAFETY: as above.
        unsafe { size.write(std::ptr::without_provenance_mut((text.len() + 1).min(capacity))) };
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadDataEx(
    module: Out<Handle>,
    image: Text,
    count: c_uint,
    options: Array<c_uint>,
    values: Out<*mut c_void>,
) -> u32 {
    in_context(|driver, device| {
        module.required()?;
        let logs = Logs { options, values: values.0, count: count as usize };
        match driver.load_module(device, image.bytes()?) {
            Ok((loaded, info)) => {
                logs.write(INFO_LOG, &info)?;
                logs.write(ERROR_LOG, "")?;
                module.set(loaded)
            }
            Err(error) => {
                logs.write(INFO_LOG, "")?;
                logs.write(ERROR_LOG, error.text.as_deref().unwrap_or_default())?;
                Err(error)
            }
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> u32 {
    in_context(|driver, device| driver.unload_module(device, module))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) -> u32 {
    in_context(|driver, _| {
        function.required()?;
        function.set(driver.function(module, name.str()?)?)
    })
}

/// There are no variables in device memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleGetGlobal_v2(_address: Out<u64>, _bytes: Out<usize>, module: Handle, _name: Text) -> u32 {
    in_context(|driver, _| {
        driver.modules.get(module)?;
        Err(Code::NotFound.into())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncGetAttribute(value: Out<c_int>, attribute: c_uint, function: Handle) -> u32 {
    in_context(|driver, _| value.set(driver.function_attribute(function, attribute)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: c_uint, value: c_int) -> u32 {
    in_context(|driver, _| driver.set_function_attribute(function, attribute, value))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: c_uint) -> u32 {
    in_context(|driver, _| driver.functions.get(function).map(drop))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<c_int>,
    function: Handle,
    threads: c_int,
    dynamic: usize,
) -> u32 {
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: Out<c_int>,
    function: Handle,
    threads: c_int,
    dynamic: usize,
    _flags: c_uint,
) -> u32 {
    in_context(|driver, _| {
        let threads = u32::try_from(threads).map_err(|_| Code::InvalidValue)?;
        blocks.set(driver.blocks_per_multiprocessor(function, threads, dynamic as u64)? as c_int)
    })
}

/// Bytes of dynamic shared memory by threads of a block.
pub type SharedBySize = Option<extern "C" fn(c_int) -> usize>;

#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: Out<c_int>,
    block: Out<c_int>,
    function: Handle,
    shared_by_size: SharedBySize,
    dynamic: usize,
    limit: c_int,
) -> u32 {
    cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, function, shared_by_size, dynamic, limit, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    grid: Out<c_int>,
    block: Out<c_int>,
    function: Handle,
    shared_by_size: SharedBySize,
    dynamic: usize,
    limit: c_int,
    _flags: c_uint,
) -> u32 {
    in_context(|driver, _| {
        let limit = u32::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(1024);
        let (threads, blocks) = best_block(driver, function, limit, |threads| {
            shared_by_size.map_or(dynamic, |bytes| bytes(threads as c_int)) as u64
        })?;
        grid.set((blocks * crate::context::limits(driver.knobs.capability).multiprocessors) as c_int)?;
        block.set(threads as c_int)
    })
}

/// The largest block that keeps most threads of a multiprocessor busy, and how many of it fit.
fn best_block(driver: &Driver, function: Handle, limit: u32, shared: impl Fn(u32) -> u64) -> Result<(u32, u32)> {
    let mut best = (0, 0);
    for threads in (32..=limit.min(1024)).step_by(32) {
        let blocks = driver.blocks_per_multiprocessor(function, threads, shared(threads))?;
        if threads * blocks >= best.0 * best.1 && blocks > 0 {
            best = (threads, blocks);
        }
    }
    Ok(best)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyAvailableDynamicSMemPerBlock(
    bytes: Out<usize>,
    function: Handle,
    blocks: c_int,
    threads: c_int,
) -> u32 {
    in_context(|driver, _| {
        let of_device = crate::context::limits(driver.knobs.capability);
        let kernel = driver.kernel(function)?.2;
        let (blocks, threads) = (u32::try_from(blocks).unwrap_or(0), u32::try_from(threads).unwrap_or(0));
        if blocks == 0 || threads == 0 || threads > 1024 {
            return Err(Code::InvalidValue.into());
        }
        let share = (of_device.shared / blocks).saturating_sub(of_device.shared_reserved).min(of_device.shared_block);
        bytes.set(share.saturating_sub(kernel.static_shared_bytes()) as usize)
    })
}
