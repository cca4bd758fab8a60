use super::super::draft::Step;
use super::super::{ImportError, unsupported_as};
use super::Lower;
use crate::graph::{Affine, AffineKind, Constant, Op, ValueId};

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
        let norm = Step::Op(Op::LayerNorm { epsilon });
        if last == 1 {
            let inside = self.draft.dims(x).to_vec();
            let x = self.emit_extra(norm, vec![x], inside.clone())?;
            return self.op(Op::Affine(affine), x, inside);
        }
        self.over_last_axis(x, |lower, x, inside| {
            let x = lower.emit_extra(norm, vec![x], inside.clone())?;
            lower.emit_extra(Step::Op(Op::Affine(affine)), vec![x], inside)
        })
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
