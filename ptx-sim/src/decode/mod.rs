//! Statements to operations: what names mean, and which rows of the register file operands are.

mod arithmetic;
mod body;
mod control;
mod data;
mod forms;
mod gates;
mod matrix;
mod memory;
mod operand;
mod warpgroup;

pub(crate) use body::{Body, Class};

use crate::numeric::{Format, Number};
use crate::parse::ParseError;
use crate::parse::syntax::{Operand, Statement};
use crate::program::Op;

type Decoded = Result<Op, ParseError>;

/// An instruction that is being decoded.
struct Decoder<'b, 'a> {
    body: &'b mut Body<'a>,
    statement: &'b Statement<'a>,
    /// Parts of the opcode after the first that nothing has taken.
    modifiers: Vec<&'a str>,
}

/// A type in an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Type {
    kind: Kind,
    bits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bits,
    Unsigned,
    Signed,
    Float(Format),
    /// Two floats in 32 bits.
    Pair(Format),
    Predicate,
}

impl Type {
    const B32: Type = Type { kind: Kind::Bits, bits: 32 };
    const B64: Type = Type { kind: Kind::Bits, bits: 64 };

    fn named(name: &str) -> Option<Self> {
        let (kind, bits) = match name {
            "pred" => (Kind::Predicate, 1),
            "f16" => (Kind::Float(Format::F16), 16),
            "bf16" => (Kind::Float(Format::Bf16), 16),
            "tf32" => (Kind::Float(Format::Tf32), 32),
            "f32" => (Kind::Float(Format::F32), 32),
            "f16x2" => (Kind::Pair(Format::F16), 32),
            "bf16x2" => (Kind::Pair(Format::Bf16), 32),
            _ => {
                let kind = match name.as_bytes().first()? {
                    b'b' => Kind::Bits,
                    b'u' => Kind::Unsigned,
                    b's' => Kind::Signed,
                    _ => return None,
                };
                (kind, name[1..].parse().ok().filter(|bits| matches!(bits, 8 | 16 | 32 | 64))?)
            }
        };
        Some(Type { kind, bits })
    }

    fn number(self) -> Number {
        match self.kind {
            Kind::Float(format) | Kind::Pair(format) => Number::Float(format),
            Kind::Signed => Number::Signed(self.bits),
            _ => Number::Unsigned(self.bits),
        }
    }

    /// What a register of exactly this type holds.
    fn class(self) -> Class {
        match self.bits {
            8 | 16 => Class::Half,
            32 => Class::Word,
            _ => Class::Wide,
        }
    }

    fn signed(self) -> bool {
        self.kind == Kind::Signed
    }
}

impl<'b, 'a> Decoder<'b, 'a> {
    fn new(body: &'b mut Body<'a>, statement: &'b Statement<'a>) -> Self {
        Decoder { body, statement, modifiers: statement.opcode.split('.').skip(1).collect() }
    }

    fn decode(&mut self) -> Decoded {
        let (version, target) = gates::least(self.statement.opcode);
        match gates::only(self.statement.opcode) {
            Some(target) => self.requires_only(version, target)?,
            None => self.requires(version, target)?,
        }
        let name = self.statement.opcode.split('.').next().unwrap_or_default();
        let op = match name {
            "mov" => self.mov(),
            "cvt" => self.cvt(),
            "cvta" => self.cvta(),
            "setp" => self.setp(),
            "selp" => self.selp(),
            "ld" => self.ld(),
            "st" => self.st(),
            "atom" => self.atomic(true),
            "red" => self.atomic(false),
            "cp" => self.cp(),
            "prefetch" | "prefetchu" => self.prefetch(),
            "bra" => self.bra(),
            "brx" => self.brx(),
            "ret" | "exit" => self.plain(Op::Exit),
            "trap" => self.plain(Op::Trap),
            "bar" | "barrier" => self.bar(),
            "membar" | "fence" => self.fence(),
            "shfl" => self.shfl(),
            "vote" => self.vote(),
            "match" => self.match_sync(),
            "activemask" => self.activemask(),
            "mma" => self.mma(),
            "wgmma" => self.wgmma(),
            "ldmatrix" => self.ldmatrix(),
            "stmatrix" => self.stmatrix(),
            _ => self.arithmetic(name),
        }?;
        match self.modifiers.first() {
            Some(modifier) => Err(self.error(format!("`{}`: unknown modifier `.{modifier}`", self.statement.opcode))),
            None if !forms::has(self.statement.opcode) => Err(self.unknown()),
            None => Ok(op),
        }
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.statement.line, message)
    }

    fn unknown(&self) -> ParseError {
        self.error(format!("unknown instruction `{}`", self.statement.opcode))
    }

    /// Takes a modifier, where it is there.
    fn take(&mut self, name: &str) -> bool {
        let at = self.modifiers.iter().position(|modifier| *modifier == name);
        at.map(|at| self.modifiers.remove(at)).is_some()
    }

    /// Takes the first of these modifiers that is there.
    fn take_any<T: Copy>(&mut self, names: &[(&str, T)]) -> Option<T> {
        names.iter().find(|(name, _)| self.take(name)).map(|(_, value)| *value)
    }

    fn need_any<T: Copy>(&mut self, names: &[(&str, T)]) -> Result<T, ParseError> {
        self.take_any(names).ok_or_else(|| self.unknown())
    }

    fn need(&mut self, name: &str) -> Result<(), ParseError> {
        if self.take(name) { Ok(()) } else { Err(self.error(format!("`{}` lacks `.{name}`", self.statement.opcode))) }
    }

    /// That the text declares at least this version of PTX and this architecture.
    fn requires(&self, version: (u32, u32), target: u32) -> Result<(), ParseError> {
        if self.body.version >= version && self.body.target >= target {
            return Ok(());
        }
        let (opcode, (major, minor)) = (self.statement.opcode, version);
        Err(self.error(format!("`{opcode}` needs .version {major}.{minor} and .target sm_{target} or higher")))
    }

    /// That the text declares at least this version of PTX and, with an `a`, just this architecture.
    fn requires_only(&self, version: (u32, u32), target: u32) -> Result<(), ParseError> {
        if self.body.version >= version && self.body.target == target && self.body.specific {
            return Ok(());
        }
        let (opcode, (major, minor)) = (self.statement.opcode, version);
        Err(self.error(format!("`{opcode}` needs .version {major}.{minor} or higher and .target sm_{target}a")))
    }

    /// Takes the type that the opcode ends with.
    fn take_type(&mut self) -> Result<Type, ParseError> {
        let found = self.modifiers.last().and_then(|name| Type::named(name));
        if found.is_some() {
            self.modifiers.pop();
        }
        found.ok_or_else(|| self.unknown())
    }

    fn operands<const N: usize>(&self) -> Result<[&'b Operand<'a>; N], ParseError> {
        let found: Vec<_> = self.statement.operands.iter().collect();
        let count = found.len();
        let message = || self.error(format!("`{}` takes {N} operands, not {count}", self.statement.opcode));
        found.try_into().map_err(|_| message())
    }

    fn plain(&self, op: Op) -> Decoded {
        self.operands::<0>()?;
        Ok(op)
    }
}
