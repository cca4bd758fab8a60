//! Integers, bits, moves and predicates.

use super::text::{bits, file, integer, last, lower, opcodes};
use super::{OTHER, Row};

/// Of a type and operands of it; the result is reduced to the type.
type Arithmetic = fn(&str, i128, i128, i128) -> i128;

/// Forms with all operands of one type, how many those are, and what they give.
#[rustfmt::skip]
const SAME: &[(&str, usize, Arithmetic)] = &[
    ("add.u16|u32|u64|s16|s32|s64", 2, |_, a, b, _| a + b),
    ("sub.u16|u32|u64|s16|s32|s64", 2, |_, a, b, _| a - b),
    ("add.sat.s32", 2, |_, a, b, _| (a + b).clamp(-1 << 31, (1 << 31) - 1)),
    ("sub.sat.s32", 2, |_, a, b, _| (a - b).clamp(-1 << 31, (1 << 31) - 1)),
    ("mul.lo.u16|u32|u64|s16|s32|s64", 2, |_, a, b, _| a.wrapping_mul(b)),
    ("mad.lo.u16|u32|u64|s16|s32|s64", 3, |_, a, b, c| a.wrapping_mul(b).wrapping_add(c)),
    ("mul.hi.u32|u64|s32|s64", 2, |ty, a, b, _| upper(ty, a, b)),
    ("mad.hi.u32|s32", 3, |ty, a, b, c| upper(ty, a, b) + c),
    // By zero: all bits of the quotient, and a rest of a.
    ("div.u16|u32|u64|s32|s64", 2, |_, a, b, _| if b == 0 { -1 } else { a / b }),
    ("rem.u16|u32|u64|s32|s64", 2, |_, a, b, _| if b == 0 { a } else { a % b }),
    ("min.u16|u32|u64|s16|s32|s64", 2, |_, a, b, _| a.min(b)),
    ("max.u16|u32|u64|s16|s32|s64", 2, |_, a, b, _| a.max(b)),
    ("abs.s16|s32|s64", 1, |_, a, _, _| a.abs()),
    ("neg.s16|s32|s64", 1, |_, a, _, _| -a),
    ("and.b16|b32|b64", 2, |ty, a, b, _| bitwise(ty, |i| bit(a, i) && bit(b, i))),
    ("or.b16|b32|b64", 2, |ty, a, b, _| bitwise(ty, |i| bit(a, i) || bit(b, i))),
    ("xor.b16|b32|b64", 2, |ty, a, b, _| bitwise(ty, |i| bit(a, i) != bit(b, i))),
    ("not.b16|b32|b64", 1, |ty, a, _, _| bitwise(ty, |i| !bit(a, i))),
    ("brev.b32|b64", 1, |ty, a, _, _| bitwise(ty, |i| bit(a, i128::from(bits(ty)) - 1 - i))),
    ("mov.b16|b32|b64|u16|u32|u64|s16|s32|s64|f32", 1, |_, a, _, _| a),
    ("prmt.b32", 3, |_, a, b, c| {
        let byte = |digit: i128| (b << 32 | a) >> (8 * (digit & 7)) & 255;
        let of = |digit: i128| if digit < 8 { byte(digit) } else { (byte(digit) >> 7) * 255 };
        (0..4).fold(0, |d, i| d | of(c >> (4 * i) & 15) << (8 * i))
    }),
    ("bfe.u32|s32", 3, |ty, a, b, c| {
        // As the manual spells it.
        let (at, len) = (b & 255, c & 255);
        let sign = ty == "s32" && len > 0 && bit(a, (at + len - 1).min(31));
        bitwise(ty, |i| if i < len && at + i <= 31 { bit(a, at + i) } else { sign })
    }),
    ("shf.l.wrap.b32", 3, |_, a, b, c| ((b << 32 | a) << (c % 32)) >> 32),
    ("shf.r.wrap.b32", 3, |_, a, b, c| (b << 32 | a) >> (c % 32)),
    ("shf.l.clamp.b32", 3, |_, a, b, c| ((b << 32 | a) << c.min(32)) >> 32),
    ("shf.r.clamp.b32", 3, |_, a, b, c| (b << 32 | a) >> c.min(32)),
];

/// Forms of which the first has the type, and the rest other registers; `D` stands for the register d of the type, and so on.
#[rustfmt::skip]
const MIXED: &[(&str, &str, Arithmetic)] = &[
    ("shl.b16|b32|b64", "D, A, %wb", |_, a, b, _| a << (b & 0xffff_ffff).min(64)),
    ("shr.b16|b32|b64|u16|u32|u64|s16|s32|s64", "D, A, %wb", |_, a, b, _| a >> (b & 0xffff_ffff).min(64)),
    ("selp.b16|b32|b64|u16|u32|u64|s16|s32|s64|f32", "D, A, B, %pc", |_, a, b, c| if c % 2 != 0 { a } else { b }),
    ("selp.b16|b32|b64|u16|u32|u64|s16|s32|s64|f32", "D, A, B, !%pc", |_, a, b, c| if c % 2 == 0 { a } else { b }),
];

/// Forms whose result, and third operand, have twice the bits.
const WIDE: &[(&str, &str, Arithmetic)] = &[
    ("mul.wide.u16|u32|s16|s32", "D, A, B", |_, a, b, _| a * b),
    ("mad.wide.u16|u32|s16|s32", "D, A, B, C", |_, a, b, c| a * b + c),
];

type Model = fn(u64, u64, u64) -> u64;

#[rustfmt::skip]
const OTHERS: &[(&str, Model)] = &[
    ("popc.b32 %wd, %wa", |a, _, _| (0..32).filter(|i| a >> i & 1 == 1).count() as u64),
    ("popc.b64 %wd, %qa", |a, _, _| (0..64).filter(|i| a >> i & 1 == 1).count() as u64),
    ("clz.b32 %wd, %wa", |a, _, _| (0..32).rev().take_while(|i| a >> i & 1 == 0).count() as u64),
    ("clz.b64 %wd, %qa", |a, _, _| (0..64).rev().take_while(|i| a >> i & 1 == 0).count() as u64),
    ("lop3.b32 %wd, %wa, %wb, %wc, 0xe8", |a, b, c| h32((a & b) | (a & c) | (b & c))),
    ("lop3.b32 %wd, %wa, %wb, %wc, 0x1d", |a, b, c| lut(a, b, c, 0x1d)),
    ("lop3.b32 %wd, %wa, %wb, %wc, 0x62", |a, b, c| lut(a, b, c, 0x62)),
    ("bfi.b32 %wd, %wa, %wb, %wc, 7", |a, b, c| inserted(a, b, c & 255, 7)),
    ("bfi.b32 %wd, %wa, %wb, 3, %wc", |a, b, c| inserted(a, b, 3, c & 255)),
    ("mov.b64 %qd, {%wa, %wb}", |a, b, _| h32(b) << 32 | h32(a)),
    ("mov.b32 %wd, {%ha, %hb}", |a, b, _| (b & 0xffff) << 16 | (a & 0xffff)),
    ("mov.b64 {%wd, %wx}, %qa; xor.b32 %wd, %wd, %wx", |a, _, _| h32(a) ^ (a >> 32)),
    ("mov.b32 {%hd, %hx}, %wa; xor.b16 %hd, %hd, %hx", |a, _, _| (a ^ (a >> 16)) & 0xffff),
    // Constants: all radixes, signs, and what does not fit is cut.
    ("mov.u32 %wd, 0x89abcdef", |_, _, _| 0x89ab_cdef),
    ("mov.b32 %wd, 0f3fc00000", |_, _, _| 0x3fc0_0000),
    ("mov.f32 %wd, -1.5", |_, _, _| 0xbfc0_0000),
    ("mov.f32 %wd, 0d3ff8000000000000", |_, _, _| 0x3fc0_0000),
    ("mov.b64 %qd, 0dbff8000000000000", |_, _, _| 0xbff8_0000_0000_0000),
    ("mov.u64 %qd, 0xfedcba9876543210", |_, _, _| 0xfedc_ba98_7654_3210),
    ("mov.b64 %qd, {%wa, 5}", |a, _, _| 5 << 32 | h32(a)),
    ("mov.b32 %wd, {7, %hb}", |_, b, _| (b & 0xffff) << 16 | 7),
    ("mov.b64 {%wd, %wx}, 0x100000002; sub.u32 %wd, %wd, %wx", |_, _, _| 1),
    ("add.u16 %hd, %ha, 70000", |a, _, _| a.wrapping_add(70000) & 0xffff),
    ("sub.s16 %hd, -2, %hb", |_, b, _| lower(-2 - i128::from(b), 16)),
    ("add.s32 %wd, %wa, -017", |a, _, _| h32(a.wrapping_sub(15))),
    ("and.b64 %qd, %qa, -0b1100", |a, _, _| a & !0b1011),
    ("mad.lo.s64 %qd, %qa, -3, 4294967295U", |a, _, _| lower(i128::from(a) * -3 + 0xffff_ffff, 64)),
    ("div.s32 %wd, %wa, -1", |a, _, _| h32(a.wrapping_neg())),
    ("popc.b32 %wd, 0x70007", |_, _, _| 6),
    // A guard keeps the lanes where it does not hold.
    ("@%pc mov.u32 %wd, %wa", |a, _, c| if c % 2 == 1 { h32(a) } else { h32(OTHER) }),
    ("@!%pc mov.u64 %qd, %qa", |a, _, c| if c % 2 == 0 { a } else { OTHER }),
    ("setp.lt.u32 %x, %wa, %wb; mov.u32 %wd, %wa; @!%x mov.u32 %wd, %wb", |a, b, _| h32(a).min(h32(b))),
    // Predicates: bit 0 of a is %p, that of c %pc.
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; and.pred %p, %p, %pc", |a, _, c| a & c & 1),
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; and.pred %p, !%p, %pc", |a, _, c| !a & c & 1),
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; or.pred %p, %p, %pc", |a, _, c| (a | c) & 1),
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; or.pred %p, %p, !%pc", |a, _, c| (a | !c) & 1),
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; xor.pred %p, %p, %pc", |a, _, c| (a ^ c) & 1),
    ("and.b32 %wx, %wa, 1; setp.eq.u32 %p, %wx, 1; xor.pred %p, !%p, %pc", |a, _, c| (!a ^ c) & 1),
    ("not.pred %p, %pc", |_, _, c| !c & 1),
    ("not.pred %p, !%pc", |_, _, c| c & 1),
    ("mov.pred %p, %pc", |_, _, c| c & 1),
    ("mov.pred %p, !%pc", |_, _, c| !c & 1),
    // Generic addresses: all but those of shared memory are the same.
    ("cvta.global.u64 %qd, %qa", |a, _, _| a),
    ("cvta.to.global.u64 %qd, %qa", |a, _, _| a),
    ("cvta.local.u64 %qd, %qa", |a, _, _| a),
    ("cvta.to.local.u64 %qd, %qa", |a, _, _| a),
    ("cvta.param.u64 %qd, %qa", |a, _, _| a),
    ("cvta.to.param.u64 %qd, %qa", |a, _, _| a),
    ("cvta.shared.u64 %qd, %qa; cvta.to.shared.u64 %qd, %qd", |a, _, _| a),
    ("cvta.shared::cta.u64 %qd, %qa; cvta.to.shared::cta.u64 %qd, %qd", |a, _, _| a),
    // What changes nothing that a program without races can tell.
    ("membar.cta; membar.gl; membar.sys; mov.b64 %qd, %qa", |a, _, _| a),
    ("fence.cta; fence.gpu; fence.sys; mov.b64 %qd, %qa", |a, _, _| a),
    ("fence.sc.cta; fence.sc.gpu; fence.sc.sys; mov.b64 %qd, %qa", |a, _, _| a),
    ("fence.acq_rel.cta; fence.acq_rel.gpu; fence.acq_rel.sys; mov.b64 %qd, %qa", |a, _, _| a),
    ("fence.proxy.async; fence.proxy.async.shared::cta; mov.b64 %qd, %qa", |a, _, _| a),
    ("prefetch.L1 [%qa]; prefetch.L2 [%qa+4]; prefetchu.L1 [%qa]; mov.b64 %qd, %qa", |a, _, _| a),
    ("prefetch.global.L1 [%qa]; prefetch.global.L2 [%qa]; mov.b64 %qd, %qa", |a, _, _| a),
    ("prefetch.local.L1 [%qa]; prefetch.local.L2 [%qa]; mov.b64 %qd, %qa", |a, _, _| a),
    ("prefetch.global.L2::evict_last [%qa]; prefetch.global.L2::evict_normal [%qa]; mov.b64 %qd, %qa", |a, _, _| a),
];

fn bit(value: i128, at: i128) -> bool {
    value >> at & 1 == 1
}

/// The bits of a type for which something holds.
fn bitwise(ty: &str, holds: impl Fn(i128) -> bool) -> i128 {
    (0..i128::from(bits(ty))).fold(0, |d, i| d | i128::from(holds(i)) << i)
}

/// The upper half of a product: that of two u64 may not be an i128, but is a u128.
fn upper(ty: &str, a: i128, b: i128) -> i128 {
    if ty == "u64" { ((a as u128 * b as u128) >> 64) as i128 } else { (a * b) >> bits(ty) }
}

/// The low 32 bits.
fn h32(value: u64) -> u64 {
    value & 0xffff_ffff
}

fn lut(a: u64, b: u64, c: u64, table: u64) -> u64 {
    (0..32).fold(0, |d, i| d | (table >> (4 * (a >> i & 1) + 2 * (b >> i & 1) + (c >> i & 1)) & 1) << i)
}

/// The low bits of a in b, from a bit on.
fn inserted(a: u64, b: u64, at: u64, len: u64) -> u64 {
    (0..32).fold(0, |d, i| {
        let bit = if (at..at + len).contains(&i) { a >> (i - at) & 1 } else { b >> i & 1 };
        d | bit << i
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = OTHERS.iter().map(|(text, model)| Row::new(*text, *model)).collect();
    for (form, count, model) in SAME {
        let operands = ["D, A", "D, A, B", "D, A, B, C"][count - 1];
        rows.extend(opcodes(form).into_iter().map(|opcode| row(opcode, operands, *model, 1)));
    }
    for (table, factor) in [(MIXED, 1), (WIDE, 2)] {
        for (form, operands, model) in table {
            rows.extend(opcodes(form).into_iter().map(|opcode| row(opcode, operands, *model, factor)));
        }
    }
    rows
}

/// A row whose result, and third operand, have as many bits as the type, or twice as many.
fn row(opcode: String, operands: &str, model: Arithmetic, factor: u32) -> Row {
    let ty = last(&opcode).to_owned();
    let wide = format!("{}{}", &ty[..1], bits(&ty) * factor);
    let mut text = format!("{opcode} {operands}");
    for (letter, name, of) in [("D", 'd', &wide), ("A", 'a', &ty), ("B", 'b', &ty), ("C", 'c', &wide)] {
        text = text.replace(letter, &format!("%{}{name}", file(of)));
    }
    // What are no operands of the type are read as 64 bits.
    let of = |letter: &str, ty: &str| if operands.contains(letter) { ty.to_owned() } else { "s64".to_owned() };
    let types = [of("A", &ty), of("B", &ty), of("C", &wide)];
    Row::new(text, move |a, b, c| {
        let [a, b, c] = [(0, a), (1, b), (2, c)].map(|(i, value)| integer(&types[i], value));
        lower(model(&ty, a, b, c), bits(&wide))
    })
}
