//! Rows of the table: denominators whose stabiliser is relative to a root mean square, and the root itself.

use fluoroscope::graph::{Activation, Constant, Precision};
use fluoroscope::program::{Element, Kernel, Numerator, Operand, Part, Per, Stage};

use crate::bench::Bench;
use crate::cases::{Case, case};
use crate::oracle::{self, Array};

const EPS: f64 = 0.125;

pub fn stabilised(cases: &mut Vec<Case>) {
    let numerators = [
        ("one", Numerator::One),
        ("z", Numerator::Z),
        ("relu", Numerator::Activated(Activation::Relu)),
        ("prelu", Numerator::Activated(Activation::PRelu { slope: Constant::new([], Precision::F32) })),
    ];
    for (name, numerator) in numerators {
        for shape in [[1, 1, 1], [13, 3, 5], [257, 1, 3]] {
            let numerator = numerator.clone();
            cases.push(case(format!("relative epsilon {name}: {shape:?}"), move |b| relative(b, shape, &numerator)));
        }
    }
    for shape in [[1, 1, 1], [7, 13, 5]] {
        cases.push(case(format!("root: {shape:?}"), move |b| {
            let (x, values) = b.noise(Per::Image, shape, 2.0);
            let roots = Array::from_fn(values.n, shape, |at| 1.5 * values.at(at).abs());
            let out = b.expect(Per::Image, Element::Float, roots);
            let square = Stage::Take { part: Part::Square };
            let stages = vec![square, Stage::Multiply { factor: 2.25 }, Stage::Root];
            b.step(Kernel::ActivationForward, vec![x], vec![], out, stages);
        }));
    }
}

/// `v numerator / (z + eps rms sgn0(z))`
fn relative(b: &mut Bench, shape: [usize; 3], numerator: &Numerator) {
    let (v_view, v) = b.noise(Per::Message, shape, 4.0);
    let (z_view, z) = b.noise(Per::Image, shape, 4.0);
    let n = b.count(Per::Image);
    let data = b.random(n).into_iter().map(f64::abs).collect();
    let scale = Array { n, c: 1, h: 1, w: 1, data };
    let rms =
        Operand { one_pixel: true, one_channel: true, ..b.given(Per::Image, Element::Float, scale.clone()).into() };
    let slopes = b.constant(shape[0]);
    let slope = matches!(numerator, Numerator::Activated(Activation::PRelu { .. }))
        .then(|| b.channel_weight(&slopes, shape[0]));
    let want = Array::from_fn(v.n, shape, |at @ [n, c, y, x]| {
        let image = b.item(Per::Image, Per::Message, n);
        let (z, eps) = (z.at([image, c, y, x]), EPS * scale.at([image, 0, 0, 0]));
        let over = match numerator {
            Numerator::One => 1.0,
            Numerator::Z => z,
            Numerator::Activated(f) => oracle::value(f, z, slopes.get(c)),
        };
        v.at(at) * over / if z < 0.0 { z - eps } else { z + eps }
    });
    let out = b.expect(Per::Message, Element::Float, want);
    let ones = Constant::new(vec![1.0; shape[0]], Precision::F32);
    let mask = Stage::Scale { factor: b.channel_weight(&ones, shape[0]) };
    let stage = Stage::Epsilon { z: z_view.into(), numerator: numerator.clone(), slope, eps: EPS, rms: Some(rms) };
    b.step(Kernel::ActivationBackward, vec![v_view], vec![], out, vec![stage, mask]);
}
