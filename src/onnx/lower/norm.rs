use super::super::draft::Step;
use super::super::{ImportError, layout, unsupported_as};
use super::Lower;
use crate::graph::{Affine, AffineKind, Constant, Op, Rearrange, ValueId};

impl Lower<'_> {
    /// A layer normalisation over the last axis: with channels last, it lies between two transposes.
    pub(super) fn layer_norm(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let x = self.args.data(0)?;
        let dims = self.batched_dims(x);
        let axis = self.args.axis(node.int_or("axis", -1)?, dims.len())?;
        let last = dims.len() - 1;
        if axis == 0 || axis != last {
            let reason = format!("LayerNormalization over axes {axis} to {last}; the last alone is known");
            return Err(unsupported_as(node, reason));
        }
        let epsilon = node.float_or("epsilon", f64::from(1e-5f32))?;
        if epsilon.is_nan() || epsilon <= 0.0 {
            return Err(node.error(format!("its epsilon is {epsilon}, a positive number is expected")));
        }
        let affine = self.scale_and_shift(dims.get(last).copied().unwrap_or(1))?;
        let ahead: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        let back: Vec<usize> = [0].into_iter().chain(2..=last).chain([1]).collect();
        let (inside, x) = match last {
            1 => (self.draft.dims(x).to_vec(), x),
            _ => {
                let (turn, inside) = self.turned(&dims, &ahead)?;
                (inside.clone(), self.emit_extra(turn, vec![x], inside)?)
            }
        };
        let x = self.emit_extra(Step::Op(Op::LayerNorm { epsilon }), vec![x], inside.clone())?;
        if last == 1 {
            return self.op(Op::Affine(affine), x, inside);
        }
        let x = self.emit_extra(Step::Op(Op::Affine(affine)), vec![x], inside.clone())?;
        let batched: Vec<usize> = [1].into_iter().chain(inside).collect();
        let (turn, dims) = self.turned(&batched, &back)?;
        self.emit(turn, vec![x], dims, 0)
    }

    /// A transpose of batched dimensions, and the dimensions of one image after it.
    fn turned(&self, dims: &[usize], perm: &[usize]) -> Result<(Step, Vec<usize>), ImportError> {
        let turned = layout::transpose(dims, perm).ok_or_else(|| self.args.node.shape_error("it does not turn"))?;
        let table = Rearrange { name: "Transpose", table: turned.table.into(), fill: 0.0 };
        Ok((Step::Op(Op::Rearrange(table)), turned.dims.get(1..).unwrap_or(&[]).to_vec()))
    }

    fn scale_and_shift(&self, channels: usize) -> Result<Affine, ImportError> {
        let node = self.args.node;
        let scale = self.args.weights(1)?;
        let shift = match self.args.constant(2)? {
            Some(_) => self.args.weights(2)?,
            None => Constant::F64(vec![0.0; channels].into()),
        };
        for (input, weights) in [(1, &scale), (2, &shift)] {
            if weights.len() != channels {
                let reason = format!("input {input} has {} numbers for {channels} channels", weights.len());
                return Err(node.shape_error(reason));
            }
        }
        Ok(Affine { kind: AffineKind::ScaleShift, scale, shift })
    }
}
