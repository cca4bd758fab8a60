//! No opcode without a row.

use std::collections::HashSet;

use ptx_sim::Module;

use super::text::{bits, file, opcodes};
use super::{REGISTERS, compare, convert, float, integer, module_of};

const TYPES: &str = "pred|f16|bf16|tf32|f32|f16x2|bf16x2|b8|b16|b32|b64|u8|u16|u32|u64|s8|s16|s32|s64";

/// What opcodes may be made of, with their operands: `D`, `A`, `B` and `C` have the last type, `E` is the first of two, `F` has
/// twice the bits.
const CANDIDATES: &[(&str, &[&str])] = &[
    ("add|sub|mul|div|rem|min|max|copysign|and|or|xor.FLOAT.[NaN].TYPE", &["D, A, B"]),
    ("mul.lo|hi|wide.TYPE", &["D, A, B", "F, A, B"]),
    ("fma|mad.FLOAT.[relu].TYPE", &["D, A, B, C"]),
    ("mad.lo|hi|wide.TYPE", &["D, A, B, C", "F, A, B, F"]),
    ("neg|abs|not|brev|rcp|sqrt|rsqrt|ex2|lg2|sin|cos|tanh.FLOAT.TYPE", &["D, A"]),
    ("popc|clz.TYPE", &["%wd, A"]),
    ("shl|shr.TYPE", &["D, A, %wb"]),
    ("shf.l|r.clamp|wrap.TYPE", &["D, A, B, C"]),
    ("prmt|bfe.TYPE", &["D, A, B, C", "D, A, %wb, %wc"]),
    ("bfi.TYPE", &["D, A, B, %wc, %wa"]),
    ("lop3.TYPE", &["D, A, B, C, 0x1d"]),
    ("mov.TYPE", &["D, A", "D, {%wa, %wb}", "D, {%ha, %hb}", "{%wd, %wx}, A", "{%hd, %hx}, A"]),
    ("selp.TYPE", &["D, A, B, %pc"]),
    (
        "setp.eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan.[and|or|xor].[ftz].TYPE",
        &["%p, A, B", "%p, A, B, %pc"],
    ),
    ("cvt.[rn|rna|rz|rm|rp|rni|rzi|rmi|rpi].[ftz].[relu].[satfinite].[sat].TYPE.TYPE", &["E, A", "%wd, A, B"]),
    ("cvta.[to].[global|local|param|shared|shared::cta].TYPE", &["D, A"]),
    ("membar|fence.[proxy].[sc|acq_rel].cta|gl|gpu|sys|async", &[""]),
    ("membar|fence.proxy.async.shared::cta|shared::cluster", &[""]),
    ("prefetch|prefetchu.[global|local|shared].L1|L2|L2::evict_last|L2::evict_normal", &["[%qa]"]),
];

const FLOAT: &str = "[rn|rna|rz|rm|rp|approx|full].[ftz].[sat]";

/// Operands for an opcode.
fn operands(opcode: &str, operands: &str) -> String {
    let types: Vec<&str> = opcode.rsplit('.').take(2).collect();
    let register = |ty: &str, name: &str| match bits(ty) {
        1 => ["%p", "%pc", "%x", "%pc"]["dabc".find(name).unwrap_or(0)].to_owned(),
        _ => format!("%{}{name}", file(ty)),
    };
    let twice = |ty: &str| match bits(ty) {
        8 => "b16",
        16 => "b32",
        _ => "b64",
    };
    operands
        .split_inclusive([' ', ','])
        .map(|part| match (part.chars().next(), part.get(1..)) {
            (Some('D'), Some(rest)) => register(types[0], "d") + rest,
            (Some('A'), Some(rest)) => register(types[0], "a") + rest,
            (Some('B'), Some(rest)) => register(types[0], "b") + rest,
            (Some('C'), Some(rest)) => register(types[0], "c") + rest,
            (Some('E'), Some(rest)) => register(types[1], "d") + rest,
            (Some('F'), Some(rest)) => register(twice(types[0]), "d") + rest,
            _ => part.to_owned(),
        })
        .collect()
}

#[test]
fn what_is_accepted_has_a_row() {
    let rows = [integer::rows(), float::rows(), compare::rows(), convert::rows()];
    let texts = rows.iter().flatten().flat_map(|row| row.text.split("; "));
    let known: HashSet<&str> =
        texts.filter_map(|text| text.split(' ').find(|word| word.contains('.') && !word.starts_with('%'))).collect();
    let (mut accepted, mut unknown) = (0, Vec::new());
    for (form, forms_of_operands) in CANDIDATES {
        for opcode in opcodes(&form.replace("FLOAT", FLOAT).replace("TYPE", TYPES)) {
            let text = |form: &&str| module_of(&format!("{REGISTERS}{opcode} {};", operands(&opcode, form)));
            if forms_of_operands.iter().any(|form| Module::parse(&text(form)).is_ok()) {
                accepted += 1;
                unknown.extend((!known.contains(opcode.as_str())).then_some(opcode));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    // The candidates have the operands that they need.
    assert_eq!(accepted, known.len(), "of all rows");
}
