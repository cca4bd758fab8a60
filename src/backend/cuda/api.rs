//! The functions of the driver that this backend calls, found by name when it is opened.
//!
//! cudarc finds the library. Its own bindings stay unused: they panic where a symbol is missing, and return an enum, for
//! which a code that a later driver adds would be an invalid value.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUfunction_attribute, CUgraph,
    CUgraphExec, CUjit_option, CUmodule, CUstream, CUstreamCaptureMode,
};

use super::Absence;

/// What every function returns: 0, or an error.
pub type Code = c_uint;

macro_rules! functions {
    ($($name:ident = $symbol:literal($($argument:ty),*);)*) => {
        /// The driver's functions.
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> Code,)*
        }

        impl Api {
            fn find() -> Result<Self, Absence> {
                // SAFETY: only asks the loader, which runs the initialisers of the system's driver library.
                if !unsafe { sys::is_culib_present() } {
                    return Err(Absence::NoDriver);
                }
                // SAFETY: as above; the library was there a moment ago, and stays loaded for ever.
                let library = unsafe { sys::culib() };
                $(
                    // SAFETY: the driver API documents this signature for the symbol, and keeps it under this name.
                    let found = unsafe { library.get(concat!($symbol, "\0").as_bytes()) };
                    let $name: unsafe extern "C" fn($($argument),*) -> Code = *found.map_err(|_| Absence::Symbol($symbol))?;
                )*
                Ok(Self { $($name,)* })
            }
        }
    };
}

functions! {
    init = "cuInit"(c_uint);
    driver_version = "cuDriverGetVersion"(*mut c_int);
    error_name = "cuGetErrorName"(Code, *mut *const c_char);
    error_text = "cuGetErrorString"(Code, *mut *const c_char);
    device_count = "cuDeviceGetCount"(*mut c_int);
    device = "cuDeviceGet"(*mut CUdevice, c_int);
    device_name = "cuDeviceGetName"(*mut c_char, c_int, CUdevice);
    device_memory = "cuDeviceTotalMem_v2"(*mut usize, CUdevice);
    device_attribute = "cuDeviceGetAttribute"(*mut c_int, CUdevice_attribute, CUdevice);
    retain = "cuDevicePrimaryCtxRetain"(*mut CUcontext, CUdevice);
    release = "cuDevicePrimaryCtxRelease_v2"(CUdevice);
    set_current = "cuCtxSetCurrent"(CUcontext);
    alloc = "cuMemAlloc_v2"(*mut CUdeviceptr, usize);
    free = "cuMemFree_v2"(CUdeviceptr);
    alloc_host = "cuMemHostAlloc"(*mut *mut c_void, usize, c_uint);
    free_host = "cuMemFreeHost"(*mut c_void);
    fill = "cuMemsetD8Async"(CUdeviceptr, u8, usize, CUstream);
    upload = "cuMemcpyHtoDAsync_v2"(CUdeviceptr, *const c_void, usize, CUstream);
    download = "cuMemcpyDtoHAsync_v2"(*mut c_void, CUdeviceptr, usize, CUstream);
    load_module = "cuModuleLoadData"(*mut CUmodule, *const c_void);
    load_module_with = "cuModuleLoadDataEx"(*mut CUmodule, *const c_void, c_uint, *mut CUjit_option, *mut *mut c_void);
    unload_module = "cuModuleUnload"(CUmodule);
    function = "cuModuleGetFunction"(*mut CUfunction, CUmodule, *const c_char);
    set_function = "cuFuncSetAttribute"(CUfunction, CUfunction_attribute, c_int);
    create_stream = "cuStreamCreate"(*mut CUstream, c_uint);
    synchronize = "cuStreamSynchronize"(CUstream);
    destroy_stream = "cuStreamDestroy_v2"(CUstream);
    launch = "cuLaunchKernel"(
        CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream, *mut *mut c_void, *mut *mut c_void
    );
    create_event = "cuEventCreate"(*mut CUevent, c_uint);
    record = "cuEventRecord"(CUevent, CUstream);
    wait = "cuEventSynchronize"(CUevent);
    elapsed = "cuEventElapsedTime"(*mut f32, CUevent, CUevent);
    destroy_event = "cuEventDestroy_v2"(CUevent);
    begin_capture = "cuStreamBeginCapture_v2"(CUstream, CUstreamCaptureMode);
    end_capture = "cuStreamEndCapture"(CUstream, *mut CUgraph);
    instantiate = "cuGraphInstantiateWithFlags"(*mut CUgraphExec, CUgraph, c_ulonglong);
    launch_graph = "cuGraphLaunch"(CUgraphExec, CUstream);
    destroy_graph = "cuGraphDestroy"(CUgraph);
    destroy_exec = "cuGraphExecDestroy"(CUgraphExec);
}

impl Api {
    /// The driver of this process.
    ///
    /// # Errors
    /// [`Absence`] without one, or where it lacks a function.
    pub fn open() -> Result<&'static Self, Absence> {
        static API: OnceLock<Result<Api, Absence>> = OnceLock::new();
        API.get_or_init(Self::find).as_ref().map_err(Clone::clone)
    }
}
