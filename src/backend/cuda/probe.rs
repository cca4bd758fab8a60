//! What the driver says is there.

use std::ffi::{CStr, c_char, c_int};

use cudarc::driver::sys::{CUdevice, CUdevice_attribute};

use super::NAME;
use super::api::{Api, Code};
use crate::backend::BackendError;
use crate::backend::gpu::{Chip, MatrixUnits};

/// The driver of CUDA 11.4 is the first with every function that is called, as `cuDriverGetVersion` counts.
const OLDEST_DRIVER: c_int = 11_040;
/// The kernels' `.target`.
const OLDEST_DEVICE: [c_int; 2] = [7, 5];
/// The least capability with matrix units for halves and tf32.
const MATRIX_UNITS: [c_int; 2] = [8, 0];
/// The one with those of warpgroups: later ones have others in their place. The driver of CUDA 12.0 is the first that takes
/// their kernels.
const WARPGROUPS: [c_int; 2] = [9, 0];
const DRIVER_OF_WARPGROUPS: c_int = 12_000;
/// `CUDA_ERROR_NO_DEVICE`
const NO_DEVICE: Code = 100;

/// Why nothing can compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    #[error("no NVIDIA driver is installed")]
    NoDriver,
    #[error("the NVIDIA driver is too old: it is for CUDA {}, and 11.4 is needed", version(*.0))]
    OldDriver(i32),
    #[error("the NVIDIA driver lacks the symbol {0}")]
    Symbol(&'static str),
    #[error("the NVIDIA driver finds no device")]
    NoDevice,
    #[error("there is no device {asked}, only {}", numbers(*.count))]
    NoSuchDevice { asked: usize, count: usize },
    #[error("there is no device called {asked:?}, only {known}")]
    NoSuchName { asked: String, known: String },
    #[error("{name} is too old: it has compute capability {}.{}, and 7.5 is needed", .capability[0], .capability[1])]
    OldDevice { name: String, capability: [i32; 2] },
    #[error("the NVIDIA driver does not start: {0}")]
    Refused(String),
}

impl Absence {
    /// The way out.
    fn hint(&self) -> &'static str {
        match self {
            Self::OldDriver(_) | Self::Symbol(_) => "update the driver, or use --backend cpu",
            Self::NoSuchDevice { .. } | Self::NoSuchName { .. } => "see `fluoroscope devices`, or use --backend cpu",
            Self::NoDevice => "see CUDA_VISIBLE_DEVICES and `nvidia-smi`, or use --backend cpu",
            Self::NoDriver | Self::OldDevice { .. } | Self::Refused(_) => "use --backend cpu or auto",
        }
    }
}

impl From<Absence> for BackendError {
    fn from(absence: Absence) -> Self {
        let reason = format!("{absence}; {}", absence.hint());
        Self::Unavailable { backend: NAME, reason }
    }
}

fn version(driver: i32) -> String {
    format!("{}.{}", driver / 1000, driver % 1000 / 10)
}

fn numbers(count: usize) -> String {
    if count == 1 { "device 0".to_owned() } else { format!("devices 0 to {}", count - 1) }
}

/// The driver and its devices.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The release of CUDA that it is for.
    pub cuda: String,
    /// As `CUDA_VISIBLE_DEVICES` leaves and orders them.
    pub devices: Vec<DeviceInfo>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    pub name: String,
    pub capability: [i32; 2],
    pub memory: usize,
    pub multiprocessors: u32,
    /// The release of CUDA that its driver is for: 1000 times the major and 10 times the minor number.
    pub driver: i32,
}

impl DeviceInfo {
    /// # Errors
    /// [`Absence::OldDevice`] where the kernels do not run on it.
    pub fn check(&self) -> Result<(), Absence> {
        if self.capability >= OLDEST_DEVICE {
            return Ok(());
        }
        Err(Absence::OldDevice { name: self.name.clone(), capability: self.capability })
    }

    /// What of it decides which kernels compute a step.
    pub fn chip(&self) -> Chip {
        let matrix_units = match self.capability {
            WARPGROUPS if self.driver >= DRIVER_OF_WARPGROUPS => MatrixUnits::Warpgroup,
            capability if capability >= MATRIX_UNITS => MatrixUnits::Warp,
            _ => MatrixUnits::None,
        };
        Chip { matrix_units, processors: self.multiprocessors }
    }
}

/// Asks the driver.
///
/// # Errors
/// [`Absence`] where there is no driver, it is too old, or has no device.
pub fn probe() -> Result<Driver, Absence> {
    let (api, driver, count) = start()?;
    let devices = (0..count).map(|ordinal| info(api, driver, handle(api, ordinal)?)).collect::<Result<_, _>>()?;
    Ok(Driver { cuda: version(driver), devices })
}

/// The number of the first device on which the kernels run; 0 where they run on none.
///
/// # Errors
/// [`Absence`] where there is no driver, it is too old, or has no device.
pub fn first() -> Result<usize, Absence> {
    Ok(choose(&probe()?.devices, "").unwrap_or_default())
}

/// The number of the first device with `name` in its own, in any case, those first on which the kernels run.
///
/// # Errors
/// [`Absence`] where there is none, or no driver.
pub fn named(name: &str) -> Result<usize, Absence> {
    let devices = probe()?.devices;
    choose(&devices, name).ok_or_else(|| {
        let known: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        Absence::NoSuchName { asked: name.to_owned(), known: known.join(", ") }
    })
}

fn choose(devices: &[DeviceInfo], name: &str) -> Option<usize> {
    let is_called = |device: &DeviceInfo| device.name.to_lowercase().contains(&name.to_lowercase());
    let able = devices.iter().position(|device| is_called(device) && device.check().is_ok());
    able.or_else(|| devices.iter().position(is_called))
}

/// A device by its number.
pub fn find(ordinal: usize) -> Result<(&'static Api, CUdevice, DeviceInfo), Absence> {
    let (api, driver, count) = start()?;
    let number = c_int::try_from(ordinal).ok().filter(|number| *number < count);
    let number = number.ok_or(Absence::NoSuchDevice { asked: ordinal, count: count.unsigned_abs() as usize })?;
    let device = handle(api, number)?;
    let info = info(api, driver, device)?;
    info.check()?;
    Ok((api, device, info))
}

/// The driver, started, its release of CUDA, and how many devices it has.
fn start() -> Result<(&'static Api, c_int, c_int), Absence> {
    let api = Api::open()?;
    let (mut driver, mut count) = (0, 0);
    // SAFETY: needs no initialisation; the pointer is valid for the call.
    refused(api, unsafe { (api.driver_version)(&raw mut driver) })?;
    if driver < OLDEST_DRIVER {
        return Err(Absence::OldDriver(driver));
    }
    // SAFETY: the flags must be zero.
    refused(api, unsafe { (api.init)(0) })?;
    // SAFETY: the pointer is valid for the call.
    refused(api, unsafe { (api.device_count)(&raw mut count) })?;
    if count < 1 { Err(Absence::NoDevice) } else { Ok((api, driver, count)) }
}

fn handle(api: &Api, ordinal: c_int) -> Result<CUdevice, Absence> {
    let mut device = 0;
    // SAFETY: the pointer is valid for the call.
    refused(api, unsafe { (api.device)(&raw mut device, ordinal) })?;
    Ok(device)
}

fn info(api: &Api, driver: c_int, device: CUdevice) -> Result<DeviceInfo, Absence> {
    let mut name = [0 as c_char; 256];
    // SAFETY: the buffer has the length that is given, and the driver ends it with a zero.
    refused(api, unsafe { (api.device_name)(name.as_mut_ptr(), name.len() as c_int - 1, device) })?;
    // SAFETY: the last byte is still zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    let mut memory = 0;
    // SAFETY: the pointer is valid for the call.
    refused(api, unsafe { (api.device_memory)(&raw mut memory, device) })?;
    let attribute = |which| {
        let mut value = 0;
        // SAFETY: the pointer is valid for the call.
        refused(api, unsafe { (api.device_attribute)(&raw mut value, which, device) }).map(|()| value)
    };
    let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let multiprocessors = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?.unsigned_abs();
    Ok(DeviceInfo { name, capability: [major, minor], memory, multiprocessors, driver })
}

fn refused(api: &Api, code: Code) -> Result<(), Absence> {
    match code {
        0 => Ok(()),
        NO_DEVICE => Err(Absence::NoDevice),
        _ => Err(Absence::Refused(describe(api, code))),
    }
}

/// `CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)`
pub fn describe(api: &Api, code: Code) -> String {
    let text = |find: unsafe extern "C" fn(Code, *mut *const c_char) -> Code| {
        let mut text = std::ptr::null();
        // SAFETY: the pointer is valid for the call.
        let found = unsafe { find(code, &raw mut text) } == 0 && !text.is_null();
        // SAFETY: the driver gave a string of its own, which is never freed.
        found.then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    match (text(api.error_name), text(api.error_text)) {
        (Some(name), Some(text)) => format!("{name} ({text})"),
        (name, text) => name.or(text).unwrap_or_else(|| format!("CUDA error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_on_which_the_kernels_run_come_first() {
        let device = |name: &str, capability| DeviceInfo {
            name: name.to_owned(),
            capability,
            memory: 1 << 30,
            multiprocessors: 20,
            driver: 12_080,
        };
        let devices = [device("GeForce GTX 1080", [6, 1]), device("GeForce RTX 2080", [7, 5]), device("T4", [7, 5])];
        assert_eq!(choose(&devices, ""), Some(1));
        assert_eq!(choose(&devices, "geforce"), Some(1));
        assert_eq!(choose(&devices, "gtx"), Some(0), "which then says why it does not do");
        assert_eq!(choose(&devices, "T4"), Some(2));
        assert_eq!(choose(&devices, "A100"), None);
        assert_eq!(choose(&devices[..1], ""), Some(0));
    }
}
