//! Branches, barriers, and what the lanes of a warp tell each other.

use super::body::Jump;
use super::{Decoded, Decoder, Type};
use crate::parse::syntax::Operand;
use crate::program::{Barrier, BarrierKind, Op, Shuffle, ShuffleMode, Vote};

impl<'a> Decoder<'_, 'a> {
    fn jump(&mut self, target: &Operand<'a>, indexed: bool) -> Result<(), crate::ParseError> {
        let Operand::Name(target, 0) = target else { return Err(self.error("expected a label")) };
        let at = self.body.code.len();
        let scope = self.body.scope;
        self.body.jumps.push((at, Jump { scope, target, indexed }));
        Ok(())
    }

    pub(super) fn bra(&mut self) -> Decoded {
        self.take("uni");
        let [target] = self.operands()?;
        self.jump(target, false)?;
        Ok(Op::Branch(0))
    }

    pub(super) fn brx(&mut self) -> Decoded {
        self.need("idx")?;
        self.take("uni");
        let [index, targets] = self.operands()?;
        let index = self.src(index, Type::B32)?;
        self.jump(targets, true)?;
        Ok(Op::BranchIndexed { index, targets: Box::new([]) })
    }

    /// Orders do not matter to a program that is free of races, but between the ways to memory they do.
    pub(super) fn fence(&mut self) -> Decoded {
        if self.take("proxy") {
            self.need("async")?;
            self.take("shared::cta");
            return self.plain(Op::ProxyFence);
        }
        let known = ["cta", "gl", "sys", "gpu", "sc", "acq_rel"];
        self.modifiers.retain(|modifier| !known.contains(modifier));
        self.plain(Op::Nop)
    }

    pub(super) fn bar(&mut self) -> Decoded {
        if self.take("warp") {
            self.need("sync")?;
            let [members] = self.operands()?;
            return Ok(Op::WarpBarrier { members: self.src(members, Type::B32)? });
        }
        self.take("cta");
        self.take("aligned");
        let operands: Vec<_> = self.statement.operands.iter().collect();
        if self.take("sync") || self.take("arrive") {
            let arrive = self.statement.opcode.contains("arrive");
            let (id, threads) = match operands.as_slice() {
                [id] if !arrive => (*id, None),
                [id, threads] => (*id, Some(*threads)),
                _ => return Err(self.error("a barrier takes its number and, to arrive only, its threads")),
            };
            let kind = if arrive { BarrierKind::Arrive } else { BarrierKind::Sync };
            return self.barrier(kind, id, threads);
        }
        self.need("red")?;
        let (id, threads, d, p) = match operands.as_slice() {
            [d, id, p] => (*id, None, *d, *p),
            [d, id, threads, p] => (*id, Some(*threads), *d, *p),
            _ => return Err(self.error("bar.red takes 3 or 4 operands")),
        };
        let src = self.predicate(p)?;
        let kind = if self.take("popc") {
            self.need("u32")?;
            BarrierKind::Popc { dst: self.dst(d, Type::B32)?, src }
        } else {
            self.need("pred")?;
            let dst = self.predicate_dst(d)?;
            if self.need_any(&[("and", true), ("or", false)])? {
                BarrierKind::All { dst, src }
            } else {
                BarrierKind::Any { dst, src }
            }
        };
        self.barrier(kind, id, threads)
    }

    fn barrier(&mut self, kind: BarrierKind, id: &Operand<'a>, threads: Option<&Operand<'a>>) -> Decoded {
        let id = self.src(id, Type::B32)?;
        let threads = threads.map(|threads| self.src(threads, Type::B32)).transpose()?;
        Ok(Op::Barrier(Box::new(Barrier { kind, id, threads })))
    }

    pub(super) fn shfl(&mut self) -> Decoded {
        self.need("sync")?;
        self.need("b32")?;
        let mode = self.need_any(&[
            ("up", ShuffleMode::Up),
            ("down", ShuffleMode::Down),
            ("bfly", ShuffleMode::Bfly),
            ("idx", ShuffleMode::Idx),
        ])?;
        let [d, a, b, c, members] = self.operands()?;
        let (dst, in_range) = match d {
            Operand::Pair(d, p) => (self.dst(&Operand::Name(d, 0), Type::B32)?, Some(self.predicate_named(p)?)),
            d => (self.dst(d, Type::B32)?, None),
        };
        let (src, lane) = (self.src(a, Type::B32)?, self.src(b, Type::B32)?);
        let (clamp, members) = (self.src(c, Type::B32)?, self.src(members, Type::B32)?);
        Ok(Op::Shuffle(Box::new(Shuffle { mode, dst, in_range, src, lane, clamp, members })))
    }

    pub(super) fn vote(&mut self) -> Decoded {
        self.need("sync")?;
        let mode =
            self.need_any(&[("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uni), ("ballot", Vote::Ballot)])?;
        self.need(if mode == Vote::Ballot { "b32" } else { "pred" })?;
        let [d, src, members] = self.operands()?;
        let dst = if mode == Vote::Ballot { self.dst(d, Type::B32)? } else { self.predicate_dst(d)? };
        Ok(Op::Vote { mode, dst, src: self.predicate(src)?, members: self.src(members, Type::B32)? })
    }

    pub(super) fn match_sync(&mut self) -> Decoded {
        let of = self.take_type()?;
        self.need("sync")?;
        let all = self.need_any(&[("all", true), ("any", false)])?;
        if of != Type::B32 && of != Type::B64 {
            return Err(self.unknown());
        }
        let [d, a, members] = self.operands()?;
        let (dst, same) = match d {
            Operand::Pair(d, p) if all => (self.dst(&Operand::Name(d, 0), Type::B32)?, Some(self.predicate_named(p)?)),
            d => (self.dst(d, Type::B32)?, None),
        };
        let (src, members) = (self.src(a, of)?, self.src(members, Type::B32)?);
        Ok(Op::Match { all, wide: of.bits == 64, dst, same, src, members })
    }

    pub(super) fn activemask(&mut self) -> Decoded {
        self.need("b32")?;
        let [d] = self.operands()?;
        Ok(Op::ActiveMask { dst: self.dst(d, Type::B32)? })
    }
}
