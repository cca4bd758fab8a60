//! The forward part: one step a chain, copies for concatenations that are not in place.

use std::sync::LazyLock;

use super::chain::{Chain, Chains};
use super::values::Side;
use crate::graph::{
    Activation, Affine, Constant, Conv2d, ConvKind, Graph, Node, Op, PoolKind, Precision, Rearrange, Shape, ValueId,
};
use crate::program::{
    Arrangement, ConvParams, Kernel, Layout, Operand, Part, Prologue, ScaleShift, Stage, Step, View, Weight,
};

/// Appends the steps of one side in topological order.
pub fn emit(graph: &Graph, layouts: &[Layout], chains: &Chains, side: &Side, steps: &mut Vec<Step>) {
    let emitter = Emitter { graph, layouts, side };
    for (i, node) in graph.nodes.iter().enumerate() {
        match chains.of[i] {
            None => emitter.copies(node, steps),
            Some(_) if chains.is_inside(i) => {}
            Some(chain) => emitter.chain(&chains.chains[chain], steps),
        }
    }
}

struct Emitter<'a> {
    graph: &'a Graph,
    layouts: &'a [Layout],
    side: &'a Side,
}

impl Emitter<'_> {
    /// Members of a concatenation that do not lie in it are copied there.
    fn copies(&self, node: &Node, steps: &mut Vec<Step>) {
        let whole = self.side.view(node.output);
        let mut offset = whole.offset;
        for &member in &node.inputs {
            let from = self.side.view(member);
            let to = View { offset, channels: from.channels, ..whole };
            offset += from.channels;
            if from != to {
                let (kernel, inputs) = (Kernel::ActivationForward, vec![from]);
                let (weights, prologue, stages) = Default::default();
                let label = node.label().to_owned();
                steps.push(Step { label, kernel, inputs, weights, output: to, prologue, stages });
            }
        }
    }

    /// One step, or two where somebody reads what the prologue computes, so that it has to be stored.
    fn chain(&self, chain: &Chain, steps: &mut Vec<Step>) {
        let (before, from_anchor) = chain.nodes.split_at(chain.anchor);
        let mut step = self.step(from_anchor);
        if before.iter().any(|&i| self.side.is_kept(self.graph.nodes[i].output)) {
            steps.push(self.step(before));
        } else if let Some(&first) = before.first() {
            step.inputs[0] = self.side.view(self.graph.nodes[first].inputs[0]);
            step.prologue = Some(self.prologue(before));
        }
        steps.push(step);
    }

    fn prologue(&self, nodes: &[usize]) -> Prologue {
        let mut prologue = Prologue::default();
        for node in nodes.iter().map(|&i| &self.graph.nodes[i]) {
            match &node.op {
                Op::Affine(affine) => {
                    prologue.scale_shift = Some(scale_shift(affine, &self.layouts[node.output.0]));
                }
                Op::Activation(activation) => prologue.activation = Some(activation.clone()),
                _ => unreachable!("{} belongs to no prologue", node.label()),
            }
        }
        prologue
    }

    /// The kernel of the first node with the others as its stages.
    fn step(&self, chain: &[usize]) -> Step {
        let nodes: Vec<&Node> = chain.iter().map(|&i| &self.graph.nodes[i]).collect();
        let mut step = self.anchor(chain[0], nodes[0]);
        for pair in 0..nodes.len() {
            if pair > 0 {
                let value = nodes[pair - 1].output;
                if self.side.is_kept(value) {
                    step.stages.push(Stage::Keep { into: self.side.view(value) });
                }
                self.stages(chain[pair], nodes[pair], value, &mut step.stages);
            }
        }
        let last = nodes[nodes.len() - 1];
        step.output = self.side.view(last.output);
        step.label = nodes.iter().find(|n| matches!(n.op, Op::Conv2d(_))).unwrap_or(&last).label().to_owned();
        step
    }

    /// The kernel of a chain's first node.
    fn anchor(&self, index: usize, node: &Node) -> Step {
        let x = node.inputs[0];
        let mut stages = Vec::new();
        let (mut inputs, mut weights) = (vec![self.side.view(x)], Vec::new());
        let kernel = match &node.op {
            Op::Conv2d(conv) => {
                weights = conv_weights(conv, Part::All, Part::All, &self.layouts[x.0], &self.layouts[node.output.0]);
                forward_kernel(conv)
            }
            Op::LayerNorm { epsilon } => {
                weights = vec![mask(&self.layouts[x.0])];
                Kernel::LayerNormForward { epsilon: *epsilon }
            }
            Op::Pool(pool) if pool.kind == PoolKind::Max => {
                Kernel::PoolMaxForward { pool: pool.clone(), index: self.side.winners.borrow().get(&index).copied() }
            }
            Op::Pool(pool) => Kernel::PoolAverageForward { pool: pool.clone(), sum: false },
            Op::Resize(resize) => Kernel::UpsampleBilinear(resize.clone()),
            Op::Rearrange(rearrange) => self.rearrange(rearrange, x, node.output),
            Op::Activation(_) | Op::Affine(_) => {
                self.stages(index, node, x, &mut stages);
                Kernel::ActivationForward
            }
            Op::Add { .. } | Op::Mul => {
                let full = self.full_operand(node);
                inputs = vec![self.side.view(full)];
                self.stages(index, node, full, &mut stages);
                Kernel::ActivationForward
            }
            Op::Concat => unreachable!("concatenations have no chain"),
        };
        let output = self.side.view(node.output);
        Step { label: String::new(), kernel, inputs, weights, output, prologue: None, stages }
    }

    /// The operand of a sum or product that has the shape of the result.
    fn full_operand(&self, node: &Node) -> ValueId {
        let full = node.inputs.iter().find(|input| self.graph.shape(**input) == self.graph.shape(node.output));
        *full.unwrap_or(&node.inputs[0])
    }

    /// Node `index` as stages on `value`, one of its inputs.
    fn stages(&self, index: usize, node: &Node, value: ValueId, stages: &mut Vec<Stage>) {
        let layout = &self.layouts[node.output.0];
        match &node.op {
            Op::Activation(activation) => {
                if let Some(&into) = self.side.bits.borrow().get(&index) {
                    stages.push(Stage::KeepBits { into, activation: activation.clone() });
                }
                stages.push(Stage::Activate { activation: activation.clone(), slope: slope(activation, layout) });
                if layout.has_padding() && !keeps_zero(activation) {
                    stages.push(Stage::Scale { factor: mask(layout) });
                }
            }
            Op::Affine(affine) => {
                let ScaleShift { scale, shift } = scale_shift(affine, layout);
                stages.push(Stage::Affine { scale, shift });
            }
            Op::Add { negative } => {
                let (first, second) = (node.inputs[0], node.inputs[1]);
                let other = if first == value { second } else { first };
                if *negative && first != value {
                    stages.push(Stage::Multiply { factor: -1.0 });
                    stages.push(Stage::Add { operand: self.operand(other, node.output), negative: false });
                } else {
                    stages.push(Stage::Add { operand: self.operand(other, node.output), negative: *negative });
                }
            }
            Op::Mul => {
                let other = if node.inputs[0] == value { node.inputs[1] } else { node.inputs[0] };
                stages.push(Stage::Times { operand: self.operand(other, node.output), part: Part::All });
            }
            _ => unreachable!("{} is no elementwise node", node.label()),
        }
    }

    fn operand(&self, value: ValueId, result: ValueId) -> Operand {
        operand(self.side.view(value), self.graph.shape(value), self.graph.shape(result))
    }

    fn rearrange(&self, rearrange: &Rearrange, x: ValueId, y: ValueId) -> Kernel {
        let (from, to) = (self.graph.shape(x), self.graph.shape(y));
        let table = physical_table(&rearrange.table, (from, &self.layouts[x.0]), (to, &self.layouts[y.0]));
        Kernel::Rearrange { table: table.into(), fill: rearrange.fill }
    }
}

/// How a value of shape `shape` is read at the elements of one of shape `result`.
pub fn operand(view: View, shape: Shape, result: Shape) -> Operand {
    Operand {
        view,
        one_pixel: shape.area() == 1 && result.area() > 1,
        one_channel: shape.channels == 1 && result.channels > 1,
        scale_shift: None,
    }
}

/// A logical gather table (C, H, W order) for physical elements (H, W, C order) of both sides.
pub fn physical_table(table: &[u32], from: (Shape, &Layout), to: (Shape, &Layout)) -> Vec<u32> {
    let (from_places, to_places) = (from.1.places(), to.1.places());
    let (from_pitch, to_pitch) = (from.1.physical(), to.1.physical());
    let (from_area, to_area) = (from.0.area(), to.0.area());
    let mut physical = vec![Kernel::ZERO; to_area * to_pitch];
    for (channel, &place) in to_places.iter().enumerate() {
        for pixel in 0..to_area {
            let source = table[channel * to_area + pixel];
            physical[pixel * to_pitch + place] = match source {
                Rearrange::FILL => Kernel::FILL,
                source => {
                    let (c, p) = (source as usize / from_area, source as usize % from_area);
                    (p * from_pitch + from_places[c]) as u32
                }
            };
        }
    }
    physical
}

fn params(conv: &Conv2d) -> ConvParams {
    let (kernel, stride, dilation) = (conv.kernel, conv.stride, conv.dilation);
    ConvParams { kernel, stride, dilation, pads: conv.pads, groups: conv.groups }
}

/// The kernel that computes a convolution: of a transposed one, the transpose.
pub fn forward_kernel(conv: &Conv2d) -> Kernel {
    match conv.kind {
        ConvKind::Transposed => Kernel::Conv2dBackward(params(conv)),
        ConvKind::Conv | ConvKind::Dense if conv.is_depthwise() => Kernel::DepthwiseForward(params(conv)),
        ConvKind::Conv | ConvKind::Dense => Kernel::Conv2dForward(params(conv)),
    }
}

/// The kernel that sends messages back through a convolution.
pub fn backward_kernel(conv: &Conv2d) -> Kernel {
    match forward_kernel(conv) {
        Kernel::Conv2dBackward(params) => Kernel::Conv2dForward(params),
        Kernel::DepthwiseForward(params) => Kernel::DepthwiseBackward(params),
        Kernel::Conv2dForward(params) => Kernel::Conv2dBackward(params),
        _ => unreachable!("a convolution has a convolution kernel"),
    }
}

/// The filters of a convolution from `x` to `y`, and its bias where there is one.
pub fn conv_weights(conv: &Conv2d, weight: Part, bias: Part, x: &Layout, y: &Layout) -> Vec<Weight> {
    let &Conv2d { kernel, groups, space_to_depth, .. } = conv;
    let arrangement = match forward_kernel(conv) {
        Kernel::DepthwiseForward(_) => Arrangement::Depthwise { kernel, layout: y.clone() },
        // The weight of a transposed convolution is that of the convolution from y to x.
        Kernel::Conv2dBackward(_) => {
            Arrangement::Conv { kernel, groups, merged: 1, input: y.clone(), output: x.clone(), space_to_depth }
        }
        _ => Arrangement::Conv { kernel, groups, merged: 1, input: x.clone(), output: y.clone(), space_to_depth },
    };
    let filters = Weight { source: conv.weight.clone(), part: weight, arrangement, first: 0 };
    let bias = conv.bias.as_ref().filter(|_| bias != Part::Zero).map(|b| Weight::channel(b, bias, y));
    [filters].into_iter().chain(bias).collect()
}

/// The constants of an affine node.
pub fn scale_shift(affine: &Affine, layout: &Layout) -> ScaleShift {
    ScaleShift {
        scale: Weight::channel(&affine.scale, Part::All, layout),
        shift: Weight::channel(&affine.shift, Part::All, layout),
    }
}

/// The slopes of a PRelu.
pub fn slope(activation: &Activation, layout: &Layout) -> Option<Weight> {
    match activation {
        Activation::PRelu { slope } => Some(Weight::channel(slope, Part::All, layout)),
        _ => None,
    }
}

/// One at real channels, zero in padding lanes.
pub fn mask(layout: &Layout) -> Weight {
    static ONE: LazyLock<Constant> = LazyLock::new(|| Constant::new([1.0], Precision::F32));
    Weight::channel(&ONE, Part::One, layout)
}

/// `f(0) = 0`
pub fn keeps_zero(activation: &Activation) -> bool {
    match activation {
        Activation::Clip { low, high } => *low <= 0.0 && *high >= 0.0,
        Activation::Sigmoid | Activation::HardSigmoid { .. } | Activation::Softplus | Activation::Reciprocal => false,
        Activation::Relu
        | Activation::LeakyRelu { .. }
        | Activation::PRelu { .. }
        | Activation::Elu { .. }
        | Activation::HardSwish
        | Activation::Tanh
        | Activation::Silu
        | Activation::Gelu => true,
    }
}
