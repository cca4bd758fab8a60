//! The state of a process: one driver behind one lock, so that calls of several threads run one after the other.

use std::cell::Cell;
use std::ffi::CString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::capture::Capture;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::graph::Graph;
use crate::handle::{Handle, Table};
use crate::knobs::Knobs;
use crate::ledger::{Counts, Ledger};
use crate::memory::DeviceMemory;
use crate::module::{Function, Loaded};
use crate::pace::{self, Clocks};
use crate::pinned::{POISON, Pinned};
use crate::stream::Stream;

pub(crate) struct Driver {
    pub knobs: Knobs,
    pub initialised: bool,
    /// The primary context of each visible device.
    pub contexts: Vec<Option<Context>>,
    pub memory: DeviceMemory,
    pub pinned: Pinned,
    pub streams: Table<Stream>,
    pub events: Table<Event>,
    pub captures: Table<Capture>,
    pub graphs: Table<Graph>,
    pub executables: Table<Graph>,
    pub modules: Table<Loaded>,
    pub functions: Table<Function>,
    pub ledger: Ledger,
    /// Kernels run so far.
    pub launches: u64,
    pub counts: Counts,
    /// The most streams of a device that had work before them at a time.
    pub busy_streams: usize,
    pub clocks: Clocks,
    /// What a kernel's fault makes of all later calls: only a new process recovers.
    pub sticky: Option<Code>,
    /// Texts of errors, oldest first. Kept, for callers hold pointers to them.
    texts: Vec<CString>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

thread_local! {
    static CURRENT: Cell<Handle> = const { Cell::new(Handle::NULL) };
}

/// The context of this thread.
pub(crate) fn current_context() -> Handle {
    CURRENT.get()
}

pub(crate) fn set_current_context(context: Handle) {
    CURRENT.set(context);
}

impl Driver {
    fn new(knobs: Knobs) -> Self {
        let devices = knobs.devices.len();
        Driver {
            initialised: false,
            contexts: (0..devices).map(|_| None).collect(),
            memory: DeviceMemory::new(devices, &knobs),
            // What nothing writes would be NaNs and numbers without meaning.
            pinned: Pinned::new(knobs.fail_pinned, if knobs.pace.is_some() { 0 } else { POISON }),
            streams: Table::default(),
            events: Table::default(),
            captures: Table::default(),
            graphs: Table::default(),
            executables: Table::default(),
            modules: Table::default(),
            functions: Table::default(),
            ledger: Ledger::default(),
            launches: 0,
            counts: Counts::default(),
            busy_streams: 0,
            clocks: Clocks::new(devices),
            sticky: None,
            texts: Vec::new(),
            knobs,
        }
    }

    /// An error after which nothing works any more.
    pub fn fault(&mut self, code: Code, text: impl Into<String>) -> Error {
        self.sticky = Some(code);
        Error::new(code, text)
    }

    /// Writes a text to the log and keeps it.
    fn say(&mut self, text: &str) {
        let line = format!("ptx-sim: {text}\n");
        let file = self.knobs.log.as_ref().map(|path| std::fs::OpenOptions::new().create(true).append(true).open(path));
        // A log that cannot be written must not hide the error itself.
        match file {
            Some(Ok(mut file)) => drop(file.write_all(line.as_bytes())),
            _ => drop(std::io::stderr().write_all(line.as_bytes())),
        }
        self.texts.extend(CString::new(text.replace('\0', " ")));
    }

    pub fn last_text(&self) -> Option<&CString> {
        self.texts.last()
    }
}

/// Runs a call that needs no `cuInit`; gives the code to return.
pub(crate) fn call(body: impl FnOnce(&mut Driver) -> Result<()>) -> u32 {
    let mut guard = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        match Knobs::from_env() {
            Ok(knobs) => *guard = Some(Driver::new(knobs)),
            Err(bad) => {
                eprintln!("ptx-sim: {bad}");
                return Code::InvalidValue as u32;
            }
        }
    }
    let Some(driver) = guard.as_mut() else { return Code::Unknown as u32 };
    // What a panic leaves half done is never used again: the error is sticky.
    let result = catch_unwind(AssertUnwindSafe(|| body(driver))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(driver.fault(Code::Unknown, format!("a bug of the interpreter or the driver: {message}")))
    });
    let awaited = driver.clocks.awaited.take();
    let code = match result {
        Ok(()) => 0,
        Err(Error { code, text }) => {
            if let Some(text) = text {
                driver.say(&text);
            }
            code as u32
        }
    };
    // Others may call meanwhile.
    drop(guard);
    if let Some(time) = awaited {
        pace::sleep_until(time);
    }
    code
}

/// Runs a call that needs `cuInit`.
pub(crate) fn initialised(body: impl FnOnce(&mut Driver) -> Result<()>) -> u32 {
    call(|driver| if driver.initialised { body(driver) } else { Err(Code::NotInitialized.into()) })
}

/// Runs a call that needs a current context, and no fault before; gives the body the index of its device.
pub(crate) fn in_context(body: impl FnOnce(&mut Driver, usize) -> Result<()>) -> u32 {
    initialised(|driver| {
        if let Some(code) = driver.sticky {
            return Err(code.into());
        }
        let device = driver.device_of(current_context()).ok_or(Code::InvalidContext)?;
        body(driver, device)
    })
}

/// Writes the report when the process ends; a driver that is busy then is left alone.
pub(crate) extern "C" fn report_at_exit() {
    if let Ok(mut guard) = DRIVER.try_lock()
        && let Some(driver) = guard.as_mut()
    {
        driver.write_report();
    }
}
