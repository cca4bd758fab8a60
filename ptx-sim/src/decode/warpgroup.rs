//! Matrix products of warpgroups.

use super::{Decoded, Decoder, Type};
use crate::ParseError;
use crate::parse::syntax::Operand;
use crate::program::{Op, Product, Row, Wgmma};

impl<'a> Decoder<'_, 'a> {
    pub(super) fn wgmma(&mut self) -> Decoded {
        let op = match self.statement.opcode {
            "wgmma.fence.sync.aligned" => self.alone(Wgmma::Fence),
            "wgmma.commit_group.sync.aligned" => self.alone(Wgmma::Commit),
            "wgmma.wait_group.sync.aligned" => match self.operands()? {
                [Operand::Integer(groups @ 0..=0xffff)] => Ok(Wgmma::Wait(*groups as u32)),
                _ => Err(self.error("expected a number of groups")),
            },
            opcode => match columns(opcode) {
                Some(columns) => self.warpgroup_product(columns),
                None => Err(self.error(format!("`{opcode}` is not supported"))),
            },
        }?;
        self.modifiers.clear();
        Ok(Op::Wgmma(Box::new(op)))
    }

    fn alone(&self, wgmma: Wgmma) -> Result<Wgmma, ParseError> {
        self.operands::<0>()?;
        Ok(wgmma)
    }

    fn warpgroup_product(&mut self, columns: usize) -> Result<Wgmma, ParseError> {
        let [d, a, descriptor, adds, scale_a, scale_b] = self.operands()?;
        if !matches!(a, Operand::Vector(_)) {
            return Err(self.error("wgmma.mma_async with a in shared memory is not supported"));
        }
        if [scale_a, scale_b].iter().any(|scale| **scale != Operand::Integer(1)) {
            return Err(self.error("wgmma.mma_async with factors other than 1 is not supported"));
        }
        let (d, a) = (self.fragments(d, columns)?, self.vector(a)?);
        let descriptor = self.own(descriptor, Type::B64)?;
        Ok(Wgmma::Multiply(Product { d, a, descriptor, adds: self.predicate(adds)? }))
    }

    /// The registers of d, four for each eight columns.
    fn fragments(&mut self, operand: &Operand<'a>, columns: usize) -> Result<Box<[[Row; 4]]>, ParseError> {
        let Operand::Vector(parts) = operand else { return Err(self.error("expected a vector of registers")) };
        if parts.len() != columns / 2 {
            return Err(self.error(format!("expected {} registers, found {}", columns / 2, parts.len())));
        }
        let rows = parts.iter().map(|part| self.own(part, Type::B32)).collect::<Result<Vec<Row>, _>>()?;
        Ok(rows.as_chunks().0.into())
    }
}

/// How many columns the product of an opcode has.
fn columns(opcode: &str) -> Option<usize> {
    let shape = opcode.strip_prefix("wgmma.mma_async.sync.aligned.m64n")?.strip_suffix("k8.f32.tf32.tf32")?;
    shape.parse().ok().filter(|columns| (8..=256).contains(columns) && columns % 8 == 0)
}
