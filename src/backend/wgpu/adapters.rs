//! The adapters of this machine: Vulkan, Metal and DX12 drivers, or what a browser gives.

use std::fmt::{self, Display, Formatter};

use super::NAME;
use crate::backend::BackendError;
use crate::kernel::THREADS;

/// Drivers that are asked, each where the system has it.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN
    .union(wgpu::Backends::METAL)
    .union(wgpu::Backends::DX12)
    .union(wgpu::Backends::BROWSER_WEBGPU);
/// Percent of the memory that the driver says is left which may be allocated.
const BUDGET: u8 = 90;
/// What every kernel keeps to, and WebGPU guarantees: bytes of a workgroup's memory, buffers of a kernel.
const WORKGROUP_BYTES: u32 = 16 << 10;
const STORAGE_BUFFERS: u32 = 8;

/// What an adapter is called that does not say: browsers keep it to themselves.
const UNNAMED: &str = "a GPU without a name";

/// Why nothing can compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    #[error("no Vulkan, Metal or DX12 driver finds an adapter")]
    NoAdapter,
    #[error("there is no adapter {asked}, only {known}")]
    NoSuchAdapter { asked: String, known: String },
    #[error("{name} {lacks}")]
    Unsuitable { name: String, lacks: String },
    #[error("{name} does not start: {reason}")]
    Refused { name: String, reason: String },
}

impl Absence {
    /// The way out.
    fn hint(&self) -> &'static str {
        match self {
            Self::NoAdapter => "install a Vulkan driver (see README.md), or use --backend cpu",
            Self::NoSuchAdapter { .. } => "see `fluoroscope devices`, or use --backend cpu",
            Self::Unsuitable { .. } | Self::Refused { .. } => "choose another with --device, or use --backend cpu",
        }
    }
}

impl From<Absence> for BackendError {
    fn from(absence: Absence) -> Self {
        let reason = format!("{absence}; {}", absence.hint());
        Self::Unavailable { backend: NAME, reason }
    }
}

/// Which adapter is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The first of hardware, else the first.
    #[default]
    Any,
    /// The first of hardware.
    Hardware,
    /// As [`probe`] counts.
    Number(usize),
    /// The first with this in its name, in any case.
    Name(String),
}

impl Wanted {
    fn choose(&self, infos: &[AdapterInfo]) -> Option<usize> {
        let is_hardware = |info: &AdapterInfo| !info.is_software && info.check().is_ok();
        let hardware = || infos.iter().position(is_hardware);
        match self {
            Self::Any => hardware().or_else(|| infos.iter().position(|info| info.check().is_ok())).or(Some(0)),
            Self::Hardware => hardware(),
            Self::Number(number) => Some(*number),
            Self::Name(name) => {
                let able = infos.iter().position(|info| info.is_called(name) && info.check().is_ok());
                able.or_else(|| infos.iter().position(|info| info.is_called(name)))
            }
        }
        .filter(|number| *number < infos.len())
    }
}

impl Display for Wanted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("at all"),
            Self::Hardware => f.write_str("of hardware"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "called {name:?}"),
        }
    }
}

/// An adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    pub name: String,
    /// `Vulkan`, `Metal`, `DX12` or `WebGPU`.
    pub api: String,
    /// Name and version of the driver.
    pub driver: String,
    /// The processor computes, as with lavapipe.
    pub is_software: bool,
    /// Kernels load and store halves; sums are f32 with them, too.
    pub stores_f16: bool,
    /// What the kernels need and it has not.
    lacks: Option<String>,
}

impl AdapterInfo {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let api = match info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Metal => "Metal",
            wgpu::Backend::Dx12 => "DX12",
            wgpu::Backend::BrowserWebGpu => "WebGPU",
            other => other.to_str(),
        };
        let driver = format!("{} {}", info.driver, info.driver_info);
        let capabilities = adapter.get_downlevel_capabilities();
        Self {
            name: if info.name.is_empty() { UNNAMED.to_owned() } else { info.name },
            api: api.to_owned(),
            driver: driver.trim().to_owned(),
            is_software: info.device_type == wgpu::DeviceType::Cpu,
            stores_f16: adapter.features().contains(wgpu::Features::SHADER_F16),
            lacks: lacks(&adapter.limits(), capabilities.flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)),
        }
    }

    /// `name` is in its name, in any case.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.to_lowercase().contains(&name.to_lowercase())
    }

    /// # Errors
    /// [`Absence::Unsuitable`] where the kernels do not run on it.
    pub fn check(&self) -> Result<(), Absence> {
        match &self.lacks {
            None => Ok(()),
            Some(lacks) => Err(Absence::Unsuitable { name: self.name.clone(), lacks: lacks.clone() }),
        }
    }
}

/// The first thing that the kernels need and an adapter has not.
fn lacks(limits: &wgpu::Limits, computes: bool) -> Option<String> {
    let needed = [
        ("threads of a workgroup", limits.max_compute_invocations_per_workgroup, THREADS),
        ("threads of a workgroup", limits.max_compute_workgroup_size_x, THREADS),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, WORKGROUP_BYTES),
        ("buffers of a kernel", limits.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
    ];
    if !computes {
        return Some("has no compute shaders".to_owned());
    }
    let too_few = needed.into_iter().find(|(_, has, needed)| has < needed);
    too_few.map(|(what, has, needed)| format!("has {has} {what}, and {needed} are needed"))
}

/// An adapter that can be opened.
pub struct Adapter {
    pub raw: wgpu::Adapter,
    pub info: AdapterInfo,
}

/// All adapters, in the order of their numbers.
pub async fn all() -> Vec<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: BACKENDS,
        flags: wgpu::InstanceFlags::empty(),
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
            for_resource_creation: Some(BUDGET),
            for_device_loss: None,
        },
        backend_options: wgpu::BackendOptions::default(),
        display: None,
    });
    let found = instance.enumerate_adapters(BACKENDS).await;
    found.into_iter().map(|raw| Adapter { info: AdapterInfo::of(&raw), raw }).collect()
}

/// The adapter that is wanted.
///
/// # Errors
/// [`Absence`] where it is not there, or the kernels do not run on it.
pub async fn find(wanted: &Wanted) -> Result<Adapter, Absence> {
    let mut adapters = all().await;
    if adapters.is_empty() {
        return Err(Absence::NoAdapter);
    }
    let infos: Vec<AdapterInfo> = adapters.iter().map(|adapter| adapter.info.clone()).collect();
    let number = wanted.choose(&infos).ok_or_else(|| {
        let known = infos.iter().enumerate().map(|(number, info)| format!("{number} ({})", info.name));
        Absence::NoSuchAdapter { asked: wanted.to_string(), known: known.collect::<Vec<_>>().join(", ") }
    })?;
    infos[number].check()?;
    Ok(adapters.swap_remove(number))
}

/// Asks the drivers.
///
/// # Errors
/// [`Absence`] where there is no adapter.
#[cfg(not(target_family = "wasm"))]
pub fn probe() -> Result<Vec<AdapterInfo>, Absence> {
    let infos: Vec<AdapterInfo> = super::edge::ready(all()).into_iter().map(|adapter| adapter.info).collect();
    if infos.is_empty() { Err(Absence::NoAdapter) } else { Ok(infos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, is_software: bool, lacks: Option<&str>) -> AdapterInfo {
        let (name, api, driver, lacks) =
            (name.to_owned(), "Vulkan".to_owned(), String::new(), lacks.map(str::to_owned));
        AdapterInfo { name, api, driver, is_software, stores_f16: false, lacks }
    }

    #[test]
    fn hardware_comes_before_software_and_a_name_before_all() {
        let infos = [
            info("llvmpipe", true, None),
            info("Old", false, Some("has no compute shaders")),
            info("Radeon RX", false, None),
            info("GeForce", false, None),
        ];
        let name = |name: &str| Wanted::Name(name.to_owned());
        let chosen = [Wanted::Any, Wanted::Hardware, Wanted::Number(3), Wanted::Number(4), name("gef"), name("arc")]
            .map(|wanted| wanted.choose(&infos));
        assert_eq!(chosen, [Some(2), Some(2), Some(3), None, Some(3), None]);
        assert_eq!([name("o"), name("old")].map(|wanted| wanted.choose(&infos)), [Some(2), Some(1)]);
        assert_eq!([Wanted::Any, Wanted::Hardware].map(|wanted| wanted.choose(&infos[..2])), [Some(0), None]);
    }

    #[test]
    fn an_adapter_below_the_limits_of_webgpu_is_named_with_what_it_lacks() {
        let enough = wgpu::Limits::default();
        assert_eq!(lacks(&enough, true), None);
        assert_eq!(lacks(&enough, false).as_deref(), Some("has no compute shaders"));
        let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..enough };
        assert_eq!(lacks(&few, true).as_deref(), Some("has 4 buffers of a kernel, and 8 are needed"));
    }
}
