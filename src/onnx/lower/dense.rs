use super::super::ImportError;
use super::super::args::Input;
use super::super::draft::Step;
use super::super::layout;
use super::Lower;
use crate::graph::{Affine, AffineKind, Constant, Conv2d, ConvKind, Op, ValueId};

impl Lower<'_> {
    /// `alpha x Bᵀ + beta c`
    pub(super) fn gemm(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let x = self.args.data(0)?;
        if node.flag("transA", false)? {
            return Err(super::super::unsupported_as(node, "Gemm with transA".to_owned()));
        }
        let (mut weight, [out, _]) = self.dense_weight(x, node.flag("transB", false)?)?;
        let alpha = node.float_or("alpha", 1.0)?;
        if alpha != 1.0 {
            weight = Constant::F64(weight.iter().map(|w| alpha * w).collect());
        }
        let bias = match self.args.input(2) {
            Input::Nothing => None,
            _ => {
                self.args.weights(2)?;
                let c = self.args.required(2)?;
                let bias = self
                    .per_channel(c, &[out])
                    .ok_or_else(|| node.shape_error(format!("a bias of dimensions {:?} for {out} outputs", c.dims)))?;
                let beta = node.float_or("beta", 1.0)?;
                Some(Constant::F64(bias.into_iter().map(|b| beta * b).collect()))
            }
        };
        self.dense(x, weight, bias, out)
    }

    pub(super) fn matmul(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let (weight, [out, _]) = self.dense_weight(x, false)?;
        self.dense(x, weight, None, out)
    }

    /// Weights as `[out, in]`; in the file they are `[in, out]` unless transposed.
    fn dense_weight(&self, x: ValueId, transposed: bool) -> Result<(Constant, [usize; 2]), ImportError> {
        let node = self.args.node;
        let Input::Constant(array) = self.args.input(1) else {
            return Err(super::super::unsupported_as(node, format!("{} of two activations", node.op)));
        };
        let dims = self.draft.dims(x);
        let &[a, b] = array.dims.as_slice() else {
            return Err(node.shape_error(format!("weights of dimensions {:?}, a matrix is expected", array.dims)));
        };
        let [out, input] = if transposed { [a, b] } else { [b, a] };
        // With channels last, every pixel of an image is such a vector.
        let fits = matches!(dims.len(), 1..=3) && dims.last() == Some(&input);
        if !fits {
            let reason = format!("the weights take vectors of {input} numbers, the input has {dims:?} per image");
            return Err(node.shape_error(reason));
        }
        let weight = self.args.weights(1)?;
        if transposed {
            return Ok((weight, [out, input]));
        }
        let turned = layout::transpose(&array.dims, &[1, 0]).ok_or_else(|| node.shape_error("weights"))?;
        Ok((array.gather(turned.dims, &turned.table, 0.0).constant(), [out, input]))
    }

    fn dense(
        &mut self,
        x: ValueId,
        weight: Constant,
        bias: Option<Constant>,
        out_channels: usize,
    ) -> Result<ValueId, ImportError> {
        let is_vector = self.draft.dims(x).len() == 1;
        let conv = Conv2d {
            kind: if is_vector { ConvKind::Dense } else { ConvKind::Conv },
            weight,
            bias,
            out_channels,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pads: [0; 4],
            groups: 1,
            space_to_depth: None,
        };
        if is_vector {
            return self.op(Op::Conv2d(conv), x, vec![out_channels]);
        }
        self.over_last_axis(x, |lower, x, mut inside| {
            inside.splice(..1, [out_channels]);
            lower.emit_extra(Step::Op(Op::Conv2d(conv)), vec![x], inside)
        })
    }

    /// `scale = gamma / sqrt(var + eps)`, `shift = beta - mean scale`, in f64.
    pub(super) fn batch_norm(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let x = self.args.data(0)?;
        if node.flag("training_mode", false)? || !node.flag("spatial", true)? {
            return Err(node.error("it is not in inference form; call model.eval() before the export"));
        }
        let dims = self.draft.dims(x).to_vec();
        let channels = dims.first().copied().unwrap_or(1);
        let mut parameters: Parameters = Default::default();
        for (i, parameter) in parameters.iter_mut().enumerate() {
            *parameter = self.args.weights(i + 1)?.to_vec();
            if parameter.len() != channels {
                let reason = format!("input {} has {} numbers for {channels} channels", i + 1, parameter.len());
                return Err(node.shape_error(reason));
            }
        }
        let [gamma, beta, mean, variance] = parameters;
        let epsilon = node.float_or("epsilon", 1e-5)?;
        if variance.iter().any(|v| v + epsilon <= 0.0) {
            let name = node.inputs.get(4).cloned().unwrap_or_default();
            return Err(ImportError::Tensor {
                name,
                reason: "a variance is negative, or zero without epsilon".to_owned(),
            });
        }
        let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
        let shift: Vec<f64> = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        let affine = Affine {
            kind: AffineKind::BatchNorm,
            scale: Constant::F64(scale.into()),
            shift: Constant::F64(shift.into()),
        };
        self.op(Op::Affine(affine), x, dims)
    }
}

type Parameters = [Vec<f64>; 4];
