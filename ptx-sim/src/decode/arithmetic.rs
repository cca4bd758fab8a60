//! Arithmetic and logic.

use super::{Decoded, Decoder, Kind, Type};
use crate::lanes::{Binary, Binary64, Narrow, Shift64, Ternary, Ternary64, Unary, Unary64, Widen2, Widen3};
use crate::lint::LintKind;
use crate::numeric::{FloatKind, FloatOp, Format, Rounding};
use crate::parse::syntax::Operand;
use crate::program::{Logic, Op, Predicate};

const ROUNDINGS: &[(&str, Rounding)] =
    &[("rn", Rounding::Nearest), ("rz", Rounding::Zero), ("rm", Rounding::Down), ("rp", Rounding::Up)];

impl Decoder<'_, '_> {
    pub(super) fn arithmetic(&mut self, name: &str) -> Decoded {
        if name == "lop3" {
            return self.lop3();
        }
        if name == "shf" {
            return self.shf();
        }
        let of = self.take_type()?;
        match of.kind {
            Kind::Float(format) => self.float(name, format, of),
            Kind::Pair(format) => self.float(name, format, of),
            Kind::Predicate => self.predicate_logic(name),
            _ => self.integer(name, of),
        }
    }

    fn float(&mut self, name: &str, format: Format, of: Type) -> Decoded {
        let (kind, count) = match name {
            "add" => (FloatKind::Add, 2),
            "sub" => (FloatKind::Sub, 2),
            "mul" => (FloatKind::Mul, 2),
            "fma" | "mad" => (FloatKind::Fma, 3),
            "div" if self.modifiers.contains(&"approx") => (FloatKind::DivApprox, 2),
            "div" => (FloatKind::Div, 2),
            "min" if self.take("NaN") => (FloatKind::MinNan, 2),
            "max" if self.take("NaN") => (FloatKind::MaxNan, 2),
            "min" => (FloatKind::Min, 2),
            "max" => (FloatKind::Max, 2),
            "neg" => (FloatKind::Neg, 1),
            "abs" => (FloatKind::Abs, 1),
            "rcp" => (FloatKind::Rcp, 1),
            "sqrt" => (FloatKind::Sqrt, 1),
            "rsqrt" => (FloatKind::Rsqrt, 1),
            "ex2" => (FloatKind::Ex2, 1),
            "lg2" => (FloatKind::Lg2, 1),
            "sin" => (FloatKind::Sin, 1),
            "cos" => (FloatKind::Cos, 1),
            "tanh" => (FloatKind::Tanh, 1),
            "copysign" if of.bits == 32 => return Ok(Op::Binary(Binary::CopySign, self.dst_src(of)?)),
            _ => return Err(self.unknown()),
        };
        let rounding = self.rounding(kind)?;
        let op = FloatOp {
            kind,
            format,
            packed: matches!(of.kind, Kind::Pair(_)),
            rounding: rounding.unwrap_or(Rounding::Nearest),
            ftz: self.take("ftz"),
            sat: self.take("sat"),
            relu: kind == FloatKind::Fma && self.take("relu"),
        };
        if rounding.is_none() && matches!(kind, FloatKind::Add | FloatKind::Sub | FloatKind::Mul) {
            let line = self.statement.line;
            self.body.lint(LintKind::Rounding, line);
        }
        if format == Format::F32 && op.rounding == Rounding::Nearest && !op.ftz && !op.sat {
            match kind {
                FloatKind::Fma => return Ok(Op::Fma(self.dst_src(of)?)),
                FloatKind::Add => return Ok(Op::Binary(Binary::AddF32, self.dst_src(of)?)),
                FloatKind::Sub => return Ok(Op::Binary(Binary::SubF32, self.dst_src(of)?)),
                FloatKind::Mul => return Ok(Op::Binary(Binary::MulF32, self.dst_src(of)?)),
                FloatKind::Min => return Ok(Op::Binary(Binary::MinF32, self.dst_src(of)?)),
                FloatKind::Max => return Ok(Op::Binary(Binary::MaxF32, self.dst_src(of)?)),
                FloatKind::Neg => return Ok(Op::Unary(Unary::NegF32, self.dst_src(of)?)),
                FloatKind::Abs => return Ok(Op::Unary(Unary::AbsF32, self.dst_src(of)?)),
                _ => {}
            }
        }
        match (kind, of) {
            _ if op.ftz => Ok(Op::Float(op, self.up_to_three(count, of)?)),
            (FloatKind::Neg, Type { kind: Kind::Pair(_), .. }) => Ok(Op::Unary(Unary::NegHalf2, self.dst_src(of)?)),
            (FloatKind::Abs, Type { kind: Kind::Pair(_), .. }) => Ok(Op::Unary(Unary::AbsHalf2, self.dst_src(of)?)),
            (FloatKind::Neg, Type { bits: 16, .. }) => Ok(Op::Unary(Unary::NegHalf, self.dst_src(of)?)),
            (FloatKind::Abs, Type { bits: 16, .. }) => Ok(Op::Unary(Unary::AbsHalf, self.dst_src(of)?)),
            _ => Ok(Op::Float(op, self.up_to_three(count, of)?)),
        }
    }

    /// The rounding that the opcode names; approximations name none and are not linted.
    fn rounding(&mut self, kind: FloatKind) -> Result<Option<Rounding>, crate::ParseError> {
        let named = self.take_any(ROUNDINGS);
        match kind {
            FloatKind::Add | FloatKind::Sub | FloatKind::Mul | FloatKind::Fma => Ok(named),
            FloatKind::Div | FloatKind::Rcp | FloatKind::Sqrt if named.is_some() => Ok(named),
            FloatKind::Div if self.take("full") => Ok(None),
            FloatKind::Div
            | FloatKind::DivApprox
            | FloatKind::Rcp
            | FloatKind::Sqrt
            | FloatKind::Rsqrt
            | FloatKind::Ex2
            | FloatKind::Lg2
            | FloatKind::Sin
            | FloatKind::Cos
            | FloatKind::Tanh
                if named.is_none() =>
            {
                self.need("approx")?;
                Ok(None)
            }
            _ if named.is_some() => Err(self.unknown()),
            _ => Ok(None),
        }
    }

    fn predicate_logic(&mut self, name: &str) -> Decoded {
        let op = match name {
            "and" => Logic::And,
            "or" => Logic::Or,
            "xor" => Logic::Xor,
            "not" => {
                let [d, a] = self.operands()?;
                let a = self.predicate(a)?;
                let dst = self.predicate_dst(d)?;
                let opposite = Predicate { row: a.row, negate: !a.negate };
                return Ok(Op::Logic { op: Logic::And, dst, a: opposite, b: Predicate::ALWAYS });
            }
            _ => return Err(self.unknown()),
        };
        let [d, a, b] = self.operands()?;
        let (a, b) = (self.predicate(a)?, self.predicate(b)?);
        Ok(Op::Logic { op, dst: self.predicate_dst(d)?, a, b })
    }

    fn integer(&mut self, name: &str, of: Type) -> Decoded {
        match name {
            "mul" | "mad" => self.product(name == "mad", of),
            "bfe" | "bfi" if of.bits == 32 => self.bit_field(name == "bfi", of),
            "popc" | "clz" => self.bit_count(name == "popc", of),
            "shl" | "shr" => self.shift(name == "shl", of),
            "prmt" if of.bits == 32 => Ok(Op::Ternary(Ternary::Permute, self.dst_src(of)?)),
            "add" | "sub" if of == (Type { kind: Kind::Signed, bits: 32 }) && self.take("sat") => {
                let op = if name == "add" { Binary::AddSat } else { Binary::SubSat };
                Ok(Op::Binary(op, self.dst_src(of)?))
            }
            "not" | "neg" | "abs" | "brev" => self.integer_unary(name, of),
            _ => self.integer_binary(name, of),
        }
    }

    fn integer_unary(&mut self, name: &str, of: Type) -> Decoded {
        let op = match (name, of.bits) {
            ("not", 32) => Unary::Not,
            ("not", 16) => Unary::Not16,
            ("neg", 32) => Unary::Neg,
            ("neg", 16) => Unary::Neg16,
            ("abs", 32) => Unary::Abs,
            ("abs", 16) => Unary::Abs16,
            ("brev", 32) => Unary::Brev,
            (_, 64) => {
                let op = match name {
                    "not" => Unary64::Not,
                    "neg" => Unary64::Neg,
                    "abs" => Unary64::Abs,
                    _ => Unary64::Brev,
                };
                return Ok(Op::Unary64(op, self.dst_src(of)?));
            }
            _ => return Err(self.unknown()),
        };
        Ok(Op::Unary(op, self.dst_src(of)?))
    }

    fn integer_binary(&mut self, name: &str, of: Type) -> Decoded {
        if of.bits == 64 {
            let op = match (name, of.signed()) {
                ("add", _) => Binary64::Add,
                ("sub", _) => Binary64::Sub,
                ("and", _) => Binary64::And,
                ("or", _) => Binary64::Or,
                ("xor", _) => Binary64::Xor,
                ("div", true) => Binary64::DivS,
                ("div", false) => Binary64::DivU,
                ("rem", true) => Binary64::RemS,
                ("rem", false) => Binary64::RemU,
                ("min", true) => Binary64::MinS,
                ("min", false) => Binary64::MinU,
                ("max", true) => Binary64::MaxS,
                ("max", false) => Binary64::MaxU,
                _ => return Err(self.unknown()),
            };
            return Ok(Op::Binary64(op, self.dst_src(of)?));
        }
        let op = match (name, of.signed(), of.bits) {
            ("add", _, 32) => Binary::Add,
            ("add", _, 16) => Binary::Add16,
            ("sub", _, 32) => Binary::Sub,
            ("sub", _, 16) => Binary::Sub16,
            ("and", _, 16 | 32) => Binary::And,
            ("or", _, 16 | 32) => Binary::Or,
            ("xor", _, 16 | 32) => Binary::Xor,
            ("div", true, 32) => Binary::DivS,
            ("div", false, 32) => Binary::DivU,
            ("div", false, 16) => Binary::DivU16,
            ("rem", true, 32) => Binary::RemS,
            ("rem", false, 16 | 32) => Binary::RemU,
            ("min", true, 32) => Binary::MinS,
            ("min", true, 16) => Binary::MinS16,
            ("min", false, 16 | 32) => Binary::MinU,
            ("max", true, 32) => Binary::MaxS,
            ("max", true, 16) => Binary::MaxS16,
            ("max", false, 16 | 32) => Binary::MaxU,
            _ => return Err(self.unknown()),
        };
        Ok(Op::Binary(op, self.dst_src(of)?))
    }

    fn shift(&mut self, left: bool, of: Type) -> Decoded {
        let [d, a, b] = self.operands()?;
        let (d, a, b) = (self.dst(d, of)?, self.src(a, of)?, self.src(b, Type::B32)?);
        let op = match (left, of.signed(), of.bits) {
            (true, _, 64) => return Ok(Op::Shift64(Shift64::Shl, [d, a, b])),
            (false, true, 64) => return Ok(Op::Shift64(Shift64::ShrS, [d, a, b])),
            (false, false, 64) => return Ok(Op::Shift64(Shift64::ShrU, [d, a, b])),
            (true, _, 32) => Binary::Shl,
            (true, _, 16) => Binary::Shl16,
            (false, true, 32) => Binary::ShrS,
            (false, true, 16) => Binary::ShrS16,
            (false, false, 32) => Binary::ShrU,
            (false, false, 16) => Binary::ShrU16,
            _ => return Err(self.unknown()),
        };
        Ok(Op::Binary(op, [d, a, b]))
    }

    fn product(&mut self, add: bool, of: Type) -> Decoded {
        let half = self.need_any(&[("lo", "lo"), ("hi", "hi"), ("wide", "wide")])?;
        if half == "wide" {
            return self.wide_product(add, of);
        }
        let op = match (half, of.signed(), of.bits) {
            ("lo", _, 32) if add => return Ok(Op::Ternary(Ternary::MadLo, self.dst_src(of)?)),
            ("lo", _, 16) if add => return Ok(Op::Ternary(Ternary::MadLo16, self.dst_src(of)?)),
            ("hi", true, 32) if add => return Ok(Op::Ternary(Ternary::MadHiS, self.dst_src(of)?)),
            ("hi", false, 32) if add => return Ok(Op::Ternary(Ternary::MadHiU, self.dst_src(of)?)),
            ("lo", _, 64) if add => return Ok(Op::Ternary64(Ternary64::MadLo, self.dst_src(of)?)),
            ("lo", _, 64) => return Ok(Op::Binary64(Binary64::MulLo, self.dst_src(of)?)),
            ("hi", true, 64) if !add => return Ok(Op::Binary64(Binary64::MulHiS, self.dst_src(of)?)),
            ("hi", false, 64) if !add => return Ok(Op::Binary64(Binary64::MulHiU, self.dst_src(of)?)),
            ("lo", _, 32) => Binary::MulLo,
            ("lo", _, 16) => Binary::MulLo16,
            ("hi", true, 32) if !add => Binary::MulHiS,
            ("hi", false, 32) if !add => Binary::MulHiU,
            _ => return Err(self.unknown()),
        };
        Ok(Op::Binary(op, self.dst_src(of)?))
    }

    fn wide_product(&mut self, add: bool, of: Type) -> Decoded {
        let to = Type { kind: of.kind, bits: of.bits.saturating_mul(2) };
        let (d, a, b, c) = match add {
            true => {
                let [d, a, b, c] = self.operands()?;
                (d, a, b, Some(c))
            }
            false => {
                let [d, a, b] = self.operands()?;
                (d, a, b, None)
            }
        };
        let (d, a, b) = (self.dst(d, to)?, self.src(a, of)?, self.src(b, of)?);
        let c = c.map(|c| self.src(c, to)).transpose()?;
        match (of.bits, of.signed(), c) {
            (32, true, None) => Ok(Op::Widen2(Widen2::MulS, [d, a, b])),
            (32, false, None) => Ok(Op::Widen2(Widen2::MulU, [d, a, b])),
            (32, true, Some(c)) => Ok(Op::Widen3(Widen3::MadS, [d, a, b, c])),
            (32, false, Some(c)) => Ok(Op::Widen3(Widen3::MadU, [d, a, b, c])),
            (16, true, None) => Ok(Op::Binary(Binary::MulWideS16, [d, a, b])),
            (16, false, None) => Ok(Op::Binary(Binary::MulWideU16, [d, a, b])),
            (16, true, Some(c)) => Ok(Op::Ternary(Ternary::MadWideS16, [d, a, b, c])),
            (16, false, Some(c)) => Ok(Op::Ternary(Ternary::MadWideU16, [d, a, b, c])),
            _ => Err(self.unknown()),
        }
    }

    fn bit_field(&mut self, insert: bool, of: Type) -> Decoded {
        if insert {
            return Ok(Op::Insert(self.dst_src(of)?));
        }
        let op = if of.signed() { Ternary::BfeS } else { Ternary::BfeU };
        Ok(Op::Ternary(op, self.dst_src(of)?))
    }

    fn bit_count(&mut self, ones: bool, of: Type) -> Decoded {
        let [d, a] = self.operands()?;
        let (d, a) = (self.dst(d, Type::B32)?, self.src(a, of)?);
        match (of.bits, ones) {
            (32, true) => Ok(Op::Unary(Unary::Popc, [d, a])),
            (32, false) => Ok(Op::Unary(Unary::Clz, [d, a])),
            (64, true) => Ok(Op::Narrow(Narrow::Popc, [d, a])),
            (64, false) => Ok(Op::Narrow(Narrow::Clz, [d, a])),
            _ => Err(self.unknown()),
        }
    }

    fn lop3(&mut self) -> Decoded {
        self.need("b32")?;
        let [d, a, b, c, table] = self.operands()?;
        let Operand::Integer(table @ 0..=255) = table else {
            return Err(self.error("the table of lop3 is a constant of 8 bits"));
        };
        let table = *table as u8;
        let rows = [self.dst(d, Type::B32)?, self.src(a, Type::B32)?, self.src(b, Type::B32)?, self.src(c, Type::B32)?];
        Ok(Op::LutLogic(table, rows))
    }

    fn shf(&mut self) -> Decoded {
        self.need("b32")?;
        let left = self.need_any(&[("l", true), ("r", false)])?;
        let clamp = self.need_any(&[("clamp", true), ("wrap", false)])?;
        let op = match (left, clamp) {
            (true, false) => Ternary::FunnelLeft,
            (false, false) => Ternary::FunnelRight,
            (true, true) => Ternary::FunnelLeftClamp,
            (false, true) => Ternary::FunnelRightClamp,
        };
        Ok(Op::Ternary(op, self.dst_src(Type::B32)?))
    }
}
