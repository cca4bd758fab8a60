//! From what was typed to settings that hold: every check that needs no model is here.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{
    BackendArg, BatchNormArg, DeviceArg, EngineArgs, ExplainArgs, Format, PlaceArgs, PrecisionArg, ReduceArg,
    Resolution, RuleArgs,
};
use super::failure::Failure;
use crate::drawing::Drawing;
use crate::explain::{Baseline, ExplainOptions, Target};
use crate::graph::Precision;
use crate::method::MethodChoice;
use crate::picture::preprocess::PRESETS;
use crate::picture::{Card, Colormap, Extent, Preprocess, Reduce, read_array};
use crate::rule::{BatchNormRule, RuleOptions};

/// What to compute with.
#[derive(Clone, Debug)]
pub struct Engine {
    pub backend: BackendArg,
    pub device: Option<DeviceArg>,
    pub precision: Precision,
    pub threads: Option<usize>,
}

impl Engine {
    /// Threads asked for, else those of the machine.
    pub fn cores(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

/// `explain`, ready to be carried out.
#[derive(Clone, Debug)]
pub struct ExplainSettings {
    pub model: PathBuf,
    pub inputs: Vec<PathBuf>,
    pub methods: Vec<MethodChoice>,
    pub target: Target,
    pub output: PathBuf,
    pub formats: BTreeSet<Format>,
    /// The value to explain, where it is not the first output.
    pub logits: Option<String>,
    pub engine: Engine,
    pub explain: ExplainOptions,
    pub drawing: Drawing,
    pub max_error: Option<f64>,
    pub resolution: Resolution,
    /// As typed, and what it means.
    pub preprocess: Option<(String, Preprocess)>,
    /// What the writer of that file should know.
    pub remarks: Vec<String>,
    /// The white of pictures with 16 bits, where it is said.
    pub white: Option<NonZeroU16>,
    /// The options as typed, for the metadata of results.
    pub said: Vec<(&'static str, String)>,
    pub skip_existing: bool,
    pub json: bool,
}

impl ExplainSettings {
    /// # Errors
    /// Whatever is wrong with the options by themselves; exit code 2.
    pub fn new(args: ExplainArgs) -> Result<Self, Failure> {
        let said = said(&args);
        let explain = ExplainOptions {
            rules: rules(&args.rules)?,
            baseline: baseline(&args.baseline)?,
            steps: args.steps,
            samples: args.samples,
            sigma: not_negative("--sigma", args.sigma)?,
            seed: args.seed,
            layer: args.layer,
            upsample: args.resolution != Resolution::Layer,
            audit: true,
            batch: batch(&args.batch)?,
        };
        if !(0.0..=1.0).contains(&args.alpha) {
            return Err(Failure::usage(format!("--alpha {} is out of range; give 0 to 1", args.alpha)));
        }
        let drawing = Drawing {
            colormap: args.colormap.map(|name| Colormap::named(&name)).transpose().map_err(Failure::usage)?,
            alpha: args.alpha,
            smooth: smooth(&args.smooth)?,
            reduce: args.reduce.map(reduce),
            extent: extent(&args.scale)?,
        };
        let (preprocess, remarks) = args.preprocess.map(preprocess).transpose()?.unzip();
        let max_error = args.max_error.map(|limit| not_negative("--max-error", limit)).transpose()?;
        Ok(Self {
            methods: methods(&args.method)?,
            target: Target::parse(&args.target).map_err(Failure::usage)?,
            logits: args.logits,
            engine: engine(&args.engine)?,
            preprocess,
            white: args.white,
            remarks: remarks.unwrap_or_default(),
            formats: args.format.into_iter().collect(),
            model: args.model,
            inputs: args.input,
            output: args.output,
            explain,
            drawing,
            max_error,
            resolution: args.resolution,
            said,
            skip_existing: args.skip_existing,
            json: args.json,
        })
    }
}

/// The methods named, each once, in their order.
pub fn methods(names: &[String]) -> Result<Vec<MethodChoice>, Failure> {
    let mut methods: Vec<MethodChoice> = Vec::new();
    for name in names {
        let choice = method(name)?;
        if !methods.contains(&choice) {
            methods.push(choice);
        }
    }
    Ok(methods)
}

/// The method called `name`.
pub fn method(name: &str) -> Result<MethodChoice, Failure> {
    name.trim().parse().map_err(Failure::usage)
}

/// The engine, with its numbers checked.
pub fn engine(args: &EngineArgs) -> Result<Engine, Failure> {
    let engine = Engine { precision: precision(args.precision), ..place(&args.place)? };
    let (place, stored) = (engine.backend, engine.precision);
    let reason = match stored {
        Precision::F64 if matches!(place, BackendArg::Cuda | BackendArg::Wgpu) || engine.device.is_some() => {
            let name = if place == BackendArg::Auto { "a GPU's".to_owned() } else { format!("the {}", name(place)) };
            format!("{name} backend does not compute in f64; leave out --precision, or use --backend cpu")
        }
        Precision::F16 if place == BackendArg::Cpu => {
            "the cpu backend does not store f16; leave out --precision, or use --backend cuda or wgpu".to_owned()
        }
        Precision::Bf16 if matches!(place, BackendArg::Cpu | BackendArg::Wgpu) => {
            let name = name(place);
            format!("the {name} backend does not store bf16; leave out --precision, or use --backend cuda")
        }
        _ => return Ok(engine),
    };
    Err(Failure::usage(reason))
}

fn name(backend: BackendArg) -> String {
    format!("{backend:?}").to_lowercase()
}

/// The same in f32.
pub fn place(args: &PlaceArgs) -> Result<Engine, Failure> {
    if let (BackendArg::Cpu, Some(device)) = (args.backend, &args.device) {
        let message = format!("--device {device} names a GPU; leave out --backend cpu, or --device");
        return Err(Failure::usage(message));
    }
    let PlaceArgs { backend, threads, .. } = *args;
    Ok(Engine { backend, device: args.device.clone(), precision: Precision::F32, threads })
}

pub fn precision(arg: PrecisionArg) -> Precision {
    match arg {
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::F64 => Precision::F64,
        PrecisionArg::F16 => Precision::F16,
        PrecisionArg::Bf16 => Precision::Bf16,
    }
}

pub fn rules(args: &RuleArgs) -> Result<RuleOptions, Failure> {
    let batch_norm = match args.batch_norm {
        BatchNormArg::Epsilon => BatchNormRule::Epsilon,
        BatchNormArg::Pass => BatchNormRule::Pass,
    };
    Ok(RuleOptions { epsilon: not_negative("--epsilon", args.epsilon)?, batch_norm })
}

fn reduce(arg: ReduceArg) -> Reduce {
    match arg {
        ReduceArg::None => Reduce::None,
        ReduceArg::Sum => Reduce::Sum,
        ReduceArg::AbsSum => Reduce::AbsSum,
        ReduceArg::MaxAbs => Reduce::MaxAbs,
        ReduceArg::L2 => Reduce::L2,
        ReduceArg::Mean => Reduce::Mean,
    }
}

/// A baseline by name or number, else from a file.
fn baseline(text: &str) -> Result<Baseline, Failure> {
    if let Some(baseline) = Baseline::parse(text) {
        return Ok(baseline);
    }
    if !Path::new(text).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
        let message = format!("--baseline {text:?} is none; give zero, mean, blur, blur:SIGMA, a number or FILE.npy");
        return Err(Failure::usage(message));
    }
    let tensor = read_array(Path::new(text)).map_err(|e| Failure::usage(e).about("--baseline"))?;
    Ok(Baseline::Tensor(Arc::new(tensor)))
}

fn smooth(text: &str) -> Result<Option<f32>, Failure> {
    match text.parse::<f32>() {
        _ if text == "auto" => Ok(None),
        Ok(sigma) if sigma.is_finite() && sigma >= 0.0 => Ok(Some(sigma)),
        _ => Err(Failure::usage(format!("--smooth {text} is out of range; give a finite number, 0 or more, or auto"))),
    }
}

fn extent(text: &str) -> Result<Option<Extent>, Failure> {
    if text == "auto" {
        return Ok(None);
    }
    let message = || format!("--scale {text} is none; give peak, a percentage such as 90%, a value above 0, or auto");
    Extent::parse(text).map(Some).ok_or_else(|| Failure::usage(message()))
}

fn batch(text: &str) -> Result<Option<usize>, Failure> {
    match text.parse::<usize>() {
        _ if text == "auto" => Ok(None),
        Ok(count) if count > 0 => Ok(Some(count)),
        _ => Err(Failure::usage(format!("--batch {text} is no number of images; give 1 or more, or auto"))),
    }
}

/// A preset, the section of that name in a JSON file or model card, or a file that is only that section; with remarks on the file.
fn preprocess(text: String) -> Result<((String, Preprocess), Vec<String>), Failure> {
    let path = Path::new(&text);
    if PRESETS.contains(&text.as_str()) || !(path.exists() || path.extension().is_some_and(|e| e == "json")) {
        return Preprocess::preset(&text).map(|preset| ((text, preset), Vec::new())).map_err(Failure::usage);
    }
    let found = preprocess_file(path).and_then(|(found, remarks)| match found.check() {
        Ok(()) => Ok((found, remarks)),
        Err(error) => Err(Failure::usage(error).about(&text)),
    });
    let (found, remarks) = found.map_err(|failure| failure.about("--preprocess"))?;
    Ok(((text, found), remarks))
}

fn preprocess_file(path: &Path) -> Result<(Preprocess, Vec<String>), Failure> {
    let card = Card::open_or_section(path).map_err(Failure::usage)?;
    let preprocess = card.preprocess.ok_or_else(|| {
        let what = "has no section preprocess; its fields are channels, size, resize, crop, range, mean and std";
        Failure::usage(what).about(path.display())
    })?;
    Ok((preprocess, card.remarks))
}

/// `value`, unless it is negative or not finite.
pub fn not_negative(option: &str, value: f64) -> Result<f64, Failure> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Failure::usage(format!("{option} {value} is out of range; give a finite number, 0 or more")))
}

/// What changes a map, as typed.
fn said(args: &ExplainArgs) -> Vec<(&'static str, String)> {
    let mut said = vec![
        ("baseline", args.baseline.clone()),
        ("epsilon", format!("{:e}", args.rules.epsilon)),
        ("batch-norm", format!("{:?}", args.rules.batch_norm).to_lowercase()),
        ("steps", args.steps.to_string()),
        ("samples", args.samples.to_string()),
        ("sigma", args.sigma.to_string()),
        ("seed", args.seed.to_string()),
        ("smooth", args.smooth.clone()),
        ("scale", args.scale.clone()),
        ("resolution", format!("{:?}", args.resolution).to_lowercase()),
        ("precision", format!("{:?}", args.engine.precision).to_lowercase()),
    ];
    said.extend(args.white.map(|white| ("white", white.to_string())));
    if let Some(reduce) = args.reduce {
        said.push(("reduce", format!("{reduce:?}").to_lowercase()));
    }
    let named = [
        ("logits", &args.logits),
        ("layer", &args.layer),
        ("preprocess", &args.preprocess),
        ("colormap", &args.colormap),
    ];
    said.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_before_anything_runs() {
        assert_eq!(batch("auto").unwrap(), None);
        assert_eq!(batch("3").unwrap(), Some(3));
        for text in ["0", "-1", "many"] {
            assert_eq!(batch(text).unwrap_err().code, super::super::failure::USAGE, "{text}");
        }
        assert!(baseline("nothing").unwrap_err().hint.unwrap().contains("blur:SIGMA"));
        assert!(baseline("none.npy").unwrap_err().message.contains("none.npy"));
        assert!(preprocess("imagenot".to_owned()).unwrap_err().hint.unwrap().contains("imagenet"));
        assert!(preprocess("none.json".to_owned()).unwrap_err().message.contains("none.json"));
        assert_eq!(methods(&["grad-cam".into(), "grad-cam".into()]).unwrap().len(), 1);
    }
}
