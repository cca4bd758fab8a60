//! Products against an independent model.

use crate::common::noise;
use crate::text::{DONE, Form, READY, THREADS, outcome, parse};

/// What 13 bits of a mantissa less leave.
fn cut(value: f32) -> f32 {
    f32::from_bits(value.to_bits() >> 13 << 13)
}

/// Words of x for random values; b is by columns.
fn inputs(form: Form, a: &[f32], b: &[f32], d: &[f32]) -> Vec<u32> {
    let mut x = vec![0xffff_ffff; form.words()];
    for (column, k) in (0..form.columns * 8).map(|at| (at / 8, at % 8)) {
        x[form.word(column, k)] = b[8 * column + k].to_bits();
    }
    let fragments = &mut x[form.tile()..];
    for thread in 0..THREADS {
        let (row, group) = (thread / 32 * 16 + thread % 32 / 4, thread % 4);
        for i in 0..4 {
            fragments[THREADS * i + thread] = a[8 * (row + i % 2 * 8) + group + i / 2 * 4].to_bits();
        }
        for i in 0..form.columns / 2 {
            let (row, column) = element(thread, i);
            fragments[THREADS * (4 + i) + thread] = d[form.columns * row + column].to_bits();
        }
    }
    x
}

/// The row and column of d that a register of a thread holds.
fn element(thread: usize, i: usize) -> (usize, usize) {
    (thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, i / 4 * 8 + thread % 4 * 2 + i % 2)
}

fn check(form: Form, adds: bool) {
    let [a, b, d] =
        [(64 * 8, 1), (form.columns * 8, 2), (64 * form.columns, 3)].map(|(count, seed)| noise(count, seed));
    let body = [form.load(), READY.into(), form.multiply(if adds { "%p" } else { "%q" }), DONE.into(), form.store()];
    let y =
        outcome(form, THREADS, &body.join("\n"), &inputs(form, &a, &b, &d)).unwrap_or_else(|fault| panic!("{fault}"));
    for (thread, i) in (0..THREADS * form.columns / 2).map(|at| (at % THREADS, at / THREADS)) {
        let (row, column) = element(thread, i);
        let start = if adds { d[form.columns * row + column] } else { 0.0 };
        let want = (0..8).fold(start, |sum, k| sum + cut(a[8 * row + k]) * cut(b[8 * column + k]));
        let got = f32::from_bits(y[THREADS * i + thread]);
        assert_eq!(got.to_bits(), want.to_bits(), "{form:?} {row}, {column}: {got}, not {want}");
    }
}

#[test]
fn products_of_all_widths() {
    for columns in [8, 16, 24, 64, 120, 256] {
        for adds in [false, true] {
            check(Form { columns, pitch: 64, from: 32 * (columns / 8 % 2), gap: 0 }, adds);
        }
    }
}

#[test]
fn columns_are_permuted_by_their_bytes() {
    for (pitch, from) in [(128, 0), (128, 32), (128, 96), (64, 0), (64, 32), (32, 0)] {
        check(Form { columns: 40, pitch, from, gap: 0 }, true);
        check(Form { columns: 40, pitch, from, gap: 1024 }, false);
    }
}

#[test]
fn other_forms_are_refused() {
    let form = Form { columns: 8, pitch: 64, from: 0, gap: 0 };
    let good = form.multiply("%p");
    parse(form, &good).expect("the form that is known");
    for (from, to) in [
        ("m64n8k8", "m64n12k8"),
        ("m64n8k8", "m64n264k8"),
        ("m64n8k8.f32.tf32.tf32", "m64n8k16.f32.f16.f16"),
        ("{%a0, %a1, %a2, %a3}", "%b"),
        ("1, 1;", "1, -1;"),
        ("1, 1;", "1, 1, 0;"),
        ("wgmma.mma_async.sync.aligned", "wgmma.mma_async.sp.sync.aligned"),
    ] {
        let refused = parse(form, &format!("\n{}", good.replace(from, to))).expect_err(to);
        assert_eq!(refused.line, crate::common::BODY + 2, "{refused}");
    }
}
