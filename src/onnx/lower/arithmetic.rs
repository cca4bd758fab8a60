use super::super::ImportError;
use super::super::args::Input;
use super::super::array::Array;
use super::super::draft::Step;
use super::super::layout;
use super::Lower;
use crate::graph::{Activation, Affine, AffineKind, Constant, Op, ValueId};

impl Lower<'_> {
    /// Add, Sub, Mul, Div, Sum and Neg with constants or between activations.
    pub(super) fn arithmetic(&mut self) -> Result<ValueId, ImportError> {
        let node = self.args.node;
        match (node.op.as_str(), self.args.input(0), self.args.input(1)) {
            ("Neg", Input::Data(x), _) => self.scale(x, &Array::floats(Vec::new(), vec![-1.0]), 0),
            ("Sum", ..) => self.sum(),
            (op, Input::Data(x), Input::Constant(c)) => match op {
                "Add" => self.shift(x, c, 1.0, 1.0, 1),
                "Sub" => self.shift(x, c, 1.0, -1.0, 1),
                "Mul" => self.scale(x, c, 1),
                _ => {
                    let inverse = c.to_f64().into_iter().map(f64::recip).collect();
                    self.scale(x, &Array::floats(c.dims.clone(), inverse), 1)
                }
            },
            (op, Input::Constant(c), Input::Data(x)) => match op {
                "Add" => self.shift(x, c, 1.0, 1.0, 0),
                "Sub" => self.shift(x, c, -1.0, 1.0, 0),
                "Mul" => self.scale(x, c, 0),
                _ => {
                    let inverse = self.reciprocal(x)?;
                    self.scale(inverse, c, 0)
                }
            },
            (op, Input::Data(a), Input::Data(b)) => {
                let step = match op {
                    "Add" => Op::Add { negative: false },
                    "Sub" => Op::Add { negative: true },
                    _ => Op::Mul,
                };
                let dims = self.joined(a, b)?;
                let b = if op == "Div" { self.reciprocal(b)? } else { b };
                self.emit(Step::Op(step), vec![a, b], dims, 0)
            }
            _ => Err(node.error("an input is missing")),
        }
    }

    fn reciprocal(&mut self, x: ValueId) -> Result<ValueId, ImportError> {
        let dims = self.draft.dims(x).to_vec();
        self.emit_extra(Step::Op(Op::Activation(Activation::Reciprocal)), vec![x], dims)
    }

    /// A chain of additions; constants come last.
    fn sum(&mut self) -> Result<ValueId, ImportError> {
        let mut data = Vec::new();
        let mut constants = Vec::new();
        for (i, input) in self.args.inputs.iter().enumerate() {
            match input {
                Input::Data(x) => data.push(*x),
                Input::Constant(array) => constants.push((i, *array)),
                Input::Nothing => {}
            }
        }
        let steps = data.len().saturating_sub(1) + constants.len();
        let mut rest = data.into_iter();
        let mut total = rest.next().ok_or_else(|| self.args.node.error("it adds nothing"))?;
        let mut done = 0;
        for x in rest {
            let dims = self.joined(total, x)?;
            let step = Step::Op(Op::Add { negative: false });
            done += 1;
            total = if done == steps {
                self.emit(step, vec![total, x], dims, 0)?
            } else {
                self.emit_extra(step, vec![total, x], dims)?
            };
        }
        for (i, constant) in constants {
            total = self.shift(total, constant, 1.0, 1.0, i)?;
        }
        if steps == 0 {
            let dims = self.draft.dims(total).to_vec();
            return self.emit(Step::View("Identity"), vec![total], dims, 0);
        }
        Ok(total)
    }

    /// `scale x + sign c`
    fn shift(&mut self, x: ValueId, c: &Array, scale: f64, sign: f64, input: usize) -> Result<ValueId, ImportError> {
        self.affine(x, c, input, AffineKind::Shift, |c| (scale, sign * c))
    }

    /// `c x`
    fn scale(&mut self, x: ValueId, c: &Array, input: usize) -> Result<ValueId, ImportError> {
        self.affine(x, c, input, AffineKind::Scale, |c| (c, 0.0))
    }

    /// `scale x + shift`, both of them made from a constant that broadcasts. One that varies along the last axis alone has its
    /// channels there; one that varies in space otherwise has a channel for every element, between two reshapes.
    fn affine(
        &mut self,
        x: ValueId,
        c: &Array,
        input: usize,
        kind: AffineKind,
        terms: impl Fn(f64) -> (f64, f64),
    ) -> Result<ValueId, ImportError> {
        let x = self.spread(x, c)?;
        let dims = self.draft.dims(x).to_vec();
        let channels = self.per_channel(c, &dims);
        let along_last =
            channels.is_none() && dims.len() > 1 && c.dims.last() == dims.last() && c.dims.last() == Some(&c.len());
        let in_space = channels.is_none() && !along_last;
        let values = match channels {
            Some(values) => values,
            None if along_last => c.to_f64(),
            None => {
                let all = layout::expand(&c.dims, &self.batched_dims(x));
                let all = all.ok_or_else(|| self.args.node.shape_error("the constant does not broadcast"))?;
                let values = c.to_f64();
                all.table.iter().filter_map(|&from| values.get(from as usize).copied()).collect()
            }
        };
        self.args.finite(input, &Constant::F64(values.clone().into()))?;
        let (scale, shift): (Vec<f64>, Vec<f64>) = values.into_iter().map(terms).unzip();
        let affine = Affine { kind, scale: Constant::F64(scale.into()), shift: Constant::F64(shift.into()) };
        if along_last {
            let step = Step::Op(Op::Affine(affine));
            return self.over_last_axis(x, |lower, x, inside| lower.emit_extra(step, vec![x], inside));
        }
        if !in_space {
            return self.op(Op::Affine(affine), x, dims);
        }
        let flat = vec![affine.scale.len()];
        let x = self.emit_extra(Step::View("Reshape"), vec![x], flat.clone())?;
        let x = self.emit_extra(Step::Op(Op::Affine(affine)), vec![x], flat)?;
        self.emit(Step::View("Reshape"), vec![x], dims, 0)
    }

    /// Dimensions of a sum or product; an operand of height and width 1, or of one channel, is broadcast.
    fn joined(&self, a: ValueId, b: ValueId) -> Result<Vec<usize>, ImportError> {
        let (a, b) = (self.draft.dims(a), self.draft.dims(b));
        let fail = || self.args.node.shape_error(format!("{a:?} and {b:?} do not broadcast"));
        let dims = layout::broadcast_dims(a, b).filter(|_| a.len() == b.len()).ok_or_else(fail)?;
        let narrow = |own: &[usize]| {
            let (channel, space) = own.split_first().unwrap_or((&1, &[]));
            let (wide, wide_space) = dims.split_first().unwrap_or((&1, &[]));
            (channel == wide || *channel == 1) && (space == wide_space || space.iter().all(|&d| d == 1))
        };
        if narrow(a) && narrow(b) { Ok(dims) } else { Err(fail()) }
    }
}
