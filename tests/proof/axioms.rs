//! What maps obey whatever the network: derivatives, sums, agreement of methods, independence of company.

use std::sync::Arc;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::explain::{Baseline, ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::graph::{Activation, Affine, Constant, Graph, Op, PoolKind, Precision, Rearrange};
use fluoroscope::model::Model;
use fluoroscope::rule::RuleOptions;
use fluoroscope::tensor::Tensor;

use crate::nets::{self, Flavour, GOLDENS, Net, Rng, Window};
use crate::rules::{normed_ops, single_ops};
use crate::run;

fn image_of(graph: &Graph, seed: u64) -> Vec<f64> {
    Rng::new(seed ^ 0x1234).image(graph.shape(graph.input).len())
}

fn class_of(graph: &Graph, seed: u64) -> usize {
    seed as usize % graph.shape(graph.output).len()
}

fn sum(map: &[f64]) -> f64 {
    map.iter().sum()
}

fn mass(map: &[f64]) -> f64 {
    map.iter().map(|v| v.abs()).sum()
}

fn report(failures: &[String], checked: usize) {
    assert!(failures.is_empty(), "{} of {checked} fail:\n{}", failures.len(), failures.join("\n"));
}

fn random_graphs(count: u64, flavour: Flavour) -> Vec<(String, Graph)> {
    (0..count).map(|seed| (format!("{flavour:?} {seed}"), nets::random(seed, flavour, Precision::F64))).collect()
}

fn goldens(names: &[&str]) -> Vec<(String, Graph)> {
    names.iter().map(|name| ((*name).to_owned(), nets::golden(name, Precision::F64).graph)).collect()
}

/// The gradient along random directions against central differences of the logit.
#[test]
fn gradients_are_finite_differences() {
    let mut graphs = goldens(&GOLDENS);
    graphs.extend(single_ops());
    graphs.extend(normed_ops());
    graphs.extend(random_graphs(60, Flavour::All));
    graphs.extend(random_graphs(30, Flavour::Normed));
    let mut failures = Vec::new();
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        let gradient = run::maps(graph, &["gradient"], &image, &[], class, &RuleOptions::default()).remove(0);
        let mut rng = Rng::new(seed as u64);
        for _ in 0..3 {
            let direction: Vec<f64> = image.iter().map(|_| rng.signed()).collect();
            let want: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let difference = |h: f64| {
                let at = |h: f64| -> f64 {
                    let point: Vec<f64> = image.iter().zip(&direction).map(|(x, d)| x + h * d).collect();
                    run::logits(graph, &point)[class]
                };
                (at(h) - at(-h)) / (2.0 * h)
            };
            let scale = gradient.iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-3);
            // A kink inside the wider interval is outside the narrower one, almost surely.
            let error = [1e-6, 1e-8].map(|h| (difference(h) - want).abs() / scale);
            if !(error[0] < 1e-7 || error[1] < 1e-6) {
                failures.push(format!("{name}: off by {error:?} of the norm"));
            }
        }
    }
    report(&failures, 3 * graphs.len());
}

/// The graph without the constants that absorb relevance.
fn without_biases(mut graph: Graph) -> Graph {
    let precision = graph.precision;
    for node in &mut graph.nodes {
        match &mut node.op {
            Op::Conv2d(conv) => conv.bias = None,
            Op::Affine(Affine { shift, .. }) => *shift = Constant::new(vec![0.0; shift.len()], precision),
            Op::Rearrange(Rearrange { fill, .. }) => *fill = 0.0,
            _ => {}
        }
    }
    graph
}

/// Small enough that `z + eps` rounds to `z`, and still no division by zero.
const NO_EPSILON: f64 = 1e-300;

#[test]
fn lrp_epsilon_sums_to_the_logit() {
    let names = ["plain", "vgg", "resnet", "densenet", "overlap", "mobile", "odd-convs", "pools"];
    let mut graphs: Vec<(String, Graph)> =
        goldens(&names).into_iter().chain(normed_ops()).map(|(name, graph)| (name, without_biases(graph))).collect();
    graphs.extend(random_graphs(100, Flavour::BiasFreeRelu));
    let mut failures = Vec::new();
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        let rules = RuleOptions { epsilon: NO_EPSILON, ..RuleOptions::default() };
        let map = run::maps(graph, &["lrp-epsilon"], &image, &[], class, &rules).remove(0);
        let error = (sum(&map) - run::logits(graph, &image)[class]).abs() / mass(&map).max(1.0);
        if error.is_nan() || error > 1e-12 {
            failures.push(format!("{name}: off by {error:.1e} of the mass"));
        }
    }
    report(&failures, graphs.len());
}

const LRP: [&str; 3] = ["lrp-epsilon", "lrp-zplus", "epsilon-plus-flat"];

/// What does not reach the image went to biases or to epsilon; nothing is lost anywhere else.
#[test]
fn the_books_of_relevance_balance() {
    let mut graphs = goldens(&GOLDENS);
    graphs.extend(random_graphs(60, Flavour::BiasFreeRelu));
    graphs.extend(random_graphs(120, Flavour::All));
    graphs.extend(normed_ops());
    graphs.extend(random_graphs(40, Flavour::Normed));
    // A padding of other values than zero is a constant, and takes relevance as one.
    graphs.retain(|(_, graph)| !graph.nodes.iter().any(|node| matches!(&node.op, Op::Rearrange(r) if r.fill != 0.0)));
    let mut failures = Vec::new();
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        let logit = run::logits(graph, &image)[class];
        for epsilon in [1e-6, 0.01] {
            let rules = RuleOptions { epsilon, ..RuleOptions::default() };
            for (method, (map, sums)) in LRP.iter().zip(run::audited(graph, &LRP, &image, &[], class, &rules)) {
                let error = (sum(&map) + sums[0] + sums[1] - logit).abs() / mass(&map).max(1.0);
                if error.is_nan() || error > 1e-9 {
                    failures.push(format!("{name}, {method}, epsilon {epsilon}: off by {error:.1e} of the mass"));
                }
            }
        }
    }
    report(&failures, graphs.len() * 2 * LRP.len());
}

/// Without biases nothing goes to them; without epsilon nothing goes there.
#[test]
fn relevance_is_booked_to_what_takes_it() {
    let mut graphs = goldens(&["plain", "vgg", "resnet", "densenet", "overlap", "mobile", "odd-convs", "pools"]);
    for (name, graph) in &mut graphs {
        let (image, class) = (image_of(graph, 3), class_of(graph, 3));
        let rules = RuleOptions { epsilon: NO_EPSILON, ..RuleOptions::default() };
        let (map, sums) = run::audited(graph, &["lrp-epsilon"], &image, &[], class, &rules).remove(0);
        assert!(sums[0].abs() > 1e-3 && sums[1].abs() < 1e-12 * mass(&map).max(1.0), "{name}: {sums:?}");
        let bare = without_biases(graph.clone());
        let rules = RuleOptions { epsilon: 0.01, ..RuleOptions::default() };
        let (_, sums) = run::audited(&bare, &["lrp-epsilon"], &image, &[], class, &rules).remove(0);
        assert!(sums[0] == 0.0 && sums[1].abs() > 1e-6, "{name} without biases: {sums:?}");
    }
}

/// An image that is its own baseline falls back at every activation and every max-pooled value; another at none.
#[test]
fn fallbacks_of_deeplift_are_counted() {
    for (name, graph) in goldens(&["plain", "resnet", "overlap", "mobile"]) {
        let counted = |op: &Op| match op {
            Op::Activation(_) => true,
            Op::Pool(pool) => pool.kind == PoolKind::Max,
            _ => false,
        };
        let read = graph.nodes.iter().filter(|node| counted(&node.op)).map(|node| graph.shape(node.inputs[0]).len());
        let all: usize = read.sum();
        let (image, class) = (image_of(&graph, 5), class_of(&graph, 5));
        let fallbacks = |baseline: &[f64]| {
            run::audited(&graph, &["deeplift"], &image, baseline, class, &RuleOptions::default()).remove(0).1[0]
        };
        assert_eq!(fallbacks(&image), all as f64, "{name}");
        // Max-pools of dead activations compare zero with zero.
        let some = fallbacks(&image_of(&graph, 6));
        assert!(some < all as f64 / 2.0, "{name}: {some} of {all}");
    }
}

#[test]
fn deeplift_sums_to_the_difference_of_logits() {
    let mut graphs = goldens(&GOLDENS);
    graphs.extend(single_ops());
    graphs.extend(random_graphs(120, Flavour::All));
    graphs.extend(random_graphs(60, Flavour::BiasFreeRelu));
    let mut failures = Vec::new();
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        for baseline in [image_of(graph, 1000 + seed as u64), vec![0.0; image.len()]] {
            let map = run::maps(graph, &["deeplift"], &image, &baseline, class, &RuleOptions::default()).remove(0);
            let want = run::logits(graph, &image)[class] - run::logits(graph, &baseline)[class];
            let error = (sum(&map) - want).abs() / mass(&map).max(1.0);
            if error.is_nan() || error > 1e-9 {
                failures.push(format!("{name}: off by {error:.1e} of the mass"));
            }
        }
    }
    report(&failures, 2 * graphs.len());
}

fn explain_one(model: &Model, method: &str, image: &[f64], class: usize, options: &ExplainOptions) -> Heatmap {
    let images = run::tensor(&model.graph, &[image.to_vec()]);
    run::explain(model, &images, &[method], &Target::Index(class), options, 1).remove(0).remove(0)
}

/// Along a smooth path Gauss-Legendre converges at once; kinks cost digits, which more points win back.
#[test]
fn integrated_gradients_sum_to_the_difference_of_logits() {
    let mut failures = Vec::new();
    let kinked: Vec<(String, Graph)> = goldens(&["overlap", "resnet", "pools"])
        .into_iter()
        .chain(random_graphs(12, Flavour::All))
        .chain(normed_ops())
        .collect();
    let smooth = random_graphs(25, Flavour::Smooth);
    let checked = smooth.len() + kinked.len();
    let graphs = smooth.into_iter().map(|g| (g, 48, 1e-8)).chain(kinked.into_iter().map(|g| (g, 300, 1e-2)));
    for (seed, ((name, graph), steps, limit)) in graphs.enumerate() {
        let seed = seed as u64;
        let (image, baseline, class) = (image_of(&graph, seed), image_of(&graph, 500 + seed), class_of(&graph, seed));
        let baseline = Baseline::Tensor(Arc::new(run::tensor(&graph, &[baseline])));
        let model = nets::model(graph);
        let options = ExplainOptions { steps, baseline, ..ExplainOptions::default() };
        let heatmap = explain_one(&model, "integrated-gradients", &image, class, &options);
        let mass: f64 = heatmap.map.data.iter().map(|v| f64::from(v.abs())).sum();
        let expected = heatmap.report.expected_sum.expect("a promise");
        let error = (heatmap.report.sum - expected).abs() / mass.max(1.0);
        if error.is_nan() || error > limit {
            failures.push(format!("{name}, {steps} points: off by {error:.1e} of the mass"));
        }
    }
    report(&failures, checked);
}

/// Every max-pool stands behind a ReLU: its values are not below those of the zero image, which wins nothing then.
fn pools_are_behind_relu(graph: &Graph) -> bool {
    let producers = graph.producers();
    let is_relu = |node: usize| matches!(graph.nodes[node].op, Op::Activation(Activation::Relu));
    let pools = graph.nodes.iter().filter(|node| matches!(&node.op, Op::Pool(pool) if pool.kind == PoolKind::Max));
    pools.map(|node| producers[node.inputs[0].0]).all(|made| made.is_some_and(is_relu))
}

/// A network without biases is linear along the ray from zero through the image, if its activations are ReLU: the
/// gradient there is constant, so input x gradient, LRP without epsilon, DeepLIFT and integrated gradients from zero
/// are one map. DeepLIFT is left out where a max-pool sees negative values: there the zero image wins windows.
#[test]
fn four_methods_give_one_map_without_biases() {
    let mut failures = Vec::new();
    let (mut four, mut three) = (0, 0);
    let mut graphs = random_graphs(40, Flavour::BiasFreeLinear);
    graphs.extend(random_graphs(80, Flavour::BiasFreeRelu));
    graphs.extend(goldens(&["plain", "vgg", "resnet"]).into_iter().map(|(name, graph)| (name, without_biases(graph))));
    for (seed, (name, graph)) in graphs.iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        let rules = RuleOptions { epsilon: NO_EPSILON, ..RuleOptions::default() };
        let zero = vec![0.0; image.len()];
        let maps = run::maps(graph, &["input-x-gradient", "lrp-epsilon", "deeplift"], &image, &zero, class, &rules);
        let scale = run::peak(&maps[0]).max(1e-3);
        let mut compare = |method: &str, map: &[f64], limit: f64| {
            let error = run::distance(&maps[0], map) / scale;
            if error.is_nan() || error > limit {
                failures.push(format!("{name}: {method} is off by {error:.1e} of the peak"));
            }
        };
        compare("lrp-epsilon", &maps[1], 1e-10);
        if pools_are_behind_relu(graph) {
            compare("deeplift", &maps[2], 1e-10);
            four += 1;
        } else {
            three += 1;
        }
        let model = nets::model(graph.clone());
        let options = ExplainOptions { rules, steps: 3, ..ExplainOptions::default() };
        let integrated = explain_one(&model, "integrated-gradients", &image, class, &options).map.data;
        compare("integrated-gradients", &integrated.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), 1e-6);
    }
    assert!(four >= 40 && three >= 10, "{four} networks allow four methods, {three} three");
    report(&failures, graphs.len());
}

const ALL: [&str; 14] = [
    "saliency",
    "gradient",
    "input-x-gradient",
    "deconvnet",
    "guided-backprop",
    "grad-cam",
    "guided-grad-cam",
    "lrp-epsilon",
    "lrp-zplus",
    "epsilon-plus-flat",
    "deeplift",
    "integrated-gradients",
    "smoothgrad",
    "smoothgrad-lrp-epsilon",
];

fn small_options() -> ExplainOptions {
    ExplainOptions { steps: 3, samples: 3, baseline: Baseline::Mean, ..ExplainOptions::default() }
}

/// Networks in f32 with many kinds of step, one of them with more classes than messages travel together.
fn networks() -> Vec<Model> {
    let mut models: Vec<Model> =
        ["resnet", "densenet", "overlap", "gated", "mobile"].map(|name| nets::golden(name, Precision::F32)).into();
    let mut net = Net::new(9, [3, 9, 10], Precision::F32);
    let x = net.conv(net.input(), 20, Window::square(3, 1, 1));
    let x = net.relu(x);
    let x = net.max_pool(x, 3, 2, 1);
    let y = net.conv(x, 20, Window { groups: 4, ..Window::square(3, 1, 1) });
    let y = net.squeeze(y, Activation::Sigmoid);
    let x = net.add(x, y);
    let x = net.act(x, Activation::Silu);
    let x = net.global_pool(x);
    let logits = net.dense(x, 19);
    models.push(nets::model(net.finish(logits)));
    // A grey image, folded for its first layer's stride, with blocks that reach over its edges.
    let mut net = Net::new(10, [1, 12, 14], Precision::F32);
    let window = Window { kernel: [7, 5], stride: [2, 2], pads: [3, 2, 2, 3], dilation: [1; 2], groups: 1 };
    let x = net.conv(net.input(), 9, window);
    let x = net.relu(x);
    let x = net.conv(x, 6, Window::square(3, 1, 1));
    let x = net.relu(x);
    let logits = net.dense(x, 5);
    models.push(nets::model(net.finish(logits)));
    models
}

fn images_of(model: &Model, count: u64) -> Vec<Vec<f64>> {
    (0..count).map(|i| image_of(&model.graph, 40 + i)).collect()
}

fn bits(heatmap: &Heatmap) -> Vec<u32> {
    heatmap.map.data.iter().map(|v| v.to_bits()).collect()
}

fn assert_same(a: &Heatmap, b: &Heatmap, what: &str) {
    assert_eq!((a.method, a.target), (b.method, b.target), "{what}");
    assert_eq!(a.report.logit.to_bits(), b.report.logit.to_bits(), "{what}: logits differ");
    let (left, right) = (bits(a), bits(b));
    let differ = left.iter().zip(&right).filter(|(l, r)| l != r).count();
    assert_eq!(differ, 0, "{what}, {}: {differ} of {} elements differ", a.method, left.len());
    assert!(a.report.non_finite == 0 && left.len() == right.len(), "{what}, {}", a.method);
}

/// Image `number` alone, on one thread.
fn alone(model: &Model, number: usize, images: &[Vec<f64>], methods: &[&str], target: &Target) -> Vec<Heatmap> {
    let backend = CpuBackend::new(model.graph.precision, Some(1)).expect("a backend");
    let mut explainer = Explainer::new(model, Box::new(backend), small_options()).expect("an explainer");
    let image: Tensor = run::tensor(&model.graph, &images[number..=number]);
    let choices: Vec<_> = methods.iter().map(|name| run::choice(name)).collect();
    explainer.explain_from(number, &image, &choices, target).expect("maps").remove(0)
}

#[test]
fn a_map_does_not_depend_on_its_batch_or_the_threads() {
    for model in networks() {
        let images = images_of(&model, 5);
        let target = Target::Index(1);
        let single: Vec<Vec<Heatmap>> = (0..5).map(|i| alone(&model, i, &images, &ALL, &target)).collect();
        for (count, batch, threads) in
            [(5, None, 2), (5, Some(5), 3), (5, Some(2), 1), (3, Some(3), 2), (2, Some(1), 2), (1, None, 4)]
        {
            let options = ExplainOptions { batch, ..small_options() };
            let together = run::tensor(&model.graph, &images[..count]);
            let lists = run::explain(&model, &together, &ALL, &target, &options, threads);
            assert_eq!(lists.len(), count);
            for (i, (list, single)) in lists.iter().zip(&single).enumerate() {
                for (a, b) in list.iter().zip(single) {
                    let name = model.path.display();
                    assert_same(a, b, &format!("{name}: image {i} of {count}, batch {batch:?}, {threads} threads"));
                }
            }
        }
    }
}

#[test]
fn a_map_does_not_depend_on_the_methods_beside_it() {
    for model in networks() {
        let images = images_of(&model, 1);
        let together = alone(&model, 0, &images, &ALL, &Target::Index(2));
        for (method, of_all) in ALL.iter().zip(&together) {
            let one = alone(&model, 0, &images, &[method], &Target::Index(2)).remove(0);
            assert_same(&one, of_all, &format!("{} alone", model.path.display()));
        }
        let reversed: Vec<&str> = ALL.into_iter().rev().collect();
        let backwards = alone(&model, 0, &images, &reversed, &Target::Index(2));
        for (a, b) in backwards.iter().rev().zip(&together) {
            assert_same(a, b, &format!("{} in reverse", model.path.display()));
        }
    }
}

#[test]
fn a_map_does_not_depend_on_the_targets_beside_it() {
    for model in networks() {
        let images = images_of(&model, 2);
        let classes = model.graph.shape(model.graph.output).len();
        for number in 0..2 {
            let all = alone(&model, number, &images, &ALL, &Target::All);
            assert_eq!(all.len(), classes * ALL.len());
            for (class, of_class) in all.chunks(ALL.len()).enumerate() {
                let single = alone(&model, number, &images, &ALL, &Target::Index(class));
                for (a, b) in of_class.iter().zip(&single) {
                    assert_same(a, b, &format!("{} class {class} of {classes}", model.path.display()));
                }
            }
            let top = alone(&model, number, &images, &ALL, &Target::Top(2));
            for a in &top {
                let b = all.iter().find(|b| (b.method, b.target) == (a.method, a.target)).expect("the same target");
                assert_same(a, b, &format!("{} top", model.path.display()));
            }
        }
    }
    let most = networks().iter().map(|model| model.graph.shape(model.graph.output).len()).max();
    assert!(most > Some(16), "no network needs several rounds of messages");
}

#[test]
fn noise_depends_on_the_seed_and_the_number_of_the_image_alone() {
    let model = nets::golden("resnet", Precision::F32);
    let image = images_of(&model, 1);
    let run_with = |seed: u64, number: usize, methods: &[&str], steps: usize| {
        let backend = CpuBackend::new(Precision::F32, Some(2)).expect("a backend");
        let options = ExplainOptions { seed, steps, ..small_options() };
        let mut explainer = Explainer::new(&model, Box::new(backend), options).expect("an explainer");
        let choices: Vec<_> = methods.iter().map(|name| run::choice(name)).collect();
        let maps = explainer.explain_from(number, &run::tensor(&model.graph, &image), &choices, &Target::Index(0));
        bits(maps.expect("maps").remove(0).last().expect("a map"))
    };
    let first = run_with(1, 0, &["smoothgrad"], 3);
    assert_eq!(first, run_with(1, 0, &["smoothgrad"], 3));
    assert_eq!(first, run_with(1, 0, &["lrp-epsilon", "integrated-gradients", "smoothgrad"], 7));
    assert_ne!(first, run_with(2, 0, &["smoothgrad"], 3));
    assert_ne!(first, run_with(1, 1, &["smoothgrad"], 3));
    assert_ne!(first, run_with(1, 0, &["gradient"], 3));
}

/// Behind a layer stand global average pooling and one dense layer, so `mean(CAM) + b = logit` (Zhou et al. 2016), and
/// Grad-CAM, whose weights are means where CAM's are the class's own, is CAM over the number of pixels.
#[test]
fn a_cam_holds_the_logit() {
    let mut failures = Vec::new();
    let names = ["resnet", "densenet", "overlap", "mobile", "gated", "smooth-gates", "odd-convs", "pools", "smooth"];
    for (seed, (name, graph)) in goldens(&names).iter().enumerate() {
        let (image, class) = (image_of(graph, seed as u64), class_of(graph, seed as u64));
        let mut maps = run::maps(graph, &["cam", "grad-cam"], &image, &[], class, &RuleOptions::default());
        let (gradient, cam) = (maps.remove(1), maps.remove(0));
        let bias = match graph.nodes.last().map(|node| &node.op) {
            Some(Op::Conv2d(dense)) => dense.bias.as_ref().map_or(0.0, |b| b.get(class)),
            other => panic!("{name} ends in {other:?}"),
        };
        let (pixels, logit) = (cam.len() as f64, run::logits(graph, &image)[class]);
        if (sum(&cam) / pixels + bias - logit).abs() > 1e-12 * (mass(&cam) / pixels).max(1.0) {
            failures.push(format!("{name}: mean {} and bias {bias} for logit {logit}", sum(&cam) / pixels));
        }
        if cam.iter().zip(&gradient).any(|(c, g)| (c - g * pixels).abs() > 1e-12 * mass(&cam)) {
            failures.push(format!("{name}: CAM is not Grad-CAM times {pixels}"));
        }
    }
    report(&failures, names.len());
}
