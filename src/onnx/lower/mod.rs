//! From ONNX operators on activations to [`Op`]s, with shapes.

mod activation;
mod arithmetic;
mod conv;
mod dense;
mod norm;
mod pool;
mod resize;
mod turn;
mod window;

use super::ImportError;
use super::args::{Args, Input};
use super::array::{Array, elements};
use super::draft::{Draft, DraftNode, Step};
use super::layout;
use super::moves;
use crate::graph::{Op, Rearrange, ValueId};

/// What a node's outputs are.
pub(super) type Outputs = Vec<ValueId>;

pub(super) struct Lower<'a> {
    pub draft: &'a mut Draft,
    pub args: Args<'a>,
    /// Intermediate values made for this node.
    extra: usize,
}

/// What lowers an operator on activations; others take constants alone.
type Rule<'a> = fn(&mut Lower<'a>) -> Result<Outputs, ImportError>;

/// The rule of an operator, if it has one.
pub(super) fn rule<'a>(op: &str) -> Option<Rule<'a>> {
    Some(match op {
        "Conv" => |lower| lower.conv().map(single),
        "ConvTranspose" => |lower| lower.conv_transpose().map(single),
        "Gemm" => |lower| lower.gemm().map(single),
        "MatMul" => |lower| lower.matmul().map(single),
        "BatchNormalization" => |lower| lower.batch_norm().map(single),
        "LayerNormalization" => |lower| lower.layer_norm().map(single),
        "MaxPool" | "AveragePool" => |lower| lower.pool().map(single),
        "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" => |lower| lower.global_pool().map(single),
        "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Neg" => |lower| lower.arithmetic().map(single),
        "Concat" => |lower| lower.concat().map(single),
        "Pad" => |lower| lower.pad().map(single),
        "Resize" | "Upsample" => |lower| lower.resize().map(single),
        "Softmax" | "LogSoftmax" => |lower| lower.keep_shape(Step::Softmax).map(single),
        "Erf" => |lower| lower.keep_shape(Step::Erf).map(single),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => |lower| lower.view().map(single),
        "Transpose" | "Slice" | "Split" | "Gather" | "Expand" | "DepthToSpace" | "SpaceToDepth" => Lower::moves,
        "Min" | "Max" => |lower| lower.bound().map(single),
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Clip" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Tanh"
        | "Softplus" | "Reciprocal" | "Gelu" | "Swish" => |lower| lower.activation().map(single),
        _ => return None,
    })
}

fn single(id: ValueId) -> Outputs {
    vec![id]
}

impl<'a> Lower<'a> {
    pub fn new(draft: &'a mut Draft, args: Args<'a>) -> Self {
        Self { draft, args, extra: 0 }
    }

    /// Emits the node; some operators become two or more.
    pub fn run(mut self) -> Result<Outputs, ImportError> {
        match rule(&self.args.node.op) {
            Some(rule) => rule(&mut self),
            None => Err(super::unsupported(self.args.node)),
        }
    }

    /// Appends a step that makes output `slot` of the node.
    fn emit(
        &mut self,
        step: Step,
        inputs: Vec<ValueId>,
        dims: Vec<usize>,
        slot: usize,
    ) -> Result<ValueId, ImportError> {
        if elements(&dims).is_none_or(|count| count == 0) {
            return Err(self.args.node.shape_error(format!("the result would be {dims:?}")));
        }
        let node = self.args.node;
        let name = node.outputs.get(slot).cloned().unwrap_or_default();
        let output = self.draft.add_value(name, Some(dims));
        self.push(step, inputs, output, node.name.clone());
        Ok(output)
    }

    /// Appends a step whose result only later steps of the same node read.
    fn emit_extra(&mut self, step: Step, inputs: Vec<ValueId>, dims: Vec<usize>) -> Result<ValueId, ImportError> {
        if elements(&dims).is_none_or(|count| count == 0) {
            return Err(self.args.node.shape_error(format!("an intermediate result would be {dims:?}")));
        }
        self.extra += 1;
        let name = format!("{}#{}", self.args.node.name, self.extra);
        let output = self.draft.add_value(name.clone(), Some(dims));
        self.push(step, inputs, output, name);
        Ok(output)
    }

    fn push(&mut self, step: Step, inputs: Vec<ValueId>, output: ValueId, name: String) {
        let (path, source) = (self.args.node.path.clone(), self.args.node.op.clone());
        self.draft.nodes.push(DraftNode { step, inputs, output, name, path, source });
    }

    fn keep_shape(&mut self, step: Step) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let dims = self.draft.dims(x).to_vec();
        self.emit(step, vec![x], dims, 0)
    }

    fn op(&mut self, op: Op, x: ValueId, dims: Vec<usize>) -> Result<ValueId, ImportError> {
        self.emit(Step::Op(op), vec![x], dims, 0)
    }

    /// Channels, height and width of an activation that must have all three.
    fn image(&self, x: ValueId) -> Result<[usize; 3], ImportError> {
        match self.draft.dims(x) {
            &[c, h, w] => Ok([c, h, w]),
            dims => {
                Err(self.args.node.shape_error(format!("it needs channels, height and width, the input has {dims:?}")))
            }
        }
    }

    /// Dimensions with a batch of one in front.
    fn batched_dims(&self, x: ValueId) -> Vec<usize> {
        let mut dims = vec![1];
        dims.extend(self.draft.dims(x));
        dims
    }

    fn view(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let mut dims = moves::view(&self.args, &self.batched_dims(x), true)?.unwrap_or_default();
        dims.remove(0);
        let name = match self.args.node.op.as_str() {
            "Reshape" => "Reshape",
            "Flatten" => "Flatten",
            "Squeeze" => "Squeeze",
            _ => "Unsqueeze",
        };
        self.emit(Step::View(name), vec![x], dims, 0)
    }

    fn moves(&mut self) -> Result<Outputs, ImportError> {
        let x = self.args.data(0)?;
        let layouts = moves::moves(&self.args, &self.batched_dims(x), true)?.unwrap_or_default();
        let name = match self.args.node.op.as_str() {
            "Transpose" => "Transpose",
            "Slice" => "Slice",
            "Split" => "Split",
            "Gather" => "Gather",
            "Expand" => "Expand",
            "DepthToSpace" => "DepthToSpace",
            _ => "SpaceToDepth",
        };
        let mut outputs = Vec::new();
        for (slot, layout) in layouts.into_iter().enumerate() {
            let table = Rearrange { name, table: layout.table.into(), fill: 0.0 };
            let (batch, dims) = layout.dims.split_first().unwrap_or((&1, &[]));
            if *batch != 1 {
                return Err(self.args.node.shape_error("it changes the batch"));
            }
            outputs.push(self.emit(Step::Op(Op::Rearrange(table)), vec![x], dims.to_vec(), slot)?);
        }
        Ok(outputs)
    }

    fn concat(&mut self) -> Result<ValueId, ImportError> {
        let inputs = self.args.all_data()?;
        let first = inputs.first().map(|&x| self.draft.dims(x).to_vec()).unwrap_or_default();
        let axis = self.args.axis(self.args.node.int_or("axis", 1)?, first.len() + 1)?;
        if axis != 1 {
            return Err(self.args.node.error(format!("only channels are joined (axis 1), not axis {axis}")));
        }
        let rest = first.get(1..).unwrap_or(&[]);
        let mut channels = 0usize;
        for &x in &inputs {
            let dims = self.draft.dims(x);
            if dims.len() != first.len() || dims.get(1..) != Some(rest) {
                return Err(self.args.node.shape_error(format!("{dims:?} does not join {first:?}")));
            }
            channels += dims.first().copied().unwrap_or(0);
        }
        let mut dims = first;
        if let Some(dim) = dims.first_mut() {
            *dim = channels;
        }
        self.emit(Step::Op(Op::Concat), inputs, dims, 0)
    }

    fn pad(&mut self) -> Result<ValueId, ImportError> {
        let x = self.args.data(0)?;
        let dims = self.batched_dims(x);
        let (pads, fill) = pads(&self.args, &dims)?;
        if pads.first() != Some(&[0, 0]) {
            return Err(self.args.node.shape_error("it pads the batch"));
        }
        let layout =
            moves::pad(&dims, &pads).ok_or_else(|| self.args.node.shape_error(format!("pads {pads:?} of {dims:?}")))?;
        let out = layout.dims.get(1..).unwrap_or(&[]).to_vec();
        if let [_, [0, 0], [top, bottom], [left, right]] = pads.as_slice()
            && let Some(pads) = window::unsigned([*top, *left, *bottom, *right])
        {
            return self.emit(Step::Pad { pads, fill }, vec![x], out, 0);
        }
        let table = Rearrange { name: "Pad", table: layout.table.into(), fill };
        self.op(Op::Rearrange(table), x, out)
    }

    /// One number per channel (dimension 0 of an image), where the constant varies along no other axis.
    fn per_channel(&self, constant: &Array, dims: &[usize]) -> Option<Vec<f64>> {
        let rank = dims.len() + 1;
        let extra = constant.dims.len().saturating_sub(rank);
        if constant.dims.iter().take(extra).any(|&dim| dim != 1) {
            return None;
        }
        let mut own = vec![1; rank.saturating_sub(constant.dims.len())];
        own.extend(constant.dims.iter().skip(extra));
        let values = constant.to_f64();
        let channels = dims.first().copied().unwrap_or(1);
        let (&batch, own) = own.split_first()?;
        let (&own_channels, inner) = own.split_first().unwrap_or((&1, &[]));
        if batch != 1 || (own_channels != 1 && own_channels != channels) {
            return None;
        }
        let inner: usize = inner.iter().product();
        let per: Option<Vec<f64>> = values
            .chunks(inner.max(1))
            .map(|group| group.first().copied().filter(|first| group.iter().all(|v| v == first)))
            .collect();
        match per?.as_slice() {
            [one] => Some(vec![*one; channels]),
            many => Some(many.to_vec()),
        }
    }

    /// Repeats an activation where the constant beside it is larger, e.g. grey to three channels.
    fn spread(&mut self, x: ValueId, constant: &Array) -> Result<ValueId, ImportError> {
        let from = self.batched_dims(x);
        let joined = layout::broadcast_dims(&from, &constant.dims).filter(|to| to.len() == from.len());
        let to = joined.ok_or_else(|| {
            self.args
                .node
                .shape_error(format!("an activation {from:?} and a constant {:?} do not broadcast", constant.dims))
        })?;
        if to == from {
            return Ok(x);
        }
        let layout = (to.first() == Some(&1)).then(|| elements(&to)).flatten().and_then(|_| layout::expand(&from, &to));
        let layout = layout.ok_or_else(|| self.args.node.shape_error("it repeats images"))?;
        let dims = to.get(1..).unwrap_or(&[]).to_vec();
        let table = Rearrange { name: "Expand", table: layout.table.into(), fill: 0.0 };
        self.emit_extra(Step::Op(Op::Rearrange(table)), vec![x], dims)
    }
}

/// `[before, after]` for every axis, and the value to pad with.
pub(super) fn pads(args: &Args<'_>, dims: &[usize]) -> Result<(Vec<[i64; 2]>, f64), ImportError> {
    let node = args.node;
    let mode = node.text("mode")?.unwrap_or("constant");
    if mode != "constant" {
        return Err(super::unsupported_as(node, format!("Pad with mode {mode}")));
    }
    let given = args.ints("pads", 1)?.unwrap_or_default();
    let axes = match args.input(3) {
        Input::Nothing => (0..dims.len()).collect(),
        _ => args.axes(args.required(3)?.as_ints().unwrap_or(&[]), dims.len())?,
    };
    if given.len() != axes.len() * 2 {
        return Err(node.shape_error(format!("{} pads for {} axes", given.len(), axes.len())));
    }
    let (before, after) = given.split_at(axes.len());
    let mut pads = vec![[0, 0]; dims.len()];
    for ((axis, &before), &after) in axes.into_iter().zip(before).zip(after) {
        if let Some(pad) = pads.get_mut(axis) {
            *pad = [before, after];
        }
    }
    let fill = args.number("value", 2)?.unwrap_or(0.0);
    if !fill.is_finite() {
        return Err(node.error(format!("it pads with {fill}")));
    }
    Ok((pads, fill))
}
