//! Programs on cudarc, as they are written for a GPU, on the stand-in driver.

mod child;
mod faults;
mod graphs;
mod kernels;
mod runs;
mod settings;

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

fn function(context: &Arc<CudaContext>, text: &str, name: &str) -> CudaFunction {
    context.load_module(Ptx::from_src(text)).unwrap().load_function(name).unwrap()
}

fn config(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

fn code(error: &DriverError) -> sys::CUresult {
    error.0
}

/// Launches `scale` over a slice.
fn scale(
    stream: &CudaStream,
    function: &CudaFunction,
    x: &mut CudaSlice<f32>,
    factor: f32,
    term: f32,
) -> Result<(), DriverError> {
    let count = x.len() as u32;
    let mut launch = stream.launch_builder(function);
    launch.arg(x).arg(&factor).arg(&term).arg(&count);
    // SAFETY: the arguments are those that the kernel declares.
    unsafe { launch.launch(config(count.div_ceil(128), 128)) }.map(drop)
}

/// The text of the last error, as the library tells it.
fn last_fault() -> String {
    // SAFETY: the function is exported with this type, and its text stays as long as the library.
    unsafe {
        let last: unsafe extern "C" fn() -> *const std::ffi::c_char = *sys::culib().get(b"ptx_sim_last_fault").unwrap();
        let text = last();
        assert!(!text.is_null());
        std::ffi::CStr::from_ptr(text).to_str().unwrap().to_owned()
    }
}
