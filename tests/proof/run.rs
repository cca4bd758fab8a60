//! Programs and explainers run on the CPU backend.

use std::sync::Arc;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::{Backend, Phase};
use fluoroscope::explain::{ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::graph::{Graph, Precision};
use fluoroscope::method::{METHODS, Method, MethodChoice};
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Port;
use fluoroscope::rule::RuleOptions;
use fluoroscope::tensor::Tensor;

pub fn method(name: &str) -> &'static Method {
    METHODS.iter().find(|method| method.name == name).unwrap_or_else(|| panic!("no method {name}"))
}

pub fn choice(name: &str) -> MethodChoice {
    name.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// The pass of a method; CAMs stay on their layer's grid.
pub fn pass(name: &str) -> Pass {
    let method = method(name);
    Pass { upsample: false, ..Pass::of(method, None) }
}

/// Unrounded maps, one a pass, of one image and one target.
pub fn maps(
    graph: &Graph,
    methods: &[&str],
    image: &[f64],
    baseline: &[f64],
    class: usize,
    rules: &RuleOptions,
) -> Vec<Vec<f64>> {
    audited(graph, methods, image, baseline, class, rules).into_iter().map(|(map, _)| map).collect()
}

/// The same, each with the sums of its audit.
pub fn audited(
    graph: &Graph,
    methods: &[&str],
    image: &[f64],
    baseline: &[f64],
    class: usize,
    rules: &RuleOptions,
) -> Vec<(Vec<f64>, Vec<f64>)> {
    let passes: Vec<Pass> = methods.iter().map(|name| pass(name)).collect();
    of_passes(graph, &passes, image, baseline, class, rules)
}

/// The same for any passes.
pub fn of_passes(
    graph: &Graph,
    passes: &[Pass],
    image: &[f64],
    baseline: &[f64],
    class: usize,
    rules: &RuleOptions,
) -> Vec<(Vec<f64>, Vec<f64>)> {
    let program = plan(graph, passes, rules, Batch::of(1)).unwrap_or_else(|e| panic!("{e}"));
    let backend = CpuBackend::new(Precision::F64, Some(1)).expect("a backend").poisoned();
    let mut session = backend.load(Arc::new(program)).expect("a session");
    let program = session.program().clone();
    session.write(&program.input, image).expect("the image fits");
    if let Some(port) = &program.reference {
        session.write(port, baseline).expect("the baseline fits");
        session.run(Phase::Reference, None).expect("a forward pass");
    }
    session.run(Phase::Forward, None).expect("a forward pass");
    let seeds: Vec<f64> = (0..program.logits.len()).map(|i| f64::from(u8::from(i == class))).collect();
    session.write(program.seeds.as_ref().expect("seeds"), &seeds).expect("the seeds fit");
    session.run(Phase::Backward, None).expect("a backward pass");
    let read = |port: &Port| session.read(port).expect("a map");
    let both = program.outputs.iter().zip(&program.audits);
    both.map(|(map, sums)| (read(map), sums.as_ref().map_or(Vec::new(), read))).collect()
}

/// Unrounded logits of one image.
pub fn logits(graph: &Graph, image: &[f64]) -> Vec<f64> {
    let program = plan(graph, &[], &RuleOptions::default(), Batch::of(1)).unwrap_or_else(|e| panic!("{e}"));
    let backend = CpuBackend::new(Precision::F64, Some(1)).expect("a backend").poisoned();
    let mut session = backend.load(Arc::new(program)).expect("a session");
    let program = session.program().clone();
    session.write(&program.input, image).expect("the image fits");
    session.run(Phase::Forward, None).expect("a forward pass");
    session.read(&program.logits).expect("logits")
}

/// Images as a library user passes them.
pub fn tensor(graph: &Graph, images: &[Vec<f64>]) -> Tensor {
    let shape = graph.shape(graph.input);
    let data = images.concat().into_iter().map(|v| v as f32).collect();
    Tensor::new(&[images.len(), shape.channels, shape.height, shape.width], data)
}

/// The heatmaps of the library's front door.
pub fn explain(
    model: &Model,
    images: &Tensor,
    methods: &[&str],
    target: &Target,
    options: &ExplainOptions,
    threads: usize,
) -> Vec<Vec<Heatmap>> {
    let choices: Vec<MethodChoice> = methods.iter().map(|name| choice(name)).collect();
    let backend = CpuBackend::new(model.graph.precision, Some(threads)).expect("a backend").poisoned();
    let mut explainer = Explainer::new(model, Box::new(backend), options.clone()).expect("an explainer");
    explainer.explain(images, &choices, target).unwrap_or_else(|e| panic!("{methods:?}: {e}"))
}

pub fn peak(map: &[f64]) -> f64 {
    map.iter().fold(0.0, |peak, v| peak.max(v.abs()))
}

/// The largest difference; NaN where either has one.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "maps of different sizes");
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}
