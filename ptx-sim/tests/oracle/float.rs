//! Arithmetic of floats.

use super::Row;
use super::number::{Exact, F32, Format, round};
use super::text::{file, has, last, opcodes};

type Operation = fn(f64, f64, f64) -> Exact;

/// Forms, how many operands they have, and what these give before it is rounded.
#[rustfmt::skip]
const OPERATIONS: &[(&[&str], usize, Operation)] = &[
    (&["add.[rn|rz|rm|rp].[ftz].[sat].f32", "add.[rn].[ftz].[sat].f16|f16x2", "add.[rn].bf16|bf16x2"], 2,
        |a, b, _| Exact::sum(a, b)),
    (&["sub.[rn|rz|rm|rp].[ftz].[sat].f32", "sub.[rn].[ftz].[sat].f16|f16x2", "sub.[rn].bf16|bf16x2"], 2,
        |a, b, _| Exact::sum(a, -b)),
    // f64 holds the product of two f32.
    (&["mul.[rn|rz|rm|rp].[ftz].[sat].f32", "mul.[rn].[ftz].[sat].f16|f16x2", "mul.[rn].bf16|bf16x2"], 2,
        |a, b, _| Exact::of(a * b)),
    (&["fma|mad.rn|rz|rm|rp.[ftz].[sat].f32", "fma.rn.[ftz].[sat].f16|f16x2", "fma.rn.[ftz].relu.f16|f16x2",
        "fma.rn.[relu].bf16|bf16x2"], 3,
        |a, b, c| Exact::sum(a * b, c)),
    (&["div.rn|rz|rm|rp.[ftz].f32", "div.full.[ftz].f32"], 2, |a, b, _| Exact::Quotient(a, b)),
    // a (1 / b), where 1 / b is 0 for b above 2^126.
    (&["div.approx.[ftz].f32"], 2, |a, b, _| match b.abs() > 2f64.powi(126) {
        true => Exact::of(a * 0f64.copysign(b)),
        false => Exact::Quotient(a, b),
    }),
    (&["rcp.rn|rz|rm|rp|approx.[ftz].f32"], 1, |a, _, _| Exact::Quotient(1.0, a)),
    (&["sqrt.rn|rz|rm|rp|approx.[ftz].f32"], 1, |a, _, _| Exact::Root(a)),
    (&["rsqrt.approx.[ftz].f32"], 1, |a, _, _| Exact::of(1.0 / a.sqrt())),
    (&["ex2.approx.[ftz].f32", "ex2.approx.f16|f16x2", "ex2.approx.ftz.bf16|bf16x2"], 1, |a, _, _| Exact::of(a.exp2())),
    (&["lg2.approx.[ftz].f32"], 1, |a, _, _| Exact::of(a.log2())),
    (&["sin.approx.[ftz].f32"], 1, |a, _, _| Exact::of(a.sin())),
    (&["cos.approx.[ftz].f32"], 1, |a, _, _| Exact::of(a.cos())),
    (&["tanh.approx.f32|f16|f16x2|bf16|bf16x2"], 1, |a, _, _| Exact::of(a.tanh())),
    (&["min.[ftz].f32|f16|f16x2", "min.bf16|bf16x2"], 2, |a, b, _| Exact::of(least(a, b))),
    (&["max.[ftz].f32|f16|f16x2", "max.bf16|bf16x2"], 2, |a, b, _| Exact::of(-least(-a, -b))),
    // A NaN wins.
    (&["min.[ftz].NaN.f32|f16|f16x2", "min.NaN.bf16|bf16x2"], 2, |a, b, _| match a.is_nan() || b.is_nan() {
        true => Exact::of(f64::NAN),
        false => Exact::of(least(a, b)),
    }),
    (&["max.[ftz].NaN.f32|f16|f16x2", "max.NaN.bf16|bf16x2"], 2, |a, b, _| match a.is_nan() || b.is_nan() {
        true => Exact::of(f64::NAN),
        false => Exact::of(-least(-a, -b)),
    }),
    (&["neg.[ftz].f32|f16|f16x2", "neg.bf16|bf16x2"], 1, |a, _, _| Exact::of(-a)),
    (&["abs.[ftz].f32|f16|f16x2", "abs.bf16|bf16x2"], 1, |a, _, _| Exact::of(a.abs())),
    (&["copysign.f32"], 2, |a, b, _| Exact::of(b.copysign(a))),
];

/// Constants for operands.
#[rustfmt::skip]
const CONSTANTS: &[(&str, Operation)] = &[
    ("add.rn.f32 %wd, %wa, 0f3FC00000", |a, _, _| Exact::sum(a, 1.5)),
    ("mul.rz.f32 %wd, -0.1, %wa", |a, _, _| Exact::of(a * f64::from(-0.1f32))),
    ("fma.rn.f32 %wd, %wa, 0dc000000000000000, 0.25", |a, _, _| Exact::sum(a * -2.0, 0.25)),
];

/// The lesser of two, of which a number is less than a NaN, and -0 less than +0.
fn least(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a < b || (a == b && a.is_sign_negative()) => a,
        _ => b,
    }
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (forms, count, operation) in OPERATIONS {
        rows.extend(forms.iter().flat_map(|form| opcodes(form)).map(|opcode| row(opcode, *count, *operation)));
    }
    rows.extend(CONSTANTS.iter().map(|(text, operation)| {
        let rounding = rounding(text.split(' ').next().unwrap_or_default());
        let model = move |a: u64, _, _| u64::from(round(operation(F32.value(a as u32), 0.0, 0.0), F32, rounding));
        Row { any_nan: Some("f32".to_owned()), ..Row::new(*text, model) }
    }));
    rows
}

/// That of an opcode, which is to the nearest where it names none.
pub fn rounding(opcode: &str) -> &'static str {
    ["rna", "rz", "rm", "rp"].into_iter().find(|name| has(opcode, name)).unwrap_or("rn")
}

fn row(opcode: String, count: usize, operation: Operation) -> Row {
    let ty = last(&opcode).to_owned();
    let file = file(&ty);
    let operands: Vec<String> = ["d", "a", "b", "c"][..=count].iter().map(|name| format!("%{file}{name}")).collect();
    // PTX promises no payload of a NaN of f32, nor one of a NaN that is negated.
    let any = ty == "f32" || opcode.starts_with("neg") || opcode.starts_with("abs");
    let (text, format) = (format!("{opcode} {}", operands.join(", ")), Format::named(&ty).expect("a float"));
    let (pair, any_nan) = (ty.ends_with("x2"), any.then_some(ty));
    let model = move |a: u64, b: u64, c: u64| {
        let part = |shift: u32| {
            let bits = [a, b, c].map(|value| format.of(value >> shift));
            u64::from(one(&opcode, format, bits, operation)) << shift
        };
        if pair { part(0) | part(16) } else { part(0) }
    };
    Row { any_nan, ..Row::new(text, model) }
}

/// The bits of one result.
fn one(opcode: &str, format: Format, operands: [u32; 3], operation: Operation) -> u32 {
    let flush = |bits| if has(opcode, "ftz") { format.flush(bits) } else { bits };
    let [a, b, c] = operands.map(|bits| format.value(flush(bits)));
    let result = flush(round(operation(a, b, c), format, rounding(opcode)));
    let (nan, negative) = (format.is_nan(result), result & format.sign() != 0);
    let one = round(Exact::of(1.0), format, "rn");
    match opcode {
        _ if has(opcode, "sat") => {
            if nan || negative {
                0
            } else {
                result.min(one)
            }
        }
        _ if has(opcode, "relu") && negative && !nan => 0,
        _ => result,
    }
}
