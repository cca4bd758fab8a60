//! Loads, stores, atomics and asynchronous copies.

use super::{Class, Decoded, Decoder, Kind, Type};
use crate::lanes::{Binary64, Unary64};
use crate::lint::LintKind;
use crate::numeric::Format;
use crate::parse::ParseError;
use crate::parse::syntax::Operand;
use crate::program::{Atomic, AtomicOp, CopyAsync, Element, Initial, LoadSpace, Op, StoreSpace};
use crate::warp::SHARED_WINDOW;

/// Hints and orders that do not change what a data-race-free program reads, of loads, stores and atomics.
const LOAD_HINTS: &[&str] = &["acquire", "ca", "cg", "cs", "lu", "cv", "L2::64B", "L2::128B", "L2::256B"];
const STORE_HINTS: &[&str] = &["release", "wb", "cg", "cs", "wt"];
const ATOMIC_HINTS: &[&str] = &["acquire", "release", "acq_rel"];

/// Those of all.
const HINTS: &[&str] = &[
    "volatile",
    "relaxed",
    "weak",
    "cta",
    "gpu",
    "sys",
    "cluster",
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L1::evict_first",
    "L1::evict_last",
    "L1::no_allocate",
];

impl<'a> Decoder<'_, 'a> {
    fn ignore_hints(&mut self, others: &[&str]) {
        self.modifiers.retain(|modifier| !HINTS.contains(modifier) && !others.contains(modifier));
    }

    pub(super) fn generic(&mut self) {
        let line = self.statement.line;
        self.body.lint(LintKind::Generic, line);
    }

    fn uses_local(&mut self) {
        let line = self.statement.line;
        self.body.lint(LintKind::Local, line);
    }

    /// Takes `.shared` or `.shared::cta`.
    pub(super) fn take_shared(&mut self) -> bool {
        self.take("shared") || self.take("shared::cta")
    }

    /// `.v2` or `.v4` against the operand.
    fn vector_length(&mut self, operand: &Operand<'a>) -> Result<(), ParseError> {
        let want = self.take_any(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
        let got = if let Operand::Vector(parts) = operand { parts.len() } else { 1 };
        if want == got {
            return Ok(());
        }
        Err(self.error(format!("`{}` takes {want} registers, not {got}", self.statement.opcode)))
    }

    /// What registers of a class hold. Floats have a type of their own from 32 bits on.
    fn element(&self, of: Type, class: Class) -> Result<Element, ParseError> {
        match of.kind {
            Kind::Bits | Kind::Unsigned | Kind::Signed | Kind::Float(Format::F32) => {
                let (half, wide) = (class == Class::Half, class == Class::Wide);
                Ok(Element { bytes: of.bits / 8, signed: of.signed(), half, wide })
            }
            _ => Err(self.unknown()),
        }
    }

    pub(super) fn ld(&mut self) -> Decoded {
        let of = self.take_type()?;
        let [d, from] = self.operands()?;
        self.vector_length(d)?;
        let (dst, class) = self.parts(d, of, true)?;
        let element = self.element(of, class)?;
        if u32::from(element.bytes) * u32::from(dst.count) > 16 {
            return Err(self.error("a load has at most 16 bytes"));
        }
        if self.take("param") {
            return self.ld_param(dst, element, from);
        }
        let space = if self.take("global") {
            if self.take("nc") { LoadSpace::NonCoherent } else { LoadSpace::Global }
        } else if self.take_shared() {
            LoadSpace::Shared
        } else if self.take("local") {
            self.uses_local();
            LoadSpace::Local
        } else {
            self.generic();
            LoadSpace::Generic
        };
        self.ignore_hints(LOAD_HINTS);
        Ok(Op::Load { space, dst, element, from: self.address(from)? })
    }

    fn ld_param(&mut self, dst: crate::program::Rows, element: Element, from: &Operand<'a>) -> Decoded {
        let Operand::Address(Some(name), offset) = from else { return Err(self.error("expected a parameter")) };
        let Some(param) = self.body.params.iter().find(|param| param.name == *name) else {
            return Err(self.error(format!("there is no parameter `{name}`")));
        };
        let bytes = i64::from(element.bytes) * i64::from(dst.count);
        if *offset < 0 || *offset > param.size as i64 - bytes {
            return Err(self.error(format!("{bytes} bytes at {offset} are outside the {} of `{name}`", param.size)));
        }
        let offset = param.offset + *offset as usize;
        if !offset.is_multiple_of(bytes as usize) {
            return Err(self.error(format!("{bytes} bytes at parameter offset {offset} are misaligned")));
        }
        Ok(Op::LoadParam { dst, element, offset: offset as u32 })
    }

    pub(super) fn st(&mut self) -> Decoded {
        let of = self.take_type()?;
        let [to, src] = self.operands()?;
        self.vector_length(src)?;
        let (src, class) = self.parts(src, of, false)?;
        let element = self.element(of, class)?;
        if u32::from(element.bytes) * u32::from(src.count) > 16 {
            return Err(self.error("a store has at most 16 bytes"));
        }
        let space = if self.take("global") {
            StoreSpace::Global
        } else if self.take_shared() {
            StoreSpace::Shared
        } else if self.take("local") {
            self.uses_local();
            StoreSpace::Local
        } else {
            self.generic();
            StoreSpace::Generic
        };
        self.ignore_hints(STORE_HINTS);
        Ok(Op::Store { space, src, element, to: self.address(to)? })
    }

    /// `atom`, or `red` without its result.
    pub(super) fn atomic(&mut self, result: bool) -> Decoded {
        let of = self.take_type()?;
        let space = if self.take("global") {
            StoreSpace::Global
        } else if self.take_shared() {
            StoreSpace::Shared
        } else {
            self.generic();
            StoreSpace::Generic
        };
        let op = self.need_any(&[
            ("add", AtomicOp::Add),
            ("min", AtomicOp::Min),
            ("max", AtomicOp::Max),
            ("and", AtomicOp::And),
            ("or", AtomicOp::Or),
            ("xor", AtomicOp::Xor),
            ("exch", AtomicOp::Exchange),
            ("cas", AtomicOp::CompareSwap),
            ("inc", AtomicOp::Increment),
            ("dec", AtomicOp::Decrement),
        ])?;
        let float = of.kind == Kind::Float(Format::F32);
        let op = if float && op == AtomicOp::Add { AtomicOp::AddF32 } else { op };
        let bits_only =
            matches!(op, AtomicOp::Exchange | AtomicOp::CompareSwap | AtomicOp::And | AtomicOp::Or | AtomicOp::Xor);
        let counts = matches!(op, AtomicOp::Increment | AtomicOp::Decrement);
        let swaps_half = op == AtomicOp::CompareSwap && of.bits == 16;
        let known = (swaps_half || matches!(of.bits, 32 | 64))
            && match of.kind {
                Kind::Bits => bits_only,
                Kind::Unsigned => !bits_only && (!counts || of.bits == 32),
                Kind::Signed => !bits_only && !counts && (op != AtomicOp::Add || of.bits == 32),
                _ => op == AtomicOp::AddF32,
            }
            && (result || !matches!(op, AtomicOp::Exchange | AtomicOp::CompareSwap));
        if !known {
            return Err(self.unknown());
        }
        let of_block = self.modifiers.iter().any(|modifier| matches!(*modifier, "cta" | "cluster"));
        self.ignore_hints(ATOMIC_HINTS);
        let operands: Vec<_> = self.statement.operands.iter().collect();
        let (d, at, a, b) = match (operands.as_slice(), result, op == AtomicOp::CompareSwap) {
            ([d, at, a, b], true, true) => (Some(*d), *at, *a, Some(*b)),
            ([d, at, a], true, false) => (Some(*d), *at, *a, None),
            ([at, a], false, false) => (None, *at, *a, None),
            _ => return Err(self.error(format!("wrong number of operands of `{}`", self.statement.opcode))),
        };
        Ok(Op::Atomic(Box::new(Atomic {
            op,
            space,
            of_block,
            element: self.element(of, of.class())?,
            dst: d.map(|d| self.dst(d, of)).transpose()?,
            at: self.address(at)?,
            a: self.src(a, of)?,
            b: b.map(|b| self.src(b, of)).transpose()?,
        })))
    }

    pub(super) fn cp(&mut self) -> Decoded {
        self.need("async")?;
        if self.take("commit_group") {
            return self.plain(Op::CommitGroup);
        }
        if self.take("wait_all") {
            return self.plain(Op::Wait(None));
        }
        if self.take("wait_group") {
            let [Operand::Integer(groups @ 0..=0xffff)] = self.operands()? else {
                return Err(self.error("expected a number of groups"));
            };
            return Ok(Op::Wait(Some(*groups as u32)));
        }
        let cached_in_l1 = self.need_any(&[("ca", true), ("cg", false)])?;
        if !self.take_shared() {
            return Err(self.unknown());
        }
        self.need("global")?;
        self.modifiers.retain(|modifier| !matches!(*modifier, "L2::64B" | "L2::128B" | "L2::256B"));
        let (to, from, bytes, last) = match self.statement.operands.as_slice() {
            [to, from, bytes] => (to, from, bytes, None),
            [to, from, bytes, last] => (to, from, bytes, Some(last)),
            _ => return Err(self.error("cp.async takes 3 or 4 operands")),
        };
        let bytes = match (bytes, cached_in_l1) {
            (Operand::Integer(16), _) | (Operand::Integer(4 | 8), true) => bytes,
            _ => return Err(self.error("cp.async copies 4, 8 or 16 bytes, with .cg only 16")),
        };
        let Operand::Integer(bytes) = bytes else { return Err(self.unknown()) };
        let (mut src_size, mut ignore) = (None, None);
        match last {
            Some(last) if self.is_predicate(last)? => {
                self.requires((7, 5), 80)?;
                ignore = Some(self.predicate(last)?);
            }
            Some(last) => src_size = Some(self.src(last, Type::B32)?),
            None => {}
        }
        let (to, from) = (self.address(to)?, self.address(from)?);
        Ok(Op::CopyAsync(Box::new(CopyAsync { to, from, bytes: *bytes as u32, src_size, ignore })))
    }

    fn is_predicate(&mut self, operand: &Operand<'a>) -> Result<bool, ParseError> {
        match operand {
            Operand::Not(_) => Ok(true),
            Operand::Name(name, 0) if self.is_register(name)? => Ok(self.register(name)?.1 == Class::Predicate),
            _ => Ok(false),
        }
    }

    pub(super) fn prefetch(&mut self) -> Decoded {
        self.modifiers.clear();
        let [at] = self.operands()?;
        self.address(at)?;
        Ok(Op::Nop)
    }

    /// Global addresses are generic ones; shared addresses have a window of their own.
    pub(super) fn cvta(&mut self) -> Decoded {
        let of = self.take_type()?;
        let to = self.take("to");
        let shared = self.take_shared();
        let known = shared || self.take("global") || self.take("local") || self.take("param");
        if !known || of.bits != 64 {
            return Err(self.unknown());
        }
        let [d, a] = self.dst_src(of)?;
        if !shared {
            return Ok(Op::Unary64(Unary64::Mov, [d, a]));
        }
        let line = self.statement.line;
        let base = self.body.fixed_row(true, Initial::Constant(SHARED_WINDOW), line)?;
        Ok(Op::Binary64(if to { Binary64::Sub } else { Binary64::Add }, [d, a, base]))
    }
}
