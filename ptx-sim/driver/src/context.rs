//! Devices and their primary contexts.

use crate::driver::{Driver, report_at_exit};
use crate::error::{Code, Error, Result};
use crate::handle::Handle;
use crate::stream::Stream;

#[derive(Debug)]
pub(crate) struct Context {
    pub handle: Handle,
    /// The default stream.
    pub legacy: Handle,
    retains: u32,
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
}

impl Driver {
    /// `cuInit`.
    pub fn initialise(&mut self) -> Result<()> {
        if self.contexts.is_empty() {
            return Err(Code::NoDevice.into());
        }
        if !self.initialised && self.knobs.report.is_some() {
            // SAFETY: the function is that of C, and may be called at any time.
            if unsafe { atexit(report_at_exit) } != 0 {
                return Err(Error::new(Code::Unknown, "no report can be written at exit"));
            }
        }
        self.initialised = true;
        Ok(())
    }

    /// The index of a device that callers name.
    pub fn device(&self, device: i32) -> Result<usize> {
        usize::try_from(device).ok().filter(|at| *at < self.contexts.len()).ok_or(Code::InvalidDevice.into())
    }

    pub fn device_of(&self, context: Handle) -> Option<usize> {
        self.contexts.iter().position(|own| own.as_ref().is_some_and(|own| own.handle == context))
    }

    pub fn context(&self, device: usize) -> Result<&Context> {
        self.contexts.get(device).and_then(Option::as_ref).ok_or(Code::InvalidContext.into())
    }

    pub fn device_name(&self, device: usize) -> String {
        let (major, minor) = self.knobs.capability;
        format!("ptx-sim sm_{major}{minor} ({})", self.knobs.devices[device])
    }

    pub fn retain(&mut self, device: usize) -> Result<Handle> {
        if let Some(code) = self.sticky {
            return Err(code.into());
        }
        if self.contexts[device].is_none() {
            let legacy = self.streams.insert(Stream::new(device, true, 0));
            self.contexts[device] = Some(Context { handle: Handle::fresh(), legacy, retains: 0 });
        }
        let context = self.contexts[device].as_mut().ok_or(Code::InvalidContext)?;
        context.retains += 1;
        Ok(context.handle)
    }

    pub fn release(&mut self, device: usize) -> Result<()> {
        let context = self.contexts[device].as_mut().ok_or(Code::InvalidContext)?;
        context.retains -= 1;
        if context.retains == 0 { self.reset(device) } else { Ok(()) }
    }

    /// Ends a context and all that it owns. Work that nothing waited for is finished first.
    pub fn reset(&mut self, device: usize) -> Result<()> {
        let finished = if self.sticky.is_none() { self.finish_device(device) } else { Ok(()) };
        self.contexts[device] = None;
        self.streams.retain(|stream| stream.device != device);
        self.events.retain(|event| event.device != device);
        self.captures.retain(|capture| capture.device != device);
        self.graphs.retain(|graph| graph.device != device);
        self.executables.retain(|graph| graph.device != device);
        self.modules.retain(|module| module.device != device);
        self.functions.retain(|function| function.device != device);
        self.write_report();
        self.memory.free_device(device);
        finished
    }

    /// Values of `CUdevice_attribute`; those that no program asks a simulator for are 0.
    pub fn attribute(&self, attribute: u32) -> i32 {
        let limits = limits(self.knobs.capability);
        match attribute {
            1..=3 => 1024,
            4 => 64,
            5 => i32::MAX,
            6 | 7 => 65_535,
            8 => SHARED_DEFAULT as i32,
            9 | 12 | 82 => 65_536,
            10 => 32,
            11 => i32::MAX,
            13 => 1_410_000,
            14 | 30 => 512,
            16 => limits.multiprocessors as i32,
            15 | 19 | 31 | 41 | 78 | 79 | 80 | 95 | 115 => 1,
            33 => i32::from(u8::MAX),
            36 => 1_215_000,
            37 => 5120,
            38 => 40 << 20,
            39 => limits.threads as i32,
            40 => 2,
            75 => self.knobs.capability.0 as i32,
            76 => self.knobs.capability.1 as i32,
            81 => limits.shared as i32,
            97 => limits.shared_block as i32,
            106 => limits.blocks as i32,
            111 => limits.shared_reserved as i32,
            _ => 0,
        }
    }
}

/// Bytes of shared memory that a block has without asking for more.
pub(crate) const SHARED_DEFAULT: u32 = 48 << 10;

/// What a multiprocessor has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub multiprocessors: u32,
    pub threads: u32,
    pub blocks: u32,
    pub shared: u32,
    /// Bytes of shared memory that a block can ask for.
    pub shared_block: u32,
    /// Bytes of shared memory that the system takes of each block.
    pub shared_reserved: u32,
}

/// The table of the CUDA programming guide.
pub(crate) fn limits(capability: (u32, u32)) -> Limits {
    let row = |threads, blocks, shared: u32, reserved: u32| Limits {
        multiprocessors: 108,
        threads,
        blocks,
        shared: shared << 10,
        shared_block: (shared << 10) - reserved,
        shared_reserved: reserved,
    };
    match capability {
        (..8, _) => row(1024, 16, 64, 0),
        (8, 0) => row(2048, 32, 164, 1024),
        (8, 9) => row(1536, 24, 100, 1024),
        (8, _) => row(1536, 16, 100, 1024),
        (9 | 10, _) => row(2048, 32, 228, 1024),
        _ => row(1536, 24, 100, 1024),
    }
}
