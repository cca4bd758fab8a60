//! Events.

use std::ffi::c_uint;

use super::Out;
use crate::driver::in_context;
use crate::error::Code;
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn cuEventCreate(event: Out<Handle>, flags: c_uint) -> u32 {
    in_context(|driver, device| {
        event.required()?;
        if flags > 7 {
            return Err(Code::InvalidValue.into());
        }
        event.set(driver.create_event(device, flags))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> u32 {
    in_context(|driver, device| driver.record(event, driver.stream(device, stream)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> u32 {
    in_context(|driver, _| driver.query_event(event))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> u32 {
    in_context(|driver, _| driver.synchronize_event(event))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventElapsedTime(millis: Out<f32>, start: Handle, end: Handle) -> u32 {
    in_context(|driver, _| millis.set(driver.elapsed(start, end)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventElapsedTime_v2(millis: Out<f32>, start: Handle, end: Handle) -> u32 {
    cuEventElapsedTime(millis, start, end)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> u32 {
    in_context(|driver, _| driver.events.remove(event).map(drop))
}
