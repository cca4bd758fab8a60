//! Devices and contexts.

use std::ffi::{c_char, c_int, c_uint};

use super::Out;
use crate::driver::{current_context, in_context, initialised, set_current_context};
use crate::error::{Code, Error};
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetCount(count: Out<c_int>) -> u32 {
    initialised(|driver| count.set(driver.contexts.len() as c_int))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGet(device: Out<c_int>, ordinal: c_int) -> u32 {
    initialised(|driver| device.set(driver.device(ordinal)? as c_int))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetName(name: Out<c_char>, capacity: c_int, device: c_int) -> u32 {
    initialised(|driver| {
        let text = driver.device_name(driver.device(device)?);
        name.set_text(text.as_bytes(), usize::try_from(capacity).unwrap_or(0))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetAttribute(value: Out<c_int>, attribute: c_uint, device: c_int) -> u32 {
    initialised(|driver| {
        driver.device(device)?;
        value.set(driver.attribute(attribute))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) -> u32 {
    initialised(|driver| {
        let device = driver.device(device)?;
        bytes.set(driver.memory.info(device).1 as usize)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, device: c_int) -> u32 {
    initialised(|driver| {
        let mut bytes = *b"ptx-sim device\0\0";
        bytes[15] = driver.knobs.devices[driver.device(device)?] as u8;
        uuid.set(bytes)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: c_int) -> u32 {
    cuDeviceGetUuid(uuid, device)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetPCIBusId(id: Out<c_char>, capacity: c_int, device: c_int) -> u32 {
    initialised(|driver| {
        let text = format!("0000:FF:{:02X}.0", driver.knobs.devices[driver.device(device)?]);
        id.set_text(text.as_bytes(), usize::try_from(capacity).unwrap_or(0))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int) -> u32 {
    initialised(|driver| {
        context.required()?;
        let device = driver.device(device)?;
        context.set(driver.retain(device)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> u32 {
    initialised(|driver| driver.release(driver.device(device)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxReset_v2(device: c_int) -> u32 {
    initialised(|driver| driver.reset(driver.device(device)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, _flags: c_uint) -> u32 {
    initialised(|driver| driver.device(device).map(drop))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxGetState(device: c_int, flags: Out<c_uint>, active: Out<c_int>) -> u32 {
    initialised(|driver| {
        let device = driver.device(device)?;
        flags.set(0)?;
        active.set(c_int::from(driver.context(device).is_ok()))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> u32 {
    initialised(|driver| {
        if context != Handle::NULL {
            driver.device_of(context).ok_or(Code::InvalidContext)?;
        }
        set_current_context(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetCurrent(context: Out<Handle>) -> u32 {
    initialised(|_| context.set(current_context()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetDevice(device: Out<c_int>) -> u32 {
    in_context(|_, current| device.set(current as c_int))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetApiVersion(_context: Handle, version: Out<c_uint>) -> u32 {
    initialised(|driver| version.set(driver.knobs.driver_version))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) -> u32 {
    in_context(|_, _| {
        least.set_if_wanted(0);
        greatest.set_if_wanted(-5);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> u32 {
    in_context(|driver, device| {
        for stream in driver.streams_of(device) {
            driver.refuse_capturing(stream)?;
        }
        driver.finish_device(device)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetLimit(value: Out<usize>, _limit: c_uint) -> u32 {
    in_context(|_, _| value.set(0))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetLimit(limit: c_uint, _value: usize) -> u32 {
    in_context(|_, _| Err(Error::new(Code::NotSupported, format!("limit {limit} of a context is not simulated"))))
}
