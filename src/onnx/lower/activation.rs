use super::super::args::Input;
use super::super::{ImportError, unsupported, unsupported_as};
use super::Lower;
use crate::graph::{Activation, Constant, Op, ValueId};

impl Lower<'_> {
    /// An elementwise nonlinearity.
    pub(super) fn activation(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let activation = match node.op.as_str() {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu { slope: node.float_or("alpha", f64::from(0.01f32))? },
            "Elu" => Activation::Elu { alpha: node.float_or("alpha", 1.0)? },
            "Sigmoid" => Activation::Sigmoid,
            "HardSigmoid" => Activation::HardSigmoid {
                alpha: node.float_or("alpha", f64::from(0.2f32))?,
                beta: node.float_or("beta", 0.5)?,
            },
            "HardSwish" => Activation::HardSwish,
            "Tanh" => Activation::Tanh,
            "Softplus" => Activation::Softplus,
            "Reciprocal" => Activation::Reciprocal,
            "Gelu" => match node.text("approximate")? {
                None | Some("none") => Activation::Gelu,
                Some(other) => return Err(unsupported_as(node, format!("Gelu approximated by {other}"))),
            },
            "Swish" if node.float_or("alpha", 1.0)? == 1.0 => Activation::Silu,
            "Clip" => self.clip()?,
            "PRelu" => Activation::PRelu { slope: self.slope()? },
            _ => return Err(unsupported(node)),
        };
        let x = self.args.data(0)?;
        let dims = self.draft.dims(x).to_vec();
        self.op(Op::Activation(activation), x, dims)
    }

    fn clip(&self) -> Result<Activation, ImportError> {
        let low = self.args.number("min", 1)?.unwrap_or(f64::NEG_INFINITY);
        let high = self.args.number("max", 2)?.unwrap_or(f64::INFINITY);
        if low > high {
            return Err(self.args.node.error(format!("its bounds {low} and {high} are the wrong way round")));
        }
        Ok(Activation::Clip { low, high })
    }

    /// `Min` and `Max` of one activation and constants of one number.
    pub(super) fn bound(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        let mut data = None;
        let mut activation = (f64::NEG_INFINITY, f64::INFINITY);
        for input in &self.args.inputs {
            match input {
                Input::Data(x) if data.is_none() => data = Some(*x),
                Input::Constant(array) => {
                    let values = array.to_f64();
                    let first = values.first().copied().filter(|first| values.iter().all(|v| v == first));
                    let bound = first.ok_or_else(|| unsupported_as(node, format!("{} with many bounds", node.op)))?;
                    if node.op == "Max" {
                        activation.0 = f64::max(activation.0, bound);
                    } else {
                        activation.1 = f64::min(activation.1, bound);
                    }
                }
                _ => return Err(unsupported_as(node, format!("{} of two activations", node.op))),
            }
        }
        let x = data.ok_or_else(|| node.error("it has no activation among its inputs"))?;
        let (low, high) = activation;
        let dims = self.draft.dims(x).to_vec();
        self.op(Op::Activation(Activation::Clip { low, high }), x, dims)
    }

    fn slope(&self) -> Result<Constant, ImportError> {
        let array = self.args.required(1)?;
        self.args.weights(1)?;
        let dims = self.draft.dims(self.args.data(0)?);
        let slope = self.per_channel(array, dims).ok_or_else(|| {
            let reason =
                format!("slopes of dimensions {:?} for an input {dims:?}; one per channel is expected", array.dims);
            self.args.node.shape_error(reason)
        })?;
        Ok(Constant::F64(slope.into()))
    }
}
