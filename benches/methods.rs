//! Heatmaps a second, through the library as a user calls it.
//!
//!     cargo bench --bench methods                          criterion, over the models in `data/`
//!     cargo bench --bench methods -- --serve MODEL THREADS  one JSON request a line on standard input, one answer a line
//!
//! `FLUOROSCOPE_BACKEND=cuda` or `wgpu` takes the first device of that backend in place of the CPU.
//!
//! A request is `{"method", "input", "map"}`: a method's name, an `.npy` batch, and where to write the maps of class 0
//! (or null). The answer is `{"seconds", "slot_bytes", "peak_bytes"}`; `benches/peers.py` times other tools against it.

#[path = "common/place.rs"]
mod place;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use fluoroscope::explain::{ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::picture::{read_npy, write_npy};
use fluoroscope::tensor::Tensor;
use serde_json::{Value, json};

const METHODS: [&str; 7] =
    ["gradient", "guided-backprop", "grad-cam", "guided-grad-cam", "lrp-epsilon", "epsilon-plus-flat", "deeplift"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == "--serve") {
        Some(at) => serve(Path::new(&args[at + 1]), args[at + 2].parse().expect("a number of threads")),
        None => {
            let mut criterion = Criterion::default().sample_size(10).configure_from_args();
            time(&mut criterion);
            criterion.final_summary();
        }
    }
}

/// Every method on the committed models, one image and four.
fn time(criterion: &mut Criterion) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
    for name in ["chest/chest-densenet", "models/efficientnet-lite0"] {
        let model = Model::open(data.join(format!("{name}.onnx"))).expect("a model");
        let mut group = criterion.benchmark_group(name);
        for batch in [1, 4] {
            let images = noise(&model, batch);
            let mut explainer = explainer(&model, None, batch);
            for method in METHODS {
                let methods: [MethodChoice; 1] = [method.parse().expect("a method")];
                check(&explainer.explain(&images, &methods, &Target::Index(0)).expect("maps"));
                group.throughput(Throughput::Elements(batch as u64));
                group.bench_function(BenchmarkId::new(method, batch), |bencher| {
                    bencher.iter(|| explainer.explain(&images, &methods, &Target::Index(0)).expect("maps"));
                });
            }
        }
        group.finish();
    }
}

/// A map that is not finite, or does not add up as its method promises, is not worth timing.
fn check(lists: &[Vec<Heatmap>]) {
    for heatmap in lists.iter().flatten() {
        let report = &heatmap.report;
        assert_eq!(report.non_finite, 0, "{}", heatmap.method);
        let deeplift = heatmap.method.method.name == "deeplift";
        assert!(!deeplift || report.completeness_error.is_some_and(|error| error < 1e-3), "{}", heatmap.method);
    }
}

fn explainer(model: &Model, threads: Option<usize>, batch: usize) -> Explainer<'_> {
    let options = ExplainOptions { batch: Some(batch), ..ExplainOptions::default() };
    Explainer::new(model, place::backend(threads), options).expect("an explainer")
}

fn noise(model: &Model, batch: usize) -> Tensor {
    let shape = model.input();
    let values = (0..batch * shape.len()).map(|i| ((i as f32 * 0.7).sin() + (i as f32 * 0.013).cos()) * 0.8);
    Tensor::new(&[batch, shape.channels, shape.height, shape.width], values.collect())
}

fn serve(model: &Path, threads: usize) {
    let model = Model::open(model).expect("a model");
    let mut kept: Option<(usize, Explainer)> = None;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let text = |key: &str| request[key].as_str();
        let input = read_npy(Path::new(text("input").expect("an input"))).expect("an array");
        let methods: [MethodChoice; 1] = [text("method").expect("a method").parse().expect("a method")];
        let batch = input.shape[0];
        if kept.as_ref().is_none_or(|(size, _)| *size != batch) {
            kept = Some((batch, explainer(&model, Some(threads), batch)));
        }
        let Some((_, explainer)) = &mut kept else { unreachable!("an explainer was just made") };
        let start = Instant::now();
        let lists = explainer.explain(&input, &methods, &Target::Index(0)).expect("maps");
        let seconds = start.elapsed().as_secs_f64();
        if let Some(path) = text("map") {
            let maps: Vec<f32> = lists.iter().flat_map(|list| list[0].map.data.iter().copied()).collect();
            let shape = [&[batch], &lists[0][0].map.shape[..]].concat();
            write_npy(Path::new(path), &Tensor::new(&shape, maps)).expect("a file");
        }
        let slot_bytes = explainer.slot_bytes();
        println!("{}", json!({"seconds": seconds, "slot_bytes": slot_bytes, "peak_bytes": peak_bytes()}));
        std::io::stdout().flush().expect("standard output");
    }
}

/// The largest resident set so far, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
