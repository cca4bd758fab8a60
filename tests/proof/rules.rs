//! Every rule against the oracle, on graphs of each op and on random ones of both signs of input.

use fluoroscope::explain::{Baseline, ExplainOptions, Target};
use fluoroscope::graph::{Activation, AffineKind, Graph, Op, PoolKind, Precision, ResizeMode, ValueId};
use fluoroscope::plan::{Batch, PlanError, plan};
use fluoroscope::rule::{BatchNormRule, RuleOptions};
use std::sync::Arc;

use crate::nets::{self, Flavour, Net, Rng, Window};
use crate::oracle::{Backprop, Lrp, LrpOptions, Oracle};
use crate::run;

/// Methods of one forward pass, in input space.
const DIRECT: [&str; 10] = [
    "saliency",
    "gradient",
    "input-x-gradient",
    "deconvnet",
    "guided-backprop",
    "lrp-epsilon",
    "lrp-zplus",
    "epsilon-plus-flat",
    "deeplift",
    "grad-cam",
];

struct Case<'a> {
    graph: &'a Graph,
    oracle: Oracle<'a>,
    image: Vec<f64>,
    baseline: Vec<f64>,
    class: usize,
    layer: Option<ValueId>,
}

impl<'a> Case<'a> {
    fn new(graph: &'a Graph, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x77);
        let len = graph.shape(graph.input).len();
        let (image, baseline) = (rng.image(len), rng.image(len));
        let class = rng.below(graph.shape(graph.output).len());
        Self { graph, oracle: Oracle::new(graph), image, baseline, class, layer: graph.last_spatial_activation() }
    }

    /// The map of a method by the oracle; not yet absolute for saliency, as in a program.
    fn want(&self, method: &str, rules: &RuleOptions) -> Vec<f64> {
        let (oracle, image, class, input) = (&self.oracle, &self.image, self.class, self.graph.input.0);
        let gradient = |kind| oracle.gradients(image, class, kind)[input].clone();
        let times = |map: Vec<f64>, by: &dyn Fn(usize) -> f64| -> Vec<f64> {
            map.iter().enumerate().map(|(i, v)| v * by(i)).collect()
        };
        let lrp = |rule| {
            let batch_norm_passes = rules.batch_norm == BatchNormRule::Pass;
            oracle.relevance(image, class, LrpOptions { rule, epsilon: rules.epsilon, batch_norm_passes })[input]
                .clone()
        };
        match method {
            "saliency" | "gradient" => gradient(Backprop::Gradient),
            "input-x-gradient" => times(gradient(Backprop::Gradient), &|i| image[i]),
            "deconvnet" => gradient(Backprop::Deconvnet),
            "guided-backprop" => gradient(Backprop::Guided),
            "lrp-epsilon" => lrp(Lrp::Epsilon),
            "lrp-zplus" => lrp(Lrp::ZPlus),
            "epsilon-plus-flat" => lrp(Lrp::EpsilonPlusFlat),
            "deeplift" => {
                let m = oracle.multipliers(image, &self.baseline, class)[input].clone();
                times(m, &|i| image[i] - self.baseline[i])
            }
            "integrated-gradients" => oracle.integrated(image, &self.baseline, class),
            "grad-cam" => oracle.grad_cam(image, class, self.layer.expect("a layer")),
            other => panic!("no oracle of {other}"),
        }
    }

    /// Methods that have a rule for every op, and a layer where they need one.
    fn methods(&self) -> Vec<&'static str> {
        let is_missing = |method: &str| match method {
            "grad-cam" => self.layer.is_none(),
            "deeplift" => self.graph.nodes.iter().any(|node| matches!(node.op, Op::LayerNorm { .. })),
            _ => false,
        };
        DIRECT.into_iter().filter(|method| !is_missing(method)).collect()
    }

    /// Differences above `limit` of the peak, all methods planned into one program.
    fn failures(&self, rules: &RuleOptions, limit: f64, label: &str) -> Vec<String> {
        let methods = self.methods();
        let got = run::maps(self.graph, &methods, &self.image, &self.baseline, self.class, rules);
        let mut failures = Vec::new();
        for (method, got) in methods.iter().zip(got) {
            let want = self.want(method, rules);
            let error = run::distance(&got, &want) / run::peak(&want).max(1e-3);
            if error.is_nan() || error > limit {
                failures.push(format!("{label} {method} {rules:?}: {error:.2e} of the peak {:.2e}", run::peak(&want)));
            }
        }
        let error = run::distance(&run::logits(self.graph, &self.image), &self.oracle.logits(&self.image));
        if error.is_nan() || error > 1e-11 {
            failures.push(format!("{label} logits: {error:.2e}"));
        }
        failures
    }
}

fn report(failures: &[String], checked: usize) {
    assert!(failures.is_empty(), "{} of {checked} differ:\n{}", failures.len(), failures.join("\n"));
}

fn rules(epsilon: f64, batch_norm: BatchNormRule) -> RuleOptions {
    RuleOptions { epsilon, batch_norm }
}

/// One op between two convolutions, so that its message comes from and goes to others.
fn around(seed: u64, build: impl Fn(&mut Net, ValueId) -> ValueId) -> Graph {
    let mut net = Net::new(seed, [3, 7, 6], Precision::F64);
    let x = net.conv(net.input(), 6, Window::square(3, 1, 1));
    let y = build(&mut net, x);
    let logits = net.dense(y, 3);
    net.finish(logits)
}

/// Graphs of single ops, named.
pub fn single_ops() -> Vec<(String, Graph)> {
    let mut graphs: Vec<(String, Graph)> = Vec::new();
    let mut add = |name: &str, graph: Graph| graphs.push((name.to_owned(), graph));
    let square = Window::square;
    let conv = |w: Window, out: usize| move |net: &mut Net, x| net.conv(x, out, w);
    add("conv 3x3", around(1, conv(square(3, 1, 1), 5)));
    add("conv stride", around(2, conv(square(3, 2, 1), 5)));
    add("conv stride beyond kernel", around(3, conv(square(1, 2, 0), 9)));
    add("conv lopsided", around(4, conv(Window { pads: [0, 2, 1, 0], kernel: [2, 3], ..square(1, 1, 0) }, 4)));
    add("conv dilated", around(5, conv(Window { dilation: [2, 1], ..square(3, 1, 1) }, 4)));
    add("conv groups", around(6, conv(Window { groups: 2, ..square(3, 1, 1) }, 8)));
    add("conv depthwise", around(7, conv(Window { groups: 6, ..square(3, 2, 1) }, 6)));
    add("conv depthwise, two filters a channel", around(8, conv(Window { groups: 6, ..square(3, 1, 1) }, 12)));
    add("conv whole image", around(9, |net, x| net.dense(x, 7)));
    add("transposed conv", around(10, |net, x| net.conv_transposed(x, 4, square(3, 2, 1))));
    add(
        "transposed conv, groups",
        around(11, |net, x| net.conv_transposed(x, 4, Window { groups: 2, dilation: [1, 2], ..square(2, 2, 0) })),
    );
    for f in nets::activations() {
        add(&format!("{f:?}"), around(12, |net, x| net.act(x, f.clone())));
    }
    add(
        "reciprocal",
        around(13, |net, x| {
            let y = net.act(x, Activation::Softplus);
            let one = net.act(x, Activation::Sigmoid);
            let y = net.add(y, one);
            let inverse = net.act(y, Activation::Reciprocal);
            net.mul(x, inverse)
        }),
    );
    for (name, kind) in [
        ("batch norm", AffineKind::BatchNorm),
        ("scale", AffineKind::Scale),
        ("shift", AffineKind::Shift),
        ("scale and shift", AffineKind::ScaleShift),
    ] {
        add(name, around(14, |net, x| net.affine(x, kind)));
        add(
            &format!("{name}, ReLU, conv"),
            around(15, |net, x| {
                let y = net.affine(x, kind);
                let y = net.relu(y);
                net.conv(y, 4, square(1, 1, 0))
            }),
        );
    }
    add(
        "ReLU, batch norm",
        around(16, |net, x| {
            let y = net.relu(x);
            net.affine(y, AffineKind::BatchNorm)
        }),
    );
    add("max-pool", around(17, |net, x| net.max_pool(x, 2, 2, 0)));
    add("max-pool overlapping", around(18, |net, x| net.max_pool(x, 3, 2, 1)));
    add("max-pool stride 1", around(19, |net, x| net.max_pool(x, 3, 1, 1)));
    add(
        "max-pool dilated",
        around(20, |net, x| net.pool(x, PoolKind::Max, Window { dilation: [2, 1], ..square(2, 1, 0) }, false)),
    );
    add("max-pool ceil", around(21, |net, x| net.pool(x, PoolKind::Max, square(2, 2, 0), true)));
    add(
        "ReLU, max-pool",
        around(22, |net, x| {
            let y = net.relu(x);
            net.max_pool(y, 3, 2, 1)
        }),
    );
    for include_pad in [false, true] {
        let kind = PoolKind::Average { include_pad };
        add("average pool", around(23, |net, x| net.pool(x, kind, square(3, 2, 1), false)));
        add("average pool ceil", around(24, |net, x| net.pool(x, kind, square(3, 2, 1), true)));
    }
    add("global pool", around(25, |net, x| net.global_pool(x)));
    add(
        "ReLU, global pool",
        around(26, |net, x| {
            let y = net.relu(x);
            net.global_pool(y)
        }),
    );
    add(
        "add",
        around(27, |net, x| {
            let y = net.conv(x, 6, square(3, 1, 1));
            net.add(x, y)
        }),
    );
    add("add to itself", around(28, |net, x| net.add(x, x)));
    add(
        "add an input twice removed",
        around(29, |net, x| {
            let y = net.relu(x);
            let y = net.add(y, x);
            let y = net.relu(y);
            net.add(y, x)
        }),
    );
    add(
        "subtract",
        around(30, |net, x| {
            let y = net.relu(x);
            net.subtract(y, x)
        }),
    );
    add(
        "add a pixel",
        around(31, |net, x| {
            let mean = net.global_pool(x);
            let y = net.add(x, mean);
            net.subtract(mean, y)
        }),
    );
    add(
        "add a channel",
        around(32, |net, x| {
            let one = net.conv(x, 1, square(3, 1, 1));
            net.add(one, x)
        }),
    );
    add(
        "product",
        around(33, |net, x| {
            let y = net.conv(x, 6, square(3, 1, 1));
            net.mul(x, y)
        }),
    );
    add("square", around(34, |net, x| net.mul(x, x)));
    add("gate a channel", around(35, |net, x| net.squeeze(x, Activation::Sigmoid)));
    add("hard gate", around(36, |net, x| net.squeeze(x, Activation::HardSigmoid { alpha: 0.2, beta: 0.5 })));
    add(
        "gate a pixel",
        around(37, |net, x| {
            let mask = net.conv(x, 1, square(3, 1, 1));
            let mask = net.act(mask, Activation::Sigmoid);
            net.mul(mask, x)
        }),
    );
    add(
        "silu from pieces",
        around(38, |net, x| {
            let gate = net.act(x, Activation::Sigmoid);
            net.mul(x, gate)
        }),
    );
    add(
        "concat",
        around(39, |net, x| {
            let (a, b) = (net.conv(x, 3, square(3, 1, 1)), net.conv(x, 9, square(1, 1, 0)));
            net.concat(&[a, x, b, a])
        }),
    );
    add(
        "concat, batch norm, ReLU, conv",
        around(40, |net, x| {
            let a = net.conv(x, 3, square(3, 1, 1));
            let y = net.concat(&[x, a]);
            let y = net.affine(y, AffineKind::BatchNorm);
            let y = net.relu(y);
            net.conv(y, 5, square(3, 1, 1))
        }),
    );
    add(
        "concat, grouped conv",
        around(41, |net, x| {
            let a = net.conv(x, 2, square(3, 1, 1));
            let y = net.concat(&[x, a]);
            net.conv(y, 4, Window { groups: 4, ..square(3, 1, 1) })
        }),
    );
    add(
        "concat, add of another layout",
        around(42, |net, x| {
            let a = net.conv(x, 3, square(3, 1, 1));
            let y = net.concat(&[a, x]);
            let b = net.conv(y, 9, square(1, 1, 0));
            net.add(y, b)
        }),
    );
    add(
        "concat of concats, max-pool",
        around(43, |net, x| {
            let a = net.concat(&[x, x]);
            let b = net.conv(a, 3, square(1, 1, 0));
            let y = net.concat(&[a, b]);
            net.max_pool(y, 3, 2, 1)
        }),
    );
    add("shuffle", around(44, |net, x| net.shuffle(x)));
    add("pad with zero", around(45, |net, x| net.pad(x, 0.0)));
    add("pad with a value", around(46, |net, x| net.pad(x, 0.7)));
    add("bilinear", around(47, |net, x| net.resize(x, ResizeMode::Bilinear, [10, 11])));
    add("nearest", around(48, |net, x| net.resize(x, ResizeMode::Nearest, [10, 11])));
    add(
        "reused ReLU",
        around(49, |net, x| {
            let shared = net.relu(x);
            let (a, b) = (net.conv(shared, 6, square(3, 1, 1)), net.max_pool(shared, 3, 1, 1));
            let y = net.add(a, b);
            net.add(y, shared)
        }),
    );
    for channels in [1, 3] {
        add(&format!("image of {channels} met by what comes of it"), image_meets_values(channels));
    }
    graphs
}

/// The image is narrower in memory than other values of as many channels.
fn image_meets_values(channels: usize) -> Graph {
    let mut net = Net::new(54, [channels, 7, 6], Precision::F64);
    let x = net.input();
    let a = net.conv(x, channels, Window::square(3, 1, 1));
    let sum = net.add(a, x);
    let bent = net.act(x, Activation::Tanh);
    let product = net.mul(bent, a);
    let y = net.subtract(x, product);
    let y = net.concat(&[sum, x, y]);
    let logits = net.dense(y, 3);
    net.finish(logits)
}

/// Graphs with layer normalisation, named; DeepLIFT has no rule for it.
pub fn normed_ops() -> Vec<(String, Graph)> {
    let square = Window::square;
    let graph = |name: &str, graph: Graph| (name.to_owned(), graph);
    vec![
        graph("layer norm", around(50, |net, x| net.layer_norm(x))),
        graph(
            "ReLU, layer norm, ReLU",
            around(51, |net, x| {
                let y = net.relu(x);
                let y = net.layer_norm(y);
                net.relu(y)
            }),
        ),
        graph(
            "layer norm of a concatenation with gaps",
            around(52, |net, x| {
                let (a, b) = (net.conv(x, 3, square(3, 1, 1)), net.conv(x, 5, square(1, 1, 0)));
                let y = net.concat(&[a, x, b]);
                net.layer_norm(y)
            }),
        ),
        graph(
            "layer norm of one pixel, read twice",
            around(53, |net, x| {
                let mean = net.global_pool(x);
                let y = net.layer_norm(mean);
                let y = net.add(y, mean);
                net.mul(x, y)
            }),
        ),
        graph("ConvNeXt block", around(54, nets::convnext_block)),
    ]
}

#[test]
fn layer_norms_agree_with_the_oracle() {
    let mut failures = Vec::new();
    let mut graphs = normed_ops();
    graphs.extend((0..60).map(|seed| (format!("seed {seed}"), nets::random(seed, Flavour::Normed, Precision::F64))));
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        failures.extend(Case::new(graph, seed as u64).failures(&rules(0.05, BatchNormRule::Epsilon), 1e-10, name));
    }
    report(&failures, graphs.len() * DIRECT.len());
}

#[test]
fn deeplift_has_no_rule_for_layer_norms() {
    for (name, graph) in normed_ops() {
        let error = plan(&graph, &[run::pass("deeplift")], &RuleOptions::default(), Batch::of(1)).unwrap_err();
        assert!(matches!(&error, PlanError::NoRule { op: "LayerNorm", .. }), "{name}: {error}");
        let label = graph.nodes.iter().find(|node| matches!(node.op, Op::LayerNorm { .. })).expect("one").label();
        assert!(error.to_string().contains(label), "{name}: {error}");
    }
}

#[test]
fn single_ops_agree_with_the_oracle() {
    let graphs = single_ops();
    let mut failures = Vec::new();
    let mut checked = 0;
    for (name, graph) in &graphs {
        let case = Case::new(graph, 5);
        for options in [rules(0.05, BatchNormRule::Epsilon), rules(0.05, BatchNormRule::Pass)] {
            failures.extend(case.failures(&options, 1e-10, name));
            checked += DIRECT.len();
        }
    }
    report(&failures, checked);
}

#[test]
fn random_graphs_agree_with_the_oracle() {
    let graphs: Vec<Graph> = (0..120).map(|seed| nets::random(seed, Flavour::All, Precision::F64)).collect();
    let ops = nets::census(&graphs);
    assert!(ops.len() >= 27, "the generator reaches only {ops:?}");
    let mut failures = Vec::new();
    for (seed, graph) in graphs.iter().enumerate() {
        let batch_norm = if seed % 3 == 0 { BatchNormRule::Pass } else { BatchNormRule::Epsilon };
        let case = Case::new(graph, seed as u64);
        failures.extend(case.failures(&rules(0.05, batch_norm), 1e-10, &format!("seed {seed}")));
    }
    report(&failures, graphs.len() * DIRECT.len());
}

/// The default stabiliser: denominators may come near it, which costs digits.
#[test]
fn random_graphs_agree_at_the_default_epsilon() {
    let mut failures = Vec::new();
    for seed in 0..40 {
        let graph = nets::random(seed, Flavour::All, Precision::F64);
        failures.extend(Case::new(&graph, seed).failures(&RuleOptions::default(), 1e-8, &format!("seed {seed}")));
    }
    report(&failures, 40 * DIRECT.len());
}

/// What the front door returns: rounded to f32 once, its sum unrounded.
#[test]
fn heatmaps_agree_with_the_oracle() {
    let methods: Vec<&str> = DIRECT.into_iter().chain(["integrated-gradients"]).collect();
    let mut failures = Vec::new();
    for seed in 0..30 {
        let model = nets::model(nets::random(seed, Flavour::All, Precision::F64));
        let case = Case::new(&model.graph, seed);
        let methods: Vec<&str> = methods.iter().copied().filter(|m| *m != "grad-cam" || case.layer.is_some()).collect();
        let baseline = run::tensor(&model.graph, std::slice::from_ref(&case.baseline));
        let options = ExplainOptions {
            rules: rules(0.05, BatchNormRule::Epsilon),
            baseline: Baseline::Tensor(Arc::new(baseline)),
            steps: 5,
            upsample: false,
            ..ExplainOptions::default()
        };
        let images = run::tensor(&model.graph, std::slice::from_ref(&case.image));
        let maps = run::explain(&model, &images, &methods, &Target::Index(case.class), &options, 1).remove(0);
        for (method, heatmap) in methods.iter().zip(maps) {
            let mut want = case.want(method, &options.rules);
            if *method == "saliency" {
                want.iter_mut().for_each(|v| *v = v.abs());
            }
            let peak = run::peak(&want).max(1e-3);
            let got: Vec<f64> = heatmap.map.data.iter().map(|v| f64::from(*v)).collect();
            let error = run::distance(&got, &want) / peak;
            let sum = (heatmap.report.sum - want.iter().sum::<f64>()).abs() / peak;
            if !(error < 1e-7 && sum < 1e-10 * want.len() as f64) {
                failures.push(format!("seed {seed} {method}: {error:.2e} of the peak, sum {sum:.2e}"));
            }
        }
    }
    report(&failures, 30 * methods.len());
}
