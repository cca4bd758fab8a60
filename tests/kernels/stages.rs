//! The part of the table with every stage, over every kind of operand, and with stages that follow one another.

use fluoroscope::graph::{Activation, Constant, Precision};
use fluoroscope::program::{Channels, Element, Kernel, Numerator, Operand, Part, Per, Stage, View, Weight};

use crate::bench::Bench;
use crate::cases::{Case, case, quantised};
use crate::convolutions::{self, Geometry, filter};
use crate::oracle::{self, Array};
use crate::prologues;

/// An operand of a stage, and its values spread over the output's elements.
fn operand(b: &mut Bench, shape: [usize; 3], (per, one_pixel, one_channel): Source, bits: bool) -> (Operand, Array) {
    let [c, h, w] = shape;
    let (h, w) = if one_pixel { (1, 1) } else { (h, w) };
    let c = if one_channel { 1 } else { c };
    let count = b.count(per);
    let data = b.random(count * c * h * w).into_iter().map(|v| if bits { f64::from(v > 0.0) } else { v * 4.0 });
    let values = Array { n: count, c, h, w, data: data.collect() };
    let view = b.given(per, if bits { Element::Bits } else { Element::Float }, values.clone());
    let view = if one_channel { View { channels: 1, ..view } } else { view };
    let messages = b.count(Per::Message);
    let spread = Array::from_fn(messages, shape, |[n, channel, y, x]| {
        values.at([b.item(per, Per::Message, n), channel % c, y % h, x % w])
    });
    (Operand { one_pixel, one_channel, ..view.into() }, spread)
}

type Source = (Per, bool, bool);

/// What a stage may name: two float operands, bits, and two per-channel weights.
struct Names {
    a: Operand,
    b: Operand,
    bits: Operand,
    p: Weight,
    q: Weight,
}

/// The numbers behind [`Names`] at one element.
struct Element1 {
    v: f64,
    a: f64,
    b: f64,
    bit: bool,
    p: f64,
    q: f64,
}

type Formula = Box<dyn Fn(&Element1) -> f64>;
type MakeStage = Box<dyn Fn(&Names) -> Stage>;

fn stage_table() -> Vec<(String, MakeStage, Formula, f64)> {
    fn sgn0(z: f64) -> f64 {
        if z >= 0.0 { 1.0 } else { -1.0 }
    }
    let mut table: Vec<(String, MakeStage, Formula, f64)> = Vec::new();
    let mut add = |name: &str, stage: MakeStage, formula: Formula, condition: f64| {
        table.push((name.to_owned(), stage, formula, condition));
    };
    add("add", Box::new(|n| Stage::Add { operand: n.a.clone(), negative: false }), Box::new(|e| e.v + e.a), 1.0);
    add("subtract", Box::new(|n| Stage::Add { operand: n.a.clone(), negative: true }), Box::new(|e| e.v - e.a), 1.0);
    add(
        "affine",
        Box::new(|n| Stage::Affine { scale: n.p.clone(), shift: n.q.clone() }),
        Box::new(|e| e.p * e.v + e.q),
        1.0,
    );
    add("scale", Box::new(|n| Stage::Scale { factor: n.p.clone() }), Box::new(|e| e.p * e.v), 1.0);
    add("multiply", Box::new(|_| Stage::Multiply { factor: -2.5 }), Box::new(|e| -2.5 * e.v), 1.0);
    add("positive", Box::new(|_| Stage::Positive), Box::new(|e| e.v.max(0.0)), 1.0);
    add(
        "times difference",
        Box::new(|n| Stage::TimesDifference { a: n.a.clone(), b: n.b.clone() }),
        Box::new(|e| e.v * (e.a - e.b)),
        1.0,
    );
    add(
        "times mean",
        Box::new(|n| Stage::TimesMean { a: n.a.clone(), b: n.b.clone() }),
        Box::new(|e| e.v * (e.a + e.b) / 2.0),
        1.0,
    );
    add(
        "gate",
        Box::new(|n| Stage::Gate { bits: n.bits.clone(), high: 1.0, low: 0.25, slope: None }),
        Box::new(|e| if e.bit { e.v } else { 0.25 * e.v }),
        1.0,
    );
    add(
        "gate with slopes",
        Box::new(|n| Stage::Gate { bits: n.bits.clone(), high: 1.0, low: 0.0, slope: Some(n.p.clone()) }),
        Box::new(|e| if e.bit { e.v } else { e.p * e.v }),
        1.0,
    );
    for (part, of) in parts() {
        add(&format!("take {part:?}"), Box::new(move |_| Stage::Take { part }), Box::new(move |e| of(e.v)), 1.0);
        let stage: MakeStage = Box::new(move |n| Stage::Times { operand: n.a.clone(), part });
        add(&format!("times {part:?}"), stage, Box::new(move |e| e.v * of(e.a)), 1.0);
    }
    for (name, numerator) in [("one", Numerator::One), ("z", Numerator::Z)] {
        let of = if name == "one" { |_: f64| 1.0 } else { |z: f64| z };
        let stage: MakeStage = Box::new(move |n| Stage::Epsilon {
            z: n.a.clone(),
            numerator: numerator.clone(),
            slope: None,
            eps: 0.125,
            rms: None,
        });
        add(&format!("epsilon {name}"), stage, Box::new(move |e| e.v * of(e.a) / (e.a + 0.125 * sgn0(e.a))), 1.0);
    }
    for f in activations() {
        let slope = |f: &Activation, n: &Names| matches!(f, Activation::PRelu { .. }).then(|| n.p.clone());
        let (f1, f2) = (f.clone(), f.clone());
        add(
            &format!("activate {}", title(&f)),
            Box::new(move |n| Stage::Activate { activation: f1.clone(), slope: slope(&f1, n) }),
            Box::new(move |e| oracle::value(&f2, e.v, e.p)),
            1.0,
        );
        let (f1, f2) = (f.clone(), f.clone());
        add(
            &format!("epsilon {}", title(&f)),
            Box::new(move |n| Stage::Epsilon {
                z: n.a.clone(),
                numerator: Numerator::Activated(f1.clone()),
                slope: slope(&f1, n),
                eps: 0.125,
                rms: None,
            }),
            Box::new(move |e| e.v * oracle::value(&f2, e.a, e.p) / (e.a + 0.125 * sgn0(e.a))),
            1.0,
        );
        let (f1, f2) = (f.clone(), f.clone());
        add(
            &format!("rescale {}", title(&f)),
            Box::new(move |n| Stage::Rescale {
                z: n.a.clone(),
                reference: n.b.clone(),
                activation: f1.clone(),
                slope: slope(&f1, n),
            }),
            Box::new(move |e| {
                let (at, difference) = (|z| oracle::value(&f2, z, e.p), e.a - e.b);
                if difference == 0.0 {
                    e.v * oracle::derivative(&f2, e.a, e.p)
                } else {
                    e.v * (at(e.a) - at(e.b)) / difference
                }
            }),
            // A quotient of differences.
            50.0,
        );
        if !matches!(f, Activation::PRelu { .. }) {
            let (f1, f2) = (f.clone(), f.clone());
            add(
                &format!("derivative {}", title(&f)),
                Box::new(move |n| Stage::Derivative { z: n.a.clone(), activation: f1.clone() }),
                Box::new(move |e| e.v * oracle::derivative(&f2, e.a, 0.0)),
                1.0,
            );
        }
    }
    table
}

type Scalar = fn(f64) -> f64;

fn parts() -> [(Part, Scalar); 6] {
    [
        (Part::All, |v| v),
        (Part::Pos, |v| v.max(0.0)),
        (Part::Neg, |v| v.min(0.0)),
        (Part::Square, |v| v * v),
        (Part::One, |_| 1.0),
        (Part::Zero, |_| 0.0),
    ]
}

pub fn activations() -> Vec<Activation> {
    let slope = Constant::new([0.25], Precision::F64);
    vec![
        Activation::Relu,
        Activation::Clip { low: 0.0, high: 1.5 },
        Activation::Clip { low: -1.0, high: f64::INFINITY },
        Activation::LeakyRelu { slope: 0.125 },
        Activation::PRelu { slope },
        Activation::Elu { alpha: 0.75 },
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
        Activation::HardSwish,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Silu,
        Activation::Gelu,
        Activation::Reciprocal,
    ]
}

/// What tells an activation from the others of the table.
fn title(activation: &Activation) -> String {
    match activation {
        Activation::Clip { low, high } => format!("Clip {low}..{high}"),
        other => other.name().to_owned(),
    }
}

/// Every stage over every kind of operand; where padding would not stay zero a mask follows, as in planned programs.
pub fn stages(cases: &mut Vec<Case>) {
    let sources: [(&str, Source, [usize; 3]); 6] = [
        ("image", (Per::Image, false, false), [13, 3, 5]),
        ("narrow image", (Per::Image, false, false), [1, 19, 17]),
        ("reference", (Per::Reference, false, false), [9, 1, 7]),
        ("message", (Per::Message, false, false), [257, 1, 3]),
        ("one pixel", (Per::Image, true, false), [33, 5, 2]),
        ("one channel", (Per::Message, false, true), [255, 2, 3]),
    ];
    let stored = sources.map(|(name, source, shape)| (name, source, shape, false));
    let scaled = ("scaled", (Per::Image, false, false), [13, 3, 5], true);
    for (source_name, source, shape, scaled) in stored.into_iter().chain([scaled]) {
        for (name, stage, formula, condition) in stage_table() {
            cases.push(case(format!("{name}, {source_name}"), move |b| {
                // Scaled operands are rounded.
                b.condition = if scaled { 10.0 * condition } else { condition };
                // Reciprocals of zero lanes are infinite.
                let shape = if name.contains("Reciprocal") {
                    [shape[0].next_multiple_of(8), shape[1], shape[2]]
                } else {
                    shape
                };
                b.dense |= name.contains("Reciprocal");
                stage_case(b, shape, (source, scaled), &stage, &formula);
            }));
        }
    }
}

fn stage_case(
    b: &mut Bench,
    shape: [usize; 3],
    (source, scaled): (Source, bool),
    stage: &MakeStage,
    formula: &Formula,
) {
    let (v_view, v) = b.noise(Per::Message, shape, 4.0);
    let mut floats = || {
        let (operand, values) = operand(b, shape, source, false);
        if scaled { prologues::scaled(b, operand, &values) } else { (operand, values) }
    };
    let ((a_operand, a), (b_operand, b_values)) = (floats(), floats());
    let (bits_operand, bits) = operand(b, shape, source, true);
    let (p, q) = (b.constant(shape[0]), b.constant(shape[0]));
    let ones = Constant::new(vec![1.0; shape[0]], Precision::F32);
    let names = Names {
        a: a_operand,
        b: b_operand,
        bits: bits_operand,
        p: b.channel_weight(&p, shape[0]),
        q: b.channel_weight(&q, shape[0]),
    };
    let want = Array::from_fn(v.n, shape, |at| {
        let (p, q) = (p.get(at[1]), q.get(at[1]));
        formula(&Element1 { v: v.at(at), a: a.at(at), b: b_values.at(at), bit: bits.at(at) != 0.0, p, q })
    });
    let stages = vec![stage(&names), Stage::Scale { factor: b.channel_weight(&ones, shape[0]) }];
    let out = b.expect(Per::Message, Element::Float, want);
    b.step(Kernel::ActivationBackward, vec![v_view], vec![], out, stages);
}

/// Fused tails behind the kernels whose tiles differ, with everything that they keep.
pub fn chains(cases: &mut Vec<Case>) {
    for f in activations().into_iter().filter(Activation::is_two_valued) {
        for shape in [[13, 3, 5], [9, 5, 7], [1, 19, 17]] {
            let f = f.clone();
            cases.push(case(format!("keep bits {} {shape:?}", title(&f)), move |b| {
                let (x, values) = b.noise(Per::Image, shape, 4.0);
                let high = Array::from_fn(values.n, values.shape(), |at| {
                    let derivative = oracle::derivative(&f, values.at(at), 0.125);
                    f64::from(derivative > 0.2)
                });
                let bits = b.expect(Per::Image, Element::Bits, high);
                let out = b.expect(Per::Image, Element::Float, values);
                let stage = Stage::KeepBits { into: bits, activation: f.clone() };
                b.step(Kernel::ActivationForward, vec![x], vec![], out, vec![stage]);
            }));
        }
    }
    for f in activations().into_iter().filter(|f| !matches!(f, Activation::Reciprocal)) {
        cases.push(case(format!("rescale {} of equal values", title(&f)), move |b| rescale_of_equals(b, &f)));
    }
    for g in convolutions::table() {
        around_convolution(cases, g);
    }
}

pub fn around_convolution(cases: &mut Vec<Case>, g: Geometry) {
    cases.push(case(format!("residual relu: {}", g.name), move |b| residual_relu(b, &g)));
    cases.push(case(format!("gated residual message: {}", g.name), move |b| gated_message(b, &g)));
    if g.x[0] >= 13 {
        cases.push(case(format!("message of two members: {}", g.name), move |b| message_of_two(b, &g)));
    }
}

/// Rescale where many differences vanish.
fn rescale_of_equals(b: &mut Bench, f: &Activation) {
    let shape = [13, 3, 5];
    let (z_view, z) = quantised(b, Per::Image, shape);
    let (r_view, r) = quantised(b, Per::Reference, shape);
    let (m_view, m) = b.noise(Per::Message, shape, 1.0);
    let slopes = b.constant(shape[0]);
    let want = Array::from_fn(m.n, shape, |at| {
        let of = |per: Per| [b.item(per, Per::Message, at[0]), at[1], at[2], at[3]];
        let (z, r, slope) = (z.at(of(Per::Image)), r.at(of(Per::Reference)), slopes.get(at[1]));
        let value = |z| oracle::value(f, z, slope);
        m.at(at) * if z == r { oracle::derivative(f, z, slope) } else { (value(z) - value(r)) / (z - r) }
    });
    let slope = matches!(f, Activation::PRelu { .. }).then(|| b.channel_weight(&slopes, shape[0]));
    let (z, reference) = (z_view.into(), r_view.into());
    let out = b.expect(Per::Message, Element::Float, want);
    let stage = Stage::Rescale { z, reference, activation: f.clone(), slope };
    b.step(Kernel::ActivationBackward, vec![m_view], vec![], out, vec![stage]);
}

/// conv, keep z, add, keep bits, relu
pub fn residual_relu(b: &mut Bench, g: &Geometry) {
    b.dense = g.params.groups > 1;
    let (x, values) = b.noise(Per::Image, g.x, 1.0);
    let (residual, r) = b.noise(Per::Image, g.y(), 1.0);
    let w = b.constant(g.weights());
    let z = oracle::conv(&values, &w.to_vec(), g.y(), &g.params);
    let sum = Array::from_fn(z.n, z.shape(), |at| z.at(at) + r.at(at));
    let of = |f: fn(f64) -> f64| Array::from_fn(sum.n, sum.shape(), |at| f(sum.at(at)));
    let out = b.expect(Per::Image, Element::Float, of(|v| v.max(0.0)));
    let into = b.expect(Per::Image, Element::Float, z);
    let bits = b.expect(Per::Image, Element::Bits, of(|v| f64::from(v > 0.0)));
    let stages = vec![
        Stage::Keep { into },
        Stage::Add { operand: residual.into(), negative: false },
        Stage::KeepBits { into: bits, activation: Activation::Relu },
        Stage::Activate { activation: Activation::Relu, slope: None },
    ];
    let weights = vec![filter(b, &w, g)];
    b.step(Kernel::Conv2dForward(g.params), vec![x], weights, out, stages);
}

/// conv transposed, add a message, gate by the image's bits
fn gated_message(b: &mut Bench, g: &Geometry) {
    b.dense = g.params.groups > 1;
    let (m_y, m) = b.noise(Per::Message, g.y(), 1.0);
    let (other, r) = b.noise(Per::Message, g.x, 1.0);
    let (bits, gate) = operand(b, g.x, (Per::Image, false, false), true);
    let w = b.constant(g.weights());
    let m_x = oracle::conv_transposed(&m, &w.to_vec(), g.x, &g.params);
    let want = Array::from_fn(m_x.n, g.x, |at| (m_x.at(at) + r.at(at)) * gate.at(at));
    let out = b.expect(Per::Message, Element::Float, want);
    let stages = vec![
        Stage::Add { operand: other.into(), negative: false },
        Stage::Gate { bits, high: 1.0, low: 0.0, slope: None },
    ];
    let weights = vec![filter(b, &w, g)];
    b.step(Kernel::Conv2dBackward(g.params), vec![m_y], weights, out, stages);
}

/// conv transposed, then stages of their own for the first eight channels and for the next, behind which are others or none
fn message_of_two(b: &mut Bench, g: &Geometry) {
    const FIRST: usize = 8;
    b.dense = true;
    let (m_y, m) = b.noise(Per::Message, g.y(), 1.0);
    let next = if g.x[0] > 2 * FIRST { FIRST } else { g.x[0] - FIRST };
    let shape = [next, g.x[1], g.x[2]];
    let (z, values) = operand(b, shape, (Per::Image, false, false), false);
    let (bits, gate) = operand(b, shape, (Per::Image, false, false), true);
    let w = b.constant(g.weights());
    let m_x = oracle::conv_transposed(&m, &w.to_vec(), g.x, &g.params);
    let want = Array::from_fn(m_x.n, g.x, |at @ [n, c, y, x]| {
        let Some(c) = c.checked_sub(FIRST) else { return -0.5 * m_x.at(at) };
        if c >= next {
            return m_x.at(at);
        }
        let z = values.at([n, c, y, x]);
        gate.at([n, c, y, x]) * m_x.at(at) * z / (z + 0.125f64.copysign(z))
    });
    let out = b.expect(Per::Message, Element::Float, want);
    let within = |first, count, stage| Stage::Within { channels: Channels { first, count }, stage: Box::new(stage) };
    let count = if next < FIRST { out.channels - FIRST } else { next };
    let stages = vec![
        within(0, FIRST, Stage::Multiply { factor: -0.5 }),
        within(FIRST, count, Stage::Gate { bits, high: 1.0, low: 0.0, slope: None }),
        within(FIRST, count, Stage::Epsilon { z, numerator: Numerator::Z, slope: None, eps: 0.125, rms: None }),
    ];
    let weights = vec![filter(b, &w, g)];
    b.step(Kernel::Conv2dBackward(g.params), vec![m_y], weights, out, stages);
}
