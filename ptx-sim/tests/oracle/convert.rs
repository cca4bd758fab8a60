//! `cvt`.

use super::Row;
use super::float::rounding;
use super::number::{Exact, F32, Format, round};
use super::text::{bits, file, has, integer, lower, opcodes};

const FORMS: &[&str] = &[
    "cvt.u8|u16|u32|u64|s8|s16|s32|s64.u8|u16|u32|u64|s8|s16|s32|s64",
    "cvt.sat.u8|u16|u32|u64.s8|s16|s32|s64",
    "cvt.sat.u8.u16|u32|u64",
    "cvt.sat.u16.u32|u64",
    "cvt.sat.u32.u64",
    "cvt.sat.s8.u8|u16|u32|u64|s16|s32|s64",
    "cvt.sat.s16.u16|u32|u64|s32|s64",
    "cvt.sat.s32.u32|u64|s64",
    "cvt.sat.s64.u64",
    "cvt.rni|rzi|rmi|rpi.[ftz].[sat].u8|u16|u32|u64|s8|s16|s32|s64.f32",
    "cvt.rni|rzi|rmi|rpi.[sat].u8|u16|u32|u64|s8|s16|s32|s64.f16",
    "cvt.rni|rzi|rmi|rpi.u16|u32|u64|s16|s32|s64.bf16",
    "cvt.rn|rz|rm|rp.[ftz].[sat].f32.u8|u16|u32|u64|s8|s16|s32|s64",
    "cvt.rn|rz|rm|rp.[sat].f16.u8|u16|u32|u64|s8|s16|s32|s64",
    "cvt.rn|rz|rm|rp.bf16.u16|u32|u64|s16|s32|s64",
    "cvt.[rni|rzi|rmi|rpi].[ftz].[sat].f32.f32",
    "cvt.[rni|rzi|rmi|rpi].[sat].f16.f16",
    "cvt.rni|rzi|rmi|rpi.bf16.bf16",
    "cvt.[ftz].[sat].f32.f16",
    "cvt.[ftz].f32.bf16",
    "cvt.rn|rz|rm|rp.[ftz].[sat].f16.f32",
    "cvt.rn|rz|rm|rp.f16.bf16",
    "cvt.rn|rz|rm|rp.bf16.f16",
    "cvt.rn|rz.[relu].[satfinite].f16|bf16|tf32|f16x2|bf16x2.f32",
    "cvt.rna.[satfinite].tf32.f32",
];

/// The integral number that a finite value is rounded to; zeros keep its sign.
fn whole(rounding: &str, value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let (below, above) = (value.floor(), value.ceil());
    let (to_below, to_above) = (value - below, above - value);
    let rounded = match rounding {
        "rmi" => below,
        "rpi" => above,
        "rzi" => [below, above][usize::from(value < 0.0)],
        _ if to_below != to_above => [below, above][usize::from(to_above < to_below)],
        _ => [below, above][usize::from(below % 2.0 != 0.0)],
    };
    rounded.copysign(value)
}

fn range(ty: &str) -> (i128, i128) {
    match ty.starts_with('s') {
        true => (-(1 << (bits(ty) - 1)), (1 << (bits(ty) - 1)) - 1),
        false => (0, (1 << bits(ty)) - 1),
    }
}

/// The bits of a float after what its opcode does to a value.
fn to_float(opcode: &str, to: Format, value: Exact) -> u32 {
    let result = round(value, to, rounding(opcode));
    let (nan, negative, magnitude) = (to.is_nan(result), result & to.sign() != 0, result & (to.sign() - 1));
    let result = match opcode {
        _ if has(opcode, "sat") && (nan || negative) => 0,
        _ if has(opcode, "sat") => result.min(round(Exact::of(1.0), to, "rn")),
        _ if has(opcode, "relu") && negative => 0,
        // The largest number is the one before infinity.
        _ if has(opcode, "satfinite") && magnitude == to.infinity() => {
            result & to.sign() | round(Exact::of(f64::MAX), to, "rz")
        }
        _ => result,
    };
    if has(opcode, "ftz") && to == F32 { to.flush(result) } else { result }
}

/// What an opcode makes of bits, as far as its type goes: an integer, or the bits of a float.
fn converted(opcode: &str, (to, from): (&str, &str), value: u64) -> i128 {
    match (Format::named(to), Format::named(from)) {
        (None, None) => {
            let (low, high) = range(to);
            let value = integer(from, value);
            if has(opcode, "sat") { value.clamp(low, high) } else { integer(to, lower(value, 64)) }
        }
        (None, Some(format)) => {
            let value = float(opcode, format, value);
            let (low, high) = range(to);
            match value.is_nan() {
                true if bits(to) == 64 => integer(to, 1 << 63),
                true => 0,
                // f64 to i128 saturates, far outside of each range.
                false => (whole(mode(opcode), value) as i128).clamp(low, high),
            }
        }
        (Some(format), None) => {
            let value = integer(from, value);
            // In two parts: f64 has 53 bits.
            let upper = value as f64;
            to_float(opcode, format, Exact::Sum(upper, (value - upper as i128) as f64)).into()
        }
        (Some(format), Some(of)) => {
            let value = float(opcode, of, value);
            let value = if mode(opcode).is_empty() { value } else { whole(mode(opcode), value) };
            to_float(opcode, format, Exact::of(value)).into()
        }
    }
}

/// The rounding to integral numbers that an opcode names, or nothing.
fn mode(opcode: &str) -> &'static str {
    ["rni", "rzi", "rmi", "rpi"].into_iter().find(|name| has(opcode, name)).unwrap_or_default()
}

/// A float operand; `.ftz` is about those of 32 bits only.
fn float(opcode: &str, format: Format, value: u64) -> f64 {
    let bits = format.of(value);
    format.value(if has(opcode, "ftz") && format == F32 { format.flush(bits) } else { bits })
}

pub fn rows() -> Vec<Row> {
    FORMS.iter().flat_map(|form| opcodes(form)).flat_map(|opcode| rows_of(&opcode)).collect()
}

/// With registers of the types, and with those of 64 bits where wider ones will do: integers are extended to them, as their type
/// is, and floats with zeros.
fn rows_of(opcode: &str) -> Vec<Row> {
    let types: Vec<&str> = opcode.rsplit('.').take(2).collect();
    let (to, from) = (types[1].to_owned(), types[0].to_owned());
    if to.ends_with("x2") {
        let text = format!("{opcode} %wd, %wa, %wb");
        let opcode = opcode.to_owned();
        let model = move |a, b, _| {
            let half = |value| converted(&opcode, (&to, &from), value) as u64;
            half(a) << 16 | half(b)
        };
        return vec![Row::new(text, model)];
    }
    let exact = [&to, &from].iter().any(|ty| ["bf16", "tf32"].contains(&ty.as_str()));
    let own = (file(&to), file(&from));
    let mut files = vec![own];
    if !exact {
        files.extend([('q', own.1), (own.0, 'q'), ('q', 'q')]);
        files.sort_unstable();
        files.dedup();
    }
    let row = |(d, a): (char, char)| {
        let (opcode, to, from) = (opcode.to_owned(), to.clone(), from.clone());
        let any_nan = ["f32", "tf32"].contains(&to.as_str()).then(|| to.clone());
        let width = match d {
            'h' => 16,
            'w' => 32,
            _ => 64,
        };
        let text = format!("{opcode} %{d}d, %{a}a");
        Row { any_nan, ..Row::new(text, move |a, _, _| lower(converted(&opcode, (&to, &from), a), width)) }
    };
    files.into_iter().map(row).collect()
}
