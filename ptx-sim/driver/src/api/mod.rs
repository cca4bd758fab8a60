//! The functions that a program finds in the library. Each catches what it does and returns a code, so that nothing unwinds
//! into foreign code. What pointers of callers mean is behind the types here, which hold all of their `unsafe`.

#![allow(non_snake_case, reason = "these are the names of the driver API")]

mod device;
mod event;
mod execution;
mod general;
mod graph;
mod memory;
mod module;
mod stream;

use std::ffi::{CStr, c_char, c_void};

use crate::error::{Code, Result};

/// Where a caller wants a result. Values of these types come from callers through the C ABI only, who promise what CUDA asks
/// of them: each is null, or points to what its type says for as long as the call runs.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    fn set(&self, value: T) -> Result<()> {
        self.required()?;
        self.set_if_wanted(value);
        Ok(())
    }

    /// For results that callers may decline.
    fn set_if_wanted(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, hence valid for writes, as the type says.
            unsafe { self.0.write(value) }
        }
    }

    fn required(&self) -> Result<()> {
        if self.0.is_null() { Err(Code::InvalidValue.into()) } else { Ok(()) }
    }
}

impl Out<c_char> {
    /// Writes bytes and an end, as far as they fit.
    fn set_text(&self, text: &[u8], capacity: usize) -> Result<()> {
        self.required()?;
        let room = capacity.checked_sub(1).ok_or(Code::InvalidValue)?;
        let len = text.len().min(room);
        // SAFETY: the caller's buffer has `capacity` bytes, of which `len + 1` are written.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.0.cast(), len);
            self.0.add(len).write(0);
        }
        Ok(())
    }
}

/// A text of a caller.
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    fn bytes(&self) -> Result<&[u8]> {
        if self.0.is_null() {
            return Err(Code::InvalidValue.into());
        }
        // SAFETY: not null, hence a text that ends, as the type says.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }

    fn str(&self) -> Result<&str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Code::InvalidValue.into())
    }
}

/// An array of a caller, whose length is known from elsewhere.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Array<T>(*const T);

impl<T: Copy> Array<T> {
    fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// # Safety
    /// The array must have more than `index` items.
    unsafe fn get(&self, index: usize) -> Result<T> {
        if self.0.is_null() {
            return Err(Code::InvalidValue.into());
        }
        // SAFETY: not null, hence valid, as the type says; and long enough, as the caller says.
        Ok(unsafe { self.0.add(index).read_unaligned() })
    }
}

/// Bytes of a caller, read or written when the stream comes to it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bytes(*mut c_void);
