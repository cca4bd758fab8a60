//! Moves, conversions, comparisons and selection.

use super::body::Class;
use super::{Decoded, Decoder, Kind, Type};
use crate::lanes::{Binary, Narrow, Unary, Unary64, Widen, Widen2};
use crate::numeric::{Convert, Format, Number, Rounding};
use crate::parse::syntax::Operand;
use crate::program::{Compare, Compared, Logic, Op, Predicate, Relation};

const HALF: Type = Type { kind: Kind::Bits, bits: 16 };

/// Names of roundings; the integral ones of `cvt` end in `i`.
const ROUNDINGS: &[(&str, (Rounding, bool))] = &[
    ("rn", (Rounding::Nearest, false)),
    ("rna", (Rounding::Away, false)),
    ("rz", (Rounding::Zero, false)),
    ("rm", (Rounding::Down, false)),
    ("rp", (Rounding::Up, false)),
    ("rni", (Rounding::Nearest, true)),
    ("rzi", (Rounding::Zero, true)),
    ("rmi", (Rounding::Down, true)),
    ("rpi", (Rounding::Up, true)),
];

/// Relations, and whether they hold for operands that are not ordered.
const RELATIONS: &[(&str, (Relation, bool))] = &[
    ("eq", (Relation::Eq, false)),
    ("ne", (Relation::Ne, false)),
    ("lt", (Relation::Lt, false)),
    ("le", (Relation::Le, false)),
    ("gt", (Relation::Gt, false)),
    ("ge", (Relation::Ge, false)),
    ("lo", (Relation::Lt, false)),
    ("ls", (Relation::Le, false)),
    ("hi", (Relation::Gt, false)),
    ("hs", (Relation::Ge, false)),
    ("equ", (Relation::Eq, true)),
    ("neu", (Relation::Ne, true)),
    ("ltu", (Relation::Lt, true)),
    ("leu", (Relation::Le, true)),
    ("gtu", (Relation::Gt, true)),
    ("geu", (Relation::Ge, true)),
    ("num", (Relation::Num, false)),
    ("nan", (Relation::Nan, false)),
];

const LOGICS: &[(&str, Logic)] = &[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)];

impl Decoder<'_, '_> {
    pub(super) fn mov(&mut self) -> Decoded {
        let of = self.take_type()?;
        let [d, a] = self.operands()?;
        match (d, a, of.bits) {
            (_, _, 1) => {
                let (dst, a) = (self.predicate_dst(d)?, self.predicate(a)?);
                Ok(Op::Logic { op: Logic::And, dst, a, b: Predicate::ALWAYS })
            }
            (Operand::Vector(parts), a, 32 | 64) if parts.len() == 2 && of.kind == Kind::Bits => {
                let part = if of.bits == 64 { Type::B32 } else { HALF };
                let (lo, hi, a) = (self.dst(&parts[0], part)?, self.dst(&parts[1], part)?, self.src(a, of)?);
                Ok(if of.bits == 64 { Op::Split64([lo, hi, a]) } else { Op::Split32([lo, hi, a]) })
            }
            (d, Operand::Vector(parts), 32 | 64) if parts.len() == 2 && of.kind == Kind::Bits => {
                let part = if of.bits == 64 { Type::B32 } else { HALF };
                let rows = [self.dst(d, of)?, self.src(&parts[0], part)?, self.src(&parts[1], part)?];
                Ok(if of.bits == 64 { Op::Widen2(Widen2::Pack, rows) } else { Op::Binary(Binary::Pack16, rows) })
            }
            (_, _, 64) => Ok(Op::Unary64(Unary64::Mov, self.dst_src(of)?)),
            _ => Ok(Op::Unary(Unary::Mov, self.dst_src(of)?)),
        }
    }

    pub(super) fn selp(&mut self) -> Decoded {
        let of = self.take_type()?;
        let [d, a, b, p] = self.operands()?;
        let rows = [self.dst(d, of)?, self.src(a, of)?, self.src(b, of)?];
        let by = self.predicate(p)?;
        Ok(if of.bits == 64 { Op::Select64 { rows, by } } else { Op::Select { rows, by } })
    }

    pub(super) fn setp(&mut self) -> Decoded {
        let of = self.take_type()?;
        let (relation, unordered) = self.need_any(RELATIONS)?;
        let logic = self.take_any(LOGICS);
        let ftz = self.take("ftz");
        let compared = match (of.kind, of.bits) {
            (Kind::Float(Format::F32), _) if ftz => Compared::F32Ftz,
            (Kind::Float(Format::F32), _) => Compared::F32,
            (Kind::Float(Format::F16), _) if ftz => Compared::F16Ftz,
            (Kind::Float(Format::F16), _) => Compared::F16,
            (Kind::Float(Format::Bf16), _) => Compared::Bf16,
            (Kind::Signed, 16) => Compared::S16,
            (Kind::Signed, 32) => Compared::S32,
            (Kind::Signed, 64) => Compared::S64,
            (Kind::Unsigned | Kind::Bits, 16) => Compared::U16,
            (Kind::Unsigned | Kind::Bits, 32) => Compared::U32,
            (Kind::Unsigned | Kind::Bits, 64) => Compared::U64,
            _ => return Err(self.unknown()),
        };
        let (d, a, b, with) = match logic {
            Some(logic) => {
                let [d, a, b, c] = self.operands()?;
                (d, a, b, Some((logic, self.predicate(c)?)))
            }
            None => {
                let [d, a, b] = self.operands()?;
                (d, a, b, None)
            }
        };
        let (dst, other) = match d {
            Operand::Pair(dst, other) => (self.predicate_named(dst)?, Some(self.predicate_named(other)?)),
            d => (self.predicate_dst(d)?, None),
        };
        let (a, b) = (self.src(a, of)?, self.src(b, of)?);
        Ok(Op::Compare(Compare { relation, unordered, of: compared, dst, other, a, b, with }))
    }

    pub(super) fn cvt(&mut self) -> Decoded {
        let from = self.take_type()?;
        let to = self.take_type()?;
        let rounding = self.take_any(ROUNDINGS);
        let (ftz, sat, relu) = (self.take("ftz"), self.take("sat"), self.take("relu"));
        let satfinite = self.take("satfinite");
        let (rounding, integral) = rounding.unwrap_or((Rounding::Nearest, false));
        let mut convert = Convert {
            to: to.number(),
            from: from.number(),
            rounding,
            integral,
            ftz,
            sat,
            satfinite,
            relu,
            to_bits: to.bits.max(16),
            from_bits: from.bits.max(16),
        };
        if matches!(to.kind, Kind::Pair(_)) {
            let [d, hi, lo] = self.operands()?;
            convert.to_bits = 16;
            let f32 = Type { kind: Kind::Float(Format::F32), bits: 32 };
            let rows = [self.dst(d, Type::B32)?, self.src(hi, f32)?, self.src(lo, f32)?];
            return if from == f32 { Ok(Op::ConvertPair(convert, rows)) } else { Err(self.unknown()) };
        }
        let [d, a] = self.operands()?;
        if [to, from].iter().any(|of| matches!(of.kind, Kind::Float(Format::Bf16 | Format::Tf32))) {
            // Other types take wider registers.
            self.own(d, to)?;
            self.src(a, from)?;
        }
        let Operand::Name(name, 0) = d else { return Err(self.error("expected a register")) };
        let (dst, class) = self.register(name)?;
        self.body.touch(dst, class, true);
        convert.to_bits = match class {
            Class::Half => 16,
            Class::Word => 32,
            Class::Wide => 64,
            Class::Predicate => 0,
        };
        if convert.to_bits < to.bits.max(16) {
            return Err(self.error(format!("`{name}` does not have {} bits", to.bits)));
        }
        let (src, class) = self.at_least(a, from)?;
        convert.from_bits = if class == Class::Wide { 64 } else { convert.from_bits.min(32) };
        Ok(fast_convert(&convert, [dst, src]).unwrap_or(Op::Convert(convert, [dst, src])))
    }
}

/// The conversions that have an operation of their own.
fn fast_convert(convert: &Convert, rows: [u16; 2]) -> Option<Op> {
    let Convert { to, from, rounding, integral, ftz, sat, satfinite, relu, to_bits, from_bits } = *convert;
    if ftz || sat || satfinite || relu {
        return None;
    }
    let f32 = Number::Float(Format::F32);
    match (from, to, from_bits, to_bits) {
        (Number::Unsigned(32), Number::Unsigned(64) | Number::Signed(64), 32, 64) => Some(Op::Widen(Widen::Zero, rows)),
        (Number::Signed(32), Number::Unsigned(64) | Number::Signed(64), 32, 64) => Some(Op::Widen(Widen::Sign, rows)),
        (_, Number::Unsigned(32) | Number::Signed(32), 64, 32) if !matches!(from, Number::Float(_)) => {
            wide_integer(from).then_some(Op::Narrow(Narrow::Low, rows))
        }
        (Number::Unsigned(16), Number::Unsigned(32) | Number::Signed(32), ..=32, 32) => {
            Some(Op::Unary(Unary::Low16, rows))
        }
        (Number::Signed(16), Number::Unsigned(32) | Number::Signed(32), ..=32, 32) => {
            Some(Op::Unary(Unary::SignExtend16, rows))
        }
        (Number::Unsigned(8), Number::Unsigned(32) | Number::Signed(32), ..=32, 32) => {
            Some(Op::Unary(Unary::Low8, rows))
        }
        (Number::Signed(8), Number::Unsigned(32) | Number::Signed(32), ..=32, 32) => {
            Some(Op::Unary(Unary::SignExtend8, rows))
        }
        (Number::Unsigned(32) | Number::Signed(32), Number::Unsigned(16) | Number::Signed(16), 32, 16) => {
            Some(Op::Unary(Unary::Low16, rows))
        }
        (Number::Float(Format::Bf16), to, ..=32, 32) if to == f32 => Some(Op::Unary(Unary::F32FromBf16, rows)),
        (from, Number::Float(Format::Tf32), 32, 32) if from == f32 && rounding == Rounding::Away => {
            Some(Op::Unary(Unary::RnaTf32, rows))
        }
        (Number::Signed(32), to, 32, 32) if to == f32 && rounding == Rounding::Nearest => {
            Some(Op::Unary(Unary::F32FromS32, rows))
        }
        (Number::Unsigned(32), to, 32, 32) if to == f32 && rounding == Rounding::Nearest => {
            Some(Op::Unary(Unary::F32FromU32, rows))
        }
        (from, Number::Signed(32), 32, 32) if from == f32 && rounding == Rounding::Zero && integral => {
            Some(Op::Unary(Unary::TruncateS32, rows))
        }
        (from, Number::Unsigned(32), 32, 32) if from == f32 && rounding == Rounding::Zero && integral => {
            Some(Op::Unary(Unary::TruncateU32, rows))
        }
        _ => None,
    }
}

fn wide_integer(number: Number) -> bool {
    matches!(number, Number::Unsigned(64) | Number::Signed(64))
}
