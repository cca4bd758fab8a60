//! Every golden heatmap of `data/golden`, in f64, in f32, by the PTX, in its interpreter or on a device, and by the WGSL: maps of
//! Captum, Zennit and pytorch-grad-cam where they are right, of an exact oracle where they are not.

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "this test starts neither the binary nor the stand-in driver")]
mod common;
#[path = "kernels/sim.rs"]
#[allow(dead_code, reason = "this test asks for no coverage")]
mod sim;

use std::path::PathBuf;
use std::sync::Arc;

use fluoroscope::backend::Backend;
use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::cuda::CudaBackend;
use fluoroscope::explain::{Baseline, ExplainOptions, Explainer, Target};
use fluoroscope::graph::{Op, Precision, Resize};
use fluoroscope::model::Model;
use fluoroscope::rule::BatchNormRule;
use fluoroscope::tensor::Tensor;
use safetensors::SafeTensors;
use serde_json::Value;

const NETS: [&str; 12] = [
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

/// Golden name, method, and what must be set besides.
type Row = (&'static str, &'static str, fn(&mut ExplainOptions, &Golden));

const ROWS: [Row; 15] = [
    ("gradient", "gradient", |_, _| {}),
    ("input_x_gradient", "input-x-gradient", |_, _| {}),
    ("guided_backprop", "guided-backprop", |_, _| {}),
    ("guided_backprop_every_activation", "guided-backprop", |_, _| {}),
    ("deconvnet", "deconvnet", |_, _| {}),
    ("deconvnet_relu6", "deconvnet", |_, _| {}),
    ("integrated_gradients", "integrated-gradients", |options, golden| {
        options.steps = 32;
        options.baseline = golden.baseline();
    }),
    ("deep_lift", "deeplift", |options, golden| options.baseline = golden.baseline()),
    ("deep_lift_zero", "deeplift", |options, _| options.baseline = Baseline::Zero),
    ("lrp_epsilon", "lrp-epsilon", |options, _| options.rules.epsilon = 1e-9),
    ("lrp_epsilon_large", "lrp-epsilon", |options, _| options.rules.epsilon = 0.05),
    ("zennit_z_plus", "lrp-zplus", |options, _| options.rules.batch_norm = BatchNormRule::Pass),
    ("zennit_epsilon_plus_flat", "epsilon-plus-flat", |options, _| options.rules.batch_norm = BatchNormRule::Pass),
    ("grad_cam", "grad-cam", |options, golden| {
        options.layer = Some(golden.cam_value());
        options.upsample = false;
    }),
    ("guided_grad_cam_bilinear", "guided-grad-cam", |options, golden| options.layer = Some(golden.cam_value())),
];

struct Golden {
    net: &'static str,
    json: Value,
    bytes: Vec<u8>,
}

impl Golden {
    fn open(net: &'static str) -> Self {
        let read = |suffix: &str| {
            let path = folder().join(format!("{net}.{suffix}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let json = serde_json::from_slice(&read("json")).expect("golden JSON");
        Self { net, json, bytes: read("safetensors") }
    }

    fn array(&self, name: &str) -> Option<(Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(&self.bytes).expect("golden safetensors");
        let tensor = file.tensor(name).ok()?;
        Some((tensor.shape().to_vec(), tensor.data().to_vec()))
    }

    fn floats(&self, name: &str) -> Option<Tensor> {
        let (shape, bytes) = self.array(name)?;
        Some(Tensor::new(&shape, bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()))
    }

    fn targets(&self) -> Vec<usize> {
        let targets = self.json["targets"].as_array().expect("targets");
        targets.iter().map(|t| t.as_u64().expect("a target") as usize).collect()
    }

    fn baseline(&self) -> Baseline {
        Baseline::Tensor(Arc::new(self.floats("baseline").expect("a baseline")))
    }

    fn cam_value(&self) -> String {
        self.json["cam_value"].as_str().expect("cam_value").to_owned()
    }

    /// How far f32 rounding alone moves the map; of the graph forms only the peer's variant has it recorded.
    fn float32_error(&self, map: &str) -> f64 {
        let variant = match map {
            "guided_backprop_every_activation" => "guided_backprop",
            "deconvnet_relu6" => "deconvnet",
            _ => map,
        };
        self.json["maps"][variant]["float32_error"].as_f64().expect("float32_error")
    }
}

fn folder() -> PathBuf {
    common::root().join("data/golden")
}

fn image(batch: &Tensor, i: usize) -> Tensor {
    let len = batch.data.len() / batch.shape[0];
    Tensor::new(&batch.shape[1..], batch.data[i * len..(i + 1) * len].to_vec())
}

/// The maps of both images, each for its own target, one after the other.
fn maps(model: &Model, backend: Box<dyn Backend>, golden: &Golden, method: &str, options: &ExplainOptions) -> Vec<f32> {
    let mut explainer = Explainer::new(model, backend, options.clone()).expect("an explainer");
    let input = golden.floats("input").expect("the input");
    let choice = method.parse().expect("a method");
    let of_image = |(i, class): (usize, usize)| {
        let target = Target::Index(class);
        let mut lists = explainer.explain(&image(&input, i), &[choice], &target).expect("a map");
        lists.remove(0).remove(0).map.data
    };
    golden.targets().into_iter().enumerate().flat_map(of_image).collect()
}

/// Largest difference over the largest golden value.
fn difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "sizes differ");
    let peak = want.iter().fold(0f32, |p, v| p.max(v.abs()));
    let largest =
        got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0f32, |a, b| if b > a || b.is_nan() { b } else { a });
    f64::from(largest) / f64::from(peak)
}

/// The plain-named maps of guided backprop and DeconvNet are a peer's ReLU-only variant where the graph form is there.
fn is_ours(golden: &Golden, name: &str) -> bool {
    let variant = match name {
        "guided_backprop" => "guided_backprop_every_activation",
        "deconvnet" => "deconvnet_relu6",
        _ => return golden.array(name).is_some(),
    };
    golden.array(name).is_some() && golden.array(variant).is_none()
}

/// Maps of a network that differ by more than `limit` of golden's `float32_error`, and how many there are.
fn check_net(
    net: &'static str,
    precision: Precision,
    backend: &dyn Fn() -> Box<dyn Backend>,
    limit: fn(f64) -> f64,
) -> (Vec<String>, usize) {
    let mut failures = Vec::new();
    let mut checked = 0;
    let golden = Golden::open(net);
    let model = Model::open_with(folder().join(format!("{net}.onnx")), precision).expect("a model");
    let only_relu = model.graph.nodes.iter().all(|node| match &node.op {
        Op::Activation(activation) => activation.name() == "Relu",
        _ => true,
    });
    for (name, method, set) in ROWS {
        if !is_ours(&golden, name) {
            continue;
        }
        let mut options = ExplainOptions::default();
        set(&mut options, &golden);
        let got = maps(&model, backend(), &golden, method, &options);
        let want = match name {
            "guided_grad_cam_bilinear" if !only_relu => guided_grad_cam(&golden),
            _ => golden.floats(name).expect("a map").data,
        };
        let (found, allowed) = (difference(&got, &want), limit(golden.float32_error(name)));
        checked += 1;
        if found.is_nan() || found > allowed {
            failures.push(format!("{} {name}: {found:.2e} of the peak, {allowed:.1e} allowed", golden.net));
        }
    }
    (failures, checked)
}

fn check(precision: Precision, backend: &(dyn Fn() -> Box<dyn Backend> + Sync), limit: fn(f64) -> f64) {
    check_nets(&NETS, precision, backend, limit);
}

fn check_nets(
    nets: &[&'static str],
    precision: Precision,
    backend: &(dyn Fn() -> Box<dyn Backend> + Sync),
    limit: fn(f64) -> f64,
) {
    let least = 12 * nets.len();
    let nets: Vec<_> = std::thread::scope(|scope| {
        let spawn = |net| scope.spawn(move || check_net(net, precision, backend, limit));
        let threads: Vec<_> = nets.iter().map(|net| spawn(*net)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a checked network")).collect()
    });
    let checked: usize = nets.iter().map(|(_, checked)| checked).sum();
    let failures: Vec<String> = nets.into_iter().flat_map(|(failures, _)| failures).collect();
    assert!(checked >= least, "only {checked} maps were found");
    assert!(failures.is_empty(), "{} of {checked} maps differ:\n{}", failures.len(), failures.join("\n"));
}

fn cpu(precision: Precision) -> Box<dyn Backend> {
    Box::new(CpuBackend::new(precision, Some(1)).expect("a backend"))
}

fn allowed_in_f32(float32_error: f64) -> f64 {
    1e-4f64.max(10.0 * float32_error)
}

/// The every-activation guided map times the bilinearly upsampled ReLU of Grad-CAM, from the goldens of both.
fn guided_grad_cam(golden: &Golden) -> Vec<f32> {
    let guided = golden.floats("guided_backprop_every_activation").or_else(|| golden.floats("guided_backprop"));
    let guided = guided.expect("a guided map");
    let cam = golden.floats("grad_cam").expect("a CAM");
    let [n, c, h, w] = guided.shape[..] else { panic!("guided maps are NCHW") };
    let [.., ch, cw] = cam.shape[..] else { panic!("CAMs have a grid") };
    let resize = Resize::half_pixel([ch, cw], [h, w]);
    let tap = |axis: usize, i: usize, size: usize| {
        let source = (resize.scale[axis] * i as f64 + resize.offset[axis]).clamp(0.0, size as f64 - 1.0);
        let low = source.floor() as usize;
        (low, (low + 1).min(size - 1), source - low as f64)
    };
    let mut out = Vec::new();
    for image in 0..n {
        let grid = &cam.data[image * ch * cw..(image + 1) * ch * cw];
        for i in 0..c * h * w {
            let (y, x) = (i % (h * w) / w, i % w);
            let ((y0, y1, v), (x0, x1, u)) = (tap(0, y, ch), tap(1, x, cw));
            let at = |y: usize, x: usize| f64::from(grid[y * cw + x].max(0.0));
            let heat =
                (1.0 - v) * ((1.0 - u) * at(y0, x0) + u * at(y0, x1)) + v * ((1.0 - u) * at(y1, x0) + u * at(y1, x1));
            out.push((f64::from(guided.data[image * c * h * w + i]) * heat) as f32);
        }
    }
    out
}

#[test]
fn goldens_in_f64() {
    check(Precision::F64, &|| cpu(Precision::F64), |_| 1e-6);
}

#[test]
fn goldens_in_f32() {
    check(Precision::F32, &|| cpu(Precision::F32), allowed_in_f32);
}

#[test]
fn goldens_by_the_ptx() {
    if common::on_a_device() {
        let cuda = || Box::new(CudaBackend::new(0).expect("the driver has a device")) as Box<dyn Backend>;
        return check(Precision::F32, &cuda, allowed_in_f32);
    }
    // tests/kernels and tests/cuda run the same kernels with all checks.
    let simulator = sim::Simulator::quick();
    check(Precision::F32, &|| Box::new(simulator.clone()), allowed_in_f32);
}

/// The kernels for hardware, on whatever adapter there is.
#[test]
fn goldens_by_the_wgsl() {
    let backend = Arc::new(common::wgpu().as_hardware());
    check(Precision::F32, &|| Box::new(Arc::clone(&backend)), allowed_in_f32);
}

/// The kernels that suit the adapter: where that is a processor, by subgroups, by strips, by pairs and from textures. Three networks have all of them.
#[test]
fn goldens_by_the_wgsl_that_suits_the_adapter() {
    let backend = Arc::new(common::wgpu());
    let nets = ["densenet", "mobile", "overlap"];
    check_nets(&nets, Precision::F32, &|| Box::new(Arc::clone(&backend)), allowed_in_f32);
}
