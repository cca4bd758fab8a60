//! A queue of work on the device, marks in it, and recordings of it.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::{CUevent, CUgraphExec, CUstream, CUstreamCaptureMode};

use super::api::Code;
use super::device::Device;
use super::memory::Memory;
use super::modules::Function;
use crate::backend::BackendError;
use crate::backend::gpu::PARAM_BYTES;
use crate::kernel::THREADS;

/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream of others in this process.
const NON_BLOCKING: u32 = 1;

const SUCCESS: Code = 0;
/// `CUDA_ERROR_NOT_SUPPORTED`, `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED`
const RECORDS_NOTHING: [Code; 2] = [801, 900];

/// Work in order. Dropping it waits for its end.
pub struct Stream {
    pub device: Arc<Device>,
    raw: CUstream,
}

// SAFETY: a stream may be used by any thread in which its context is current.
unsafe impl Send for Stream {}

impl Stream {
    /// # Errors
    /// Whatever the device reports.
    pub fn new(device: &Arc<Device>) -> Result<Self, BackendError> {
        let api = device.enter()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the context is current; the pointer is valid for the call.
        let code = unsafe { (api.create_stream)(&raw mut raw, NON_BLOCKING) };
        device.check_memory("make a stream", 0, code)?;
        Ok(Self { device: Arc::clone(device), raw })
    }

    /// Fills memory with a byte.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn fill(&self, memory: &Memory, byte: u8) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        // SAFETY: the whole of an allocation, which outlives the stream's work.
        let code = unsafe { (api.fill)(memory.address(), byte, memory.bytes(), self.raw) };
        self.device.check("fill memory", code)
    }

    /// Starts a copy to `offset` of `to`.
    ///
    /// # Safety
    /// `from` is neither written nor freed before the copy ends.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub unsafe fn upload(&self, from: &[u8], to: &Memory, offset: usize) -> Result<(), BackendError> {
        assert!(offset + from.len() <= to.bytes(), "a copy of {} bytes leaves its memory", from.len());
        let api = self.device.enter()?;
        // SAFETY: both sides have so many bytes; the caller keeps `from`.
        let code = unsafe { (api.upload)(to.address() + offset as u64, from.as_ptr().cast(), from.len(), self.raw) };
        self.device.check("copy to the device", code)
    }

    /// Starts a copy from `offset` of `from`.
    ///
    /// # Safety
    /// `to` is neither read, nor written, nor freed before the copy ends.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub unsafe fn start_download(&self, from: &Memory, offset: usize, to: &mut [u8]) -> Result<(), BackendError> {
        assert!(offset + to.len() <= from.bytes(), "a copy of {} bytes leaves its memory", to.len());
        let api = self.device.enter()?;
        // SAFETY: both sides have so many bytes; the caller leaves `to` alone.
        let code =
            unsafe { (api.download)(to.as_mut_ptr().cast(), from.address() + offset as u64, to.len(), self.raw) };
        self.device.check("copy from the device", code)
    }

    /// Copies from `offset` of `from` and waits.
    ///
    /// # Errors
    /// Whatever the device reports, of all work so far.
    pub fn download(&self, from: &Memory, offset: usize, to: &mut [u8]) -> Result<(), BackendError> {
        // SAFETY: `to` is borrowed until the copy ended.
        unsafe { self.start_download(from, offset, to)? };
        self.wait()
    }

    /// Waits for all work so far.
    ///
    /// # Errors
    /// Whatever the device reports of it.
    pub fn wait(&self) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        // SAFETY: the stream lives.
        self.device.check_memory("finish its work", 0, unsafe { (api.synchronize)(self.raw) })
    }

    /// Launches a kernel.
    ///
    /// # Safety
    /// The function takes so many pointers and then the block of parameters, which tell it to stay inside the memory that
    /// the pointers name; that memory outlives the launch.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub unsafe fn launch(
        &self,
        function: &Function,
        blocks: u32,
        pointers: &[u64],
        params: &[u8; PARAM_BYTES],
    ) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        let pointers = pointers.iter().map(|pointer| std::ptr::from_ref(pointer).cast_mut().cast::<c_void>());
        let mut arguments: Vec<*mut c_void> =
            pointers.chain([std::ptr::from_ref(params).cast_mut().cast::<c_void>()]).collect();
        // SAFETY: the driver copies the arguments before it returns; the caller vouches for the rest.
        let code = unsafe {
            (api.launch)(
                function.raw(),
                blocks,
                1,
                1,
                THREADS,
                1,
                1,
                function.shared(),
                self.raw,
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        self.device.check_memory(&format!("launch kernel {}", function.name()), 0, code)
    }

    /// Records what `work` puts into this stream, without executing it; `None` where the driver records nothing.
    ///
    /// # Errors
    /// Those of `work`, and whatever else the device reports.
    pub fn record(&self, work: impl FnOnce() -> Result<(), BackendError>) -> Result<Option<Graph>, BackendError> {
        let api = self.device.enter()?;
        let (what, mode) = ("record a graph", CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
        // SAFETY: the stream lives, and no other thread uses it.
        let begun = unsafe { (api.begin_capture)(self.raw, mode) };
        if RECORDS_NOTHING.contains(&begun) {
            return Ok(None);
        }
        self.device.check_memory(what, 0, begun)?;
        let done = work();
        let api = self.device.enter()?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: ends what began above, also where the work failed.
        let mut code = unsafe { (api.end_capture)(self.raw, &raw mut graph) };
        let mut exec = std::ptr::null_mut();
        if done.is_ok() && code == SUCCESS {
            // SAFETY: the graph was just recorded; the pointer is valid for the call.
            code = unsafe { (api.instantiate)(&raw mut exec, graph, 0) };
        }
        if !graph.is_null() && self.device.enter().is_ok() {
            // SAFETY: destroyed once; what was instantiated of it lives on by itself.
            _ = self.device.check(what, unsafe { (api.destroy_graph)(graph) });
        }
        done?;
        if RECORDS_NOTHING.contains(&code) {
            return Ok(None);
        }
        self.device.check_memory(what, 0, code)?;
        Ok(Some(Graph { device: Arc::clone(&self.device), raw: exec }))
    }

    /// Executes a recording.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn replay(&self, graph: &Graph) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        // SAFETY: both live; a session replays its graphs from one thread at a time.
        self.device.check_memory("launch a graph", 0, unsafe { (api.launch_graph)(graph.raw, self.raw) })
    }

    /// Puts a mark into the stream.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn mark(&self, event: &Event) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        // SAFETY: both live, in one context.
        self.device.check("record an event", unsafe { (api.record)(event.raw, self.raw) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Whatever the work reports now, nobody waits for it; a sticky fault is remembered by the device.
        _ = self.wait();
        if let Ok(api) = self.device.enter() {
            // SAFETY: made by `new`, destroyed once.
            let code = unsafe { (api.destroy_stream)(self.raw) };
            _ = self.device.check("free a stream", code);
        }
    }
}

/// A mark in a stream, with the time at which the device passed it.
pub struct Event {
    device: Arc<Device>,
    raw: CUevent,
}

// SAFETY: as a stream.
unsafe impl Send for Event {}

impl Event {
    /// # Errors
    /// Whatever the device reports.
    pub fn new(device: &Arc<Device>) -> Result<Self, BackendError> {
        let api = device.enter()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the context is current; the pointer is valid for the call.
        device.check_memory("make an event", 0, unsafe { (api.create_event)(&raw mut raw, 0) })?;
        Ok(Self { device: Arc::clone(device), raw })
    }

    /// Waits until the device has passed it.
    ///
    /// # Errors
    /// Whatever the device reports of the work before it.
    pub fn wait(&self) -> Result<(), BackendError> {
        let api = self.device.enter()?;
        // SAFETY: the event lives.
        self.device.check_memory("finish its work", 0, unsafe { (api.wait)(self.raw) })
    }

    /// From this mark to a later one; both are passed.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn until(&self, later: &Self) -> Result<Duration, BackendError> {
        let api = self.device.enter()?;
        let mut milliseconds = 0.0;
        // SAFETY: both live; the pointer is valid for the call.
        let code = unsafe { (api.elapsed)(&raw mut milliseconds, self.raw, later.raw) };
        self.device.check("measure time", code)?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(api) = self.device.enter() {
            // SAFETY: made by `new`, destroyed once.
            let code = unsafe { (api.destroy_event)(self.raw) };
            _ = self.device.check("free an event", code);
        }
    }
}

/// Recorded work, ready to be replayed.
pub struct Graph {
    device: Arc<Device>,
    raw: CUgraphExec,
}

// SAFETY: used by one thread at a time, since it is not `Sync`.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        if let Ok(api) = self.device.enter() {
            // SAFETY: instantiated by `record`, destroyed once.
            let code = unsafe { (api.destroy_exec)(self.raw) };
            _ = self.device.check("free a graph", code);
        }
    }
}
