//! Modules: PTX texts with their kernels.

use std::collections::BTreeMap;

use ptx_sim::{Kernel, Module, lint};

use crate::context::{SHARED_DEFAULT, limits};
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::handle::Handle;

#[derive(Debug)]
pub(crate) struct Loaded {
    pub device: usize,
    pub module: Module,
    /// Of the text.
    pub hash: u64,
    /// Handles that were given out, by name.
    functions: BTreeMap<String, Handle>,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub device: usize,
    pub module: Handle,
    pub kernel: String,
    /// Bytes that a launch may ask for.
    pub max_dynamic_shared: u32,
}

/// `CUfunction_attribute`
const MAX_DYNAMIC_SHARED: u32 = 8;
const SHARED_CARVEOUT: u32 = 9;

/// Registers of a thread, which an interpreter has no count of.
const REGISTERS: i32 = 32;

impl Driver {
    /// Loads a text; gives the module, and what the info log says about it.
    pub fn load_module(&mut self, device: usize, text: &[u8]) -> Result<(Handle, String)> {
        let text =
            std::str::from_utf8(text).map_err(|_| Error::new(Code::InvalidImage, "the image is not PTX text"))?;
        let invalid = |error: ptx_sim::ParseError| {
            Error::new(
                Code::InvalidPtx,
                format!("ptxas application ptx input, line {}; error   : {}", error.line, error.message),
            )
        };
        // A newer version may have a syntax that cannot be read, hence the order.
        if let Some((line, version)) = declared_version(text).filter(|(_, version)| *version > self.knobs.ptx_version) {
            let (highest, of) = (self.knobs.ptx_version, version);
            let text = format!(
                "ptxas application ptx input, line {line}; fatal   : Unsupported .version {}.{}; current version is '{}.{}'",
                of.0, of.1, highest.0, highest.1
            );
            return Err(Error::new(Code::UnsupportedPtxVersion, text));
        }
        let module = Module::parse(text).map_err(invalid)?;
        self.check_target(module.target())?;
        let info: Vec<String> = lint(&module).iter().map(|lint| format!("info    : {lint}\n")).collect();
        let hash = fnv(text.as_bytes());
        for kernel in module.kernels() {
            self.ledger.know(hash, kernel);
        }
        self.counts.modules += 1;
        let handle = self.modules.insert(Loaded { device, module, hash, functions: BTreeMap::new() });
        Ok((handle, info.concat()))
    }

    /// PTX runs on devices of its target or later; that with a letter on devices of its target only.
    fn check_target(&self, target: &str) -> Result<()> {
        let (major, minor) = self.knobs.capability;
        let device = major * 10 + minor;
        let digits = target.trim_start_matches("sm_").trim_end_matches(|c: char| c.is_ascii_lowercase());
        let exact = target.ends_with(|c: char| c.is_ascii_lowercase());
        let fits = digits.parse::<u32>().is_ok_and(|wants| if exact { wants == device } else { wants <= device });
        if fits {
            return Ok(());
        }
        let text = format!("ptxas fatal   : .target {target} cannot be assembled for sm_{device}");
        Err(Error::new(Code::InvalidPtx, text))
    }

    pub fn unload_module(&mut self, device: usize, module: Handle) -> Result<()> {
        self.finish_device(device)?;
        self.modules.remove(module)?;
        self.functions.retain(|function| function.module != module);
        Ok(())
    }

    pub fn function(&mut self, module: Handle, name: &str) -> Result<Handle> {
        let loaded = self.modules.get_mut(module)?;
        if let Some(function) = loaded.functions.get(name) {
            return Ok(*function);
        }
        let kernel = loaded.module.kernel(name).ok_or(Code::NotFound)?;
        let max_dynamic_shared = SHARED_DEFAULT.saturating_sub(kernel.static_shared_bytes());
        let device = loaded.device;
        let function = self.functions.insert(Function { device, module, kernel: name.to_owned(), max_dynamic_shared });
        loaded.functions.insert(name.to_owned(), function);
        Ok(function)
    }

    pub fn kernel(&self, function: Handle) -> Result<(&Function, &Loaded, &Kernel)> {
        let function = self.functions.get(function)?;
        let loaded = self.modules.get(function.module)?;
        let kernel = loaded.module.kernel(&function.kernel).ok_or(Code::InvalidHandle)?;
        Ok((function, loaded, kernel))
    }

    pub fn function_attribute(&self, function: Handle, attribute: u32) -> Result<i32> {
        let (function, loaded, kernel) = self.kernel(function)?;
        let (version, (major, minor)) = (loaded.module.version(), self.knobs.capability);
        match attribute {
            0 => Ok(kernel.max_threads().unwrap_or(1024) as i32),
            1 => Ok(kernel.static_shared_bytes() as i32),
            4 => Ok(REGISTERS),
            5 => Ok((version.0 * 10 + version.1) as i32),
            6 => Ok((major * 10 + minor) as i32),
            MAX_DYNAMIC_SHARED => Ok(function.max_dynamic_shared as i32),
            SHARED_CARVEOUT => Ok(-1),
            2 | 3 | 7 | 10..=15 => Ok(0),
            _ => Err(Code::InvalidValue.into()),
        }
    }

    pub fn set_function_attribute(&mut self, function: Handle, attribute: u32, value: i32) -> Result<()> {
        let own = self.kernel(function)?.2.static_shared_bytes();
        let limit = limits(self.knobs.capability).shared_block;
        match (attribute, u32::try_from(value)) {
            (MAX_DYNAMIC_SHARED, Ok(bytes)) if bytes <= limit.saturating_sub(own) => {
                self.functions.get_mut(function)?.max_dynamic_shared = bytes;
                Ok(())
            }
            (MAX_DYNAMIC_SHARED, _) => {
                let text =
                    format!("{value} bytes of dynamic shared memory and {own} of the kernel: a block has {limit}");
                Err(Error::new(Code::InvalidValue, text))
            }
            (SHARED_CARVEOUT, _) if (-1..=100).contains(&value) => Ok(()),
            _ => Err(Code::InvalidValue.into()),
        }
    }

    /// Blocks of so many threads and bytes of shared memory that a multiprocessor holds. Registers are not counted.
    pub fn blocks_per_multiprocessor(&self, function: Handle, threads: u32, dynamic: u64) -> Result<u32> {
        let kernel = self.kernel(function)?.2;
        let limits = limits(self.knobs.capability);
        if threads == 0 || threads > kernel.max_threads().unwrap_or(1024).min(1024) {
            return if threads == 0 { Err(Code::InvalidValue.into()) } else { Ok(0) };
        }
        let shared = u64::from(kernel.static_shared_bytes()) + dynamic;
        if shared > u64::from(limits.shared_block) {
            return Ok(0);
        }
        let by_shared = match shared {
            0 => limits.blocks,
            bytes => (u64::from(limits.shared) / (bytes + u64::from(limits.shared_reserved))) as u32,
        };
        Ok((limits.threads / threads.next_multiple_of(32)).min(by_shared).min(limits.blocks))
    }
}

/// The version that a text declares, and its line.
fn declared_version(text: &str) -> Option<(u32, (u32, u32))> {
    let (line, rest) =
        (1..).zip(text.lines()).find_map(|(n, line)| Some((n, line.trim().strip_prefix(".version")?)))?;
    let number: String = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let (major, minor) = number.split_once('.')?;
    Some((line, (major.parse().ok()?, minor.parse().ok()?)))
}

/// FNV-1a, which names texts in reports.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
