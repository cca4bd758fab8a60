//! The memory a session takes against what a program says it takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::{Backend, Phase};
use fluoroscope::graph::{
    Activation, Constant, Conv2d, ConvKind, Graph, Node, Op, Pool, PoolKind, Precision, Shape, Value, ValueId,
};
use fluoroscope::method::METHODS;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

/// The system's allocator, counting bytes in use and the most there were.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let now = IN_USE.fetch_add(bytes, Ordering::SeqCst) + bytes;
    PEAK.fetch_max(now, Ordering::SeqCst);
}

// SAFETY: every call is passed on unchanged to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's contract is the one of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Most bytes in use at once while `work` runs, beyond those in use before.
fn peak_growth(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    work();
    PEAK.load(Ordering::SeqCst) - before
}

const SIZE: usize = 64;

/// VGG-like on 64x64: pairs of 3x3 convolutions with ReLU, max-pools between, a global pool and a dense layer.
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

/// What is neither slots nor weights: the f64 copy of a weight while it is laid out, the tiles of each thread, lists.
const CONSTANT: usize = 1 << 20;

fn check(precision: Precision, float: usize) {
    let graph = vgg(precision);
    let names =
        ["gradient", "guided-backprop", "grad-cam", "lrp-epsilon", "lrp-zplus", "epsilon-plus-flat", "deeplift"];
    for name in names {
        let method = METHODS.iter().find(|method| method.name == name).expect("a method");
        for images in [1, 4] {
            let pass = Pass { composite: method.composite, readout: method.readout, layer: None, upsample: true };
            let batch = Batch::of(images);
            let program = Arc::new(plan(&graph, &[pass], &RuleOptions::default(), batch).expect("a program"));
            let (slots, weights) = (program.slot_bytes(float), weight_bytes(&program, float));
            let backend = CpuBackend::new(precision, Some(2)).expect("a backend");
            let pixels = 3 * SIZE * SIZE;
            let image: Vec<f64> = (0..images * pixels).map(|i| (i * 29 % 83) as f64 / 41.0 - 1.0).collect();
            let seeds: Vec<f64> = (0..images * 10).map(|i| f64::from(u8::from(i % 10 == 3))).collect();
            let mut session = None;
            let loaded = peak_growth(|| session = Some(backend.load(Arc::clone(&program)).expect("a session")));
            let mut session = session.expect("a session");
            session.write(&program.input, &image).expect("images");
            if let Some(port) = &program.reference {
                session.write(port, &vec![0.0; pixels]).expect("a baseline");
            }
            session.write(program.seeds.as_ref().expect("seeds"), &seeds).expect("seeds");
            let ran = peak_growth(|| {
                session.run(Phase::Forward, None).expect("a forward pass");
                session.run(Phase::Backward, None).expect("a backward pass");
            });
            let (took, said) = (loaded + ran, slots + weights);
            let label = format!("{name} in {precision}, {images} images");
            assert_eq!(session.slot_bytes(), slots, "{label}");
            assert!(slots > 2 * weights || images == 1, "{label}: slots do not dominate: {slots}, weights {weights}");
            assert!(took as f64 <= 1.1 * said as f64 + CONSTANT as f64, "{label}: took {took}, said {said}");
            // Slots that are claimed and not needed would hide a leak elsewhere.
            assert!(took as f64 >= 0.9 * slots as f64, "{label}: took {took}, slots {slots}");
        }
    }
}

/// A gradient of a ReLU net keeps a bit where another would keep a float: less than half of what all values take.
fn check_bits() {
    let graph = vgg(Precision::F32);
    let method = METHODS.iter().find(|method| method.name == "gradient").expect("a method");
    let pass = Pass { composite: method.composite, readout: method.readout, layer: None, upsample: true };
    let program = plan(&graph, &[pass], &RuleOptions::default(), Batch::of(1)).expect("a program");
    let values: usize = graph.values.iter().map(|value| 4 * value.shape.len()).sum();
    assert!(program.slot_bytes(4) < values / 2, "{} of {values} bytes", program.slot_bytes(4));
}

/// One test, so that nothing else allocates beside it.
#[test]
fn a_session_takes_what_its_program_says() {
    check_bits();
    check(Precision::F32, 4);
    check(Precision::F64, 8);
}
