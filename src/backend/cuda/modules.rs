//! Kernels, compiled by the driver and kept.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::{CUfunction, CUfunction_attribute, CUjit_option, CUmodule};

use super::NAME;
use super::device::Device;
use crate::backend::BackendError;
use crate::kernel::{self, Fused};

/// Bytes of the driver's log that are asked for.
const LOG: usize = 8192;

/// A kernel on the device.
pub struct Function {
    device: Arc<Device>,
    module: CUmodule,
    raw: CUfunction,
    name: &'static str,
    /// Bytes of shared memory that its launches add to what it declares.
    shared: u32,
}

// SAFETY: a function is read only, and usable by any thread in which its context is current.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Function {
    /// The kernel of `kernels/<stem>.ptx` in PTX text.
    fn compile(device: &Arc<Device>, stem: &'static str, ptx: String) -> Result<Self, BackendError> {
        let failed =
            |reason: String| BackendError::Failed { backend: NAME, what: format!("load kernel {stem}"), reason };
        let shared = kernel::added_shared(&ptx);
        let text = CString::new(ptx).map_err(|_| failed("its text has a zero byte".to_owned()))?;
        let entry = CString::new(kernel::entry(stem)).map_err(|_| failed("its name has a zero byte".to_owned()))?;
        let api = device.enter()?;
        let mut module = std::ptr::null_mut();
        // SAFETY: the text ends with a zero; the pointer is valid for the call.
        let code = unsafe { (api.load_module)(&raw mut module, text.as_ptr().cast()) };
        device.check_memory(&format!("load kernel {stem}"), 0, code).map_err(|error| match error {
            BackendError::Failed { reason, .. } => failed(match log(device, &text) {
                Some(log) => format!("{reason}: {log}"),
                None => reason,
            }),
            error => error,
        })?;
        let mut function = Self { device: Arc::clone(device), module, raw: std::ptr::null_mut(), name: stem, shared };
        // SAFETY: the module was just loaded; the name ends with a zero; the pointer is valid for the call.
        let code = unsafe { (api.function)(&raw mut function.raw, module, entry.as_ptr()) };
        device.check(&format!("find kernel {stem}"), code)?;
        if shared > 0 {
            function.allow_shared()?;
        }
        Ok(function)
    }

    /// Lets launches add their bytes of shared memory.
    fn allow_shared(&self) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        let most = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function lives as long as its module, which `self` holds.
        let code = unsafe { (api.set_function)(self.raw, most, self.shared as c_int) };
        self.device.check(&format!("give kernel {} shared memory", self.name), code)
    }

    pub fn raw(&self) -> CUfunction {
        self.raw
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn shared(&self) -> u32 {
        self.shared
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if let Ok(api) = self.device.enter() {
            // SAFETY: loaded by `compile`, unloaded once, after the streams that launch it.
            let code = unsafe { (api.unload_module)(self.module) };
            _ = self.device.check("free a kernel", code);
        }
    }
}

/// What the driver's compiler says about a text that does not load, on one line.
fn log(device: &Device, text: &CString) -> Option<String> {
    let api = device.enter().ok()?;
    let mut log = vec![0u8; LOG];
    let mut options = [CUjit_option::CU_JIT_ERROR_LOG_BUFFER, CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), std::ptr::without_provenance_mut(LOG - 1)];
    let mut module = std::ptr::null_mut();
    // SAFETY: two options with a value each: a buffer, and its length without the last zero.
    let code = unsafe {
        (api.load_module_with)(
            &raw mut module,
            text.as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    if code == 0 {
        // SAFETY: loaded a moment ago.
        unsafe { (api.unload_module)(module) };
        return None;
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]).replace(';', ",");
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Stem of a kernel, and what is fused into it.
type Key = (&'static str, Fused);

/// Kernels that are loaded.
#[derive(Default)]
pub struct Modules {
    loaded: Mutex<HashMap<Key, Arc<Function>>>,
}

impl Modules {
    /// The kernel with its prologue and stages, compiled where it is new.
    ///
    /// # Errors
    /// [`BackendError::Failed`] with the driver's log where it refuses the kernel.
    pub fn get(&self, device: &Arc<Device>, stem: &'static str, fused: &Fused) -> Result<Arc<Function>, BackendError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stem, fused.clone());
        if let Some(function) = loaded.get(&key) {
            return Ok(Arc::clone(function));
        }
        let failed = |reason| BackendError::Failed { backend: NAME, what: format!("load kernel {stem}"), reason };
        let ptx = kernel::ptx(stem, fused).map_err(|error| failed(error.to_string()))?;
        let function = Arc::new(Function::compile(device, stem, ptx)?);
        loaded.insert(key, Arc::clone(&function));
        Ok(function)
    }
}
