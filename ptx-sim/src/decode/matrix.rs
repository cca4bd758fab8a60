//! Matrix fragments.

use super::{Class, Decoded, Decoder};
use crate::parse::syntax::Operand;
use crate::program::{Mma, MmaType, Op, Rows};

impl<'a> Decoder<'_, 'a> {
    pub(super) fn mma(&mut self) -> Decoded {
        let types = match self.statement.opcode {
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" => MmaType::Tf32,
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" => MmaType::F16 { k: 16 },
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32" => MmaType::F16 { k: 8 },
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" => MmaType::Bf16 { k: 16 },
            "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32" => MmaType::Bf16 { k: 8 },
            _ => return Err(self.unknown()),
        };
        self.modifiers.clear();
        let [d, a, b, c] = self.operands()?;
        let (d, c) = (self.dst_vector::<4>(d)?, self.sums(c)?);
        let (a, b) = match types {
            MmaType::F16 { k: 8 } | MmaType::Bf16 { k: 8 } => {
                let ([a0, a1], b0) = (self.vector::<2>(a)?, self.single(b)?);
                ([a0, a1, a0, a1], [b0, b0])
            }
            _ => (self.vector::<4>(a)?, self.vector::<2>(b)?),
        };
        Ok(Op::Mma(Box::new(Mma { of: types, d, a, b, c })))
    }

    /// The four registers or constants to add to.
    fn sums(&mut self, operand: &Operand<'a>) -> Result<[u16; 4], crate::ParseError> {
        let Operand::Vector(parts) = operand else { return Err(self.error("expected a vector of registers")) };
        let Ok([a, b, c, d]) = <[Operand<'a>; 4]>::try_from(parts.clone()) else {
            return Err(self.error(format!("expected 4 registers, found {}", parts.len())));
        };
        let f32 = super::Type::B32;
        Ok([self.src(&a, f32)?, self.src(&b, f32)?, self.src(&c, f32)?, self.src(&d, f32)?])
    }

    /// `{a}` or `a`
    fn single(&mut self, operand: &Operand<'a>) -> Result<u16, crate::ParseError> {
        match operand {
            Operand::Vector(_) => self.vector::<1>(operand).map(|[row]| row),
            single => self.own(single, super::Type::B32),
        }
    }

    pub(super) fn ldmatrix(&mut self) -> Decoded {
        let [dst, from] = self.operands()?;
        let (dst, transpose, generic) = self.matrices(dst)?;
        dst.iter().for_each(|row| self.body.touch(row, Class::Word, true));
        let all_lanes = self.body.target < 80;
        Ok(Op::LoadMatrix { dst, transpose, generic, all_lanes, from: self.address(from)? })
    }

    pub(super) fn stmatrix(&mut self) -> Decoded {
        let [to, src] = self.operands()?;
        let (src, transpose, generic) = self.matrices(src)?;
        Ok(Op::StoreMatrix { src, transpose, generic, to: self.address(to)? })
    }

    /// `.sync.aligned.m8n8.xN.trans.shared.b16`: registers, whether transposed, whether addresses are generic.
    fn matrices(&mut self, operand: &Operand<'a>) -> Result<(Rows, bool, bool), crate::ParseError> {
        for needed in ["sync", "aligned", "m8n8", "b16"] {
            self.need(needed)?;
        }
        let generic = !self.take_shared();
        if generic {
            self.generic();
        }
        let count = self.need_any(&[("x1", 1), ("x2", 2), ("x4", 4)])?;
        let mut rows = Rows { rows: [0; 4], count };
        match count {
            1 => rows.rows[0] = self.single(operand)?,
            2 => rows.rows[..2].copy_from_slice(&self.vector::<2>(operand)?),
            _ => rows.rows = self.vector::<4>(operand)?,
        }
        Ok((rows, self.take("trans"), generic))
    }
}
