//! Launches: what is checked before a kernel runs, and what its faults become.

use std::time::Instant;

use ptx_sim::{Fault, FaultKind, Kernel, Launch, Options, run, run_seeds};

use crate::context::limits;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::handle::Handle;

/// A launch that was checked and waits for its turn.
#[derive(Debug)]
pub(crate) struct Launching {
    module: Handle,
    kernel: String,
    launch: Launch,
}

/// Where a launch finds the values of its parameters.
pub(crate) trait Arguments {
    /// The bytes of all parameters, laid out as the kernel declares them.
    fn gather(&self, kernel: &Kernel) -> Result<Vec<u8>>;
}

/// Grid, block and dynamic shared memory of a launch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
}

impl Driver {
    /// Checks a launch against the kernel and the device.
    pub fn prepare(&self, function: Handle, shape: Shape, arguments: &impl Arguments) -> Result<Launching> {
        let (function, _, kernel) = self.kernel(function)?;
        let refused = |code, text: String| Err(Error::new(code, format!("kernel {}: {text}", kernel.name())));
        let Shape { grid, block, shared_bytes } = shape;
        let threads = block.iter().map(|n| u64::from(*n)).product::<u64>();
        let far = grid[0] > i32::MAX as u32 || grid[1] > 65_535 || grid[2] > 65_535;
        if far || grid.contains(&0) || threads == 0 || threads > 1024 || block[2] > 64 {
            return refused(Code::InvalidValue, format!("a grid of {grid:?} blocks of {block:?} threads"));
        }
        if let Some(limit) = kernel.max_threads().filter(|limit| threads > u64::from(*limit)) {
            return refused(Code::LaunchOutOfResources, format!("{threads} threads a block, declared are {limit}"));
        }
        let (own, limit) = (kernel.static_shared_bytes(), limits(self.knobs.capability).shared_block);
        if shared_bytes > function.max_dynamic_shared || u64::from(own) + u64::from(shared_bytes) > u64::from(limit) {
            let allowed = function.max_dynamic_shared;
            return refused(
                Code::InvalidValue,
                format!("{shared_bytes} bytes of dynamic shared memory, allowed are {allowed}"),
            );
        }
        let params = arguments.gather(kernel)?;
        for param in kernel.params().iter().filter(|param| param.pointer && param.size == 8) {
            let bytes = params[param.offset..param.offset + 8].try_into().unwrap_or_default();
            let address = u64::from_le_bytes(bytes);
            if address != 0 && self.memory.memory.read(address, 0).is_err() {
                let text = format!("parameter {} is {address:#x}, where no allocation is", param.name);
                return refused(Code::InvalidValue, text);
            }
        }
        let launch = Launch { grid, block, shared_bytes, params };
        Ok(Launching { module: function.module, kernel: function.kernel.clone(), launch })
    }

    pub fn run(&mut self, launching: &Launching) -> Result<()> {
        self.launches += 1;
        let Launching { module, kernel, launch } = launching;
        if let Some((nth, code)) = self.knobs.fail_launch.filter(|(nth, _)| self.launches >= *nth) {
            return Err(self.fault(code, format!("launch {nth} fails as PTX_SIM_FAIL_LAUNCH asks (kernel {kernel})")));
        }
        let Some(loaded) = self.modules.find(*module) else {
            return Err(self.fault(Code::LaunchFailed, format!("kernel {kernel}: its module was unloaded")));
        };
        let Some(found) = loaded.module.kernel(kernel) else { return Err(Code::InvalidHandle.into()) };
        if !self.knobs.runs || self.knobs.pace.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let options = Options {
            checks: self.knobs.checks,
            seed: self.knobs.seeds[0],
            max_instructions: self.knobs.max_instructions,
        };
        let memory = &mut self.memory.memory;
        let outcome = match self.knobs.seeds[..] {
            [first, second, third] => run_seeds(found, launch, memory, &options, [first, second, third]),
            _ => run(found, launch, memory, &options),
        };
        match outcome {
            Ok(report) => {
                self.ledger.add(loaded.hash, kernel, &report, started.elapsed());
                Ok(())
            }
            Err(fault) => Err(self.fault(code_of(&fault), fault.to_string())),
        }
    }
}

/// What a device would say to a fault.
fn code_of(fault: &Fault) -> Code {
    match fault.kind {
        FaultKind::NoAllocation { .. } | FaultKind::OutOfBounds { .. } | FaultKind::ReadOnly { .. } => {
            Code::IllegalAddress
        }
        FaultKind::Misaligned { .. } => Code::MisalignedAddress,
        FaultKind::Budget { .. } => Code::LaunchTimeout,
        _ => Code::LaunchFailed,
    }
}
