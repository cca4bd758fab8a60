//! The kernels alone: every kernel and shape that the methods need of the networks, each checked, then timed by the device's
//! own clock. Under criterion's figures for each: microseconds, GFLOP/s, GB/s and the percent of the roof, as measured on
//! the device before.
//!
//!     cargo bench --bench kernels                                           the models in `data/`, on the CPU
//!     FLUOROSCOPE_BACKEND=cuda FLUOROSCOPE_MODELS=DIR cargo bench --bench kernels -- conv2d_backward
//!
//! `benches/gpu/models.py DIR` exports ResNet-50, VGG-16, DenseNet-121 and EfficientNet-B0.

#[path = "common/place.rs"]
mod place;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use fluoroscope::backend::step_check;
use fluoroscope::backend::{Backend, BackendError, Phase, Rate, Roof, Session};
use fluoroscope::explain::{ExplainOptions, Explainer, Target};
use fluoroscope::graph::Precision;
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::{Element, Port, Program, Step};
use fluoroscope::rule::RuleOptions;
use fluoroscope::tensor::Tensor;
use place::fail;

/// One of each family of rules.
const METHODS: [&str; 6] = ["gradient", "guided-backprop", "grad-cam", "lrp-epsilon", "lrp-zplus", "deeplift"];

const BATCHES: [usize; 2] = [1, 32];

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let backend = place::backend(None);
    let roof = backend.roof().unwrap_or_else(|error| fail(&error.to_string()));
    let roof_text = roof.as_ref().map(|roof| format!("; {roof}")).unwrap_or_default();
    println!("{} ({}){roof_text}", backend.name(), backend.device());
    for path in models() {
        let model = Model::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        METHODS.iter().for_each(|method| check(&program(&model, method, 1), &*backend, method));
        for batch in BATCHES {
            METHODS.iter().for_each(|method| check_batch(&model, batch, method));
            let mut seen = BTreeSet::new();
            for method in METHODS {
                time(&mut criterion, &name, &program(&model, method, batch), &*backend, roof.as_ref(), &mut seen);
            }
        }
    }
    criterion.final_summary();
}

/// The ONNX files in `FLUOROSCOPE_MODELS`, or those that are shipped.
fn models() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("FLUOROSCOPE_MODELS").map(PathBuf::from) else {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        return ["chest/chest-densenet.onnx", "models/efficientnet-lite0.onnx"].map(|name| data.join(name)).into();
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut models: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    models.sort();
    if models.is_empty() {
        let folder = folder.display();
        fail(&format!("FLUOROSCOPE_MODELS={folder} has no ONNX file; make some with benches/gpu/models.py {folder}"));
    }
    models
}

fn program(model: &Model, method: &str, batch: usize) -> Program {
    let choice: MethodChoice = method.parse().expect("a method");
    let pass = Pass::of(choice.method, model.default_layer());
    plan(&model.graph, &[pass], &RuleOptions::default(), Batch::of(batch))
        .unwrap_or_else(|error| fail(&error.to_string()))
}

/// A kernel that is wrong is not worth timing. Here it is checked with one image.
fn check(program: &Program, backend: &dyn Backend, method: &str) {
    let errors = step_check::check(program, backend, None, |_| {}).unwrap_or_else(|error| fail(&error.to_string()));
    for (step, error) in program.steps.iter().zip(errors) {
        assert!(error.passes(), "{method}, {} of {}: {error:?}", step.kernel.stem(), step.label);
    }
}

/// Other kernels may compute a larger batch: its maps have to be those of single images, bit by bit. They are of two images,
/// which take turns.
fn check_batch(model: &Model, batch: usize, method: &str) {
    let shape = model.input();
    let maps = |images: usize, batch: usize| {
        let values = (0..images * shape.len()).map(|i| ((i % (2 * shape.len())) as f32 * 0.7).sin());
        let images = Tensor::new(&[images, shape.channels, shape.height, shape.width], values.collect());
        let options = ExplainOptions { batch: Some(batch), ..ExplainOptions::default() };
        let choice: MethodChoice = method.parse().expect("a method");
        let explained = Explainer::new(model, place::backend(None), options)
            .and_then(|mut explainer| explainer.explain(&images, &[choice], &Target::Index(0)));
        explained.unwrap_or_else(|error| fail(&error.to_string()))
    };
    let (single, together) = (maps(2, 1), maps(batch, batch));
    let differs = (0..batch).find(|&i| together[i][0].map.data != single[i % 2][0].map.data);
    assert_eq!(differs, None, "{method}: an image of a batch of {batch} differs from the same image alone");
}

/// Every step whose kernel and shape are new.
fn time(
    criterion: &mut Criterion,
    net: &str,
    program: &Program,
    backend: &dyn Backend,
    roof: Option<&Roof>,
    seen: &mut BTreeSet<String>,
) {
    let mut group = criterion.benchmark_group(format!("{net}, batch {}", program.images));
    for step in &program.steps {
        let id = format!("{} {}", step.kernel.stem(), program.shape(step));
        if !seen.insert(id.clone()) {
            continue;
        }
        let mut session = backend.load(Arc::new(program.only(step))).unwrap_or_else(|error| fail(&error.to_string()));
        fill(session.as_mut(), step).expect("as many values as a port takes");
        group.throughput(match program.flops(step) {
            0 => Throughput::Bytes(program.traffic(step, size_of::<f32>()) as u64),
            flops => Throughput::Elements(flops as u64),
        });
        let mut times = Vec::new();
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|count| {
                let before = times.len();
                (0..count).for_each(|_| session.run(Phase::Forward, Some(&mut times)).expect("runs"));
                times[before..].iter().sum::<Duration>()
            });
        });
        // None where the filter leaves it out.
        if let Some(seconds) = median(&mut times) {
            println!("{:24}{}", "", Rate::of(program, step, Precision::F32, seconds, roof));
        }
    }
    group.finish();
}

/// Seconds of the middle one. A clock may be too coarse for a step; no time is zero.
fn median(times: &mut [Duration]) -> Option<f64> {
    times.sort();
    times.get(times.len() / 2).map(|time| time.as_secs_f64().max(1e-9))
}

/// Writes noise to everything that the step reads.
fn fill(session: &mut dyn Session, step: &Step) -> Result<(), BackendError> {
    let program = session.program().clone();
    let mut state = 1u32;
    for view in step.reads() {
        let buffer = program.buffer(view);
        let port = Port::whole(buffer, view.buffer);
        let noise = (0..program.count(buffer.per) * port.len()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match buffer.element {
                Element::Float | Element::F16 | Element::Bf16 => f64::from(state >> 8) / f64::from(1u32 << 23) - 1.0,
                Element::Bits => f64::from(state >> 31),
                Element::Index | Element::Byte => 0.0,
            }
        });
        session.write(&port, &noise.collect::<Vec<_>>())?;
    }
    Ok(())
}
