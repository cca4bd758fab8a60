//! Each instruction against a small independent model: one table of texts and closures, random operands that are the same
//! in each run.
//!
//! Operands are `w` (32 bits), `h` (16) and `q` (64) registers a, b and c of the same random 64 bits; the result is the
//! register d of any of the three, or predicate `%p`.

mod common;

use common::{kernel_text, launch};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use ptx_sim::{Memory, Module, Options, run};

type Model = fn(u64, u64, u64) -> u64;

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// The bits of a result; each NaN is the same one.
fn bits(value: f32) -> u64 {
    if value.is_nan() { NAN } else { u64::from(value.to_bits()) }
}

const NAN: u64 = 0x7fff_ffff;
const NAN16: u64 = 0x7fff;

/// All values of a format of 16 bits, as f64, in order, with their bits.
fn half_values(exponent_bits: u32) -> Vec<(f64, u16)> {
    let infinity = ((1u16 << exponent_bits) - 1) << (15 - exponent_bits);
    (0..infinity).map(|bits| (half(bits, exponent_bits), bits)).collect()
}

fn half(bits: u16, exponent_bits: u32) -> f64 {
    let mantissa_bits = 15 - exponent_bits;
    let exponent = i32::from((bits & 0x7fff) >> mantissa_bits);
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1u32 << mantissa_bits);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let magnitude = match exponent {
        e if e == (1 << exponent_bits) - 1 && mantissa == 0.0 => f64::INFINITY,
        e if e == (1 << exponent_bits) - 1 => f64::NAN,
        0 => mantissa * 2f64.powi(1 - bias),
        e => (1.0 + mantissa) * 2f64.powi(e - bias),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// The nearest value of a format of 16 bits, found by searching all of them; ties go to the even one.
fn nearest_half(value: f64, exponent_bits: u32) -> u64 {
    if value.is_nan() {
        return 0x7fff;
    }
    thread_local! {
        static TABLES: [Vec<(f64, u16)>; 2] = [half_values(5), half_values(8)];
    }
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = value.abs();
    TABLES.with(|tables| {
        let table = &tables[usize::from(exponent_bits == 8)];
        let above = table.partition_point(|(value, _)| *value < magnitude);
        let (largest, bits) = table[table.len() - 1];
        let (upper, upper_bits) = match table.get(above) {
            Some(entry) => *entry,
            // Infinity stands where the next value would.
            None => (2.0 * largest - table[table.len() - 2].0, bits + 1),
        };
        if above == 0 || magnitude >= upper {
            return sign | u64::from(upper_bits);
        }
        let (lower, lower_bits) = table[above - 1];
        let (to_lower, to_upper) = (magnitude - lower, upper - magnitude);
        let up = to_upper < to_lower || (to_upper == to_lower && lower_bits & 1 == 1);
        sign | u64::from(if up { upper_bits } else { lower_bits })
    })
}

/// The f32 below or at a value that f64 holds, or that is known to be inexact upward.
fn f32_down(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

fn f32_up(value: f64) -> f32 {
    -f32_down(-value)
}

fn f32_toward_zero(value: f64) -> f32 {
    if value < 0.0 { f32_up(value) } else { f32_down(value) }
}

fn flush(value: f32) -> f32 {
    if value.is_subnormal() { 0f32.copysign(value) } else { value }
}

fn model_min(a: f32, b: f32) -> u64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => NAN,
        (true, _) => bits(b),
        (_, true) => bits(a),
        _ if a == b && a == 0.0 => u64::from(a.to_bits().max(b.to_bits())),
        _ => bits(if a < b { a } else { b }),
    }
}

fn nearest_integral(value: f64) -> f64 {
    let below = value.floor();
    match value - below {
        rest if rest > 0.5 => below + 1.0,
        0.5 if below % 2.0 != 0.0 => below + 1.0,
        _ => below,
    }
}

fn w(value: u32) -> u64 {
    u64::from(value)
}

fn s(value: u64) -> i32 {
    value as i32
}

fn h(value: u64) -> u16 {
    value as u16
}

const INTEGER: &[(&str, Model)] = &[
    ("add.u32 %wd, %wa, %wb", |a, b, _| w((a as u128 + b as u128) as u32)),
    ("sub.s32 %wd, %wa, %wb", |a, b, _| (a as i128 - b as i128) as u64 & 0xffff_ffff),
    ("add.sat.s32 %wd, %wa, %wb", |a, b, _| {
        w((i64::from(s(a)) + i64::from(s(b))).clamp(-1 << 31, (1 << 31) - 1) as u32)
    }),
    ("sub.sat.s32 %wd, %wa, %wb", |a, b, _| {
        w((i64::from(s(a)) - i64::from(s(b))).clamp(-1 << 31, (1 << 31) - 1) as u32)
    }),
    ("add.u16 %hd, %ha, %hb", |a, b, _| (a as u128 + b as u128) as u64 & 0xffff),
    ("sub.u16 %hd, %ha, %hb", |a, b, _| (a as i128 - b as i128) as u64 & 0xffff),
    ("add.s64 %qd, %qa, %qb", |a, b, _| (a as u128 + b as u128) as u64),
    ("sub.u64 %qd, %qa, %qb", |a, b, _| (a as i128 - b as i128) as u64),
    ("mul.lo.u32 %wd, %wa, %wb", |a, b, _| (a as u128 * b as u128) as u64 & 0xffff_ffff),
    ("mul.hi.u32 %wd, %wa, %wb", |a, b, _| ((a & 0xffff_ffff) * (b & 0xffff_ffff)) >> 32),
    ("mul.hi.s32 %wd, %wa, %wb", |a, b, _| ((i64::from(s(a)) * i64::from(s(b))) >> 32) as u64 & 0xffff_ffff),
    ("mul.wide.u32 %qd, %wa, %wb", |a, b, _| (a & 0xffff_ffff) * (b & 0xffff_ffff)),
    ("mul.wide.s32 %qd, %wa, %wb", |a, b, _| (i64::from(s(a)) * i64::from(s(b))) as u64),
    ("mul.wide.u16 %wd, %ha, %hb", |a, b, _| (a & 0xffff) * (b & 0xffff)),
    ("mul.wide.s16 %wd, %ha, %hb", |a, b, _| w((i32::from(a as i16) * i32::from(b as i16)) as u32)),
    ("mul.lo.u16 %hd, %ha, %hb", |a, b, _| ((a & 0xffff) * (b & 0xffff)) & 0xffff),
    ("mul.lo.s64 %qd, %qa, %qb", |a, b, _| (a as i128).wrapping_mul(b as i128) as u64),
    ("mul.hi.u64 %qd, %qa, %qb", |a, b, _| ((a as u128 * b as u128) >> 64) as u64),
    ("mul.hi.s64 %qd, %qa, %qb", |a, b, _| ((a as i64 as i128 * b as i64 as i128) >> 64) as u64),
    ("mad.lo.s32 %wd, %wa, %wb, %wc", |a, b, c| (a as u128 * b as u128 + c as u128) as u64 & 0xffff_ffff),
    ("mad.lo.u16 %hd, %ha, %hb, %hc", |a, b, c| (a as u128 * b as u128 + c as u128) as u64 & 0xffff),
    ("mad.hi.u32 %wd, %wa, %wb, %wc", |a, b, c| {
        ((((a & 0xffff_ffff) * (b & 0xffff_ffff)) >> 32) + (c & 0xffff_ffff)) & 0xffff_ffff
    }),
    ("mad.hi.s32 %wd, %wa, %wb, %wc", |a, b, c| {
        w((((i64::from(s(a)) * i64::from(s(b))) >> 32) + i64::from(s(c))) as u32)
    }),
    ("mad.wide.u32 %qd, %wa, %wb, %qc", |a, b, c| {
        ((a & 0xffff_ffff) as u128 * (b & 0xffff_ffff) as u128 + c as u128) as u64
    }),
    ("mad.wide.s32 %qd, %wa, %wb, %qc", |a, b, c| (i128::from(s(a)) * i128::from(s(b)) + c as i64 as i128) as u64),
    ("mad.wide.u16 %wd, %ha, %hb, %wc", |a, b, c| ((a & 0xffff) * (b & 0xffff) + (c & 0xffff_ffff)) & 0xffff_ffff),
    ("mad.lo.u64 %qd, %qa, %qb, %qc", |a, b, c| (a as u128).wrapping_mul(b as u128).wrapping_add(c as u128) as u64),
    ("div.u32 %wd, %wa, %wb", |a, b, _| if h32(b) == 0 { NAN | 1 << 31 } else { h32(a) / h32(b) }),
    ("rem.u32 %wd, %wa, %wb", |a, b, _| if h32(b) == 0 { h32(a) } else { h32(a) % h32(b) }),
    (
        "div.s32 %wd, %wa, %wb",
        |a, b, _| if s(b) == 0 { NAN | 1 << 31 } else { w((i64::from(s(a)) / i64::from(s(b))) as u32) },
    ),
    ("rem.s32 %wd, %wa, %wb", |a, b, _| if s(b) == 0 { h32(a) } else { w((i64::from(s(a)) % i64::from(s(b))) as u32) }),
    ("div.u64 %qd, %qa, %qb", |a, b, _| a.checked_div(b).unwrap_or(!0)),
    ("rem.s64 %qd, %qa, %qb", |a, b, _| if b == 0 { a } else { (a as i64 as i128 % b as i64 as i128) as u64 }),
    ("min.u32 %wd, %wa, %wb", |a, b, _| h32(a).min(h32(b))),
    ("max.s32 %wd, %wa, %wb", |a, b, _| w(s(a).max(s(b)) as u32)),
    ("min.s16 %hd, %ha, %hb", |a, b, _| (a as i16).min(b as i16) as u16 as u64),
    ("max.u16 %hd, %ha, %hb", |a, b, _| h(a).max(h(b)).into()),
    ("min.s64 %qd, %qa, %qb", |a, b, _| (a as i64).min(b as i64) as u64),
    ("max.u64 %qd, %qa, %qb", |a, b, _| a.max(b)),
    ("abs.s32 %wd, %wa", |a, _, _| w(i64::from(s(a)).unsigned_abs() as u32)),
    ("neg.s32 %wd, %wa", |a, _, _| w((-i64::from(s(a))) as u32)),
    ("neg.s16 %hd, %ha", |a, _, _| (-i32::from(a as i16)) as u16 as u64),
    ("abs.s64 %qd, %qa", |a, _, _| (a as i64).unsigned_abs()),
    ("and.b32 %wd, %wa, %wb", |a, b, _| h32(a & b)),
    ("or.b64 %qd, %qa, %qb", |a, b, _| a | b),
    ("xor.b16 %hd, %ha, %hb", |a, b, _| (a ^ b) & 0xffff),
    ("not.b32 %wd, %wa", |a, _, _| h32(!a)),
    ("not.b16 %hd, %ha", |a, _, _| !a & 0xffff),
    ("not.b64 %qd, %qa", |a, _, _| !a),
    ("lop3.b32 %wd, %wa, %wb, %wc, 0xe8", |a, b, c| h32((a & b) | (a & c) | (b & c))),
    ("lop3.b32 %wd, %wa, %wb, %wc, 0x1d", |a, b, c| lut(a, b, c, 0x1d)),
    ("shl.b32 %wd, %wa, %wb", |a, b, _| if h32(b) > 31 { 0 } else { h32(a << h32(b)) }),
    ("shr.u32 %wd, %wa, %wb", |a, b, _| if h32(b) > 31 { 0 } else { h32(a) >> h32(b) }),
    ("shr.s32 %wd, %wa, %wb", |a, b, _| w((i64::from(s(a)) >> h32(b).min(40)) as u32)),
    ("shl.b64 %qd, %qa, %wb", |a, b, _| if h32(b) > 63 { 0 } else { a << h32(b) }),
    ("shr.u64 %qd, %qa, %wb", |a, b, _| if h32(b) > 63 { 0 } else { a >> h32(b) }),
    ("shr.s64 %qd, %qa, %wb", |a, b, _| ((a as i64) >> h32(b).min(63)) as u64),
    ("shl.b16 %hd, %ha, %wb", |a, b, _| if h32(b) > 15 { 0 } else { (a << h32(b)) & 0xffff }),
    ("shr.u16 %hd, %ha, %wb", |a, b, _| if h32(b) > 15 { 0 } else { (a & 0xffff) >> h32(b) }),
    ("shr.s16 %hd, %ha, %wb", |a, b, _| ((a as i16) >> h32(b).min(15)) as u16 as u64),
    ("shf.l.wrap.b32 %wd, %wa, %wb, %wc", |a, b, c| h32((h32(b) << 32 | h32(a)) << (c & 31) >> 32)),
    ("shf.r.wrap.b32 %wd, %wa, %wb, %wc", |a, b, c| h32((h32(b) << 32 | h32(a)) >> (c & 31))),
    ("shf.r.clamp.b32 %wd, %wa, %wb, %wc", |a, b, c| h32((h32(b) << 32 | h32(a)) >> h32(c).min(32))),
    ("shf.l.clamp.b32 %wd, %wa, %wb, %wc", |a, b, c| h32((h32(b) << 32 | h32(a)) << h32(c).min(32) >> 32)),
    ("prmt.b32 %wd, %wa, %wb, 0x40f1", |a, b, _| {
        let byte = |v: u64, i: u32| v >> (8 * i) & 255;
        let sign = if byte(b, 3) > 127 { 255 } else { 0 };
        byte(b, 0) << 24 | byte(a, 0) << 16 | sign << 8 | byte(a, 1)
    }),
    ("bfe.u32 %wd, %wa, %wb, %wc", |a, b, c| field(a, b, c, false)),
    ("bfe.s32 %wd, %wa, %wb, %wc", |a, b, c| field(a, b, c, true)),
    ("bfi.b32 %wd, %wa, %wb, %wc, 7", |a, b, c| {
        (0..32).fold(0, |d, i| {
            let at = c & 255;
            let bit = if (at..at + 7).contains(&i) { a >> (i - at) & 1 } else { b >> i & 1 };
            d | bit << i
        })
    }),
    ("popc.b32 %wd, %wa", |a, _, _| (0..32).filter(|i| a >> i & 1 == 1).count() as u64),
    ("popc.b64 %wd, %qa", |a, _, _| (0..64).filter(|i| a >> i & 1 == 1).count() as u64),
    ("clz.b32 %wd, %wa", |a, _, _| (0..32).rev().take_while(|i| a >> i & 1 == 0).count() as u64),
    ("clz.b64 %wd, %qa", |a, _, _| (0..64).rev().take_while(|i| a >> i & 1 == 0).count() as u64),
    ("brev.b32 %wd, %wa", |a, _, _| (0..32).fold(0, |d, i| d | (a >> i & 1) << (31 - i))),
    ("brev.b64 %qd, %qa", |a, _, _| (0..64).fold(0, |d, i| d | (a >> i & 1) << (63 - i))),
    ("mov.b64 %qd, {%wa, %wb}", |a, b, _| h32(b) << 32 | h32(a)),
    ("mov.b32 %wd, {%ha, %hb}", |a, b, _| (b & 0xffff) << 16 | (a & 0xffff)),
    ("mov.b64 {%wd, %wx}, %qa; xor.b32 %wd, %wd, %wx", |a, _, _| h32(a) ^ (a >> 32)),
    ("mov.b32 {%hd, %hx}, %wa; xor.b16 %hd, %hd, %hx", |a, _, _| (a ^ (a >> 16)) & 0xffff),
    ("mov.u32 %wd, 0x89abcdef", |_, _, _| 0x89ab_cdef),
    ("setp.lt.u32 %p, %wa, %wb", |a, b, _| (h32(a) < h32(b)).into()),
    ("setp.ge.s32 %p, %wa, %wb", |a, b, _| (s(a) >= s(b)).into()),
    ("setp.hi.u64 %p, %qa, %qb", |a, b, _| (a > b).into()),
    ("setp.le.s64 %p, %qa, %qb", |a, b, _| (a as i64 <= b as i64).into()),
    ("setp.gt.s16 %p, %ha, %hb", |a, b, _| (a as i16 > b as i16).into()),
    ("setp.eq.b32 %p, %wa, %wb", |a, b, _| (h32(a) == h32(b)).into()),
    ("setp.ne.b64 %x, %qa, %qb; setp.lt.or.s32 %p, %wa, %wc, %x", |a, b, c| (s(a) < s(c) || a != b).into()),
    ("setp.lt.u32 %x|%p, %wa, %wb", |a, b, _| (h32(a) >= h32(b)).into()),
    ("setp.lt.u32 %x, %wa, %wb; setp.lt.xor.u32 %p, %wb, %wc, !%x", |a, b, c| {
        ((h32(b) < h32(c)) != (h32(a) >= h32(b))).into()
    }),
    ("setp.lt.u32 %x, %wa, %wb; selp.b64 %qd, %qa, %qb, %x", |a, b, _| if h32(a) < h32(b) { a } else { b }),
    ("setp.lt.u32 %x, %wa, %wb; mov.u32 %wd, %wa; @!%x mov.u32 %wd, %wb", |a, b, _| h32(a).min(h32(b))),
    ("setp.lt.u32 %x, %wa, %wb; not.pred %x, %x; and.pred %p, %x, %x", |a, b, _| (h32(a) >= h32(b)).into()),
];

/// The low 32 bits.
fn h32(value: u64) -> u64 {
    value & 0xffff_ffff
}

fn lut(a: u64, b: u64, c: u64, table: u64) -> u64 {
    (0..32).fold(0, |d, i| d | (table >> (4 * (a >> i & 1) + 2 * (b >> i & 1) + (c >> i & 1)) & 1) << i)
}

/// `bfe` as the PTX manual spells it.
fn field(a: u64, b: u64, c: u64, signed: bool) -> u64 {
    let (at, len) = (b & 255, c & 255);
    let sign = if !signed || len == 0 { 0 } else { a >> (at + len - 1).min(31) & 1 };
    (0..32).fold(0, |d, i| d | (if i < len && at + i <= 31 { a >> (at + i) & 1 } else { sign }) << i)
}

const FLOAT: &[(&str, Model)] = &[
    ("add.rn.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) + f(b))),
    ("sub.rn.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) - f(b))),
    ("mul.rn.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) * f(b))),
    ("mul.rz.f32 %wd, %wa, %wb", |a, b, _| exact_product(a, b, f32_toward_zero)),
    ("mul.rm.f32 %wd, %wa, %wb", |a, b, _| exact_product(a, b, f32_down)),
    ("mul.rp.f32 %wd, %wa, %wb", |a, b, _| exact_product(a, b, f32_up)),
    ("add.rn.ftz.f32 %wd, %wa, %wb", |a, b, _| bits(flush(flush(f(a)) + flush(f(b))))),
    ("mul.rn.ftz.f32 %wd, %wa, %wb", |a, b, _| bits(flush(flush(f(a)) * flush(f(b))))),
    ("add.rn.sat.f32 %wd, %wa, %wb", |a, b, _| saturated(f(a) + f(b))),
    ("fma.rn.f32 %wd, %wa, %wb, %wc", |a, b, c| bits(f(a).mul_add(f(b), f(c)))),
    ("fma.rn.sat.f32 %wd, %wa, %wb, %wc", |a, b, c| saturated(f(a).mul_add(f(b), f(c)))),
    ("add.rz.f32 %wd, %wa, %wb", |a, b, _| directed(f(a), 1.0, f(b), |_| false)),
    ("add.rm.f32 %wd, %wa, %wb", |a, b, _| directed(f(a), 1.0, f(b), |negative| negative)),
    ("add.rp.f32 %wd, %wa, %wb", |a, b, _| directed(f(a), 1.0, f(b), |negative| !negative)),
    ("sub.rm.f32 %wd, %wa, %wb", |a, b, _| directed(f(a), 1.0, -f(b), |negative| negative)),
    ("fma.rz.f32 %wd, %wa, %wb, %wc", |a, b, c| directed(f(a), f(b), f(c), |_| false)),
    ("fma.rm.f32 %wd, %wa, %wb, %wc", |a, b, c| directed(f(a), f(b), f(c), |negative| negative)),
    ("fma.rp.f32 %wd, %wa, %wb, %wc", |a, b, c| directed(f(a), f(b), f(c), |negative| !negative)),
    ("sqrt.rm.f32 %wd, %wa", |a, _, _| {
        let root = f(a).sqrt();
        bits(if root.is_finite() && f64::from(root).powi(2) > f64::from(f(a)) { root.next_down() } else { root })
    }),
    ("div.approx.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) / f(b))),
    ("sqrt.approx.f32 %wd, %wa", |a, _, _| bits(f(a).sqrt())),
    ("rcp.approx.ftz.f32 %wd, %wa", |a, _, _| bits(flush(1.0 / flush(f(a))))),
    ("min.f16 %hd, %ha, %hb", |a, b, _| {
        let (x, y) = (half(h(a), 5), half(h(b), 5));
        let first = y.is_nan() || x < y || (x == y && x.is_sign_negative());
        nearest_half(if first { x } else { y }, 5)
    }),
    ("fma.rn.relu.f16 %hd, %ha, %hb, %hc", |a, b, c| match fma_half(h(a), h(b), h(c), 5) {
        NAN16 => NAN16,
        negative if negative & 0x8000 != 0 => 0,
        positive => positive,
    }),
    ("div.rn.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) / f(b))),
    ("div.full.f32 %wd, %wa, %wb", |a, b, _| bits(f(a) / f(b))),
    ("rcp.rn.f32 %wd, %wa", |a, _, _| bits(1.0 / f(a))),
    ("sqrt.rn.f32 %wd, %wa", |a, _, _| bits(f(a).sqrt())),
    ("rsqrt.approx.f32 %wd, %wa", |a, _, _| bits((1.0 / f64::from(f(a)).sqrt()) as f32)),
    ("ex2.approx.f32 %wd, %wa", |a, _, _| bits(f64::from(f(a)).exp2() as f32)),
    ("lg2.approx.f32 %wd, %wa", |a, _, _| bits(f64::from(f(a)).log2() as f32)),
    ("tanh.approx.f32 %wd, %wa", |a, _, _| bits(f64::from(f(a)).tanh() as f32)),
    ("min.f32 %wd, %wa, %wb", |a, b, _| model_min(f(a), f(b))),
    ("max.f32 %wd, %wa, %wb", |a, b, _| match model_min(-f(a), -f(b)) {
        NAN => NAN,
        negated => negated ^ 1 << 31,
    }),
    ("min.NaN.f32 %wd, %wa, %wb", |a, b, _| if f(a).is_nan() || f(b).is_nan() { NAN } else { model_min(f(a), f(b)) }),
    ("abs.f32 %wd, %wa", |a, _, _| bits(f(a).abs())),
    ("neg.f32 %wd, %wa", |a, _, _| bits(-f(a))),
    ("copysign.f32 %wd, %wa, %wb", |a, b, _| bits(f(b).copysign(f(a)))),
    ("setp.lt.f32 %p, %wa, %wb", |a, b, _| (f(a) < f(b)).into()),
    ("setp.ne.f32 %p, %wa, %wb", |a, b, _| (f(a) < f(b) || f(a) > f(b)).into()),
    ("setp.geu.f32 %p, %wa, %wb", |a, b, _| (f(a) >= f(b) || f(a).is_nan() || f(b).is_nan()).into()),
    ("setp.neu.f32 %p, %wa, %wb", |a, b, _| (f(a) != f(b)).into()),
    ("setp.num.f32 %p, %wa, %wb", |a, b, _| (!f(a).is_nan() && !f(b).is_nan()).into()),
    ("setp.nan.f32 %p, %wa, %wb", |a, b, _| (f(a).is_nan() || f(b).is_nan()).into()),
    ("setp.eq.ftz.f32 %p, %wa, %wb", |a, b, _| (flush(f(a)) == flush(f(b))).into()),
    ("fma.rn.f16 %hd, %ha, %hb, %hc", |a, b, c| fma_half(h(a), h(b), h(c), 5)),
    ("add.rn.bf16 %hd, %ha, %hb", |a, b, _| nearest_half(half(h(a), 8) + half(h(b), 8), 8)),
    ("mul.rn.f16 %hd, %ha, %hb", |a, b, _| nearest_half(half(h(a), 5) * half(h(b), 5), 5)),
    ("add.rn.f16x2 %wd, %wa, %wb", |a, b, _| {
        let sum = |shift| nearest_half(half(h(a >> shift), 5) + half(h(b >> shift), 5), 5);
        sum(16) << 16 | sum(0)
    }),
    ("mul.rn.bf16x2 %wd, %wa, %wb", |a, b, _| {
        let product = |shift| nearest_half(half(h(a >> shift), 8) * half(h(b >> shift), 8), 8);
        product(16) << 16 | product(0)
    }),
    ("neg.f16x2 %wd, %wa", |a, _, _| h32(a) ^ 0x8000_8000),
    ("setp.lt.f16 %p, %ha, %hb", |a, b, _| (half(h(a), 5) < half(h(b), 5)).into()),
];

const CONVERT: &[(&str, Model)] = &[
    ("cvt.rn.f16.f32 %hd, %wa", |a, _, _| nearest_half(f64::from(f(a)), 5)),
    ("cvt.rn.bf16.f32 %hd, %wa", |a, _, _| nearest_half(f64::from(f(a)), 8)),
    ("cvt.rz.f16.f32 %hd, %wa", |a, _, _| truncated_half(f(a), 5)),
    ("cvt.rz.bf16.f32 %hd, %wa", |a, _, _| truncated_half(f(a), 8)),
    ("cvt.rn.relu.f16.f32 %hd, %wa", |a, _, _| nearest_half(if f(a) <= 0.0 { 0.0 } else { f64::from(f(a)) }, 5)),
    ("cvt.rn.f16x2.f32 %wd, %wa, %wb", |a, b, _| {
        nearest_half(f64::from(f(a)), 5) << 16 | nearest_half(f64::from(f(b)), 5)
    }),
    ("cvt.rn.bf16x2.f32 %wd, %wa, %wb", |a, b, _| {
        nearest_half(f64::from(f(a)), 8) << 16 | nearest_half(f64::from(f(b)), 8)
    }),
    ("cvt.rna.tf32.f32 %wd, %wa", |a, _, _| tf32(f(a), |rest| rest >= 0.5)),
    ("cvt.rn.tf32.f32 %wd, %wa", |a, _, _| tf32(f(a), |rest| rest > 0.5 || (rest == 0.5 && a >> 13 & 1 == 1))),
    ("cvt.f32.f16 %wd, %ha", |a, _, _| bits(half(h(a), 5) as f32)),
    ("cvt.rn.f32.s32 %wd, %wa", |a, _, _| bits(f64::from(s(a)) as f32)),
    ("cvt.rn.f32.u32 %wd, %wa", |a, _, _| bits(h32(a) as f64 as f32)),
    ("cvt.rz.f32.s32 %wd, %wa", |a, _, _| bits(f32_toward_zero(f64::from(s(a))))),
    ("cvt.rn.f32.u64 %wd, %qa", |a, _, _| bits(a as f32)),
    ("cvt.rn.f16.s32 %hd, %wa", |a, _, _| nearest_half(f64::from(s(a)), 5)),
    ("cvt.rzi.s32.f32 %wd, %wa", |a, _, _| w(f(a) as i32 as u32)),
    ("cvt.rzi.u32.f32 %wd, %wa", |a, _, _| w(f(a) as u32)),
    ("cvt.rni.s32.f32 %wd, %wa", |a, _, _| w(nearest_integral(f64::from(f(a))) as i32 as u32)),
    ("cvt.rmi.s32.f32 %wd, %wa", |a, _, _| w(f64::from(f(a)).floor() as i32 as u32)),
    ("cvt.rpi.u32.f32 %wd, %wa", |a, _, _| w(f64::from(f(a)).ceil() as u32)),
    ("cvt.rzi.s64.f32 %qd, %wa", |a, _, _| if f(a).is_nan() { 1 << 63 } else { f(a) as i64 as u64 }),
    ("cvt.rzi.s16.f32 %hd, %wa", |a, _, _| f(a) as i16 as u16 as u64),
    ("cvt.rmi.f32.f32 %wd, %wa", |a, _, _| bits(f(a).floor())),
    ("cvt.sat.f32.f32 %wd, %wa", |a, _, _| saturated(f(a))),
    ("cvt.ftz.f32.f32 %wd, %wa", |a, _, _| bits(flush(f(a)))),
    ("cvt.u64.u32 %qd, %wa", |a, _, _| h32(a)),
    ("cvt.s64.s32 %qd, %wa", |a, _, _| i64::from(s(a)) as u64),
    ("cvt.u32.u64 %wd, %qa", |a, _, _| h32(a)),
    ("cvt.u32.u16 %wd, %ha", |a, _, _| a & 0xffff),
    ("cvt.s32.s16 %wd, %ha", |a, _, _| w(i32::from(a as i16) as u32)),
    ("cvt.s32.s8 %wd, %wa", |a, _, _| w(i32::from(a as i8) as u32)),
    ("cvt.u32.u8 %wd, %wa", |a, _, _| a & 255),
    ("cvt.u16.u32 %hd, %wa", |a, _, _| a & 0xffff),
    ("cvt.sat.u8.s32 %wd, %wa", |a, _, _| s(a).clamp(0, 255) as u64),
    ("cvt.sat.s16.s64 %hd, %qa", |a, _, _| (a as i64).clamp(-32_768, 32_767) as u16 as u64),
];

/// f64 holds the product of two f32.
fn exact_product(a: u64, b: u64, round: fn(f64) -> f32) -> u64 {
    let product = f64::from(f(a)) * f64::from(f(b));
    if product.is_nan() || product.is_infinite() || product == 0.0 {
        bits(product as f32)
    } else {
        bits(round(product))
    }
}

/// The integer and the power of two that a finite f32 is the product of.
fn parts(value: f32) -> (i128, i32) {
    let exponent = (value.to_bits() >> 23 & 255) as i32;
    let mantissa = i128::from(value.to_bits() & 0x7f_ffff);
    let magnitude = if exponent == 0 { mantissa } else { mantissa | 1 << 23 };
    (if value.is_sign_negative() { -magnitude } else { magnitude }, exponent.max(1) - 150)
}

/// x y + z in integers, truncated to f32; where that is inexact, `away` says for each sign whether to go one further.
fn directed(x: f32, y: f32, z: f32, away: fn(bool) -> bool) -> u64 {
    let plain = x.mul_add(y, z);
    let down = away(true) && !away(false);
    if !x.is_finite() || !y.is_finite() || !z.is_finite() {
        return bits(plain);
    }
    let ((x_part, x_power), (y_part, y_power)) = (parts(x), parts(y));
    let (product, other) = ((x_part * y_part, x_power + y_power), parts(z));
    if product.0 == 0 && other.0 == 0 {
        let signs = [x.is_sign_negative() != y.is_sign_negative(), z.is_sign_negative()];
        let negative = if down { signs.contains(&true) } else { signs == [true, true] };
        return if negative { 1 << 31 } else { 0 };
    }
    // A term far below the other only says on which side the sum lies.
    let top = [product, other].iter().filter(|term| term.0 != 0).map(|term| term.1).max().unwrap_or(0);
    let bottom = top - 75;
    let scaled = [product, other].map(|(part, power)| {
        let (up, down) = ((power - bottom).clamp(0, 75), (bottom - power).clamp(0, 120));
        let kept = (part.abs() << up) >> down;
        let lost = kept << down != part.abs() << up;
        part.signum() * if lost { kept | 1 } else { kept }
    });
    let sum = scaled[0] + scaled[1];
    if sum == 0 {
        return if down { 1 << 31 } else { 0 };
    }
    let width = 128 - sum.unsigned_abs().leading_zeros() as i32;
    let shift = (width - 24).max(-149 - bottom).clamp(0, 127);
    let kept = sum.unsigned_abs() >> shift;
    let magnitude = kept as f64 * 2f64.powi((bottom + shift).clamp(-1000, 1000));
    let exact = kept << shift == sum.unsigned_abs();
    let mut result = if magnitude > f64::from(f32::MAX) { f32::MAX } else { magnitude as f32 };
    if (!exact || magnitude > f64::from(f32::MAX)) && away(sum < 0) {
        result = result.next_up();
    }
    bits(if sum < 0 { -result } else { result })
}

fn saturated(value: f32) -> u64 {
    if value > 0.0 { bits(value.min(1.0)) } else { 0 }
}

/// The product is exact in f64; the sum is where the terms are not far apart, else the smaller decides ties only.
fn fma_half(a: u16, b: u16, c: u16, exponent_bits: u32) -> u64 {
    let (product, c) = (half(a, exponent_bits) * half(b, exponent_bits), half(c, exponent_bits));
    let sum = product + c;
    let lost = if sum.is_finite() { (product - (sum - c)) + (c - (sum - (sum - c))) } else { 0.0 };
    let sum = if lost > 0.0 {
        sum.next_up()
    } else if lost < 0.0 {
        sum.next_down()
    } else {
        sum
    };
    nearest_half(sum, exponent_bits)
}

fn truncated_half(value: f32, exponent_bits: u32) -> u64 {
    let nearest = nearest_half(f64::from(value), exponent_bits) as u16;
    let over = half(nearest, exponent_bits).abs() > f64::from(value).abs();
    u64::from(if over { nearest - 1 } else { nearest })
}

fn tf32(value: f32, up: impl Fn(f64) -> bool) -> u64 {
    if value.is_nan() {
        return NAN;
    }
    let rest = f64::from(value.to_bits() & 0x1fff) / 8192.0;
    let kept = value.to_bits() & !0x1fff;
    u64::from(if value.is_finite() && up(rest) { kept + 0x2000 } else { kept })
}

/// Loads a, b and c, runs the instruction, stores d.
fn kernel_of(instruction: &str) -> String {
    let mut body = String::from(
        ".reg .b64 %x, %d, %qa, %qb, %qc, %qd; .reg .b32 %t, %wa, %wb, %wc, %wd, %wx; .reg .b16 %ha, %hb, %hc, %hd, %hx;\n\
         .reg .pred %p; { .reg .pred %x;\n\
         ld.param.u64 %qd, [x]; mov.u32 %t, %tid.x; mad.wide.u32 %qd, %t, 32, %qd; mov.b64 %d, %qd;\n\
         ld.global.v2.b64 {%qa, %qb}, [%d]; ld.global.b64 %qc, [%d+16];\n",
    );
    for name in ["a", "b", "c"] {
        body += &format!("cvt.u32.u64 %w{name}, %q{name}; cvt.u16.u64 %h{name}, %q{name};\n");
    }
    body += instruction;
    body += ";\n}\n";
    let result = ["%wd", "%hd", "%qd"].into_iter().find(|name| instruction.contains(name));
    body += match result {
        Some("%wd") => "cvt.u64.u32 %qd, %wd;",
        Some("%hd") => "cvt.u64.u16 %qd, %hd;",
        Some(_) => "",
        None => "selp.b64 %qd, 1, 0, %p;",
    };
    kernel_text(&["x"], &(body + "st.global.b64 [%d+24], %qd; ret;"))
}

/// Bit patterns near the borders of every format, and random ones.
fn operand() -> impl Strategy<Value = u64> {
    let special = prop::sample::select(vec![
        0u64,
        1,
        2,
        31,
        32,
        33,
        0x7f,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7c00,
        0x7bff,
        0x3c00,
        0x0400,
        0x7f80,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x3f80_0000,
        0xbf80_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0x0080_0000,
        0x007f_ffff,
        0x7f7f_ffff,
        0x4b80_0000,
        0x3f00_0000,
        0xbfc0_0000,
        0x477f_f000,
        0x3380_0000,
        0x3f80_1000,
        0x3f80_3000,
        !0,
        1 << 63,
        i64::MAX as u64,
    ]);
    let moderate = (-40i32..40, 0u32..1 << 23, any::<bool>()).prop_map(|(exponent, mantissa, negative)| {
        u64::from(((exponent + 127) as u32) << 23 | mantissa | u32::from(negative) << 31)
    });
    prop_oneof![2 => any::<u64>(), 2 => special, 3 => moderate, 1 => 0u64..64, 1 => any::<u16>().prop_map(u64::from)]
}

/// NaNs compare equal: PTX promises no payload.
fn same(instruction: &str, got: u64, want: u64) -> bool {
    let nan = |bits: u64, ty: &str| match ty {
        "f32" => f(bits).is_nan() && bits >> 32 == 0,
        _ => false,
    };
    got == want || ["f32", "tf32"].iter().any(|ty| instruction.contains(ty) && nan(got, "f32") && nan(want, "f32"))
}

fn check(table: &[(&str, Model)]) {
    let rng_seed = RngSeed::Fixed(0);
    let config = ProptestConfig { cases: 64, rng_seed, failure_persistence: None, ..ProptestConfig::default() };
    let mut wrong = Vec::new();
    for (instruction, model) in table {
        // A runner counts its cases over all its runs.
        let mut runner = TestRunner::new(config.clone());
        let text = kernel_of(instruction);
        let module = Module::parse(&text).unwrap_or_else(|error| panic!("{instruction}: {error}\n{text}"));
        let lanes = prop::collection::vec((operand(), operand(), operand()), 64);
        let result = runner.run(&lanes, |lanes| {
            let mut memory = Memory::new();
            let x = memory.alloc(64 * 32);
            for (i, (a, b, c)) in lanes.iter().enumerate() {
                let bytes: Vec<u8> = [a, b, c].iter().flat_map(|value| value.to_le_bytes()).collect();
                memory.write(x + i as u64 * 32, &bytes).unwrap();
            }
            let kernel = module.kernel("k").expect("the kernel");
            run(kernel, &launch(1, 64, &[x]), &mut memory, &Options::default())
                .map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            for (i, (a, b, c)) in lanes.iter().enumerate() {
                let got = u64::from_le_bytes(memory.read(x + i as u64 * 32 + 24, 8).unwrap().try_into().unwrap());
                let want = model(*a, *b, *c);
                prop_assert!(
                    same(instruction, got, want),
                    "{instruction}: {a:#x} {b:#x} {c:#x}: {got:#x}, not {want:#x}"
                );
            }
            Ok(())
        });
        wrong.extend(result.err().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn integer_instructions() {
    check(INTEGER);
}

#[test]
fn float_instructions() {
    check(FLOAT);
}

#[test]
fn conversions() {
    check(CONVERT);
}
