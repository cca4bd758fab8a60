//! Rows of the table: what kernels make of the values they load, and operands that are scaled as they are read.

use fluoroscope::graph::{Activation, Constant, Pool, PoolKind, Precision};
use fluoroscope::program::{Element, Kernel, Operand, Per, Prologue, ScaleShift};

use crate::bench::Bench;
use crate::cases::{self, Case, case};
use crate::convolutions::{self, Geometry};
use crate::oracle::{self, Array};

pub fn prologues(cases: &mut Vec<Case>) {
    let heads = [
        (true, Some(Activation::Relu)),
        (true, Some(Activation::LeakyRelu { slope: 0.125 })),
        (true, Some(Activation::Silu)),
        (true, None),
        (false, Some(Activation::Relu)),
    ];
    for (g, (scales, f)) in convolutions::table().into_iter().zip(heads.iter().cloned().cycle()) {
        of_convolution(cases, g, scales, f);
    }
    for ((name, shape, max), (scales, f)) in cases::pools().into_iter().zip(heads.into_iter().cycle()) {
        let name = format!("{} as it averages: {name}", head(scales, f.as_ref()));
        let pool = Pool { kind: PoolKind::Average { include_pad: true }, ..max };
        cases.push(case(name, move |b| average(b, shape, &pool, scales, f.as_ref())));
    }
    for shape in [[1, 1, 1], [7, 13, 5], [257, 3, 1]] {
        cases.push(case(format!("audit_epsilon of scaled values: {shape:?}"), move |b| audit_epsilon(b, shape)));
        cases.push(case(format!("audit_rescale of scaled values: {shape:?}"), move |b| audit_rescale(b, shape)));
    }
}

pub fn of_convolution(cases: &mut Vec<Case>, g: Geometry, scales: bool, f: Option<Activation>) {
    let name = format!("{} as it loads: {}", head(scales, f.as_ref()), g.name);
    cases.push(case(name, move |b| convolution(b, &g, scales, f.as_ref())));
}

fn head(scales: bool, f: Option<&Activation>) -> String {
    let f = f.map_or("", Activation::name);
    if scales { format!("affine {f}") } else { f.to_owned() }
}

/// Scales away from zero, whatever shifts, and what they make of `values`.
fn scale_shift(b: &mut Bench, values: &Array) -> (ScaleShift, Array) {
    let channels = values.c;
    let scale = b.random(channels).into_iter().map(|v| if v < 0.0 { 0.5 * v - 0.5 } else { 0.5 * v + 0.5 });
    let (scale, shift) = (Constant::new(scale, Precision::F32), b.constant(channels));
    let scaled = Array::from_fn(values.n, values.shape(), |at| scale.get(at[1]) * values.at(at) + shift.get(at[1]));
    let [scale, shift] = [&scale, &shift].map(|constant| b.channel_weight(constant, channels));
    (ScaleShift { scale, shift }, scaled)
}

/// An operand of these values that is read by way of a scale and a shift.
pub fn scaled(b: &mut Bench, operand: Operand, values: &Array) -> (Operand, Array) {
    let (scale_shift, scaled) = scale_shift(b, values);
    (Operand { scale_shift: Some(scale_shift), ..operand }, scaled)
}

/// A prologue, and what it makes of `values`.
fn prologue(b: &mut Bench, values: &Array, scales: bool, f: Option<&Activation>) -> (Prologue, Array) {
    let (scale_shift, scaled) = match scales {
        true => {
            let (scale_shift, scaled) = scale_shift(b, values);
            (Some(scale_shift), scaled)
        }
        false => (None, values.clone()),
    };
    let loaded = Array::from_fn(scaled.n, scaled.shape(), |at| {
        let v = scaled.at(at);
        f.map_or(v, |f| oracle::value(f, v, 0.0))
    });
    (Prologue { scale_shift, activation: f.cloned() }, loaded)
}

fn convolution(b: &mut Bench, g: &Geometry, scales: bool, f: Option<&Activation>) {
    b.dense = g.params.groups > 1;
    let (x, values) = b.noise(Per::Image, g.x, 2.0);
    let (prologue, loaded) = prologue(b, &values, scales, f);
    let (w, bias) = (b.constant(g.weights()), b.constant(g.channels));
    let mut y = oracle::conv(&loaded, &w.to_vec(), g.y(), &g.params);
    convolutions::add_bias(&mut y, &bias);
    let weights = vec![convolutions::filter(b, &w, g), b.channel_weight(&bias, g.channels)];
    let out = b.expect(Per::Image, Element::Float, y);
    b.step(Kernel::Conv2dForward(g.params), vec![x], weights, out, vec![]);
    b.enter(prologue);
}

fn average(b: &mut Bench, shape: [usize; 3], pool: &Pool, scales: bool, f: Option<&Activation>) {
    let (x, values) = b.noise(Per::Image, shape, 2.0);
    let (prologue, loaded) = prologue(b, &values, scales, f);
    let y = oracle::average_pool(&loaded, cases::windows(shape, pool), pool, false);
    let out = b.expect(Per::Image, Element::Float, y);
    b.step(Kernel::PoolAverageForward { pool: pool.clone(), sum: false }, vec![x], vec![], out, vec![]);
    b.enter(prologue);
}

fn audit_epsilon(b: &mut Bench, shape: [usize; 3]) {
    let (s_view, s) = b.noise(Per::Message, shape, 1.0);
    let (z_view, values) = cases::quantised(b, Per::Image, shape);
    let (prologue, z) = prologue(b, &values, true, None);
    let (bias, eps) = (b.constant(shape[0]), 0.25);
    let sums = Array::from_fn(s.n, [2, shape[1], 1], |[n, sum, row, _]| {
        let image = b.item(Per::Image, Per::Message, n);
        cases::sum_of_row(shape, |c, x| {
            let sign = if z.at([image, c, row, x]) < 0.0 { -1.0 } else { 1.0 };
            s.at([n, c, row, x]) * if sum == 0 { bias.get(c) } else { eps * sign }
        })
    });
    let weights = vec![b.channel_weight(&bias, shape[0])];
    b.dense = true;
    let out = b.expect(Per::Message, Element::Float, sums);
    b.step(Kernel::AuditEpsilon { eps, signs: true }, vec![s_view, z_view], weights, out, vec![]);
    b.enter(prologue);
}

/// Scaling changes no difference to zero or from zero; but of one that it makes tiny it does.
fn audit_rescale(b: &mut Bench, shape: [usize; 3]) {
    let (z_view, z) = cases::quantised(b, Per::Image, shape);
    let (r_view, r) = cases::quantised(b, Per::Reference, shape);
    let tiny = |c: usize| c % 3 == 1;
    let scale = Constant::new((0..shape[0]).map(|c| if tiny(c) { 1e-12 } else { -1.5 }), Precision::F32);
    let [shift, ones] = [0.0, 1.0].map(|v| Constant::new(vec![v; shape[0]], Precision::F32));
    let count = Array::from_fn(b.count(Per::Message), [1, shape[1], 1], |[n, _, row, _]| {
        let [image, reference] = [Per::Image, Per::Reference].map(|per| b.item(per, Per::Message, n));
        cases::sum_of_row(shape, |c, x| {
            let equal = z.at([image, c, row, x]) == r.at([reference, c, row, x]);
            f64::from(u8::from(equal || tiny(c)))
        })
    });
    let [scale, shift, mask] = [&scale, &shift, &ones].map(|constant| b.channel_weight(constant, shape[0]));
    let out = b.expect(Per::Message, Element::Float, count);
    b.step(Kernel::AuditRescale, vec![z_view, r_view], vec![mask], out, vec![]);
    b.enter(Prologue { scale_shift: Some(ScaleShift { scale, shift }), activation: None });
}
