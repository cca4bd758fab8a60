//! The table: every kernel and every stage, odd sizes first.

use fluoroscope::graph::{Activation, Constant, Pool, PoolKind, Precision, Resize, ResizeMode};
use fluoroscope::program::{Element, Kernel, Part, Per, Stage, View};

use crate::bench::{Bench, Setting};
use crate::oracle::{self, Array};
use crate::{convolutions, overlays, prologues, ranks, stabilised, stages};

pub struct Case {
    pub name: String,
    pub build: Box<dyn Fn(&mut Bench)>,
}

impl Case {
    pub fn bench(&self, setting: Setting) -> Bench {
        self.bench_in(setting, Precision::F32)
    }

    /// The case with its tensors stored so.
    pub fn bench_in(&self, setting: Setting, precision: Precision) -> Bench {
        let mut bench = Bench::new(setting);
        bench.precision = precision;
        (self.build)(&mut bench);
        bench
    }
}

pub fn case(name: impl Into<String>, build: impl Fn(&mut Bench) + 'static) -> Case {
    Case { name: name.into(), build: Box::new(build) }
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for geometry in convolutions::table() {
        cases.extend(convolutions::convolution(geometry));
    }
    convolutions::depthwise(&mut cases, convolutions::table());
    for (name, shape, pool) in pools() {
        pool_cases(&mut cases, name, shape, pool);
    }
    for (name, from, to, resize) in resizes() {
        resize_cases(&mut cases, name, from, to, resize);
    }
    rearrangements(&mut cases);
    cams(&mut cases);
    audits(&mut cases);
    overlays::ranges(&mut cases);
    overlays::overlays(&mut cases);
    layer_norms(&mut cases);
    stages::stages(&mut cases);
    stages::chains(&mut cases);
    prologues::prologues(&mut cases);
    stabilised::stabilised(&mut cases);
    convolutions::depthwise(&mut cases, convolutions::strips());
    ranks::ranks(&mut cases);
    cases.extend(convolutions::convolution(convolutions::stem_over_blocks()));
    positive_audits(&mut cases);
    cases.push(ones());
    convolutions::groups_in_tiles(&mut cases);
    convolutions::whole_words(&mut cases);
    convolutions::merged_groups(&mut cases);
    convolutions::dense_layers(&mut cases);
    ends(&mut cases);
    cases
}

pub fn pools() -> Vec<(&'static str, [usize; 3], Pool)> {
    let overlap =
        Pool { kind: PoolKind::Max, kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pads: [1; 4], ceil: false };
    let tight = Pool { kernel: [2, 2], pads: [0; 4], ..overlap.clone() };
    vec![
        ("one cell", [1, 1, 1], Pool { kernel: [1, 1], ..tight.clone() }),
        ("one channel, several blocks", [1, 19, 17], Pool { stride: [1, 1], ..overlap.clone() }),
        ("3/2 overlapping", [7, 13, 13], overlap.clone()),
        ("3/1 overlapping", [13, 7, 5], Pool { stride: [1, 1], ..overlap.clone() }),
        ("2/2 odd", [255, 7, 5], tight.clone()),
        ("3/2 ceil", [257, 7, 8], Pool { pads: [0; 4], ceil: true, ..overlap.clone() }),
        ("3/2 ceil padded", [9, 8, 8], Pool { ceil: true, ..overlap.clone() }),
        ("3/3 ceil drops a window", [5, 7, 4], Pool { stride: [3, 3], ceil: true, ..overlap.clone() }),
        ("1x7 window", [13, 5, 17], Pool { kernel: [1, 7], stride: [1, 3], pads: [0; 4], ..overlap.clone() }),
        ("global", [33, 7, 5], Pool { kernel: [7, 5], stride: [1, 1], pads: [0; 4], ..overlap.clone() }),
        ("asymmetric", [8, 7, 6], Pool { pads: [0, 1, 2, 0], ..overlap.clone() }),
        ("dilated", [17, 9, 11], Pool { dilation: [2, 3], pads: [1; 4], ..overlap.clone() }),
        (
            "42 cells, padded, dilated",
            [39, 9, 11],
            Pool { kernel: [7, 6], dilation: [1, 2], pads: [2; 4], ..tight.clone() },
        ),
        ("stride beyond the window", [7, 13, 11], Pool { stride: [3, 4], ..tight }),
        ("global of many cells", [9, 23, 21], Pool { kernel: [23, 21], stride: [1, 1], pads: [0; 4], ..overlap }),
    ]
}

pub fn windows(shape: [usize; 3], pool: &Pool) -> [usize; 2] {
    let shape = fluoroscope::graph::Shape::new(shape[0], shape[1], shape[2]);
    pool.windows(shape).expect("a window fits")
}

/// Few values, so that windows have ties.
pub fn quantised(b: &mut Bench, per: Per, shape: [usize; 3]) -> (View, Array) {
    let n = b.count(per);
    let data = b.random(n * shape.iter().product::<usize>()).into_iter().map(|v| (v * 4.0).round() / 4.0).collect();
    let values = Array { n, c: shape[0], h: shape[1], w: shape[2], data };
    (b.given(per, Element::Float, values.clone()), values)
}

fn pool_cases(cases: &mut Vec<Case>, name: &str, shape: [usize; 3], max: Pool) {
    let [h, w] = windows(shape, &max);
    let pool = max.clone();
    cases.push(case(format!("pool_max_forward: {name}"), move |b| {
        let (x, values) = quantised(b, Per::Image, shape);
        let (y, places) = oracle::max_pool(&values, [h, w], &pool);
        let out = b.expect(Per::Image, Element::Float, y);
        let index = b.expect(Per::Image, Element::Index, places);
        b.step(Kernel::PoolMaxForward { pool: pool.clone(), index: Some(index) }, vec![x], vec![], out, vec![]);
    }));
    let pool = max.clone();
    cases.push(case(format!("pool_max_forward without index: {name}"), move |b| {
        let (x, values) = b.noise(Per::Image, shape, 1.0);
        let out = b.expect(Per::Image, Element::Float, oracle::max_pool(&values, [h, w], &pool).0);
        b.step(Kernel::PoolMaxForward { pool: pool.clone(), index: None }, vec![x], vec![], out, vec![]);
    }));
    let pool = max.clone();
    cases.push(case(format!("pool_max_backward: {name}"), move |b| {
        let count = b.count(Per::Image);
        let data = b.random(count * shape.iter().product::<usize>());
        let x = Array { n: count, c: shape[0], h: shape[1], w: shape[2], data };
        let places = oracle::max_pool(&x, [h, w], &pool).1;
        let (m_y, m) = b.noise(Per::Message, [shape[0], h, w], 1.0);
        let image = |b: &Bench, at: [usize; 4]| [b.item(Per::Image, Per::Message, at[0]), at[1], at[2], at[3]];
        let m_x = oracle::to_winners(&x, m.n, |at| places.at(image(b, at)), [h, w], &pool, |at| m.at(at));
        let index = b.given(Per::Image, Element::Index, places.clone());
        let out = b.expect(Per::Message, Element::Float, m_x);
        b.step(Kernel::PoolMaxBackward { pool: pool.clone() }, vec![m_y, index], vec![], out, vec![]);
    }));
    let pool = max.clone();
    cases.push(case(format!("pool_max_rescale: {name}"), move |b| rescale_case(b, shape, &pool)));
    for (kind, pads) in [("", false), (" with pads", true)] {
        let pool = Pool { kind: PoolKind::Average { include_pad: pads }, ..max.clone() };
        for sum in [false, true] {
            let pool = pool.clone();
            cases.push(case(format!("pool_average_forward{kind}, sum {sum}: {name}"), move |b| {
                let (x, values) = b.noise(Per::Image, shape, 1.0);
                let out = b.expect(Per::Image, Element::Float, oracle::average_pool(&values, [h, w], &pool, sum));
                b.step(Kernel::PoolAverageForward { pool: pool.clone(), sum }, vec![x], vec![], out, vec![]);
            }));
        }
        cases.push(case(format!("pool_average_backward{kind}: {name}"), move |b| {
            let (m_y, m) = b.noise(Per::Message, [shape[0], h, w], 1.0);
            let out = b.expect(Per::Message, Element::Float, oracle::average_pool_transposed(&m, shape, &pool));
            b.step(Kernel::PoolAverageBackward { pool: pool.clone() }, vec![m_y], vec![], out, vec![]);
        }));
    }
}

fn rescale_case(b: &mut Bench, shape: [usize; 3], pool: &Pool) {
    // Quantised values, so that some differences vanish.
    let (x_view, x) = quantised(b, Per::Image, shape);
    let (r_view, r) = quantised(b, Per::Reference, shape);
    let size = windows(shape, pool);
    let ((y, here), (y0, there)) = (oracle::max_pool(&x, size, pool), oracle::max_pool(&r, size, pool));
    let (m_view, m) = b.noise(Per::Message, [shape[0], size[0], size[1]], 1.0);
    let item = |per: Per, at: [usize; 4]| [b.item(per, Per::Message, at[0]), at[1], at[2], at[3]];
    let (image, reference) = (|at| item(Per::Image, at), |at| item(Per::Reference, at));
    let top = |at| y.at(image(at)).max(y0.at(reference(at)));
    let gain = oracle::to_winners(
        &x,
        m.n,
        |at| here.at(image(at)),
        size,
        pool,
        |at| m.at(at) * (top(at) - y0.at(reference(at))),
    );
    let loss = oracle::to_winners(
        &x,
        m.n,
        |at| there.at(reference(at)),
        size,
        pool,
        |at| m.at(at) * (y.at(image(at)) - top(at)),
    );
    let plain = oracle::to_winners(&x, m.n, |at| here.at(image(at)), size, pool, |at| m.at(at));
    let m_x = Array::from_fn(m.n, shape, |at| {
        let difference = x.at(image(at)) - r.at(reference(at));
        if difference == 0.0 { plain.at(at) } else { (gain.at(at) + loss.at(at)) / difference }
    });
    let y_view = b.given(Per::Image, Element::Float, y);
    let y0_view = b.given(Per::Reference, Element::Float, y0);
    let here_view = b.given(Per::Image, Element::Index, here);
    let there_view = b.given(Per::Reference, Element::Index, there);
    let out = b.expect(Per::Message, Element::Float, m_x);
    let inputs = vec![m_view, x_view, r_view, y_view, y0_view, here_view, there_view];
    b.step(Kernel::PoolMaxRescale { pool: pool.clone() }, inputs, vec![], out, vec![]);
}

pub fn resizes() -> Vec<(&'static str, [usize; 3], [usize; 2], Resize)> {
    let corners = |from: usize, to: usize| (from - 1) as f64 / (to - 1) as f64;
    let nearest = Resize { mode: ResizeMode::Nearest, scale: [0.5, 1.0 / 3.0], offset: [0.0; 2] };
    let aligned = Resize { mode: ResizeMode::Bilinear, scale: [corners(7, 13), corners(5, 9)], offset: [0.0; 2] };
    vec![
        ("one cell up", [1, 1, 1], [5, 3], Resize::half_pixel([1, 1], [5, 3])),
        ("one channel, several blocks", [1, 19, 17], [14, 22], Resize::half_pixel([19, 17], [14, 22])),
        ("up by 7/4", [7, 4, 5], [7, 13], Resize::half_pixel([4, 5], [7, 13])),
        ("down", [13, 13, 7], [5, 3], Resize::half_pixel([13, 7], [5, 3])),
        ("twice", [33, 3, 4], [6, 8], Resize::half_pixel([3, 4], [6, 8])),
        ("corners aligned", [5, 7, 5], [13, 9], aligned),
        ("nearest", [9, 3, 5], [6, 15], nearest),
    ]
}

fn resize_cases(cases: &mut Vec<Case>, name: &str, from: [usize; 3], to: [usize; 2], resize: Resize) {
    let shared = resize.clone();
    cases.push(case(format!("upsample_bilinear: {name}"), move |b| {
        let (x, values) = b.noise(Per::Image, from, 1.0);
        let out = b.expect(Per::Image, Element::Float, oracle::resize(&values, to, &shared, false));
        b.step(Kernel::UpsampleBilinear(shared.clone()), vec![x], vec![], out, vec![]);
    }));
    cases.push(case(format!("upsample_bilinear_backward: {name}"), move |b| {
        let (m_y, m) = b.noise(Per::Message, [from[0], to[0], to[1]], 1.0);
        let out = b.expect(Per::Message, Element::Float, oracle::resize(&m, [from[1], from[2]], &resize, true));
        b.step(Kernel::UpsampleBilinearBackward(resize.clone()), vec![m_y], vec![], out, vec![]);
    }));
}

/// A table over logical elements as one over physical elements.
pub fn physical_table(
    b: &Bench,
    from: [usize; 3],
    to: [usize; 3],
    source: impl Fn([usize; 3]) -> Option<[usize; 3]>,
) -> Vec<u32> {
    let (x, y) = (b.layout(from[0]), b.layout(to[0]));
    let (x_places, y_places) = (x.places(), y.places());
    let mut table = vec![Kernel::ZERO; to[1] * to[2] * y.physical()];
    for (c, place) in y_places.into_iter().enumerate() {
        for pixel in 0..to[1] * to[2] {
            table[pixel * y.physical() + place] = match source([c, pixel / to[2], pixel % to[2]]) {
                Some([c, h, w]) => ((h * from[2] + w) * x.physical() + x_places[c]) as u32,
                None => Kernel::FILL,
            };
        }
    }
    table
}

fn rearrangements(cases: &mut Vec<Case>) {
    let mut add = |name: &str, from: [usize; 3], to: [usize; 3], source: fn([usize; 3]) -> Option<[usize; 3]>| {
        cases.push(case(format!("rearrange: {name}"), move |b| {
            let (x, values) = b.noise(Per::Message, from, 1.0);
            let y = Array::from_fn(values.n, to, |[n, c, h, w]| match source([c, h, w]) {
                Some([c, h, w]) => values.at([n, c, h, w]),
                None => 0.75,
            });
            let table = physical_table(b, from, to, source).into();
            let out = b.expect(Per::Message, Element::Float, y);
            b.step(Kernel::Rearrange { table, fill: 0.75 }, vec![x], vec![], out, vec![]);
        }));
    };
    add("transpose", [7, 13, 5], [13, 5, 7], |[c, h, w]| Some([w, c, h]));
    add("nine channels", [9, 2, 3], [9, 3, 2], |[c, h, w]| Some([c, w, h]));
    add("one channel, several blocks", [1, 19, 17], [1, 17, 19], |[c, h, w]| Some([c, w, h]));
    add("channel shuffle", [258, 1, 3], [258, 1, 3], |[c, h, w]| Some([c % 2 * 129 + c / 2, h, w]));
    add("pad", [3, 5, 4], [5, 8, 7], |[c, h, w]| {
        ((1..4).contains(&c) && (2..7).contains(&h) && (1..5).contains(&w)).then(|| [c - 1, h - 2, w - 1])
    });
    add("slice", [255, 4, 3], [7, 2, 1], |[c, h, w]| Some([c + 13, h + 1, w + 2]));
}

fn cams(cases: &mut Vec<Case>) {
    for (shape, one_pixel) in [([1, 1, 1], true), ([7, 13, 5], true), ([255, 7, 7], false), ([257, 3, 7], true)] {
        cases.push(case(format!("cam_mix: {shape:?}, one pixel {one_pixel}"), move |b| {
            let (w_view, w) = b.noise(Per::Message, if one_pixel { [shape[0], 1, 1] } else { shape }, 1.0);
            let (a_view, a) = b.noise(Per::Image, shape, 1.0);
            let y = Array::from_fn(w.n, [1, shape[1], shape[2]], |[n, _, h, x]| {
                let at = if one_pixel { [0, 0] } else { [h, x] };
                let image = b.item(Per::Image, Per::Message, n);
                (0..shape[0]).map(|c| w.at([n, c, at[0], at[1]]) * a.at([image, c, h, x])).sum()
            });
            let out = b.expect(Per::Message, Element::Float, y);
            b.step(Kernel::CamMix, vec![w_view, a_view], vec![], out, vec![]);
        }));
    }
}

/// What the flat rule divides among.
fn ones() -> Case {
    case("activation_forward: ones", |b| {
        let shape = [16, 3, 5];
        let (x_view, x) = b.noise(Per::Image, shape, 1.0);
        let out = b.expect(Per::Image, Element::Float, Array::from_fn(x.n, shape, |_| 1.0));
        b.step(Kernel::ActivationForward, vec![x_view], vec![], out, vec![Stage::Take { part: Part::One }]);
    })
}

/// From images and to maps, which are in f32.
fn ends(cases: &mut Vec<Case>) {
    let shape = [16, 3, 5];
    cases.push(case("activation_forward: ones of an image in f32", move |b| {
        let (x_view, x) = b.in_f32(|b| b.noise(Per::Image, shape, 1.0));
        let out = b.expect(Per::Image, Element::Float, Array::from_fn(x.n, shape, |_| 1.0));
        b.step(Kernel::ActivationForward, vec![x_view], vec![], out, vec![Stage::Take { part: Part::One }]);
    }));
    cases.push(case("activation_backward: a product as a map in f32", move |b| {
        let (m_view, m) = b.noise(Per::Message, shape, 1.0);
        let (x_view, x) = b.noise(Per::Image, shape, 1.0);
        let image = |n| b.item(Per::Image, Per::Message, n);
        let product = Array::from_fn(m.n, shape, |[n, c, h, w]| m.at([n, c, h, w]) * x.at([image(n), c, h, w]));
        let out = b.in_f32(|b| b.expect(Per::Message, Element::Float, product));
        let stage = Stage::Times { operand: x_view.into(), part: Part::All };
        b.step(Kernel::ActivationBackward, vec![m_view], vec![], out, vec![stage]);
    }));
}

/// Shares that are zero wherever z is negative, which stand in its place.
fn positive_audits(cases: &mut Vec<Case>) {
    for (shape, relative) in [([1, 1, 1], false), ([7, 13, 5], false), ([255, 7, 7], true), ([257, 3, 1], false)] {
        cases.push(case(format!("audit_epsilon of positive values: {shape:?}, relative {relative}"), move |b| {
            let (s_view, s) = b.noise(Per::Message, shape, 1.0);
            let (bias, eps) = (b.constant(shape[0]), 0.25);
            let scale = relative.then(|| b.noise(Per::Image, [1, 1, 1], 1.0));
            let rms = |image| scale.as_ref().map_or(1.0, |(_, scale)| scale.at([image, 0, 0, 0]));
            let sums = Array::from_fn(s.n, [2, shape[1], 1], |[n, sum, row, _]| {
                let image = b.item(Per::Image, Per::Message, n);
                let factor = |c| if sum == 0 { bias.get(c) } else { eps * rms(image) };
                sum_of_row(shape, |c, x| s.at([n, c, row, x]) * factor(c))
            });
            let weights = vec![b.channel_weight(&bias, shape[0])];
            b.dense = true;
            let out = b.expect(Per::Message, Element::Float, sums);
            let inputs = [s_view; 2].into_iter().chain(scale.as_ref().map(|(view, _)| *view)).collect();
            b.step(Kernel::AuditEpsilon { eps, signs: false }, inputs, weights, out, vec![]);
        }));
    }
}

fn audits(cases: &mut Vec<Case>) {
    for shape in [[1, 1, 1], [7, 13, 5], [255, 7, 7], [257, 3, 1]] {
        for (biases, relative) in [(0, false), (1, false), (1, true)] {
            let of = if relative { ", relative" } else { "" };
            cases.push(case(format!("audit_epsilon: {shape:?}, {biases} biases{of}"), move |b| {
                let (s_view, s) = b.noise(Per::Message, shape, 1.0);
                let (z_view, z) = quantised(b, Per::Image, shape);
                let constants: Vec<Constant> = (0..biases).map(|_| b.constant(shape[0])).collect();
                let eps = 0.25;
                let scale = relative.then(|| b.noise(Per::Image, [1, 1, 1], 1.0));
                let rms = |image| scale.as_ref().map_or(1.0, |(_, scale)| scale.at([image, 0, 0, 0]));
                let sums = Array::from_fn(s.n, [2, shape[1], 1], |[n, sum, row, _]| {
                    let image = b.item(Per::Image, Per::Message, n);
                    sum_of_row(shape, |c, x| {
                        let sign = if z.at([image, c, row, x]) < 0.0 { -1.0 } else { 1.0 };
                        let bias: f64 = constants.iter().map(|bias| bias.get(c)).sum();
                        s.at([n, c, row, x]) * if sum == 0 { bias } else { eps * rms(image) * sign }
                    })
                });
                let weights = constants.iter().map(|bias| b.channel_weight(bias, shape[0])).collect();
                b.dense = true;
                let out = b.expect(Per::Message, Element::Float, sums);
                let inputs = [s_view, z_view].into_iter().chain(scale.as_ref().map(|(view, _)| *view)).collect();
                b.step(Kernel::AuditEpsilon { eps, signs: true }, inputs, weights, out, vec![]);
            }));
        }
        cases.push(case(format!("square_rows: {shape:?}"), move |b| {
            let (x_view, x) = b.noise(Per::Image, shape, 1.0);
            let sums = Array::from_fn(x.n, [1, shape[1], 1], |[n, _, row, _]| {
                sum_of_row(shape, |c, column| x.at([n, c, row, column]).powi(2))
            });
            b.dense = true;
            let out = b.expect(Per::Image, Element::Float, sums);
            b.step(Kernel::SquareRows, vec![x_view], vec![], out, vec![]);
        }));
        cases.push(case(format!("audit_rescale: {shape:?}"), move |b| {
            let (z_view, z) = quantised(b, Per::Image, shape);
            let (r_view, r) = quantised(b, Per::Reference, shape);
            let ones = Constant::new(vec![1.0; shape[0]], Precision::F32);
            let count = Array::from_fn(b.count(Per::Message), [1, shape[1], 1], |[n, _, row, _]| {
                let [image, reference] = [Per::Image, Per::Reference].map(|per| b.item(per, Per::Message, n));
                sum_of_row(shape, |c, x| f64::from(u8::from(z.at([image, c, row, x]) == r.at([reference, c, row, x]))))
            });
            let mask = b.channel_weight(&ones, shape[0]);
            let out = b.expect(Per::Message, Element::Float, count);
            b.step(Kernel::AuditRescale, vec![z_view, r_view], vec![mask], out, vec![]);
        }));
    }
}

fn layer_norms(cases: &mut Vec<Case>) {
    let epsilon = 0.01;
    for shape in [[1, 1, 1], [7, 13, 5], [255, 2, 3], [1030, 1, 2]] {
        cases.push(case(format!("layer_norm_forward: {shape:?}"), move |b| {
            let (x_view, x) = b.noise(Per::Image, shape, 1.0);
            let mask = b.channel_weight(&Constant::new(vec![1.0; shape[0]], Precision::F32), shape[0]);
            let out = b.expect(Per::Image, Element::Float, oracle::layer_norm(&x, epsilon));
            b.step(Kernel::LayerNormForward { epsilon }, vec![x_view], vec![mask], out, vec![]);
        }));
        for fixed in [false, true] {
            cases.push(case(format!("layer_norm_backward: {shape:?}, fixed {fixed}"), move |b| {
                let (m_view, m) = b.noise(Per::Message, shape, 1.0);
                let (x_view, x) = b.noise(Per::Image, shape, 1.0);
                let x = Array::from_fn(m.n, shape, |[n, c, h, w]| x.at([b.item(Per::Image, Per::Message, n), c, h, w]));
                let mask = b.channel_weight(&Constant::new(vec![1.0; shape[0]], Precision::F32), shape[0]);
                let m_x = oracle::layer_norm_transposed(&m, &x, epsilon, fixed);
                let out = b.expect(Per::Message, Element::Float, m_x);
                let kernel = Kernel::LayerNormBackward { epsilon, fixed };
                b.step(kernel, vec![m_view, x_view], vec![mask], out, vec![]);
            }));
        }
    }
    // More runs of channels than threads, and bits of a number of runs that is odd.
    for channels in [12, 1036] {
        cases.push(case(format!("layer_norm_forward: bits of {channels}"), move |b| {
            b.dense = true;
            let (x_view, x) = b.noise(Per::Image, [channels, 2, 1], 1.0);
            let mask = b.channel_weight(&Constant::new(vec![1.0; channels], Precision::F32), channels);
            let y = oracle::layer_norm(&x, epsilon);
            let bits = Array::from_fn(y.n, y.shape(), |at| f64::from(u8::from(y.at(at) > 0.0)));
            let out = b.expect(Per::Image, Element::Float, y);
            let into = b.expect(Per::Image, Element::Bits, bits);
            let stage = Stage::KeepBits { into, activation: Activation::Relu };
            b.step(Kernel::LayerNormForward { epsilon }, vec![x_view], vec![mask], out, vec![stage]);
        }));
    }
}

/// The sum of `f(channel, column)` over a row.
pub fn sum_of_row([channels, _, width]: [usize; 3], f: impl Fn(usize, usize) -> f64) -> f64 {
    (0..channels).flat_map(|c| (0..width).map(move |x| (c, x))).map(|(c, x)| f(c, x)).sum()
}
