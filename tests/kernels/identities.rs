//! What must hold whatever the formulas: transposes are transposes, derivatives are derivatives.

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::graph::{Activation, Pool, PoolKind, Precision};
use fluoroscope::program::{Element, Kernel, Per, Stage, View, Weight};

use crate::bench::{Bench, Setting};
use crate::oracle::Array;
use crate::{cases, convolutions, stages};

const SETTING: Setting = Setting { images: 2, references: 1, messages: 1, nested: false };

fn backend() -> CpuBackend {
    CpuBackend::new(Precision::F64, Some(2)).expect("threads start")
}

/// Runs one kernel and returns the real channels of what comes out.
fn run(
    bench: &mut Bench,
    out: (Element, [usize; 3]),
    make: impl FnOnce(&Bench, View) -> (Kernel, Vec<View>, Vec<Weight>, Vec<Stage>),
) -> Array {
    let like = Array::zeros(bench.setting.images, out.1);
    let view = bench.expect(Per::Image, out.0, like.clone());
    let (kernel, inputs, weights, stages) = make(bench, view);
    let writes = bench.expected[0].port.view;
    bench.step(kernel, inputs, weights, writes, stages);
    let lanes = bench.run(&backend(), &bench.inputs).remove(0);
    let pitch = lanes.len() / like.n / (like.h * like.w);
    let places = bench.expected[0].port.layout.places();
    Array::from_fn(like.n, out.1, |[n, c, y, x]| lanes[((n * pitch + places[c]) * like.h + y) * like.w + x])
}

fn assert_same(name: &str, a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{name}: {a:e} and {b:e}");
}

#[test]
fn convolution_backward_is_the_transpose() {
    for g in convolutions::table() {
        let mut b = Bench::new(SETTING);
        let (x_view, x) = b.noise(Per::Image, g.x, 1.0);
        let w = b.constant(g.weights());
        let y = run(&mut b, (Element::Float, g.y()), |b, _| {
            (Kernel::Conv2dForward(g.params), vec![x_view], vec![convolutions::filter(b, &w, &g)], vec![])
        });
        let mut b = Bench::new(SETTING);
        let (m_view, m) = b.noise(Per::Image, g.y(), 1.0);
        let m_x = run(&mut b, (Element::Float, g.x), |b, _| {
            (Kernel::Conv2dBackward(g.params), vec![m_view], vec![convolutions::filter(b, &w, &g)], vec![])
        });
        assert_same(g.name, y.dot(&m), m_x.dot(&x));
    }
}

#[test]
fn pool_backward_is_the_transpose() {
    for (name, shape, max) in cases::pools() {
        let [h, w] = cases::windows(shape, &max);
        for include_pad in [false, true] {
            let pool = Pool { kind: PoolKind::Average { include_pad }, ..max.clone() };
            let mut b = Bench::new(SETTING);
            let (x_view, x) = b.noise(Per::Image, shape, 1.0);
            let y = run(&mut b, (Element::Float, [shape[0], h, w]), |_, _| {
                (Kernel::PoolAverageForward { pool: pool.clone(), sum: false }, vec![x_view], vec![], vec![])
            });
            let mut b = Bench::new(SETTING);
            let (m_view, m) = b.noise(Per::Image, [shape[0], h, w], 1.0);
            let m_x = run(&mut b, (Element::Float, shape), |_, _| {
                (Kernel::PoolAverageBackward { pool: pool.clone() }, vec![m_view], vec![], vec![])
            });
            assert_same(name, y.dot(&m), m_x.dot(&x));
        }
        let mut b = Bench::new(SETTING);
        let (x_view, x) = b.noise(Per::Image, shape, 1.0);
        let places = b.expect(Per::Image, Element::Index, Array::zeros(SETTING.images, [shape[0], h, w]));
        let kernel = Kernel::PoolMaxForward { pool: max.clone(), index: Some(places) };
        let out = b.expect(Per::Image, Element::Float, Array::zeros(SETTING.images, [shape[0], h, w]));
        b.step(kernel, vec![x_view], vec![], out, vec![]);
        let lanes = b.run(&backend(), &b.inputs);
        let pitch = lanes[0].len() / SETTING.images / (h * w);
        let pick = |values: &[f64]| {
            Array::from_fn(SETTING.images, [shape[0], h, w], |[n, c, y, x]| values[((n * pitch + c) * h + y) * w + x])
        };
        let (places, y) = (pick(&lanes[0]), pick(&lanes[1]));
        let mut b = Bench::new(SETTING);
        let (m_view, m) = b.noise(Per::Image, [shape[0], h, w], 1.0);
        let index = b.given(Per::Image, Element::Index, places);
        let m_x = run(&mut b, (Element::Float, shape), |_, _| {
            (Kernel::PoolMaxBackward { pool: max.clone() }, vec![m_view, index], vec![], vec![])
        });
        assert_same(name, y.dot(&m), m_x.dot(&x));
    }
}

#[test]
fn resize_backward_is_the_transpose() {
    for (name, from, to, resize) in cases::resizes() {
        let mut b = Bench::new(SETTING);
        let (x_view, x) = b.noise(Per::Image, from, 1.0);
        let y = run(&mut b, (Element::Float, [from[0], to[0], to[1]]), |_, _| {
            (Kernel::UpsampleBilinear(resize.clone()), vec![x_view], vec![], vec![])
        });
        let mut b = Bench::new(SETTING);
        let (m_view, m) = b.noise(Per::Image, [from[0], to[0], to[1]], 1.0);
        let m_x = run(&mut b, (Element::Float, from), |_, _| {
            (Kernel::UpsampleBilinearBackward(resize.clone()), vec![m_view], vec![], vec![])
        });
        assert_same(name, y.dot(&m), m_x.dot(&x));
    }
}

#[test]
fn a_permutation_is_undone_by_its_inverse() {
    let (from, to) = ([7, 13, 5], [13, 5, 7]);
    let mut b = Bench::new(SETTING);
    let (x_view, x) = b.noise(Per::Image, from, 1.0);
    let table = cases::physical_table(&b, from, to, |[c, h, w]| Some([w, c, h])).into();
    let y = run(&mut b, (Element::Float, to), |_, _| {
        (Kernel::Rearrange { table, fill: 0.0 }, vec![x_view], vec![], vec![])
    });
    let mut b = Bench::new(SETTING);
    let y_view = b.given(Per::Image, Element::Float, y);
    let table = cases::physical_table(&b, to, from, |[c, h, w]| Some([h, w, c])).into();
    let back = run(&mut b, (Element::Float, from), |_, _| {
        (Kernel::Rearrange { table, fill: 0.0 }, vec![y_view], vec![], vec![])
    });
    assert_eq!(back, x);
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    let h = 1e-5;
    // No kink of any activation lies within h of these.
    let points: Vec<f64> = (0..1024).map(|i| (f64::from(i) - 511.5) / 128.0 + 1e-3).collect();
    let shape = [8, 16, 8];
    let at = |shift: f64| {
        let data = points.iter().chain(&points).map(|z| z + shift).collect();
        Array { n: 2, c: shape[0], h: shape[1], w: shape[2], data }
    };
    for f in stages::activations() {
        if matches!(f, Activation::PRelu { .. }) {
            continue;
        }
        let value = |shift: f64| {
            let mut b = Bench::new(SETTING);
            let z = b.given(Per::Image, Element::Float, at(shift));
            let stage = Stage::Activate { activation: f.clone(), slope: None };
            run(&mut b, (Element::Float, shape), |_, _| (Kernel::ActivationForward, vec![z], vec![], vec![stage]))
        };
        let mut b = Bench::new(SETTING);
        let z = b.given(Per::Image, Element::Float, at(0.0));
        let one = Stage::Take { part: fluoroscope::program::Part::One };
        let stages = vec![one, Stage::Derivative { z: z.into(), activation: f.clone() }];
        let m = b.given(Per::Image, Element::Float, at(0.0));
        let slope = run(&mut b, (Element::Float, shape), |_, _| (Kernel::ActivationBackward, vec![m], vec![], stages));
        let (above, below) = (value(h), value(-h));
        for (i, z) in at(0.0).data.iter().enumerate() {
            let want = (above.data[i] - below.data[i]) / (2.0 * h);
            let got = slope.data[i];
            assert!((got - want).abs() < 1e-7 * (1.0 + want * want), "{} at {z}: {got}, want {want}", f.name());
        }
    }
}
