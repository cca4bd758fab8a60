//! Streams.

use std::ffi::{c_int, c_uint};

use super::Out;
use crate::driver::in_context;
use crate::error::Code;
use crate::handle::Handle;
use crate::stream::Stream;

/// `CU_STREAM_NON_BLOCKING`
const NON_BLOCKING: c_uint = 1;

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreate(stream: Out<Handle>, flags: c_uint) -> u32 {
    cuStreamCreateWithPriority(stream, flags, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: c_uint, priority: c_int) -> u32 {
    in_context(|driver, device| {
        stream.required()?;
        if flags > NON_BLOCKING {
            return Err(Code::InvalidValue.into());
        }
        let new = Stream::new(device, flags & NON_BLOCKING == 0, priority.clamp(-5, 0));
        stream.set(driver.streams.insert(new))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamGetPriority(stream: Handle, priority: Out<c_int>) -> u32 {
    in_context(|driver, device| priority.set(driver.streams.get(driver.stream(device, stream)?)?.priority))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamGetFlags(stream: Handle, flags: Out<c_uint>) -> u32 {
    in_context(|driver, device| {
        let blocking = driver.streams.get(driver.stream(device, stream)?)?.blocking;
        flags.set(if blocking { 0 } else { NON_BLOCKING })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> u32 {
    in_context(|driver, device| {
        let stream = driver.stream(device, stream)?;
        driver.refuse_capturing(stream)?;
        driver.finish(stream)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> u32 {
    in_context(|driver, device| {
        let stream = driver.stream(device, stream)?;
        driver.refuse_capturing(stream)?;
        let end = driver.end_of(stream)?;
        if driver.is_done(end) {
            return driver.clocks.has_passed(end);
        }
        // A loop that asks until the work is done must come to its end.
        driver.step(stream)?;
        Err(Code::NotReady.into())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> u32 {
    in_context(|driver, device| {
        if stream.0 <= 2 {
            return Err(Code::InvalidHandle.into());
        }
        driver.destroy_stream(driver.stream(device, stream)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> u32 {
    in_context(|driver, device| driver.wait(driver.stream(device, stream)?, event))
}
