//! Images whose blocks are channels of the first layer: the maps are of the image, whatever its pixels lie like.

use fluoroscope::graph::{Graph, Precision, Shape};
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::rule::RuleOptions;

use crate::nets::{Net, Rng, Window};
use crate::oracle::Oracle;
use crate::run;

const CLASS: usize = 1;

/// A network whose first layer has such strides, and an image.
fn scene(shape: [usize; 3], stride: [usize; 2]) -> (Graph, Vec<f64>) {
    let mut net = Net::new(21, shape, Precision::F64);
    let window = Window { kernel: [5, 3], stride, pads: [2, 1, 2, 1], dilation: [1; 2], groups: 1 };
    let x = net.conv(net.input(), 7, window);
    let x = net.relu(x);
    let x = net.conv(x, 6, Window::square(3, 1, 1));
    let x = net.relu(x);
    let logits = net.dense(x, 3);
    let graph = net.finish(logits);
    let image = Rng::new(5).image(graph.shape(graph.input).len());
    (graph, image)
}

/// Blocks that the planner folds.
fn folded() -> Vec<(Graph, Vec<f64>, [usize; 2])> {
    let scenes = [([1, 12, 8], [2, 2]), ([1, 12, 8], [3, 1]), ([1, 12, 8], [1, 4]), ([2, 12, 8], [2, 1])];
    let scene = |(shape, stride)| {
        let (graph, image) = scene(shape, stride);
        (graph, image, stride)
    };
    scenes.map(scene).into()
}

/// Height and width of what the first step leaves.
fn entered(graph: &Graph, passes: &[Pass]) -> [usize; 2] {
    let program = plan(graph, passes, &RuleOptions::default(), Batch::of(1)).expect("a program");
    let buffer = program.buffer(program.steps[0].output);
    [buffer.height, buffer.width]
}

/// Bilinear, with half-pixel centres and clamped edges.
fn upsampled(grid: &[f64], from: Shape, to: Shape) -> Vec<f64> {
    let source = |at: usize, from: usize, to: usize| {
        let place = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        (place as usize, (place as usize + 1).min(from - 1), place.fract())
    };
    let value = |pixel: usize| {
        let (y, next_y, down) = source(pixel / to.width, from.height, to.height);
        let (x, next_x, across) = source(pixel % to.width, from.width, to.width);
        let row = |y: usize| grid[y * from.width + x] * (1.0 - across) + grid[y * from.width + next_x] * across;
        row(y) * (1.0 - down) + row(next_y) * down
    };
    (0..to.area()).map(value).collect()
}

#[test]
fn guided_grad_cam_is_guided_backprop_times_the_cam_of_each_pixel() {
    for (graph, image, stride) in folded() {
        let shape = graph.shape(graph.input);
        let passes = ["guided-backprop", "grad-cam"].map(run::pass);
        let passes = [passes[0], passes[1], Pass { upsample: true, ..run::pass("guided-grad-cam") }];
        assert_eq!(entered(&graph, &passes), [shape.height / stride[0], shape.width / stride[1]]);
        let maps = run::of_passes(&graph, &passes, &image, &[], CLASS, &RuleOptions::default());
        let grid: Vec<f64> = maps[1].0.iter().map(|v| v.max(0.0)).collect();
        let layer = graph.last_spatial_activation().expect("a layer");
        let cam = upsampled(&grid, graph.shape(layer), shape);
        let want: Vec<f64> = maps[0].0.iter().enumerate().map(|(i, v)| v * cam[i % shape.area()]).collect();
        let error = run::distance(&maps[2].0, &want) / run::peak(&want);
        assert!(error < 1e-12, "{shape}, stride {stride:?}: {error:e}");
    }
}

#[test]
fn a_cam_of_the_image_has_its_channels() {
    for (graph, image, stride) in folded() {
        let shape = graph.shape(graph.input);
        let passes = [Pass { layer: Some(graph.input), ..run::pass("grad-cam") }, run::pass("input-x-gradient")];
        assert_eq!(entered(&graph, &passes), [shape.height, shape.width]);
        let maps = run::of_passes(&graph, &passes, &image, &[], CLASS, &RuleOptions::default());
        let alone = run::maps(&graph, &["input-x-gradient"], &image, &[], CLASS, &RuleOptions::default());
        for (got, want) in
            [(&maps[0].0, &Oracle::new(&graph).grad_cam(&image, CLASS, graph.input)), (&maps[1].0, &alone[0])]
        {
            let error = run::distance(got, want) / run::peak(want);
            assert!(error < 1e-12, "{shape}, stride {stride:?}: {error:e}");
        }
    }
}
