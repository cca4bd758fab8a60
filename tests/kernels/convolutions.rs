//! Rows of the table: convolutions of every shape, forward and back, in one group, in several, and by channel.

use fluoroscope::graph::{Activation, Constant};
use fluoroscope::program::{Arrangement, ConvParams, Element, Kernel, Per, Stage, Weight};

use crate::bench::Bench;
use crate::cases::{Case, case};
use crate::oracle::{self, Array};
use crate::{prologues, stages};

#[derive(Clone, Copy)]
pub struct Geometry {
    pub name: &'static str,
    pub x: [usize; 3],
    pub channels: usize,
    pub params: ConvParams,
    /// Channels lie as those of a concatenation with an image do.
    pub image_first: bool,
}

impl Geometry {
    pub fn new(name: &'static str, x: [usize; 3], channels: usize, params: ConvParams) -> Self {
        Self { name, x, channels, params, image_first: false }
    }

    pub fn y(&self) -> [usize; 3] {
        let p = &self.params;
        let size = |a: usize| {
            (self.x[a + 1] + p.pads[a] + p.pads[a + 2] - p.dilation[a] * (p.kernel[a] - 1) - 1) / p.stride[a] + 1
        };
        [self.channels, size(0), size(1)]
    }

    pub fn weights(&self) -> usize {
        self.x[0] / self.params.groups * self.channels * self.params.kernel[0] * self.params.kernel[1]
    }
}

pub fn table() -> Vec<Geometry> {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    let point = ConvParams { kernel: [1, 1], pads: [0; 4], ..plain };
    let g = Geometry::new;
    vec![
        g("1x1 of one cell", [1, 1, 1], 1, point),
        g("one channel, several blocks", [1, 19, 17], 1, plain),
        g("7 to 13", [7, 7, 7], 13, plain),
        g("nine channels", [9, 5, 7], 9, plain),
        g("13 to 7, stride 2, odd", [13, 13, 7], 7, ConvParams { stride: [2, 2], ..plain }),
        g("stem 7x7 stride 2", [3, 15, 13], 33, ConvParams { kernel: [7, 7], stride: [2, 2], pads: [3; 4], ..plain }),
        g("255 to 257", [255, 2, 3], 257, point),
        g("dense of a 3x2 map", [257, 3, 2], 255, ConvParams { kernel: [3, 2], ..point }),
        g("dense of a 2x3 map of 16 channels", [16, 2, 3], 36, ConvParams { kernel: [2, 3], ..point }),
        g("dense of a vector", [255, 1, 1], 7, point),
        g("point stride 2", [13, 7, 13], 17, ConvParams { stride: [2, 2], ..point }),
        g("stride beyond the kernel", [7, 13, 11], 9, ConvParams { kernel: [2, 2], stride: [3, 3], ..point }),
        g("stride 3x2", [5, 13, 7], 6, ConvParams { stride: [3, 2], ..plain }),
        g("dilation 2", [7, 13, 9], 13, ConvParams { dilation: [2, 2], pads: [2; 4], ..plain }),
        g("dilation 1x3, stride 2", [6, 7, 13], 8, ConvParams { dilation: [1, 3], stride: [2, 2], ..plain }),
        g("asymmetric pads", [7, 7, 6], 13, ConvParams { stride: [2, 2], pads: [0, 1, 2, 0], ..plain }),
        g("1x7 kernel", [13, 5, 17], 7, ConvParams { kernel: [1, 7], pads: [0, 3, 0, 3], ..plain }),
        g("groups of 3 to 5", [9, 7, 5], 15, ConvParams { groups: 3, ..plain }),
        g("groups of 16", [64, 3, 7], 64, ConvParams { groups: 4, ..plain }),
        g("groups of 13 to 7, stride 2", [26, 7, 7], 14, ConvParams { groups: 2, stride: [2, 2], ..plain }),
        g("a group per channel", [13, 5, 5], 13, ConvParams { groups: 13, ..plain }),
        g("width 1", [17, 13, 1], 33, ConvParams { kernel: [3, 1], pads: [1, 0, 1, 0], ..plain }),
        g("pad beyond the kernel", [4, 3, 3], 5, ConvParams { kernel: [2, 2], pads: [2; 4], ..plain }),
        g("tiles, 3x3", [36, 9, 11], 68, plain),
        g("tiles, 32 channels", [32, 7, 9], 32, plain),
        g("tiles, stride 2, odd", [68, 15, 14], 36, ConvParams { stride: [2, 2], ..plain }),
        g(
            "tiles, stride 4x3, dilation 6x2",
            [36, 13, 14],
            33,
            ConvParams { stride: [4, 3], dilation: [6, 2], ..plain },
        ),
        g("tiles, stride beyond the kernel", [36, 11, 8], 40, ConvParams { stride: [2, 3], ..point }),
    ]
}

/// The first layer of a grey image whose blocks of 2x2 pixels are channels.
pub fn stem_over_blocks() -> Geometry {
    let params = ConvParams { kernel: [4, 4], stride: [1, 1], dilation: [1, 1], pads: [2, 2, 1, 1], groups: 1 };
    Geometry::new("stem 4x4 over blocks", [4, 9, 8], 33, params)
}

/// A convolution by itself, and with what is fused before and after.
fn alone_and_fused(cases: &mut Vec<Case>, geometry: Geometry) {
    cases.extend(convolution(geometry));
    prologues::of_convolution(cases, geometry, true, Some(Activation::Relu));
    stages::around_convolution(cases, geometry);
}

/// Groups wide enough for tiles of their own, alone and with what is fused before and after.
pub fn groups_in_tiles(cases: &mut Vec<Case>) {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    let g = Geometry::new;
    for geometry in [
        g("groups of 24 to 40", [72, 9, 11], 120, ConvParams { groups: 3, ..plain }),
        g("groups of 16 to 40, stride 2, odd", [32, 15, 14], 80, ConvParams { groups: 2, stride: [2, 2], ..plain }),
        g(
            "groups of 40 to 72, stride 2x3, dilation 3x1",
            [80, 13, 8],
            144,
            ConvParams { groups: 2, stride: [2, 3], dilation: [3, 1], ..plain },
        ),
        g("groups of 20", [60, 5, 7], 60, ConvParams { groups: 3, ..plain }),
    ] {
        alone_and_fused(cases, geometry);
    }
}

/// Groups too narrow for a tile, several of which are one: all of them, too, and so many or such that no tile is for them.
pub fn merged_groups(cases: &mut Vec<Case>) {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    let point = ConvParams { kernel: [1, 1], pads: [0; 4], ..plain };
    let g = Geometry::new;
    for geometry in [
        g("groups of 8", [48, 9, 11], 48, ConvParams { groups: 6, ..plain }),
        g("groups of 12 to 20, stride 2, odd", [24, 7, 9], 40, ConvParams { groups: 2, stride: [2, 2], ..plain }),
        g("groups of 4, stride 2x1", [32, 9, 10], 32, ConvParams { groups: 8, stride: [2, 1], ..plain }),
        g("groups of 2 to 6", [16, 5, 7], 48, ConvParams { groups: 8, ..plain }),
        g("groups of 10", [20, 5, 7], 20, ConvParams { groups: 2, ..plain }),
    ] {
        alone_and_fused(cases, geometry);
    }
    let image_first = |name, x, channels, groups| Geometry {
        image_first: true,
        ..g(name, x, channels, ConvParams { groups, ..plain })
    };
    for geometry in [
        g("three groups of 8", [24, 5, 7], 24, ConvParams { groups: 3, ..plain }),
        g("groups of 4 to 8", [8, 5, 7], 16, ConvParams { groups: 2, ..plain }),
        g("groups of 12 to 10", [24, 5, 7], 20, ConvParams { groups: 2, ..plain }),
        g("groups of 8, 1x1", [64, 5, 7], 64, ConvParams { groups: 8, ..point }),
        image_first("groups of 8 from an image on", [16, 5, 7], 32, 2),
        image_first("groups of 16 from an image on", [32, 5, 7], 64, 2),
        image_first("groups of 3 to 6 from an image on", [12, 5, 7], 24, 4),
    ] {
        cases.extend(convolution(geometry));
    }
}

/// The filter as a weight in the case's layouts.
pub fn filter(b: &Bench, w: &Constant, g: &Geometry) -> Weight {
    let (input, output) = (b.layout(g.x[0]), b.layout(g.channels));
    Bench::weight(
        w,
        Arrangement::Conv {
            kernel: g.params.kernel,
            groups: g.params.groups,
            merged: 1,
            input,
            output,
            space_to_depth: None,
        },
    )
}

pub fn add_bias(values: &mut Array, bias: &Constant) {
    *values = Array::from_fn(values.n, values.shape(), |at| values.at(at) + bias.get(at[1]));
}

/// Forward, backward, and backward with a bias.
pub fn convolution(g: Geometry) -> Vec<Case> {
    let forward = move |b: &mut Bench| {
        b.dense = g.params.groups > 1;
        b.image_first = g.image_first;
        let (x, values) = b.noise(Per::Image, g.x, 1.0);
        let (w, bias) = (b.constant(g.weights()), b.constant(g.channels));
        let mut y = oracle::conv(&values, &w.to_vec(), g.y(), &g.params);
        add_bias(&mut y, &bias);
        let weights = vec![filter(b, &w, &g), b.channel_weight(&bias, g.channels)];
        let out = b.expect(Per::Image, Element::Float, y);
        b.step(Kernel::Conv2dForward(g.params), vec![x], weights, out, vec![]);
    };
    let backward = move |b: &mut Bench| {
        b.dense = g.params.groups > 1;
        b.image_first = g.image_first;
        let (m_y, values) = b.noise(Per::Message, g.y(), 1.0);
        let w = b.constant(g.weights());
        let m_x = oracle::conv_transposed(&values, &w.to_vec(), g.x, &g.params);
        let weights = vec![filter(b, &w, &g)];
        let out = b.expect(Per::Message, Element::Float, m_x);
        b.step(Kernel::Conv2dBackward(g.params), vec![m_y], weights, out, vec![]);
    };
    let transposed = move |b: &mut Bench| {
        b.dense = g.params.groups > 1;
        b.image_first = g.image_first;
        let (m_y, values) = b.noise(Per::Image, g.y(), 1.0);
        let (w, bias) = (b.constant(g.weights()), b.constant(g.x[0]));
        let mut m_x = oracle::conv_transposed(&values, &w.to_vec(), g.x, &g.params);
        add_bias(&mut m_x, &bias);
        let weights = vec![filter(b, &w, &g), b.channel_weight(&bias, g.x[0])];
        let out = b.expect(Per::Image, Element::Float, m_x);
        b.step(Kernel::Conv2dBackward(g.params), vec![m_y], weights, out, vec![Stage::Multiply { factor: -0.5 }]);
        let want = &mut b.expected[0].values;
        want.data.iter_mut().for_each(|v| *v *= -0.5);
    };
    vec![
        case(format!("conv2d_forward: {}", g.name), forward),
        case(format!("conv2d_backward: {}", g.name), backward),
        case(format!("conv2d_backward with bias: {}", g.name), transposed),
    ]
}

/// Depthwise convolutions whose rows, strides and kernels fill fourteen rows of strips of seven pixels in every way, and those for
/// which there are none.
pub fn strips() -> Vec<Geometry> {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    let wide = ConvParams { kernel: [1, 9], pads: [0, 4, 0, 4], ..plain };
    let g = |name, x, params| Geometry::new(name, x, 0, params);
    vec![
        g("a row of 7", [12, 3, 7], plain),
        g("rows of 14", [5, 2, 14], plain),
        g("rows of 15", [9, 2, 15], ConvParams { kernel: [5, 5], pads: [2; 4], ..plain }),
        g("5x5 stride 2", [10, 7, 29], ConvParams { kernel: [5, 5], stride: [2, 2], pads: [2; 4], ..plain }),
        g("15 rows, 5x4 stride 2", [6, 30, 15], ConvParams { kernel: [5, 4], stride: [2, 2], pads: [1; 4], ..plain }),
        g("30 rows, stride 2 across", [5, 30, 15], ConvParams { stride: [1, 2], pads: [0; 4], ..plain }),
        g("1x1 stride 2 from an edge", [3, 6, 15], ConvParams { kernel: [1, 1], stride: [2, 2], ..plain }),
        g("dilation 2 and 3", [6, 31, 25], ConvParams { dilation: [2, 3], pads: [2, 3, 2, 3], ..plain }),
        g("dilation 5, beyond the rows", [9, 3, 4], ConvParams { dilation: [5, 6], pads: [5, 6, 5, 6], ..plain }),
        g(
            "two turns of stride 4",
            [7, 6, 37],
            ConvParams { stride: [1, 4], dilation: [1, 2], kernel: [2, 7], ..plain },
        ),
        g(
            "dilation 2 in stride 3",
            [6, 5, 23],
            ConvParams { stride: [1, 3], dilation: [1, 2], kernel: [1, 4], ..plain },
        ),
        g("stride beyond the width", [9, 5, 2], ConvParams { stride: [2, 4], ..plain }),
        g("1x9", [13, 2, 16], wide),
        g(
            "more taps than llvmpipe would go through",
            [4, 1, 3],
            ConvParams { kernel: [150, 151], pads: [75; 4], ..plain },
        ),
    ]
}

pub fn depthwise(cases: &mut Vec<Case>, geometries: Vec<Geometry>) {
    for g in geometries {
        let c = g.x[0];
        let g = Geometry { channels: c, params: ConvParams { groups: c, ..g.params }, ..g };
        cases.push(case(format!("depthwise_forward: {}", g.name), move |b| {
            let (x, values) = b.noise(Per::Image, g.x, 1.0);
            let (w, bias) = (b.constant(g.weights()), b.constant(c));
            let mut y = oracle::conv(&values, &w.to_vec(), g.y(), &g.params);
            add_bias(&mut y, &bias);
            let arrangement = Arrangement::Depthwise { kernel: g.params.kernel, layout: b.layout(c) };
            let weights = vec![Bench::weight(&w, arrangement), b.channel_weight(&bias, c)];
            let out = b.expect(Per::Image, Element::Float, y);
            b.step(Kernel::DepthwiseForward(g.params), vec![x], weights, out, vec![]);
        }));
        cases.push(case(format!("depthwise_backward: {}", g.name), move |b| {
            let (m_y, values) = b.noise(Per::Message, g.y(), 1.0);
            let w = b.constant(g.weights());
            let m_x = oracle::conv_transposed(&values, &w.to_vec(), g.x, &g.params);
            let arrangement = Arrangement::Depthwise { kernel: g.params.kernel, layout: b.layout(c) };
            let out = b.expect(Per::Message, Element::Float, m_x);
            b.step(Kernel::DepthwiseBackward(g.params), vec![m_y], vec![Bench::weight(&w, arrangement)], out, vec![]);
        }));
    }
}

/// Words of bits that are a pixel's own, of which channels fill the last or not.
pub fn whole_words(cases: &mut Vec<Case>) {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    for (channels, groups) in [(40, 1), (96, 1), (128, 2), (80, 2)] {
        let g = Geometry::new("", [32, 5, 7], channels, ConvParams { groups, ..plain });
        cases.push(case(format!("residual relu: bits of {channels} in {groups} groups, whole words"), move |b| {
            b.whole_words = true;
            stages::residual_relu(b, &g);
        }));
    }
    for (channels, groups) in [(3, 1), (40, 1), (72, 1), (80, 2), (128, 2)] {
        let g = Geometry::new("", [channels, 5, 7], 32, ConvParams { groups, ..plain });
        let name = format!("transposed convolution: bits of {channels} in {groups} groups, whole words");
        cases.push(case(name, move |b| transposed_bits(b, &g)));
    }
    for (channels, whole) in [(64, true), (40, true), (64, false), (40, false)] {
        let words = if whole { "whole" } else { "shared" };
        cases.push(case(format!("depthwise_forward: bits of {channels}, {words} words"), move |b| {
            b.dense = true;
            b.whole_words = whole;
            let params =
                ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: channels };
            let g = Geometry::new("", [channels, 17, 9], channels, params);
            let (x, values) = b.noise(Per::Image, g.x, 1.0);
            let w = b.constant(g.weights());
            let y = oracle::conv(&values, &w.to_vec(), g.y(), &g.params);
            let bits = Array::from_fn(y.n, y.shape(), |at| f64::from(u8::from(y.at(at) > 0.0)));
            let weights =
                vec![Bench::weight(&w, Arrangement::Depthwise { kernel: params.kernel, layout: b.layout(channels) })];
            let out = b.expect(Per::Image, Element::Float, y);
            let into = b.expect(Per::Image, Element::Bits, bits);
            let stage = Stage::KeepBits { into, activation: Activation::Relu };
            b.step(Kernel::DepthwiseForward(params), vec![x], weights, out, vec![stage]);
        }));
    }
}

/// Dense layers of more columns than a subgroup has, of which the last are fewer.
pub fn dense_layers(cases: &mut Vec<Case>) {
    let point = ConvParams { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0; 4], groups: 1 };
    for (channels, whole) in [(264, true), (264, false), (40, true)] {
        let g = Geometry::new("", [76, 1, 1], channels, point);
        let words = if whole { "whole" } else { "shared" };
        cases.push(case(format!("residual relu: bits of a dense layer's {channels}, {words} words"), move |b| {
            b.whole_words = whole;
            stages::residual_relu(b, &g);
        }));
    }
    for channels in [264, 40] {
        let g = Geometry::new("", [channels, 1, 1], 76, point);
        let name = format!("transposed convolution: bits of a dense layer's {channels}, whole words");
        cases.push(case(name, move |b| transposed_bits(b, &g)));
    }
    let g = Geometry::new("dense of a vector to 300", [76, 1, 1], 300, point);
    prologues::of_convolution(cases, g, true, Some(Activation::Relu));
}

/// conv transposed, keep bits
fn transposed_bits(b: &mut Bench, g: &Geometry) {
    b.dense = true;
    b.whole_words = true;
    let (m_y, values) = b.noise(Per::Image, g.y(), 1.0);
    let w = b.constant(g.weights());
    let m_x = oracle::conv_transposed(&values, &w.to_vec(), g.x, &g.params);
    let bits = Array::from_fn(m_x.n, g.x, |at| f64::from(u8::from(m_x.at(at) > 0.0)));
    let weights = vec![filter(b, &w, g)];
    let out = b.expect(Per::Image, Element::Float, m_x);
    let into = b.expect(Per::Image, Element::Bits, bits);
    let stage = Stage::KeepBits { into, activation: Activation::Relu };
    b.step(Kernel::Conv2dBackward(g.params), vec![m_y], weights, out, vec![stage]);
}
