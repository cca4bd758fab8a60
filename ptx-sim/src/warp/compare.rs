//! `setp`.

use super::Warp;
use super::run::{holds, logic};
use crate::numeric::{Format, decode};
use crate::program::{Compare, Compared, Relation};

/// A bit for each lane.
#[inline(always)]
fn lanes_where(test: impl Fn(usize) -> bool) -> u32 {
    let mut found = 0;
    for lane in 0..32 {
        found |= u32::from(test(lane)) << lane;
    }
    found
}

#[inline(always)]
fn relate<T: PartialOrd + Copy>(relation: Relation, a: impl Fn(usize) -> T, b: impl Fn(usize) -> T) -> u32 {
    match relation {
        Relation::Eq => lanes_where(|lane| a(lane) == b(lane)),
        Relation::Ne => lanes_where(|lane| a(lane) != b(lane)),
        Relation::Lt => lanes_where(|lane| a(lane) < b(lane)),
        Relation::Le => lanes_where(|lane| a(lane) <= b(lane)),
        Relation::Gt => lanes_where(|lane| a(lane) > b(lane)),
        Relation::Ge => lanes_where(|lane| a(lane) >= b(lane)),
        Relation::Num => !0,
        Relation::Nan => 0,
    }
}

#[inline(always)]
pub(super) fn compare(warp: &mut Warp, compare: &Compare, mask: u32) {
    let Compare { relation, .. } = *compare;
    let (a, b) = (usize::from(compare.a), usize::from(compare.b));
    let value = match compare.of {
        Compared::U64 | Compared::S64 => {
            let (a, b) = (&warp.registers.wide[a], &warp.registers.wide[b]);
            match compare.of {
                Compared::U64 => relate(relation, |lane| a[lane], |lane| b[lane]),
                _ => relate(relation, |lane| a[lane] as i64, |lane| b[lane] as i64),
            }
        }
        of => {
            let (a, b) = (&warp.registers.narrow[a], &warp.registers.narrow[b]);
            match of {
                Compared::S32 => relate(relation, |lane| a[lane] as i32, |lane| b[lane] as i32),
                Compared::S16 => relate(relation, |lane| a[lane] as i16, |lane| b[lane] as i16),
                Compared::F32 => float(compare, |lane| f32::from_bits(a[lane]), |lane| f32::from_bits(b[lane])),
                Compared::F32Ftz => float(compare, |lane| flushed(a[lane]), |lane| flushed(b[lane])),
                Compared::F16 => half(compare, Format::F16, |lane| a[lane], |lane| b[lane]),
                Compared::F16Ftz => {
                    half(compare, Format::F16, |lane| flushed_half(a[lane]), |lane| flushed_half(b[lane]))
                }
                Compared::Bf16 => half(compare, Format::Bf16, |lane| a[lane], |lane| b[lane]),
                _ => relate(relation, |lane| a[lane], |lane| b[lane]),
            }
        }
    };
    let with = compare.with.map(|(op, with)| (op, holds(warp, with)));
    let combine = |value| with.map_or(value, |(op, with)| logic(op, value, with));
    let (first, second) = (combine(value), combine(!value));
    warp.write_predicate(compare.dst, mask, first);
    if let Some(other) = compare.other {
        warp.write_predicate(other, mask, second);
    }
}

/// Nothing but `!=` holds for a NaN in Rust; in PTX that does not hold either, unless the relation is unordered.
#[inline(always)]
fn float<T: PartialOrd + Copy>(compare: &Compare, a: impl Fn(usize) -> T, b: impl Fn(usize) -> T) -> u32 {
    let nan = lanes_where(|lane| a(lane).partial_cmp(&b(lane)).is_none());
    match compare.relation {
        Relation::Num => !nan,
        Relation::Nan => nan,
        relation if compare.unordered => relate(relation, a, b) | nan,
        relation => relate(relation, a, b) & !nan,
    }
}

fn half(compare: &Compare, format: Format, a: impl Fn(usize) -> u32, b: impl Fn(usize) -> u32) -> u32 {
    float(compare, |lane| decode(format, a(lane)), |lane| decode(format, b(lane)))
}

/// An f16 with zero for a subnormal number.
fn flushed_half(bits: u32) -> u32 {
    if bits & Format::F16.infinity() == 0 { bits & Format::F16.sign() } else { bits }
}

fn flushed(bits: u32) -> f32 {
    f32::from_bits(if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits })
}
