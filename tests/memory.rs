#![cfg(target_os = "linux")]

//! The memory a session takes against what a program says it takes.

use std::collections::HashMap;
use std::sync::Arc;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::{Backend, Phase};
use fluoroscope::graph::{
    Activation, Constant, Conv2d, ConvKind, Graph, Node, Op, Pool, PoolKind, Precision, Shape, Value, ValueId,
};
use fluoroscope::method::{METHODS, Method};
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

/// A line of a file of /proc/self, in bytes.
fn bytes_of(file: &str, key: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).expect("a Linux system");
    let line = text.lines().find(|line| line.starts_with(key)).expect("the line");
    let kib: usize = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib << 10
}

/// How far the resident set grows.
struct Growth {
    /// At most, while the work runs. Some kernels count it by the processor, and miss some 0.1 MB of each.
    peak: usize,
    /// To the end, with what the work returns alive: pages counted one by one.
    kept: usize,
}

fn growth<T>(work: impl FnOnce() -> T) -> Growth {
    // Forgets the peak so far.
    std::fs::write("/proc/self/clear_refs", "5").expect("a Linux system");
    let resident = || bytes_of("smaps_rollup", "Rss:");
    let before = resident();
    let alive = work();
    let growth =
        Growth { peak: bytes_of("status", "VmHWM").saturating_sub(before), kept: resident().saturating_sub(before) };
    drop(alive);
    growth
}

/// A backend with no weights yet. It stays: the threads of one that is gone give their stacks back while the next is measured.
fn fresh(precision: Precision) -> &'static CpuBackend {
    Box::leak(Box::new(CpuBackend::new(precision, Some(2)).expect("a backend")))
}

const SIZE: usize = 96;

/// VGG-like on 96x96: pairs of 3x3 convolutions with ReLU, max-pools between, a global pool and a dense layer.
fn vgg(precision: Precision) -> Graph {
    let shape = Shape::new(3, SIZE, SIZE);
    let mut graph = Graph {
        values: vec![Value { name: "input".to_owned(), shape }],
        nodes: Vec::new(),
        input: ValueId(0),
        output: ValueId(0),
        precision,
        aliases: HashMap::new(),
        notes: Vec::new(),
    };
    let mut push = |op: Op, shape: Shape| {
        let (input, output) = (ValueId(graph.values.len() - 1), ValueId(graph.values.len()));
        let name = format!("{}{}", op.name(), output.0);
        graph.values.push(Value { name: name.clone(), shape });
        graph.nodes.push(Node { op, inputs: vec![input], output, name, path: String::new() });
        graph.output = output;
    };
    let convolution = |kind, from: usize, to: usize, kernel: usize, pad: usize| {
        let count = from * to * kernel * kernel;
        let weight = Constant::new((0..count).map(|i| ((i * 37 % 101) as f64 / 50.0 - 1.0) * 0.1), precision);
        let bias = Some(Constant::new((0..to).map(|i| i as f64 * 0.01), precision));
        let (kernel, pads) = ([kernel; 2], [pad; 4]);
        Op::Conv2d(Conv2d {
            kind,
            weight,
            bias,
            out_channels: to,
            kernel,
            stride: [1; 2],
            dilation: [1; 2],
            pads,
            groups: 1,
            space_to_depth: None,
        })
    };
    let pool = |kind, size: usize, stride: usize| {
        Op::Pool(Pool { kind, kernel: [size; 2], stride: [stride; 2], dilation: [1; 2], pads: [0; 4], ceil: false })
    };
    let (mut channels, mut size) = (3, SIZE);
    for width in [32, 48, 64] {
        for _ in 0..2 {
            let shape = Shape::new(width, size, size);
            push(convolution(ConvKind::Conv, channels, width, 3, 1), shape);
            push(Op::Activation(Activation::Relu), shape);
            channels = width;
        }
        push(pool(PoolKind::Max, 2, 2), Shape::new(channels, size / 2, size / 2));
        size /= 2;
    }
    push(pool(PoolKind::Average { include_pad: false }, size, 1), Shape::new(channels, 1, 1));
    push(convolution(ConvKind::Dense, channels, 10, 1, 0), Shape::new(10, 1, 1));
    graph
}

/// Bytes of the weights of all steps as a backend lays them out, each once.
fn weight_bytes(program: &Program, float: usize) -> usize {
    let mut seen = std::collections::HashSet::new();
    let of_kernels = program.steps.iter().flat_map(|step| &step.weights);
    of_kernels.filter(|weight| seen.insert(weight.key())).map(|weight| weight.materialise().len() * float).sum()
}

/// What is neither slots nor weights: the copy of a weight while it is laid out, the tiles and stack of each thread,
/// code that is read for the first time, pages that the allocator keeps.
const CONSTANT: usize = 6 << 20;

fn check(precision: Precision, names: &[&str], batches: &[usize]) {
    let float = if precision == Precision::F64 { 8 } else { 4 };
    let graph = vgg(precision);
    for name in names {
        let method = METHODS.iter().find(|method| method.name == *name).expect("a method");
        for &images in batches {
            let pass = Pass::of(method, None);
            let batch = Batch::of(images);
            let program = Arc::new(plan(&graph, &[pass], &RuleOptions::default(), batch).expect("a program"));
            let (slots, weights) = (program.slot_bytes(float), weight_bytes(&program, float));
            let backend = fresh(precision);
            let pixels = 3 * SIZE * SIZE;
            let image: Vec<f64> = (0..images * pixels).map(|i| (i * 29 % 83) as f64 / 41.0 - 1.0).collect();
            let seeds: Vec<f64> = (0..images * 10).map(|i| f64::from(u8::from(i % 10 == 3))).collect();
            let mut bytes = 0;
            let took = growth(|| {
                let mut session = backend.load(Arc::clone(&program)).expect("a session");
                session.write(&program.input, &image).expect("images");
                if let Some(port) = &program.reference {
                    session.write(port, &vec![0.0; pixels]).expect("a baseline");
                }
                session.write(program.seeds.as_ref().expect("seeds"), &seeds).expect("seeds");
                for phase in Phase::ALL {
                    session.run(phase, None).expect("a pass");
                }
                bytes = session.slot_bytes();
                session
            });
            let said = slots + weights;
            let label = format!("{name} in {precision}, {images} images");
            assert_eq!(bytes, slots, "{label}");
            assert!(slots > 2 * weights || images == 1, "{label}: slots do not dominate: {slots}, weights {weights}");
            let most = took.peak.max(took.kept);
            assert!(most as f64 <= 1.1 * said as f64 + CONSTANT as f64, "{label}: took {most}, said {said}");
            // Slots that are claimed and not needed would hide a leak elsewhere.
            assert!(took.kept as f64 >= 0.8 * slots as f64, "{label}: took {}, slots {slots}", took.kept);
        }
    }
}

/// A gradient of a ReLU net keeps a bit where another would keep a float: less than half of what all values take.
fn check_bits() {
    let graph = vgg(Precision::F32);
    let method = METHODS.iter().find(|method| method.name == "gradient").expect("a method");
    let pass = Pass::of(method, None);
    let program = plan(&graph, &[pass], &RuleOptions::default(), Batch::of(1)).expect("a program");
    let values: usize = graph.values.iter().map(|value| 4 * value.shape.len()).sum();
    assert!(program.slot_bytes(4) < values / 2, "{} of {values} bytes", program.slot_bytes(4));
}

/// Growth of the resident set while a session of `images` images lives.
fn session_takes(model: &Model, method: &'static Method, images: usize) -> usize {
    let pass = Pass::of(method, model.default_layer());
    let program = Arc::new(plan(&model.graph, &[pass], &RuleOptions::default(), Batch::of(images)).expect("a program"));
    let backend = fresh(Precision::F32);
    let classes = program.logits.len();
    let image: Vec<f64> = (0..images * model.input().len()).map(|i| (i * 29 % 83) as f64 / 41.0 - 1.0).collect();
    let seeds: Vec<f64> = (0..images * classes).map(|i| f64::from(u8::from(i % classes == 3))).collect();
    let took = growth(|| {
        let mut session = backend.load(Arc::clone(&program)).expect("a session");
        session.write(&program.input, &image).expect("images");
        session.write(program.seeds.as_ref().expect("seeds"), &seeds).expect("seeds");
        session.run(Phase::Forward, None).expect("a forward pass");
        session.run(Phase::Backward, None).expect("a backward pass");
        session
    });
    took.peak.max(took.kept)
}

/// `inspect` says what an image more takes, and what is taken once.
fn check_inspect() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models/efficientnet-lite0.onnx");
    let name = "lrp-epsilon";
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_fluoroscope"))
        .args(["inspect", "--method", name, "--json"])
        .arg(&path)
        .output()
        .expect("the binary runs");
    let object: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let bytes = |key: &str| object["memory"][key].as_u64().expect("bytes") as f64;
    let model = Model::open(&path).expect("a model");
    let method = METHODS.iter().find(|method| method.name == name).expect("a method");
    let [one, five] = [1, 5].map(|images| session_takes(&model, method, images) as f64);
    let (more, per_image) = ((five - one) / 4.0, bytes("per_image"));
    assert!((more / per_image - 1.0).abs() < 0.15, "an image takes {more}, said {per_image}");
    let (all, said) = (five, bytes("fixed") + 5.0 * per_image + bytes("weights"));
    assert!((all / said - 1.0).abs() < 0.15, "five images take {all}, said {said}");
}

/// From this size on glibc maps a block by itself and gives it back at once. Left alone, the threshold grows with the blocks
/// that are freed, and what stays resident then depends on the order of the threads.
const MAPPED: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// One test, so that nothing else allocates beside it, in a process whose allocator keeps no large block.
#[test]
fn a_session_takes_what_its_program_says() {
    let (key, bytes) = MAPPED;
    if std::env::var(key).as_deref() != Ok(bytes) {
        let test = std::env::current_exe().expect("the test's file");
        let ran = std::process::Command::new(test).env(key, bytes).output().expect("the test runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        return;
    }
    check_bits();
    check_inspect();
    let names =
        ["gradient", "guided-backprop", "grad-cam", "lrp-epsilon", "lrp-zplus", "epsilon-plus-flat", "deeplift"];
    check(Precision::F32, &names, &[1, 4]);
    // The same slots of twice the bytes: the methods with the fewest and with the most of them.
    check(Precision::F64, &["gradient", "deeplift"], &[4]);
}
