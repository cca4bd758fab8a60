//! What programs do and do not contain: fusion, what is kept for the way back, order of reads and writes.

use std::collections::{BTreeMap, BTreeSet};

use fluoroscope::backend::gpu::launch;
use fluoroscope::graph::{Activation, AffineKind, Graph, Precision, ValueId};
use fluoroscope::method::METHODS;
use fluoroscope::plan::{Batch, Pass, PlanError, plan};
use fluoroscope::program::{Element, Kernel, Per, Phase, Program, Step};
use fluoroscope::rule::RuleOptions;

use crate::nets::{self, Flavour, GOLDENS, Net, Window};
use crate::oracle::{Backprop, Oracle};
use crate::run::{self, method};

pub fn program(graph: &Graph, methods: &[&str], batch: Batch) -> Program {
    let passes: Vec<Pass> = methods.iter().map(|name| run::pass(name)).collect();
    plan(graph, &passes, &RuleOptions::default(), batch).unwrap_or_else(|e| panic!("{methods:?}: {e}"))
}

fn is_convolution(step: &Step) -> bool {
    step.kernel.stem().starts_with("conv2d") || step.kernel.stem().starts_with("depthwise")
}

fn is_elementwise(step: &Step) -> bool {
    step.kernel.stem().starts_with("activation")
}

/// Elementwise steps after the first and before the last convolution of either part, as lines of the listing.
fn between_convolutions(program: &Program) -> Vec<String> {
    let mut found = Vec::new();
    for part in [&program.steps[..program.backward_from], &program.steps[program.backward_from..]] {
        let convolutions: Vec<usize> = (0..part.len()).filter(|&i| is_convolution(&part[i])).collect();
        if let [first, .., last] = convolutions[..] {
            let inside = part[first..last].iter().filter(|step| is_elementwise(step));
            found.extend(inside.map(|step| format!("{} {}", step.kernel.stem(), step.label)));
        }
    }
    found
}

/// Convolutions and ReLUs with max-pools between, then two dense layers.
fn vgg(size: usize, widths: &[usize]) -> Graph {
    let mut net = Net::new(1, [3, size, size], Precision::F32);
    let mut x = net.input();
    for &width in widths {
        for _ in 0..2 {
            x = net.conv(x, width, Window::square(3, 1, 1));
            x = net.relu(x);
        }
        x = net.max_pool(x, 2, 2, 0);
    }
    x = net.dense(x, 16);
    x = net.relu(x);
    let logits = net.dense(x, 5);
    net.finish(logits)
}

/// Residual blocks; `downsample` puts a strided projection on the way round every second one.
fn resnet(downsample: bool) -> Graph {
    let mut net = Net::new(2, [3, 16, 16], Precision::F32);
    let mut x = net.conv(net.input(), 8, Window::square(3, 1, 1));
    x = net.relu(x);
    for block in 0..4 {
        let projects = downsample && block % 2 == 1;
        let (width, stride) = if projects { (2 * net.shape(x).channels, 2) } else { (net.shape(x).channels, 1) };
        let y = net.conv(x, width, Window::square(3, stride, 1));
        let y = net.relu(y);
        let y = net.conv(y, width, Window::square(3, 1, 1));
        let round = if projects { net.conv(x, width, Window::square(1, stride, 0)) } else { x };
        let sum = net.add(y, round);
        x = net.relu(sum);
    }
    let mean = net.global_pool(x);
    let logits = net.dense(mean, 5);
    net.finish(logits)
}

/// Every layer's sums go to the rows of its height, and there is one total a height.
#[test]
fn an_audit_is_one_step_a_layer_and_one_a_height() {
    for network in [vgg(16, &[4, 8]), resnet(true)] {
        for name in ["lrp-epsilon", "deeplift"] {
            let program = program(&network, &[name], Batch::of(2));
            let audits = program.steps.iter().filter(|step| step.kernel.stem().starts_with("audit"));
            let heights: Vec<usize> = audits.map(|step| program.buffer(step.output).height).collect();
            let distinct: BTreeSet<usize> = heights.iter().copied().collect();
            let totals = program.steps.iter().filter(|step| step.label == "audit").count();
            assert_eq!(totals, distinct.len(), "{name}: of {heights:?}");
            assert!(heights.len() > totals, "{name}: {heights:?}");
        }
    }
}

/// A value that many read: their messages are added by as many kernels as have room for them.
#[test]
fn a_value_that_many_branches_read_gets_a_sum_that_kernels_take() {
    let mut net = Net::new(3, [3, 6, 6], Precision::F64);
    let x = net.conv(net.input(), 4, Window::square(3, 1, 1));
    let branches: Vec<ValueId> = (0..40).map(|_| net.conv(x, 4, Window::square(1, 1, 0))).collect();
    let joined = net.concat(&branches);
    let mean = net.global_pool(joined);
    let logits = net.dense(mean, 3);
    let graph = net.finish(logits);
    for name in FUSED {
        let program = program(&graph, &[name], Batch::of(1));
        for step in &program.steps {
            launch(&program, step).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let image = nets::Rng::new(5).image(3 * 36);
    let want = Oracle::new(&graph).gradients(&image, 1, Backprop::Gradient).swap_remove(graph.input.0);
    let baseline = vec![0.0; image.len()];
    let got = run::maps(&graph, &["gradient"], &image, &baseline, 1, &RuleOptions::default()).swap_remove(0);
    assert!(run::distance(&got, &want) < 1e-12);
}

#[test]
fn a_side_that_does_not_fit_into_a_kernels_words_is_an_error_that_names_it() {
    let mut net = Net::new(4, [1, 1, 70_000], Precision::F32);
    let x = net.conv(net.input(), 4, Window { kernel: [1, 3], pads: [0, 1, 0, 1], ..Window::square(1, 1, 0) });
    let mean = net.global_pool(x);
    let logits = net.dense(mean, 2);
    let program = program(&net.finish(logits), &["gradient"], Batch::of(1));
    let error = launch(&program, &program.steps[0]).expect_err("70,000 does not fit into 16 bits").to_string();
    assert!(error.contains("height or width 70000") && error.contains("65535"), "{error}");
}

/// Its message to a map takes the map as one pixel, which gates by bits go along with if these lie as the values do.
#[test]
fn a_dense_layer_meets_a_map_as_one_pixel() {
    let mut net = Net::new(4, [3, 6, 5], Precision::F32);
    let x = net.conv(net.input(), 12, Window::square(3, 1, 1));
    let x = net.act(x, Activation::Relu);
    let x = net.conv(x, 24, Window::square(3, 1, 1));
    let x = net.act(x, Activation::Relu);
    let logits = net.dense(x, 2);
    let program = program(&net.finish(logits), &["gradient"], Batch::of(1));
    let step = &program.steps[program.backward_from];
    assert!(matches!(step.kernel, Kernel::Conv2dBackward(_)), "{program}");
    let launch = launch(&program, step).expect("a launch");
    let word = |i: usize| u32::from_le_bytes(*launch.params[4 * i..].first_chunk().expect("a word"));
    assert_eq!((word(1), word(2)), (24 * 30 / 4, 1), "runs and pixels of its output: {program}");
    let bits = program.buffers.iter().filter(|buffer| buffer.element == Element::Bits).map(|buffer| buffer.channels);
    assert_eq!(bits.collect::<BTreeSet<_>>(), BTreeSet::from([24, 32]));
}

pub const FUSED: [&str; 5] = ["gradient", "deconvnet", "guided-backprop", "lrp-epsilon", "deeplift"];

#[test]
fn nothing_stands_between_the_convolutions_of_a_chain() {
    let chain = vgg(16, &[8, 16]);
    for name in FUSED {
        let program = program(&chain, &[name], Batch::of(1));
        assert!(program.steps.iter().filter(|step| is_convolution(step)).count() >= 12, "{program}");
        assert_eq!(between_convolutions(&program), Vec::<String>::new(), "{name}\n{program}");
    }
}

#[test]
fn nothing_stands_between_the_convolutions_of_residual_blocks() {
    for downsample in [false, true] {
        let graph = resnet(downsample);
        for name in FUSED {
            let program = program(&graph, &[name], Batch::of(1));
            let found = between_convolutions(&program);
            // LRP-epsilon divides by the sum, then by each of its summands: where the way round is a convolution too,
            // the message it takes is not what the other summand's convolution takes.
            let allowed = if name == "lrp-epsilon" && downsample { 2 } else { 0 };
            assert_eq!(found.len(), allowed, "{name}, downsample {downsample}: {found:?}\n{program}");
        }
    }
}

#[test]
fn nothing_stands_between_the_convolutions_of_branches() {
    let mut net = Net::new(5, [3, 16, 16], Precision::F32);
    let mut x = net.conv(net.input(), 16, Window::square(3, 1, 1));
    x = net.relu(x);
    for _ in 0..3 {
        let branches = [1, 3].map(|kernel| {
            let y = net.conv(x, 4 * kernel, Window::square(kernel, 1, kernel / 2));
            net.relu(y)
        });
        let joined = net.concat(&branches);
        let y = net.conv(joined, 8, Window::square(1, 1, 0));
        x = net.relu(y);
    }
    let mean = net.global_pool(x);
    let logits = net.dense(mean, 5);
    let graph = net.finish(logits);
    for name in FUSED {
        let program = program(&graph, &[name], Batch::of(1));
        assert_eq!(between_convolutions(&program), Vec::<String>::new(), "{name}\n{program}");
    }
}

#[test]
fn golden_chains_are_fused() {
    for (golden, of_method) in [
        ("vgg", [0, 0, 0, 0, 0]),
        // One projection.
        ("resnet", [0, 0, 0, 1, 0]),
    ] {
        let model = nets::golden(golden, Precision::F32);
        for (name, allowed) in FUSED.into_iter().zip(of_method) {
            let program = program(&model.graph, &[name], Batch::of(1));
            let found = between_convolutions(&program);
            assert_eq!(found.len(), allowed, "{golden} {name}: {found:?}\n{program}");
        }
    }
}

/// Labels of the nodes that the backward part serves.
fn backward_labels(program: &Program) -> BTreeSet<&str> {
    program.steps[program.backward_from..].iter().map(|step| step.label.as_str()).collect()
}

#[test]
fn grad_cam_goes_no_further_back_than_its_layer() {
    let mut net = Net::new(3, [3, 12, 12], Precision::F32);
    let mut layers: Vec<ValueId> = Vec::new();
    let mut x = net.input();
    for _ in 0..4 {
        x = net.conv(x, 8, Window::square(3, 1, 1));
        x = net.relu(x);
        layers.push(x);
    }
    let mean = net.global_pool(x);
    let logits = net.dense(mean, 5);
    let graph = net.finish(logits);
    for (at, &layer) in layers.iter().enumerate() {
        let pass = Pass { layer: Some(layer), ..run::pass("grad-cam") };
        let program = plan(&graph, &[pass], &RuleOptions::default(), Batch::of(1)).expect("a plan");
        let back = &program.steps[program.backward_from..];
        // The dense layer, and the convolutions behind the chosen activation.
        let convolutions = back.iter().filter(|step| is_convolution(step)).count();
        assert_eq!(convolutions, 1 + layers.len() - 1 - at, "{program}");
        assert!(!backward_labels(&program).contains(graph.nodes[0].label()), "{program}");
    }
    let full = program(&graph, &["gradient"], Batch::of(1));
    let convolutions = full.steps[full.backward_from..].iter().filter(|step| is_convolution(step)).count();
    assert_eq!(convolutions, 1 + layers.len());
}

/// Element types of the forward part's buffers that the backward part reads.
fn kept(program: &Program) -> BTreeMap<usize, Element> {
    let (forward, backward) = program.steps.split_at(program.backward_from);
    let written: BTreeSet<usize> = forward.iter().flat_map(Step::writes).map(|view| view.buffer.0).collect();
    let read = backward.iter().flat_map(Step::reads).map(|view| view.buffer.0);
    read.filter(|buffer| written.contains(buffer)).map(|i| (i, program.buffers[i].element)).collect()
}

#[test]
fn a_gradient_of_a_relu_net_keeps_bits_and_winners_only() {
    let golden = |name| nets::golden(name, Precision::F32).graph;
    for graph in [vgg(16, &[8, 16]), resnet(true), golden("vgg"), golden("resnet"), golden("overlap")] {
        for name in ["gradient", "saliency", "guided-backprop"] {
            let program = program(&graph, &[name], Batch::of(1));
            let kept = kept(&program);
            assert!(!kept.is_empty());
            assert!(kept.values().all(|element| *element != Element::Float), "{name} keeps {kept:?}\n{program}");
            let bits = kept.values().filter(|element| **element == Element::Bits).count();
            let relus = graph.nodes.iter().filter(|node| node.op.name() == "Relu").count();
            assert_eq!(bits, relus, "one bit a ReLU\n{program}");
        }
        let kept = kept(&program(&graph, &["deconvnet"], Batch::of(1)));
        assert!(kept.values().all(|element| *element == Element::Index), "DeconvNet needs the winners only: {kept:?}");
    }
}

/// Every read is of lanes written before, in this run; prologues are at kernels that take them; no slot is read and written by one step, none holds two live
/// buffers, with `repeat` nothing that the backward part reads is overwritten by it, and
/// nothing that a second batch reads of a shared baseline by the first.
pub fn check_order(program: &Program, repeat: bool, label: &str) {
    let slot = |buffer: usize| program.slots.of[buffer].unwrap_or_else(|| panic!("{label}: %{buffer} has no slot"));
    let lanes = |view: &fluoroscope::program::View| (view.offset..view.offset + view.channels).collect::<Vec<_>>();
    let mut written: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut holder: BTreeMap<usize, usize> = BTreeMap::new();
    let ports = [Some(&program.input), program.reference.as_ref(), program.seeds.as_ref()];
    for port in ports.into_iter().flatten() {
        written.entry(port.view.buffer.0).or_default().extend(lanes(&port.view));
        holder.insert(slot(port.view.buffer.0), port.view.buffer.0);
    }
    let rounds = if repeat { 2 } else { 1 };
    let backward = program.part(Phase::Backward);
    let batch = || program.part(Phase::Forward).chain((0..rounds).flat_map(|_| backward.clone()));
    // The second batch finds a baseline that all images share where the first left it.
    let again = if program.references == 1 { 0..0 } else { program.part(Phase::Reference) };
    let order = program.part(Phase::Reference).chain(batch()).chain(again).chain(batch());
    for at in order {
        let step = &program.steps[at];
        let enters = (0..step.inputs.len()).any(|i| step.prologue_of(i).is_some());
        assert_eq!(enters, step.prologue.is_some(), "{label}: step {at} ({}) takes no prologue\n{program}", step.label);
        for view in step.reads() {
            let known = written.get(&view.buffer.0).is_some_and(|known| lanes(&view).iter().all(|l| known.contains(l)));
            assert!(known, "{label}: step {at} ({}) reads {view:?} before it is written\n{program}", step.label);
            let held = holder.get(&slot(view.buffer.0));
            assert_eq!(held, Some(&view.buffer.0), "{label}: step {at} reads an overwritten buffer\n{program}");
        }
        for view in step.writes() {
            let target = slot(view.buffer.0);
            assert!(
                step.reads().iter().all(|read| slot(read.buffer.0) != target),
                "{label}: step {at} ({}) reads the slot it writes\n{program}",
                step.label
            );
            holder.insert(target, view.buffer.0);
            written.entry(view.buffer.0).or_default().extend(lanes(&view));
        }
    }
    let outputs = [&program.logits].into_iter().chain(&program.outputs).chain(&program.reference_logits);
    for port in outputs {
        let buffer = port.view.buffer.0;
        assert_eq!(holder.get(&slot(buffer)), Some(&buffer), "{label}: a result is overwritten\n{program}");
        assert!(lanes(&port.view).iter().all(|lane| written[&buffer].contains(lane)), "{label}: a result has holes");
    }
    for (i, buffer) in program.buffers.iter().enumerate() {
        if let Some(at) = program.slots.of[i] {
            assert!(program.slots.slots[at].len >= buffer.item_len() * program.count(buffer.per), "{label}: slot {at}");
            assert_eq!(program.slots.slots[at].element, buffer.element, "{label}: slot {at}");
        }
    }
}

/// Plans a method with several batches and checks each; `None` where the method refuses the network.
fn check_batches(graph: &Graph, methods: &[&str], label: &str) -> Option<usize> {
    let mut checked = 0;
    for (images, references, messages_per_image) in [(1, 1, 1), (3, 1, 1), (3, 3, 2)] {
        for (repeat, ranked) in [(false, false), (true, false), (false, true)] {
            let batch = Batch { images, references, messages_per_image, repeat, ranked };
            let passes: Vec<Pass> = methods.iter().map(|name| run::pass(name)).collect();
            let program = match plan(graph, &passes, &RuleOptions::default(), batch) {
                Ok(program) => program,
                Err(PlanError::NoCamHead { .. } | PlanError::NoLayer { .. }) => return None,
                Err(error) => panic!("{label}: {error}"),
            };
            check_order(&program, repeat, &format!("{label} {methods:?} {batch:?}"));
            checked += 1;
        }
    }
    Some(checked)
}

#[test]
fn reads_follow_writes_and_no_step_reads_a_slot_it_writes() {
    let mut checked = 0;
    for golden in GOLDENS {
        let graph = nets::golden(golden, Precision::F32).graph;
        for method in &METHODS {
            checked += check_batches(&graph, &[method.name], golden).unwrap_or(0);
        }
        let together: Vec<&str> = METHODS.iter().map(|method| method.name).filter(|name| *name != "cam").collect();
        checked += check_batches(&graph, &together, golden).expect("all methods but CAM apply");
    }
    assert!(checked >= GOLDENS.len() * 13 * 6, "only {checked} programs");
    for seed in 0..60 {
        let graph = nets::random(seed, Flavour::All, Precision::F32);
        for name in ["gradient", "lrp-epsilon", "lrp-zplus", "epsilon-plus-flat", "deeplift"] {
            check_batches(&graph, &[name], &format!("seed {seed}")).expect("a program");
        }
    }
}

#[test]
fn audits_before_a_relu_need_no_signs() {
    let mut net = Net::new(31, [3, 8, 8], Precision::F32);
    let mut x = net.input();
    let kinds = [
        Activation::Relu,
        Activation::Clip { low: 0.0, high: 6.0 },
        Activation::Clip { low: -1.0, high: 1.0 },
        Activation::LeakyRelu { slope: 0.1 },
    ];
    for activation in kinds {
        x = net.conv(x, 5, Window::square(3, 1, 1));
        x = net.act(x, activation);
    }
    let logits = net.dense(x, 3);
    let graph = net.finish(logits);
    let audited = [Pass { audit: true, ..run::pass("lrp-epsilon") }];
    let program = plan(&graph, &audited, &RuleOptions::default(), Batch::of(1)).expect("a program");
    let signs = program.steps.iter().filter_map(|step| match step.kernel {
        Kernel::AuditEpsilon { signs, .. } => Some(signs),
        _ => None,
    });
    // From the logits to the image.
    assert_eq!(signs.collect::<Vec<bool>>(), [true, true, true, false, false], "{program}");
}

#[test]
fn a_shared_baseline_is_forwarded_once() {
    let graph = resnet(true);
    for images in [1, 4] {
        let program = program(&graph, &["deeplift"], Batch { references: 1, ..Batch::of(images) });
        assert_eq!((program.images, program.references), (images, 1));
        let [reference, forward] = [Phase::Reference, Phase::Forward].map(|phase| &program.steps[program.part(phase)]);
        let all = |steps: &[Step], per: Per| steps.iter().all(|step| program.buffer(step.output).per == per);
        assert_eq!(reference.len(), forward.len(), "both sides have the same steps\n{program}");
        assert!(all(reference, Per::Reference) && all(forward, Per::Image), "each in its part\n{program}");
    }
    let without = program(&graph, &["gradient", "lrp-epsilon"], Batch::of(2));
    assert!(without.reference.is_none(), "only DeepLIFT forwards the baseline");
}

#[test]
fn one_forward_pass_serves_all_methods() {
    let graph = resnet(true);
    let all: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    let together = program(&graph, &all, Batch::of(1));
    let alone = program(&graph, &["deeplift"], Batch::of(1));
    let of_graph = |program: &Program| {
        let forward = &program.steps[..program.backward_from];
        forward.iter().filter(|step| is_convolution(step)).count()
    };
    assert_eq!(of_graph(&together), of_graph(&alone), "{together}");
    // Gradient, saliency, input x gradient, CAM and Grad-CAM share one way back.
    let shared = program(&graph, &["saliency", "gradient", "input-x-gradient", "cam", "grad-cam"], Batch::of(1));
    let gradient = program(&graph, &["gradient"], Batch::of(1));
    let back =
        |program: &Program| program.steps[program.backward_from..].iter().filter(|step| is_convolution(step)).count();
    assert_eq!(back(&shared), back(&gradient), "{shared}");
    assert_eq!(method("grad-cam").name, "grad-cam");
}

#[test]
fn members_of_concatenations_are_written_in_place() {
    // The convolutions of a dense block read the concatenation, by way of batch norms; nothing copies the members. Where
    // one convolution would read the buffer that it writes, what it adds is copied, not what it reads.
    for (bottleneck, copied) in [(true, vec![]), (false, vec![8; 3])] {
        let mut net = Net::new(4, [3, 8, 8], Precision::F32);
        let mut x = net.conv(net.input(), 16, Window::square(3, 1, 1));
        for _ in 0..3 {
            let normed = net.affine(x, AffineKind::BatchNorm);
            let mut y = net.relu(normed);
            if bottleneck {
                y = net.conv(y, 8, Window::square(1, 1, 0));
                y = net.relu(y);
            }
            let grown = net.conv(y, 8, Window::square(3, 1, 1));
            x = net.concat(&[x, grown]);
        }
        let mean = net.global_pool(x);
        let logits = net.dense(mean, 5);
        let graph = net.finish(logits);
        let program = program(&graph, &["gradient"], Batch::of(1));
        let copies = program.steps.iter().filter(|step| matches!(step.kernel, Kernel::ActivationForward));
        assert_eq!(copies.map(|step| step.output.channels).collect::<Vec<_>>(), copied, "{program}");
    }
}
