//! Opening what computes: the model first, then the backend.

use std::path::{Path, PathBuf};

use super::args::{BackendArg, DeviceArg};
use super::console::Console;
use super::failure::{BACKEND, Failure, USAGE};
use super::options::Engine;
use crate::backend::cpu::CpuBackend;
use crate::backend::cuda::{self, Absence, CudaBackend};
use crate::backend::wgpu::{AdapterInfo, Wanted, WgpuBackend, WgpuOptions};
use crate::backend::{Backend, BackendError};
use crate::explain::{ExplainError, Target};
use crate::graph::{Precision, ValueId};
use crate::method::MethodChoice;
use crate::model::{Model, ModelError};
use crate::onnx::{ImportError, ImportOptions};
use crate::picture::Preprocess;
use crate::plan::{Batch, Pass};
use crate::program::Program;
use crate::rule::RuleOptions;

/// Reads the model, and says what there is to remark on its card; with -v, an error names every node at fault.
pub fn model(path: &Path, options: ImportOptions, console: &Console) -> Result<Model, Failure> {
    let model = Model::import(path, options).map_err(|error| {
        if let ModelError::Import(ImportError::Output { .. }) = error {
            return Failure::usage(error).about("--logits");
        }
        let failure = if console.is_verbose() { Failure::model(format!("{error:#}")) } else { Failure::model(error) };
        let name = path.display().to_string();
        if failure.message.contains(&name) { failure } else { failure.about(name) }
    })?;
    model.card.iter().flat_map(|card| &card.remarks).for_each(|remark| console.note(remark));
    Ok(model)
}

/// Starts the backend. Whoever names a device wants a GPU, not whatever there is.
pub fn backend(engine: &Engine, console: &Console) -> Result<Box<dyn Backend>, Failure> {
    // What a GPU's images and maps are packed by. There is but one such pool, and a second command line in a process keeps the first.
    if let Some(threads) = engine.threads {
        _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let stored = engine.precision;
    let cuda = |device: Option<&DeviceArg>| cuda(device).map_err(failed);
    match (engine.backend, &engine.device) {
        (BackendArg::Cuda, device) => cuda(device.as_ref()),
        (BackendArg::Wgpu, device) => wgpu(device.as_ref().map_or(Wanted::Any, wanted), stored),
        (BackendArg::Auto, Some(device)) if stored == Precision::Bf16 => cuda(Some(device)),
        (BackendArg::Auto, Some(device)) if cuda_has(device) => cuda(Some(device)),
        (BackendArg::Auto, Some(device)) => wgpu(wanted(device), stored).or_else(|error| match cuda::probe() {
            Err(Absence::NoDriver) => Err(error),
            _ if error.code == USAGE => Err(error),
            _ => cuda(Some(device)),
        }),
        (BackendArg::Auto, None) if matches!(stored, Precision::F16 | Precision::Bf16) => halves(stored, console),
        (BackendArg::Auto, None) if stored == Precision::F32 => auto(engine, console).map_err(failed),
        (BackendArg::Auto | BackendArg::Cpu, _) => cpu(engine).map_err(failed),
    }
}

fn failed(error: BackendError) -> Failure {
    Failure::new(BACKEND, error)
}

/// What [`choose`] takes of this machine, with a note of what does not start.
fn auto(engine: &Engine, console: &Console) -> Result<Box<dyn Backend>, BackendError> {
    let cuda = || has_device().then(first_device);
    let (backend, refused) = choose(cuda, checked, || cpu(engine))?;
    let name = if backend.name() == "cpu" { "the CPU".to_owned() } else { backend.device() };
    for error in refused {
        console.note(&format!("{name} computes: {}", failed(error).message));
    }
    Ok(backend)
}

/// The first NVIDIA device, where there is one; else the first adapter of hardware; else the CPU. With why those that are there
/// do not start.
fn choose<T>(
    cuda: impl FnOnce() -> Option<Result<T, BackendError>>,
    wgpu: impl FnOnce(Wanted) -> Result<T, BackendError>,
    cpu: impl FnOnce() -> Result<T, BackendError>,
) -> Result<(T, Vec<BackendError>), BackendError> {
    let mut refused = Vec::new();
    match cuda() {
        Some(Ok(backend)) => return Ok((backend, refused)),
        Some(Err(error)) => refused.push(error),
        None => {}
    }
    match wgpu(Wanted::Hardware) {
        Ok(backend) => return Ok((backend, refused)),
        Err(BackendError::Unavailable { .. }) => {}
        Err(error) => refused.push(error),
    }
    Ok((cpu()?, refused))
}

/// What computes halves where nothing is asked for: cuda, else an adapter of hardware, of f16 alone.
fn halves(stored: Precision, console: &Console) -> Result<Box<dyn Backend>, Failure> {
    let refused = match cuda(None) {
        Ok(backend) => return Ok(backend),
        Err(error) => error,
    };
    if stored == Precision::Bf16 {
        return Err(stored_by("bf16 is stored by cuda alone", &[refused]));
    }
    match opened(Wanted::Hardware) {
        Err(error) => Err(stored_by("f16 is stored by cuda, or by an adapter of hardware", &[refused, error])),
        Ok(backend) => {
            if !matches!(refused, BackendError::Unavailable { .. }) {
                console.note(&format!("{} computes: {}", backend.device(), failed(refused).message));
            }
            storing(backend, stored)
        }
    }
}

/// By whom, and why it does not start.
fn stored_by(whom: &str, refused: &[BackendError]) -> Failure {
    let reasons: Vec<String> = refused.iter().map(|error| Failure::new(BACKEND, error).message).collect();
    let hint = "leave out --precision; `fluoroscope devices` lists what there is, with f16 where it is stored";
    Failure { code: BACKEND, message: format!("{whom}: {}", reasons.join("; ")), hint: Some(hint.to_owned()) }
}

fn cpu(engine: &Engine) -> Result<Box<dyn Backend>, BackendError> {
    Ok(Box::new(CpuBackend::new(engine.precision, engine.threads)?))
}

fn cuda(device: Option<&DeviceArg>) -> Result<Box<dyn Backend>, BackendError> {
    let ordinal = match device {
        None => cuda::first()?,
        Some(DeviceArg::Number(number)) => *number,
        Some(DeviceArg::Name(name)) => cuda::named(name)?,
    };
    Ok(Box::new(CudaBackend::new(ordinal)?))
}

/// The driver has such a device on which the kernels run, or some where it is asked for by number.
fn cuda_has(device: &DeviceArg) -> bool {
    let Ok(driver) = cuda::probe() else { return false };
    match device {
        DeviceArg::Number(_) => true,
        DeviceArg::Name(name) => cuda::named(name).is_ok_and(|number| driver.devices[number].check().is_ok()),
    }
}

/// The first device that can run the kernels, whose driver takes them.
fn first_device() -> Result<Box<dyn Backend>, BackendError> {
    let backend = CudaBackend::new(cuda::first()?)?;
    backend.check()?;
    Ok(Box::new(backend))
}

/// The cuda backend has a device on which it runs.
fn has_device() -> bool {
    cuda::probe().is_ok_and(|driver| driver.devices.iter().any(|device| device.check().is_ok()))
}

fn wanted(device: &DeviceArg) -> Wanted {
    match device {
        DeviceArg::Number(number) => Wanted::Number(*number),
        DeviceArg::Name(name) => Wanted::Name(name.clone()),
    }
}

fn wgpu(adapter: Wanted, stored: Precision) -> Result<Box<dyn Backend>, Failure> {
    storing(opened(adapter).map_err(failed)?, stored)
}

fn opened(adapter: Wanted) -> Result<WgpuBackend, BackendError> {
    WgpuBackend::new(WgpuOptions { adapter, folder: cache_folder(), ..WgpuOptions::default() })
}

/// The backend, if its adapter stores numbers so.
fn storing(backend: WgpuBackend, stored: Precision) -> Result<Box<dyn Backend>, Failure> {
    let AdapterInfo { name, stores_f16, .. } = backend.adapter();
    if stored == Precision::F16 && !stores_f16 {
        let way_out = "leave out --precision, or choose with --device one that `fluoroscope devices` lists with f16";
        return Err(Failure::usage(format!("{name} does not store f16; {way_out}")));
    }
    Ok(Box::new(backend))
}

/// An adapter whose driver takes the kernels.
fn checked(adapter: Wanted) -> Result<Box<dyn Backend>, BackendError> {
    let backend = opened(adapter)?;
    backend.check()?;
    Ok(Box::new(backend))
}

/// Where this user's programs keep what they can make again.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else {
        variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))
    };
    folder.map(|folder| folder.join("fluoroscope"))
}

/// How to feed pictures to `model`: the flag's, else the card's, else `imagenet`, which is said.
pub fn preprocess(
    model: &Model,
    flag: Option<&(String, Preprocess)>,
    console: &Console,
) -> Result<Preprocess, Failure> {
    let shape = model.input();
    let fit = |preprocess: Preprocess| preprocess.for_input(shape.channels, shape.height, shape.width);
    if let Some((name, flag)) = flag {
        return fit(flag.clone()).map_err(|e| Failure::usage(e).about(name).about("--preprocess"));
    }
    let card = model.path.with_extension("card.json");
    if let Some(of_card) = model.preprocess().map_err(|e| Failure::model(e).about(card.display()))? {
        return Ok(of_card);
    }
    console.note("no model card says how to feed pictures: imagenet preprocessing is used; set --preprocess");
    Preprocess::preset("imagenet").and_then(fit).map_err(Failure::usage)
}

/// Checks that the model has the classes of `target`, before any input is read.
pub fn check_target(model: &Model, target: &Target) -> Result<(), Failure> {
    let logits = vec![0.0; model.graph.shape(model.graph.output).len()];
    target.resolve(&logits, &model.classes).map(|_| ()).map_err(|error| Failure::explain(&error))
}

/// The layer that CAM methods read: the one called `name`, where there is a name, else the card's, else the last.
pub fn layer(model: &Model, name: Option<&str>) -> Result<Option<ValueId>, Failure> {
    match name {
        Some(name) => model.graph.find(name).map(Some).map_err(Failure::usage),
        None => model.cam_layer().map_err(|error| Failure::explain(&error.into())),
    }
}

/// Plans the methods for one image, so that a node without a rule is reported before anything runs.
pub fn plan(
    model: &Model,
    methods: &[MethodChoice],
    layer: Option<ValueId>,
    rules: &RuleOptions,
    batch: Batch,
) -> Result<Program, Failure> {
    let passes: Vec<Pass> = methods.iter().map(|choice| Pass::of(choice.method, layer)).collect();
    crate::plan::plan(&model.graph, &passes, rules, batch).map_err(|e| Failure::explain(&ExplainError::Plan(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device or an adapter of a machine.
    #[derive(Clone, Copy, PartialEq)]
    enum Found {
        Absent,
        Software,
        Refused,
        Present,
    }

    /// What is chosen, and how many are refused.
    fn chosen(cuda: Found, adapter: Found) -> (&'static str, usize) {
        let start = |backend, found| match found {
            Found::Absent => Err(BackendError::Unavailable { backend, reason: String::new() }),
            Found::Refused => Err(BackendError::Failed { backend, what: String::new(), reason: String::new() }),
            Found::Software | Found::Present => Ok(backend),
        };
        let wgpu = |wanted| {
            let hidden = wanted == Wanted::Hardware && adapter == Found::Software;
            start("wgpu", if hidden { Found::Absent } else { adapter })
        };
        let cuda = || (cuda != Found::Absent).then(|| start("cuda", cuda));
        let (backend, refused) = choose(cuda, wgpu, || Ok("cpu")).expect("the CPU is always there");
        (backend, refused.len())
    }

    #[test]
    fn auto_takes_cuda_then_an_adapter_of_hardware_then_the_cpu() {
        use Found::{Absent, Present, Refused, Software};
        for (cuda, adapter, wanted) in [
            (Present, Present, ("cuda", 0)),
            (Absent, Present, ("wgpu", 0)),
            (Absent, Software, ("cpu", 0)),
            (Absent, Absent, ("cpu", 0)),
            (Refused, Present, ("wgpu", 1)),
            (Refused, Software, ("cpu", 1)),
            (Refused, Refused, ("cpu", 2)),
        ] {
            assert_eq!(chosen(cuda, adapter), wanted);
        }
    }
}
