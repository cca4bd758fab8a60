//! `setp`.

use std::cmp::Ordering;

use super::Row;
use super::number::Format;
use super::text::{file, has, integer, last, opcodes};

const FORMS: &[&str] = &[
    "setp.eq|ne.[and|or|xor].b16|b32|b64",
    "setp.eq|ne|lt|le|gt|ge.[and|or|xor].u16|u32|u64|s16|s32|s64",
    "setp.lo|ls|hi|hs.[and|or|xor].u16|u32|u64",
    "setp.eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan.[and|or|xor].[ftz].f32|f16",
    "setp.eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan.[and|or|xor].bf16",
];

/// Whether a relation holds for numbers in an order, or for a NaN and anything.
fn holds(relation: &str, order: Option<Ordering>) -> bool {
    match (relation, order) {
        ("num", order) => order.is_some(),
        ("nan", order) => order.is_none(),
        (relation, None) => relation.len() == 3,
        ("eq" | "equ", Some(order)) => order == Ordering::Equal,
        ("ne" | "neu", Some(order)) => order != Ordering::Equal,
        ("lt" | "ltu" | "lo", Some(order)) => order == Ordering::Less,
        ("le" | "leu" | "ls", Some(order)) => order != Ordering::Greater,
        ("gt" | "gtu" | "hi", Some(order)) => order == Ordering::Greater,
        ("ge" | "geu" | "hs", Some(order)) => order != Ordering::Less,
        _ => unreachable!("{relation}"),
    }
}

/// The order of a and b of an opcode's type.
fn order(opcode: &str, a: u64, b: u64) -> Option<Ordering> {
    let ty = last(opcode);
    match Format::named(ty) {
        Some(format) => {
            let flush = |bits| if has(opcode, "ftz") { format.flush(bits) } else { bits };
            let [a, b] = [a, b].map(|value| format.value(flush(format.of(value))));
            a.partial_cmp(&b)
        }
        None => Some(integer(ty, a).cmp(&integer(ty, b))),
    }
}

/// The first result, or the second, which is that of the opposite; with a third operand, or its opposite, where an opcode has
/// one.
fn row(opcode: &str, second: bool, negated: bool) -> Row {
    let file = file(last(opcode));
    let with = ["and", "or", "xor"].into_iter().find(|name| has(opcode, name));
    let d = if second { "%x|%p" } else { "%p" };
    let c = match with {
        Some(_) => [", %pc", ", !%pc"][usize::from(negated)],
        None => "",
    };
    let (text, opcode) = (format!("{opcode} {d}, %{file}a, %{file}b{c}"), opcode.to_owned());
    Row::new(text, move |a, b, c| {
        let relation = opcode.split('.').nth(1).unwrap_or_default();
        let value = holds(relation, order(&opcode, a, b)) != second;
        let c = (c % 2 == 1) != negated;
        u64::from(match with {
            Some("and") => value && c,
            Some("or") => value || c,
            Some(_) => value != c,
            None => value,
        })
    })
}

pub fn rows() -> Vec<Row> {
    let opcodes = FORMS.iter().flat_map(|form| opcodes(form));
    let mut rows: Vec<_> = opcodes.flat_map(|opcode| [row(&opcode, false, false), row(&opcode, true, true)]).collect();
    rows.extend([
        Row::new("setp.lt.s16 %p, %ha, -1", |a, _, _| u64::from((a as i16) < -1)),
        Row::new("setp.ge.u16 %p, %ha, -1", |a, _, _| u64::from(a as u16 == 0xffff)),
        Row::new("setp.gt.f32 %p, %wa, 1.5", |a, _, _| u64::from(f32::from_bits(a as u32) > 1.5)),
        Row::new("setp.ne.s64 %p, %qa, -9223372036854775808", |a, _, _| u64::from(a != 1 << 63)),
    ]);
    rows
}
