//! Captures and graphs.

use std::ffi::c_uint;

use super::Out;
use crate::capture::Mode;
use crate::driver::in_context;
use crate::handle::Handle;

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: c_uint) -> u32 {
    in_context(|driver, device| driver.begin_capture(driver.stream(device, stream)?, Mode::of(mode)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) -> u32 {
    in_context(|driver, device| {
        graph.set(Handle::NULL)?;
        let captured = driver.end_capture(driver.stream(device, stream)?)?;
        graph.set(captured)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamIsCapturing(stream: Handle, status: Out<c_uint>) -> u32 {
    in_context(|driver, device| status.set(driver.capture_status(driver.stream(device, stream)?)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, flags: u64) -> u32 {
    in_context(|driver, _| {
        executable.required()?;
        executable.set(driver.instantiate(graph, flags)?)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> u32 {
    in_context(|driver, device| driver.launch_graph(executable, driver.stream(device, stream)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphUpload(executable: Handle, stream: Handle) -> u32 {
    in_context(|driver, device| {
        driver.stream(device, stream)?;
        driver.executables.get(executable).map(drop)
    })
}

/// The nodes themselves are not to be had, only their number.
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphGetNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) -> u32 {
    in_context(|driver, _| {
        let len = driver.graphs.get(graph)?.ops.len();
        if nodes.required().is_ok() {
            return Err(crate::error::Code::NotSupported.into());
        }
        count.set(len)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(executable: Handle) -> u32 {
    in_context(|driver, _| driver.executables.remove(executable).map(drop))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> u32 {
    in_context(|driver, _| driver.graphs.remove(graph).map(drop))
}
