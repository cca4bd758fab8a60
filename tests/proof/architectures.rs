//! The programs of networks that everybody knows, layer by layer as torchvision has them and as import leaves them: batch
//! norm is folded into the convolution before it, lists of a dense block share their prefix. Weights are blank: nothing runs.

use std::collections::HashMap;

use fluoroscope::graph::{AffineKind, Graph, Precision, ValueId};
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::{Kernel, Program};
use fluoroscope::rule::RuleOptions;

use crate::nets::{Net, Window};
use crate::plan::{FUSED, check_order, program};
use crate::run;

fn blank(size: usize) -> Net {
    let mut net = Net::new(0, [3, size, size], Precision::F32);
    net.blank = Some(HashMap::new());
    net
}

/// Simonyan and Zisserman 2015, configuration D.
fn vgg16(size: usize) -> Graph {
    let mut net = blank(size);
    let mut x = net.input();
    for (width, depth) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..depth {
            x = net.conv(x, width, Window::square(3, 1, 1));
            x = net.relu(x);
        }
        x = net.max_pool(x, 2, 2, 0);
    }
    for width in [4096, 4096] {
        x = net.dense(x, width);
        x = net.relu(x);
    }
    let logits = net.dense(x, 1000);
    net.finish(logits)
}

/// A strided convolution of 7x7 and a max-pool.
fn stem(net: &mut Net) -> ValueId {
    let x = net.conv(net.input(), 64, Window::square(7, 2, 3));
    let x = net.relu(x);
    net.max_pool(x, 3, 2, 1)
}

fn head(mut net: Net, x: ValueId) -> Graph {
    let mean = net.global_pool(x);
    let logits = net.dense(mean, 1000);
    net.finish(logits)
}

/// He et al. 2016, with the stride at the 3x3 convolution.
fn resnet50(size: usize) -> Graph {
    let mut net = blank(size);
    let mut x = stem(&mut net);
    for (width, depth, stride) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for block in 0..depth {
            let stride = if block == 0 { stride } else { 1 };
            let y = net.conv(x, width, Window::square(1, 1, 0));
            let y = net.relu(y);
            let y = net.conv(y, width, Window::square(3, stride, 1));
            let y = net.relu(y);
            let y = net.conv(y, 4 * width, Window::square(1, 1, 0));
            let round = if block == 0 { net.conv(x, 4 * width, Window::square(1, stride, 0)) } else { x };
            let sum = net.add(y, round);
            x = net.relu(sum);
        }
    }
    head(net, x)
}

/// Batch norm that no convolution could absorb, then ReLU.
fn norm(net: &mut Net, x: ValueId) -> ValueId {
    let x = net.affine(x, AffineKind::BatchNorm);
    net.relu(x)
}

/// Huang et al. 2017.
fn densenet121(size: usize) -> Graph {
    let mut net = blank(size);
    let mut x = stem(&mut net);
    for (block, depth) in [6, 12, 24, 16].into_iter().enumerate() {
        if block > 0 {
            let (y, channels) = (norm(&mut net, x), net.shape(x).channels);
            let y = net.conv(y, channels / 2, Window::square(1, 1, 0));
            x = net.average_pool(y, 2, 2, 0);
        }
        for _ in 0..depth {
            let y = norm(&mut net, x);
            let y = net.conv(y, 128, Window::square(1, 1, 0));
            let y = net.relu(y);
            let grown = net.conv(y, 32, Window::square(3, 1, 1));
            x = net.concat(&[x, grown]);
        }
    }
    let x = norm(&mut net, x);
    head(net, x)
}

/// Lines of the listing between two convolutions of either part whose kernel only moves or changes elements.
fn between_convolutions(program: &Program) -> Vec<String> {
    let text = program.to_string();
    let parts: Vec<&str> = text.split("; backward\n").collect();
    assert_eq!(parts.len(), 2, "{text}");
    let mut found = Vec::new();
    for part in parts {
        let lines: Vec<&str> = part.lines().filter(|line| line.contains(" = ")).collect();
        let kernel =
            |line: &str| line.split(" = ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("").to_owned();
        let is_convolution = |line: &&str| kernel(line).starts_with("conv2d_");
        let first = lines.iter().position(is_convolution).expect("a convolution");
        let last = lines.iter().rposition(is_convolution).expect("a convolution");
        let inside = lines[first..last].iter();
        let elementwise = inside.filter(|line| ["activation_forward", "activation_backward"].contains(&&*kernel(line)));
        found.extend(elementwise.map(|line| (*line).to_owned()));
    }
    found
}

#[test]
fn nothing_stands_between_the_convolutions_of_known_networks() {
    // Convolutions and dense layers, and the projections round a block.
    for (name, graph, convolutions, projections) in
        [("VGG-16", vgg16(32), 16, 0), ("ResNet-50", resnet50(64), 54, 4), ("DenseNet-121", densenet121(64), 121, 0)]
    {
        for method in FUSED {
            let program = program(&graph, &[method], Batch::of(1));
            let count = program.to_string().matches(" = conv2d_").count();
            let sides = if method == "deeplift" { 3 } else { 2 };
            assert_eq!(count, sides * convolutions, "{name} {method}\n{program}");
            let found = between_convolutions(&program);
            // LRP-epsilon divides by the sum, then by each of its summands, of which a projection is one without a ReLU.
            let allowed = if method == "lrp-epsilon" { projections } else { 0 };
            assert_eq!(found.len(), allowed, "{name} {method}: {found:#?}\n{program}");
        }
    }
}

#[test]
fn scale_shift_and_relu_of_densenet_are_prologues() {
    let graph = densenet121(64);
    for method in FUSED {
        let program = program(&graph, &[method], Batch::of(1));
        let text = program.to_string();
        let sides = if method == "deeplift" { 2 } else { 1 };
        // A convolution a dense layer and a transition; the pool of the head.
        assert_eq!(text.matches(" = conv2d_forward relu(affine(%").count(), sides * (58 + 3), "{text}");
        assert_eq!(text.matches(" = pool_average_forward relu(affine(%").count(), sides, "{text}");
    }
}

#[test]
fn what_a_prologue_computes_is_stored_where_somebody_reads_it() {
    let graph = densenet121(64);
    let norms: Vec<ValueId> =
        graph.nodes.iter().filter(|node| node.op.name() == "BatchNorm").map(|node| node.output).collect();
    let relu_of = |norm: ValueId| graph.nodes.iter().find(|node| node.inputs == [norm]).expect("a ReLU").output;
    for layer in [norms[30], relu_of(norms[30])] {
        let passes = [run::pass("gradient"), Pass { layer: Some(layer), ..run::pass("grad-cam") }];
        let program = plan(&graph, &passes, &RuleOptions::default(), Batch::of(1)).expect("a plan");
        check_order(&program, false, "a layer in a prologue");
        let forward = &program.steps[..program.backward_from];
        let stored = forward.iter().filter(|step| matches!(step.kernel, Kernel::ActivationForward));
        assert_eq!(stored.count(), 1, "{program}");
    }
}
