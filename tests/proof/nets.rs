//! Small networks: a builder over the graph types, and a seeded generator of random ones.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use fluoroscope::graph::{
    Activation, Affine, AffineKind, Constant, Conv2d, ConvKind, Graph, Node, Op, Pool, PoolKind, Precision, Rearrange,
    Resize, ResizeMode, Shape, Value, ValueId,
};
use fluoroscope::model::{Model, Probability};

/// A xorshift generator: the same numbers on every machine.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        let mut rng = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = rng.bits());
        rng
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform on (-1, 1).
    pub fn signed(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() >> 33) as usize % n
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Rounded to f32, so that an image is the same in both precisions.
    pub fn image(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| f64::from((1.5 * self.signed()) as f32)).collect()
    }
}

/// The window of a convolution.
#[derive(Clone, Copy)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub pads: [usize; 4],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl Window {
    pub fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], pads: [pad; 4], dilation: [1; 2], groups: 1 }
    }
}

/// A graph under construction.
pub struct Net {
    graph: Graph,
    pub rng: Rng,
    pub bias: bool,
    /// Constants by their length, where nobody asks what they are.
    pub blank: Option<HashMap<usize, Constant>>,
}

impl Net {
    pub fn new(seed: u64, shape: [usize; 3], precision: Precision) -> Self {
        let [channels, height, width] = shape;
        let input = Value { name: "input".to_owned(), shape: Shape::new(channels, height, width) };
        let graph = Graph {
            values: vec![input],
            nodes: Vec::new(),
            input: ValueId(0),
            output: ValueId(0),
            precision,
            aliases: HashMap::new(),
            notes: Vec::new(),
        };
        Self { graph, rng: Rng::new(seed), bias: true, blank: None }
    }

    pub fn input(&self) -> ValueId {
        self.graph.input
    }

    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.shape(value)
    }

    fn push(&mut self, op: Op, inputs: &[ValueId], shape: Shape) -> ValueId {
        let output = ValueId(self.graph.values.len());
        let name = format!("{}{}", op.name().to_lowercase(), output.0);
        self.graph.values.push(Value { name: format!("{name}.out"), shape });
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), output, name, path: String::new() });
        output
    }

    fn constants(&mut self, count: usize, scale: f64, offset: f64) -> Constant {
        let precision = self.graph.precision;
        if let Some(blank) = &mut self.blank {
            let make = || Constant::new(std::iter::repeat_n(0.0, count), precision);
            return blank.entry(count).or_insert_with(make).clone();
        }
        let values: Vec<f64> = (0..count).map(|_| offset + scale * self.rng.signed()).collect();
        Constant::new(values, precision)
    }

    fn convolution(&mut self, x: ValueId, kind: ConvKind, out: usize, w: Window, size: [usize; 2]) -> ValueId {
        let channels = self.shape(x).channels;
        let taps = w.kernel[0] * w.kernel[1];
        let scale = (6.0 / (taps * channels / w.groups) as f64).sqrt();
        let weight = self.constants(out * channels / w.groups * taps, scale, 0.0);
        let bias = self.bias.then(|| self.constants(out, 0.3, 0.0));
        let Window { kernel, stride, pads, dilation, groups } = w;
        let (out_channels, space_to_depth) = (out, None);
        let conv = Conv2d { kind, weight, bias, out_channels, kernel, stride, dilation, pads, groups, space_to_depth };
        self.push(Op::Conv2d(conv), &[x], Shape::new(out, size[0], size[1]))
    }

    pub fn conv(&mut self, x: ValueId, out: usize, w: Window) -> ValueId {
        let shape = self.shape(x);
        let size = |axis: usize, n: usize| {
            (n + w.pads[axis] + w.pads[axis + 2] - w.dilation[axis] * (w.kernel[axis] - 1) - 1) / w.stride[axis] + 1
        };
        self.convolution(x, ConvKind::Conv, out, w, [size(0, shape.height), size(1, shape.width)])
    }

    pub fn conv_transposed(&mut self, x: ValueId, out: usize, w: Window) -> ValueId {
        let shape = self.shape(x);
        let size = |axis: usize, n: usize| {
            (n - 1) * w.stride[axis] + w.dilation[axis] * (w.kernel[axis] - 1) + 1 - w.pads[axis] - w.pads[axis + 2]
        };
        self.convolution(x, ConvKind::Transposed, out, w, [size(0, shape.height), size(1, shape.width)])
    }

    pub fn dense(&mut self, x: ValueId, out: usize) -> ValueId {
        let shape = self.shape(x);
        let window = Window { kernel: [shape.height, shape.width], ..Window::square(1, 1, 0) };
        self.convolution(x, ConvKind::Dense, out, window, [1, 1])
    }

    pub fn affine(&mut self, x: ValueId, kind: AffineKind) -> ValueId {
        let shape = self.shape(x);
        let (scale, shift) = match kind {
            AffineKind::BatchNorm | AffineKind::ScaleShift => {
                (self.constants(shape.channels, 0.5, 1.0), self.constants(shape.channels, 0.4, 0.0))
            }
            AffineKind::Scale => (self.constants(shape.channels, 0.5, 1.0), self.constants(shape.channels, 0.0, 0.0)),
            AffineKind::Shift => (self.constants(shape.channels, 0.0, 1.0), self.constants(shape.channels, 0.4, 0.0)),
        };
        let shift = if self.bias { shift } else { Constant::new(vec![0.0; shape.channels], self.graph.precision) };
        self.push(Op::Affine(Affine { kind, scale, shift }), &[x], shape)
    }

    /// Normalised over the channels of each pixel, scaled and shifted.
    pub fn layer_norm(&mut self, x: ValueId) -> ValueId {
        let shape = self.shape(x);
        let x = self.push(Op::LayerNorm { epsilon: 0.05 }, &[x], shape);
        self.affine(x, AffineKind::ScaleShift)
    }

    pub fn act(&mut self, x: ValueId, activation: Activation) -> ValueId {
        let shape = self.shape(x);
        let activation = match activation {
            Activation::PRelu { .. } => Activation::PRelu { slope: self.constants(shape.channels, 0.2, 0.3) },
            other => other,
        };
        self.push(Op::Activation(activation), &[x], shape)
    }

    pub fn relu(&mut self, x: ValueId) -> ValueId {
        self.act(x, Activation::Relu)
    }

    pub fn pool(&mut self, x: ValueId, kind: PoolKind, w: Window, ceil: bool) -> ValueId {
        let shape = self.shape(x);
        let size = |axis: usize, n: usize| {
            let span = n + w.pads[axis] + w.pads[axis + 2] - w.dilation[axis] * (w.kernel[axis] - 1) - 1;
            let mut count = if ceil { span.div_ceil(w.stride[axis]) } else { span / w.stride[axis] } + 1;
            if ceil && (count - 1) * w.stride[axis] >= n + w.pads[axis] {
                count -= 1;
            }
            count
        };
        let (height, width) = (size(0, shape.height), size(1, shape.width));
        let Window { kernel, stride, pads, dilation, .. } = w;
        let pool = Pool { kind, kernel, stride, dilation, pads, ceil };
        self.push(Op::Pool(pool), &[x], Shape::new(shape.channels, height, width))
    }

    pub fn max_pool(&mut self, x: ValueId, kernel: usize, stride: usize, pad: usize) -> ValueId {
        self.pool(x, PoolKind::Max, Window::square(kernel, stride, pad), false)
    }

    pub fn average_pool(&mut self, x: ValueId, kernel: usize, stride: usize, pad: usize) -> ValueId {
        self.pool(x, PoolKind::Average { include_pad: false }, Window::square(kernel, stride, pad), false)
    }

    pub fn global_pool(&mut self, x: ValueId) -> ValueId {
        let shape = self.shape(x);
        let window = Window { kernel: [shape.height, shape.width], ..Window::square(1, 1, 0) };
        self.pool(x, PoolKind::Average { include_pad: false }, window, false)
    }

    /// The shape of a sum or product of two values, one of which may be broadcast.
    fn joint(&self, a: ValueId, b: ValueId) -> Shape {
        let (a, b) = (self.shape(a), self.shape(b));
        if a.len() >= b.len() { a } else { b }
    }

    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let shape = self.joint(a, b);
        self.push(Op::Add { negative: false }, &[a, b], shape)
    }

    pub fn subtract(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let shape = self.joint(a, b);
        self.push(Op::Add { negative: true }, &[a, b], shape)
    }

    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let shape = self.joint(a, b);
        self.push(Op::Mul, &[a, b], shape)
    }

    pub fn concat(&mut self, parts: &[ValueId]) -> ValueId {
        let first = self.shape(parts[0]);
        let channels = parts.iter().map(|part| self.shape(*part).channels).sum();
        self.push(Op::Concat, parts, Shape { channels, ..first })
    }

    /// Channels in two groups, interleaved.
    pub fn shuffle(&mut self, x: ValueId) -> ValueId {
        let shape = self.shape(x);
        let (half, area) = (shape.channels / 2, shape.area());
        let from = |channel: usize| if channel < 2 * half { channel % 2 * half + channel / 2 } else { channel };
        let table: Arc<[u32]> = (0..shape.len()).map(|i| (from(i / area) * area + i % area) as u32).collect();
        self.push(Op::Rearrange(Rearrange { name: "Transpose", table, fill: 0.0 }), &[x], shape)
    }

    /// One cell of `fill` on every side.
    pub fn pad(&mut self, x: ValueId, fill: f64) -> ValueId {
        let shape = self.shape(x);
        let padded = Shape::new(shape.channels, shape.height + 2, shape.width + 2);
        let place = |i: usize| {
            let (c, y, x) = (i / padded.area(), i % padded.area() / padded.width, i % padded.width);
            let inside = (1..=shape.height).contains(&y) && (1..=shape.width).contains(&x);
            if inside { ((c * shape.height + y - 1) * shape.width + x - 1) as u32 } else { Rearrange::FILL }
        };
        let table = (0..padded.len()).map(place).collect();
        self.push(Op::Rearrange(Rearrange { name: "Pad", table, fill }), &[x], padded)
    }

    pub fn resize(&mut self, x: ValueId, mode: ResizeMode, size: [usize; 2]) -> ValueId {
        let shape = self.shape(x);
        let scale = [shape.height as f64 / size[0] as f64, shape.width as f64 / size[1] as f64];
        let offset = if mode == ResizeMode::Bilinear { scale.map(|s| 0.5 * s - 0.5) } else { [0.0; 2] };
        self.push(Op::Resize(Resize { mode, scale, offset }), &[x], Shape::new(shape.channels, size[0], size[1]))
    }

    /// Squeeze and excitation: `x` times a gate a channel, made from its means.
    pub fn squeeze(&mut self, x: ValueId, gate: Activation) -> ValueId {
        let channels = self.shape(x).channels;
        let mean = self.global_pool(x);
        let hidden = self.conv(mean, channels.div_ceil(2), Window::square(1, 1, 0));
        let hidden = self.act(hidden, Activation::Silu);
        let logits = self.conv(hidden, channels, Window::square(1, 1, 0));
        let gate = self.act(logits, gate);
        self.mul(x, gate)
    }

    pub fn finish(mut self, output: ValueId) -> Graph {
        self.graph.output = output;
        self.graph
    }
}

/// A block of ConvNeXt (Liu et al. 2022): a depthwise convolution of 7x7, layer norm, two layers of single pixels with GELU
/// between them, a scale a channel, and the input added.
pub fn convnext_block(net: &mut Net, x: ValueId) -> ValueId {
    let channels = net.shape(x).channels;
    let point = Window::square(1, 1, 0);
    let y = net.conv(x, channels, Window { groups: channels, ..Window::square(7, 1, 3) });
    let y = net.layer_norm(y);
    let y = net.conv(y, 4 * channels, point);
    let y = net.act(y, Activation::Gelu);
    let y = net.conv(y, channels, point);
    let y = net.affine(y, AffineKind::Scale);
    net.add(x, y)
}

/// Activations of every kind but the reciprocal, which needs an operand away from zero.
pub fn activations() -> Vec<Activation> {
    vec![
        Activation::Relu,
        Activation::Clip { low: 0.0, high: 0.8 },
        Activation::Clip { low: -0.5, high: f64::INFINITY },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::PRelu { slope: Constant::new([], Precision::F64) },
        Activation::Elu { alpha: 0.7 },
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSwish,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Silu,
        Activation::Gelu,
    ]
}

/// What a random graph may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Every op and activation but layer normalisation, for which DeepLIFT has no rule.
    All,
    /// The same with layer normalisation.
    Normed,
    /// Every op and activation without a kink: no max-pools.
    Smooth,
    /// Convolutions, ReLU, both pools, sums, concatenations, lone batch norm, reused values; no biases.
    BiasFreeRelu,
    /// Linear ops alone; no biases.
    BiasFreeLinear,
}

const CLASSES: usize = 4;

/// A random network: a chain of blocks with residuals, concatenations, gates and reused values; nothing is dead.
pub fn random(seed: u64, flavour: Flavour, precision: Precision) -> Graph {
    let mut rng = Rng::new(seed ^ 0xabcd);
    let shape = [rng.pick(&[1, 2, 3, 5]), 6 + rng.below(3), 6 + rng.below(3)];
    let mut net = Net::new(seed, shape, precision);
    net.bias = matches!(flavour, Flavour::All | Flavour::Normed | Flavour::Smooth);
    let out = 4 + rng.below(5);
    // Narrow images, which the planner folds where such blocks divide them.
    let stride = [[1, 1], [2, 2], [1, 2], [2, 1]][seed as usize % 4];
    let divides = shape[1].is_multiple_of(stride[0]) && shape[2].is_multiple_of(stride[1]);
    let stride = if shape[0] <= 2 && divides { stride } else { [1, 1] };
    let mut x = net.conv(net.input(), out, Window { stride, ..Window::square(3, 1, 1) });
    if let Some(f) = activation(&mut rng, flavour) {
        x = net.act(x, f);
    }
    for _ in 0..3 + rng.below(3) {
        if flavour == Flavour::Normed {
            x = net.layer_norm(x);
        }
        x = block(&mut net, &mut rng, x, flavour);
    }
    if rng.chance(50) {
        x = net.global_pool(x);
        if net.shape(x).channels < 3 {
            x = net.conv(x, 4, Window::square(1, 1, 0));
        }
    }
    if rng.chance(30) {
        x = net.dense(x, 6);
        x = match activation(&mut rng, flavour) {
            Some(f) => net.act(x, f),
            None => x,
        };
    }
    let logits = net.dense(x, CLASSES);
    net.finish(logits)
}

/// What follows a layer.
fn activation(rng: &mut Rng, flavour: Flavour) -> Option<Activation> {
    match flavour {
        Flavour::All | Flavour::Normed => Some(rng.pick(&activations())),
        Flavour::Smooth => Some(rng.pick(&[
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Softplus,
            Activation::Silu,
            Activation::Gelu,
        ])),
        Flavour::BiasFreeRelu => Some(Activation::Relu),
        Flavour::BiasFreeLinear => None,
    }
}

fn block(net: &mut Net, rng: &mut Rng, x: ValueId, flavour: Flavour) -> ValueId {
    let shape = net.shape(x);
    let same = Window::square(3, 1, 1);
    let point = Window::square(1, 1, 0);
    let act = |net: &mut Net, rng: &mut Rng, value| match activation(rng, flavour) {
        Some(f) => net.act(value, f),
        None => value,
    };
    let big = shape.height >= 4 && shape.width >= 4;
    let kinked = matches!(flavour, Flavour::All | Flavour::Normed);
    let pooled = kinked || flavour == Flavour::BiasFreeRelu;
    match rng.below(if net.bias { 16 } else { 9 }) {
        0 if big => {
            let (kernel, pads) = ([2 + rng.below(2), 1 + rng.below(3)], [1, 0, rng.below(2), 1]);
            let dilation = if shape.height > 5 { [1 + rng.below(2), 1] } else { [1, 1] };
            let w = Window { kernel, stride: [1 + rng.below(2), 1], pads, dilation, groups: 1 };
            let y = net.conv(x, 3 + rng.below(4), w);
            act(net, rng, y)
        }
        1 => {
            // A residual with a projection; the sum is activated, then read twice.
            let (a, b) = (net.conv(x, 5, same), net.conv(x, 5, point));
            let a = act(net, rng, a);
            let a = net.conv(a, 5, same);
            let sum = net.add(a, b);
            let sum = act(net, rng, sum);
            let y = net.conv(sum, 5, same);
            net.add(y, sum)
        }
        2 => {
            // A dense block: the input stays a member of the concatenation, batch norm stands alone.
            let normed = net.affine(x, AffineKind::BatchNorm);
            let normed = act(net, rng, normed);
            let grown = net.conv(normed, 3, same);
            let joined = net.concat(&[x, grown]);
            let normed = net.affine(joined, AffineKind::BatchNorm);
            act(net, rng, normed)
        }
        3 if big && pooled => net.max_pool(x, 3, 2, 1),
        4 if big && pooled => net.max_pool(x, 3, 1, 1),
        5 if big && !net.bias => net.average_pool(x, 3, 2, 1),
        5 if big => {
            let include_pad = rng.chance(50);
            net.pool(x, PoolKind::Average { include_pad }, Window::square(3, 2, 1), rng.chance(50))
        }
        6 => {
            // One activation read by three nodes, one of them twice.
            let shared = act(net, rng, x);
            let a = net.conv(shared, shape.channels, same);
            let b = net.add(a, shared);
            net.concat(&[b, shared, shared])
        }
        7 => {
            let branches: Vec<ValueId> = [(2, point), (5, same)].map(|(n, w)| net.conv(x, n, w)).to_vec();
            let joined = net.concat(&branches);
            act(net, rng, joined)
        }
        8 => {
            let y = net.conv(x, shape.channels, Window { groups: shape.channels, ..same });
            act(net, rng, y)
        }
        9 => {
            let hard = kinked && rng.chance(50);
            let gate = if hard { Activation::HardSigmoid { alpha: 0.2, beta: 0.5 } } else { Activation::Sigmoid };
            net.squeeze(x, gate)
        }
        10 => {
            // A product of two signals, and a mask of one channel.
            let (a, b) = (net.conv(x, 4, same), net.conv(x, 4, point));
            let product = net.mul(a, b);
            let mask = net.conv(x, 1, same);
            let mask = net.act(mask, Activation::Sigmoid);
            net.mul(product, mask)
        }
        11 => {
            let channels = shape.channels.next_multiple_of(2);
            let even = net.conv(x, channels, point);
            let y = net.conv(even, channels, Window { groups: 2, ..same });
            let y = act(net, rng, y);
            net.shuffle(y)
        }
        12 => {
            let scaled = net.affine(x, AffineKind::Scale);
            let scaled = act(net, rng, scaled);
            let shifted = net.affine(scaled, AffineKind::Shift);
            let mean = net.global_pool(x);
            let y = net.subtract(shifted, mean);
            net.subtract(mean, y)
        }
        13 => {
            let w = Window { pads: [1, 0, 0, 1], ..Window::square(3, 1, 0) };
            let w = if shape.height < 5 { Window { stride: [2, 1], ..w } } else { w };
            let y = net.conv_transposed(x, 4, w);
            act(net, rng, y)
        }
        14 if big => {
            let fill = rng.pick(&[0.0, 0.3]);
            let y = net.pad(x, fill);
            let y = net.conv(y, 4, Window::square(3, 2, 0));
            act(net, rng, y)
        }
        15 if shape.height < 6 => {
            let mode = rng.pick(&[ResizeMode::Bilinear, ResizeMode::Nearest]);
            let y = net.resize(x, mode, [shape.height + 2, 2 * shape.width]);
            net.conv(y, 3, Window::square(3, 2, 1))
        }
        _ => {
            let y = net.conv(x, 4, same);
            act(net, rng, y)
        }
    }
}

/// A graph as a model without a card.
pub fn model(graph: Graph) -> Model {
    Model {
        path: PathBuf::from("made.onnx"),
        graph,
        card: None,
        classes: Vec::new(),
        probability: Probability::Softmax,
    }
}

/// Goldens that the tests read.
pub const GOLDENS: [&str; 12] = [
    "plain",
    "vgg",
    "resnet",
    "densenet",
    "overlap",
    "mobile",
    "gated",
    "smooth-gates",
    "odd-convs",
    "pools",
    "smooth",
    "decoder",
];

pub fn golden(name: &str, precision: Precision) -> Model {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("data/golden/{name}.onnx"));
    Model::open_with(path, precision).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// How many of each op a set of graphs has, to show that a generator reaches them.
pub fn census<'a>(graphs: impl IntoIterator<Item = &'a Graph>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for node in graphs.into_iter().flat_map(|graph| &graph.nodes) {
        *counts.entry(node.op.name().to_owned()).or_insert(0) += 1;
    }
    counts
}
