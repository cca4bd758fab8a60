//! A network's forward pass by [burn](https://burn.dev), a portable Rust runtime, and by ours, both through wgpu on the same
//! adapter: the first of hardware, else lavapipe.
//!
//!     cd benches/burn
//!     cargo run --release -- MODEL.onnx [ROUNDS]
//!
//! `benches/gpu/models.py DIR resnet50` exports ResNet-50; convolutions, ReLU, sums, pools and dense layers are what burn is
//! given here. Both have the graph that `fluoroscope` reads from the file, so the same weights and batch norms folded into
//! the convolutions; burn's kernels are fused and tuned. The logits of both are compared with those in f64 before anything is
//! timed. A time is that of one image from its values on the host to its logits there; the two take turns, and the medians
//! of all rounds are printed. Ours are those of the gradient's program, which stores what its way back needs.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::module::{adaptive_avg_pool2d, conv2d, linear, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::backend::{Backend, Phase, Session};
use fluoroscope::graph::{Activation, Constant, Conv2d, ConvKind, Graph, Node, Op, Pool, PoolKind, Precision, ValueId};
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

const USAGE: &str = "usage: cargo run --release -- MODEL.onnx [ROUNDS]";
const ROUNDS: usize = 5;
/// The largest logit's share by which another may be off.
const TOLERANCE: f64 = 1e-3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = Model::open(args.next().ok_or(USAGE)?)?;
    let rounds = args.next().map_or(Ok(ROUNDS), |rounds| rounds.parse()).map_err(|_| USAGE)?.max(1);

    let backend = WgpuBackend::new(WgpuOptions::default())?;
    let device = Device::wgpu(if backend.adapter().is_software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice });
    let (of_ours, of_burn) = (backend.device(), device.identity().map(|identity| identity.name).unwrap_or_default());
    println!("ours on {of_ours}, burn on {of_burn}");
    if !of_ours.contains(&of_burn) || of_burn.is_empty() {
        return Err("these are two adapters, whose times say nothing of each other".into());
    }

    let program = gradient(&model)?;
    let image: Vec<f64> = (0..model.input().len()).map(|i| f64::from((i as f32 * 0.7).sin())).collect();
    let exact = logits(CpuBackend::new(Precision::F64, None)?.load(Arc::clone(&program))?.as_mut(), &image)?;
    let mut ours = backend.load(program)?;
    let burn = Burn::new(&model.graph, &device)?;

    check("ours", &logits(ours.as_mut(), &image)?, &exact)?;
    let (first, tuning) = timed(|| burn.logits(&image));
    check("burn", &first?, &exact)?;
    println!("burn's first image, which compiles and tunes: {:.0} s", tuning.as_secs_f64());
    burn.logits(&image)?;

    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let (by_burn, of_burn) = timed(|| burn.logits(&image));
        let (by_ours, of_ours) = timed(|| logits(ours.as_mut(), &image));
        check("burn", &by_burn?, &exact)?;
        check("ours", &by_ours?, &exact)?;
        times[0].push(of_burn);
        times[1].push(of_ours);
    }
    let [of_burn, of_ours] = times.map(|times| 1e3 * median(times).as_secs_f64());
    println!("medians of {rounds}: burn {of_burn:.1} ms, ours {of_ours:.1} ms, {:.2} times as fast", of_burn / of_ours);
    Ok(())
}

fn gradient(model: &Model) -> Result<Arc<Program>, Box<dyn Error>> {
    let pass = Pass::of("gradient".parse::<fluoroscope::method::MethodChoice>()?.method, model.default_layer());
    Ok(Arc::new(plan(&model.graph, &[pass], &RuleOptions::default(), Batch::of(1))?))
}

/// Ours: reading waits for the device.
fn logits(session: &mut dyn Session, image: &[f64]) -> Result<Vec<f64>, Box<dyn Error>> {
    let program = session.program().clone();
    session.write(&program.input, image)?;
    session.run(Phase::Forward, None)?;
    Ok(session.read(&program.logits)?)
}

fn check(name: &str, found: &[f64], exact: &[f64]) -> Result<(), String> {
    if found.len() != exact.len() {
        return Err(format!("{name}: {} logits, not {}", found.len(), exact.len()));
    }
    let peak = exact.iter().fold(0.0, |peak: f64, value| peak.max(value.abs()));
    let apart = found.iter().zip(exact).map(|(found, exact)| (found - exact).abs() / peak);
    // Not-a-number is the greatest here.
    let worst = apart.max_by(f64::total_cmp).unwrap_or(f64::NAN);
    if worst <= TOLERANCE { Ok(()) } else { Err(format!("{name}: a logit is off by {worst:.1e} of the largest")) }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The graph with its weights on burn's device.
struct Burn<'a> {
    graph: &'a Graph,
    layers: Vec<Layer>,
    device: &'a Device,
}

/// A node of the graph as burn has it.
enum Layer {
    Conv {
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        options: ConvOptions<2>,
    },
    /// Weights are `[in, out]`.
    Dense {
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
    },
    Relu,
    MaxPool(MaxPoolOptions<2>),
    GlobalAverage,
    Add,
}

impl<'a> Burn<'a> {
    fn new(graph: &'a Graph, device: &'a Device) -> Result<Self, String> {
        let layers = graph.nodes.iter().map(|node| Layer::new(graph, node, device)).collect::<Result<_, _>>()?;
        Ok(Self { graph, layers, device })
    }

    fn logits(&self, image: &[f64]) -> Result<Vec<f64>, Box<dyn Error>> {
        let shape = self.graph.shape(self.graph.input);
        let values: Vec<f32> = image.iter().map(|value| *value as f32).collect();
        let input = TensorData::new(values, [1, shape.channels, shape.height, shape.width]);
        let mut values: Vec<Option<Tensor<4>>> = vec![None; self.graph.values.len()];
        values[self.graph.input.0] = Some(Tensor::from_data(input, self.device));
        let users = self.graph.users();
        for (i, (node, layer)) in self.graph.nodes.iter().zip(&self.layers).enumerate() {
            // The last reader takes a value, so that burn may reuse its memory.
            let mut value = |(at, input): (usize, &ValueId)| {
                let is_read_again =
                    users[input.0].iter().any(|user| *user > i) || node.inputs[at + 1..].contains(input);
                let is_last = !is_read_again && *input != self.graph.output;
                let slot = &mut values[input.0];
                if is_last { slot.take() } else { slot.clone() }.expect("nodes are in order")
            };
            let inputs = node.inputs.iter().enumerate().map(&mut value).collect();
            values[node.output.0] = Some(layer.run(inputs));
        }
        let logits = values.swap_remove(self.graph.output.0).expect("a node makes the logits");
        Ok(logits.try_into_vec_as::<f32>()?.into_iter().map(f64::from).collect())
    }
}

impl Layer {
    fn new(graph: &Graph, node: &Node, device: &Device) -> Result<Self, String> {
        let vector = |values: &Constant| Tensor::from_data(TensorData::new(floats(values), [values.len()]), device);
        match &node.op {
            Op::Conv2d(conv) if conv.kind == ConvKind::Dense => {
                let (outputs, inputs) = (conv.out_channels, conv.weight.len() / conv.out_channels);
                let weight: Tensor<2> =
                    Tensor::from_data(TensorData::new(floats(&conv.weight), [outputs, inputs]), device);
                Ok(Self::Dense { weight: weight.transpose(), bias: conv.bias.as_ref().map(vector) })
            }
            Op::Conv2d(conv) if conv.kind == ConvKind::Conv => {
                let Conv2d { weight, out_channels, kernel: [height, width], groups, .. } = conv;
                let shape = [*out_channels, weight.len() / (out_channels * height * width), *height, *width];
                let weight = Tensor::from_data(TensorData::new(floats(weight), shape), device);
                let options = ConvOptions::new_with_padding(conv.stride, pairs(conv.pads), conv.dilation, *groups);
                Ok(Self::Conv { weight, bias: conv.bias.as_ref().map(vector), options })
            }
            Op::Activation(Activation::Relu) => Ok(Self::Relu),
            Op::Pool(pool) => Self::pool(graph, node, pool),
            Op::Add { negative: false } => Ok(Self::Add),
            op => Err(format!("{}: no {} here; see the head of benches/burn/src/main.rs", node.label(), op.name())),
        }
    }

    fn pool(graph: &Graph, node: &Node, pool: &Pool) -> Result<Self, String> {
        let input = graph.shape(node.inputs[0]);
        let is_global = pool.kernel == [input.height, input.width] && pool.pads == [0; 4];
        match pool.kind {
            PoolKind::Average { .. } if is_global => Ok(Self::GlobalAverage),
            PoolKind::Average { .. } => Err(format!("{}: average pools are global here", node.label())),
            PoolKind::Max => {
                let options = MaxPoolOptions::new(pool.kernel).with_stride(pool.stride).with_dilation(pool.dilation);
                Ok(Self::MaxPool(options.with_padding_pairs(pairs(pool.pads)).with_ceil_mode(pool.ceil)))
            }
        }
    }

    fn run(&self, inputs: Vec<Tensor<4>>) -> Tensor<4> {
        let mut inputs = inputs.into_iter();
        let mut next = || inputs.next().expect("as many inputs as the node has");
        let x = next();
        match self {
            Self::Conv { weight, bias, options } => conv2d(x, weight.clone(), bias.clone(), options.clone()),
            Self::Dense { weight, bias } => {
                let y = linear(x.flatten::<2>(1, 3), weight.clone(), bias.clone());
                let [images, outputs] = y.dims();
                y.reshape([images, outputs, 1, 1])
            }
            Self::Relu => burn::tensor::activation::relu(x),
            Self::MaxPool(options) => max_pool2d(x, options.clone()),
            Self::GlobalAverage => adaptive_avg_pool2d(x, [1, 1]),
            Self::Add => x + next(),
        }
    }
}

fn floats(values: &Constant) -> Vec<f32> {
    values.iter().map(|value| value as f32).collect()
}

/// Top, left, bottom, right as pairs of before and after.
fn pairs([top, left, bottom, right]: [usize; 4]) -> [(usize, usize); 2] {
    [(top, bottom), (left, right)]
}
