//! The driver as a whole, and its errors.

use std::ffi::{CStr, c_char, c_int, c_uint};

use super::Out;
use crate::driver::{call, initialised};
use crate::error::Code;

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> u32 {
    call(|driver| if flags == 0 { driver.initialise() } else { Err(Code::InvalidValue.into()) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDriverGetVersion(version: Out<c_int>) -> u32 {
    call(|driver| version.set(driver.knobs.driver_version as c_int))
}

fn describe(error: u32, out: &Out<*const c_char>, text: fn(Code) -> &'static CStr, success: &'static CStr) -> u32 {
    let found = if error == 0 { Some(success) } else { Code::of(error).map(text) };
    match (found, out.set(found.map_or(std::ptr::null(), CStr::as_ptr))) {
        (Some(_), Ok(())) => 0,
        _ => Code::InvalidValue as u32,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(error: u32, name: Out<*const c_char>) -> u32 {
    describe(error, &name, Code::name, c"CUDA_SUCCESS")
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(error: u32, text: Out<*const c_char>) -> u32 {
    describe(error, &text, Code::text, c"no error")
}

#[unsafe(no_mangle)]
pub extern "C" fn cuProfilerStart() -> u32 {
    initialised(|_| Ok(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuProfilerStop() -> u32 {
    initialised(|_| Ok(()))
}

/// The text of the last error that has one, or null. It stays valid until the library is unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn ptx_sim_last_fault() -> *const c_char {
    let mut text = std::ptr::null();
    call(|driver| {
        text = driver.last_text().map_or(text, |text| text.as_ptr());
        Ok(())
    });
    text
}
