//! Operands to rows.

use super::body::{Class, Symbol, special};
use super::{Decoder, Kind, Type};
use crate::numeric::{Format, Rounding, encode};
use crate::parse::ParseError;
use crate::parse::syntax::Operand;
use crate::program::{Address, Initial, Predicate, Row, Rows, Special};

impl<'a> Decoder<'_, 'a> {
    fn symbol(&mut self, name: &str) -> Result<Option<Symbol<'a>>, ParseError> {
        let line = self.statement.line;
        self.body.lookup(name, line)
    }

    fn fixed(&mut self, wide: bool, initial: Initial) -> Result<Row, ParseError> {
        let line = self.statement.line;
        self.body.fixed_row(wide, initial, line)
    }

    pub(super) fn constant(&mut self, value: u32) -> Result<Row, ParseError> {
        self.fixed(false, Initial::Constant(u64::from(value)))
    }

    pub(super) fn is_register(&mut self, name: &str) -> Result<bool, ParseError> {
        Ok(matches!(self.symbol(name)?, Some(Symbol::Register(_))))
    }

    /// The register of a name, and what it holds.
    pub(super) fn register(&mut self, name: &str) -> Result<(Row, Class), ParseError> {
        let line = self.statement.line;
        match self.symbol(name)? {
            Some(Symbol::Register(register)) => {
                let (row, class) = (self.body.register_row(register, line)?, self.body.class_of(register));
                self.body.touch(row, class, false);
                Ok((row, class))
            }
            _ => Err(self.error(format!("`{name}` is not a declared register"))),
        }
    }

    pub(super) fn predicate_named(&mut self, name: &str) -> Result<Row, ParseError> {
        match self.register(name)? {
            (row, Class::Predicate) => Ok(row),
            _ => Err(self.error(format!("`{name}` is not a predicate"))),
        }
    }

    /// A predicate to write.
    pub(super) fn predicate_dst(&mut self, operand: &Operand<'a>) -> Result<Row, ParseError> {
        match operand {
            Operand::Name(name, 0) => self.predicate_named(name),
            _ => Err(self.error("expected a predicate")),
        }
    }

    /// `%p` or `!%p`
    pub(super) fn predicate(&mut self, operand: &Operand<'a>) -> Result<Predicate, ParseError> {
        match operand {
            Operand::Name(name, 0) => Ok(Predicate { row: self.predicate_named(name)?, negate: false }),
            Operand::Not(name) => Ok(Predicate { row: self.predicate_named(name)?, negate: true }),
            _ => Err(self.error("expected a predicate")),
        }
    }

    /// The row of a register that holds exactly this type.
    fn exact(&mut self, name: &str, of: Type) -> Result<Row, ParseError> {
        let (row, class) = self.register(name)?;
        if class == of.class() {
            return Ok(row);
        }
        Err(self.error(format!("`{name}` does not have the {} bits that `{}` needs", of.bits, self.statement.opcode)))
    }

    /// A register to write.
    pub(super) fn dst(&mut self, operand: &Operand<'a>, of: Type) -> Result<Row, ParseError> {
        let row = self.own(operand, of)?;
        self.body.touch(row, of.class(), true);
        Ok(row)
    }

    /// A register, and nothing else.
    pub(super) fn own(&mut self, operand: &Operand<'a>, of: Type) -> Result<Row, ParseError> {
        match operand {
            Operand::Name(name, 0) => self.exact(name, of),
            _ => Err(self.error("expected a register")),
        }
    }

    /// A register, special register, constant or address to read. Types of 64 bits are rows of 64-bit lanes.
    pub(super) fn src(&mut self, operand: &Operand<'a>, of: Type) -> Result<Row, ParseError> {
        let wide = of.bits == 64;
        match operand {
            Operand::Name(name, offset) => match self.symbol(name)? {
                Some(Symbol::Register(_)) if *offset == 0 => self.exact(name, of),
                Some(Symbol::Shared(at) | Symbol::Local(at)) if of.bits >= 32 => {
                    self.fixed(wide, Initial::Constant(i64::from(at).wrapping_add(*offset) as u64))
                }
                Some(Symbol::DynamicShared) if of.bits >= 32 => {
                    self.fixed(wide, Initial::Special(Special::DynamicShared(*offset as i32)))
                }
                None if of.bits == 32 && *offset == 0 => match special(name) {
                    Some(special) => self.fixed(false, Initial::Special(special)),
                    None => Err(self.error(format!("`{name}` is not declared"))),
                },
                None if name.starts_with("%clock") || *name == "%globaltimer" => {
                    self.fixed(wide, Initial::Special(Special::Zero))
                }
                _ => Err(self.error(format!("`{name}` cannot be an operand here"))),
            },
            Operand::Integer(value) if !matches!(of.kind, Kind::Float(_) | Kind::Pair(_)) => {
                let mask = if wide { !0 } else { (1 << of.bits) - 1 };
                self.fixed(wide, Initial::Constant(*value as u64 & mask))
            }
            Operand::F32(bits) if of == Type::B32 || of.kind == Kind::Float(Format::F32) => self.constant(*bits),
            Operand::F64(bits) => match of.kind {
                Kind::Float(Format::F32) => {
                    self.constant(encode(Format::F32, f64::from_bits(*bits), Rounding::Nearest))
                }
                Kind::Bits if wide => self.fixed(true, Initial::Constant(*bits)),
                _ => Err(self.error("a fraction where an integer must be")),
            },
            _ => Err(self.error("unexpected kind of operand")),
        }
    }

    pub(super) fn dst_src<const N: usize>(&mut self, of: Type) -> Result<[Row; N], ParseError> {
        let operands = self.operands::<N>()?;
        let mut rows = [0; N];
        for (i, operand) in operands.into_iter().enumerate() {
            rows[i] = if i == 0 { self.dst(operand, of)? } else { self.src(operand, of)? };
        }
        Ok(rows)
    }

    /// A destination and up to three sources; unused rows repeat the destination.
    pub(super) fn up_to_three(&mut self, count: usize, of: Type) -> Result<[Row; 4], ParseError> {
        Ok(match count {
            1 => {
                let [d, a] = self.dst_src(of)?;
                [d, a, d, d]
            }
            2 => {
                let [d, a, b] = self.dst_src(of)?;
                [d, a, b, d]
            }
            _ => self.dst_src(of)?,
        })
    }

    /// The registers of `{a, b}` or of a single `a`, each at least as wide as the type, and what they hold. What is to be
    /// written must be registers; constants can be read, too.
    pub(super) fn parts(&mut self, operand: &Operand<'a>, of: Type, write: bool) -> Result<(Rows, Class), ParseError> {
        let parts = match operand {
            Operand::Vector(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        let mut rows = Rows { rows: [0; 4], count: parts.len() as u8 };
        if parts.len() > 4 {
            return Err(self.error("a vector has at most four parts"));
        }
        let mut registers = None;
        let mut constants = false;
        for (i, part) in parts.iter().enumerate() {
            let is_register = matches!(part, Operand::Name(name, 0) if self.is_register(name)?);
            if write && !is_register {
                return Err(self.error("expected a register"));
            }
            let (row, class) = self.at_least(part, of)?;
            if write {
                self.body.touch(row, class, true);
            }
            rows.rows[i] = row;
            constants |= !is_register;
            if is_register && *registers.get_or_insert(class) != class {
                return Err(self.error("the parts of a vector must have one width"));
            }
        }
        let class = registers.unwrap_or(of.class());
        // A constant fits beside registers of 16 or 32 bits, whichever its type has.
        if constants && (class == Class::Wide) != (of.class() == Class::Wide) {
            return Err(self.error("a constant beside registers of 64 bits must have as many"));
        }
        Ok((rows, class))
    }

    /// A register that is as wide as the type or wider, or a constant; and what it holds.
    pub(super) fn at_least(&mut self, operand: &Operand<'a>, of: Type) -> Result<(Row, Class), ParseError> {
        if let Operand::Name(name, 0) = operand
            && self.is_register(name)?
        {
            let (row, class) = self.register(name)?;
            return match (class, of.bits) {
                (Class::Wide, _) | (Class::Word, ..=32) | (Class::Half, ..=16) => Ok((row, class)),
                _ => Err(self.error(format!("`{name}` does not have {} bits", of.bits))),
            };
        }
        Ok((self.src(operand, of)?, of.class()))
    }

    /// Rows of a vector of exactly `N` registers to write.
    pub(super) fn dst_vector<const N: usize>(&mut self, operand: &Operand<'a>) -> Result<[Row; N], ParseError> {
        let rows = self.vector(operand)?;
        rows.iter().for_each(|row| self.body.touch(*row, Class::Word, true));
        Ok(rows)
    }

    /// Rows of a vector of exactly `N` registers.
    pub(super) fn vector<const N: usize>(&mut self, operand: &Operand<'a>) -> Result<[Row; N], ParseError> {
        let Operand::Vector(parts) = operand else { return Err(self.error("expected a vector of registers")) };
        if parts.len() != N {
            return Err(self.error(format!("expected {N} registers, found {}", parts.len())));
        }
        let mut rows = [0; N];
        for (row, part) in rows.iter_mut().zip(parts) {
            *row = self.own(part, Type::B32)?;
        }
        Ok(rows)
    }

    /// `[base+offset]`
    pub(super) fn address(&mut self, operand: &Operand<'a>) -> Result<Address, ParseError> {
        let Operand::Address(base, offset) = operand else { return Err(self.error("expected an address")) };
        let Ok(offset) = i32::try_from(*offset) else { return Err(self.error("the offset does not fit 32 bits")) };
        let Some(name) = base else { return Ok(Address { row: self.constant(0)?, wide: false, offset }) };
        match self.symbol(name)? {
            Some(Symbol::Register(_)) => match self.register(name)? {
                (row, Class::Wide) => Ok(Address { row, wide: true, offset }),
                (row, Class::Word) => Ok(Address { row, wide: false, offset }),
                _ => Err(self.error(format!("`{name}` cannot hold an address"))),
            },
            Some(_) => {
                let row = self.src(&Operand::Name(name, 0), Type::B32)?;
                Ok(Address { row, wide: false, offset })
            }
            None => Err(self.error(format!("`{name}` is not declared"))),
        }
    }
}
