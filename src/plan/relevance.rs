//! Layer-wise relevance propagation: the cheap form with multipliers, and the general one by parts.

use super::Planner;
use super::forward::{backward_kernel, conv_weights, forward_kernel, mask, slope};
use super::message::{Meaning, Message};
use crate::graph::{Activation, Constant, Conv2d, Graph, Op, PoolKind, ValueId};
use crate::program::{Kernel, Numerator, Part, Stage, View, Weight};
use crate::rule::{Group, Term};

impl Planner<'_> {
    /// The message as a multiplier of `value`, or as relevance.
    pub fn in_terms_of(&mut self, value: ValueId, message: Message) -> Message {
        match message.meaning {
            Meaning::Multiplier(of) if of != value => self.as_relevance(message),
            _ => message,
        }
    }

    /// Relevance passes an activation: what multiplied `a = f(z)` still does, until a denominator needs `z`.
    pub fn pass_activation(&mut self, i: usize, message: Message) -> Message {
        let output = self.graph.nodes[i].output;
        self.in_terms_of(output, message)
    }

    /// `s = R / (z + eps sgn0(z))` at the output z of node i, from whatever form the message has.
    pub fn epsilon(&mut self, i: usize, message: Message) -> Message {
        let graph = self.graph;
        let output = graph.nodes[i].output;
        let activated = match message.meaning {
            Meaning::Multiplier(of) if of != output => activation_between(graph, output, of).map(|(node, f)| {
                // relu(z) / (z + eps sgn0(z)) is the same function of a = relu(z), which the next layer keeps anyway
                // unless it has a prologue.
                let same = matches!(f, Activation::Relu) && !self.chains.is_prologue(node);
                (if same { of } else { output }, f)
            }),
            _ => None,
        };
        let (message, z, numerator) = match (message.meaning, activated) {
            (Meaning::Multiplier(of), _) if of == output => (message, output, Numerator::Z),
            (_, Some((z, activation))) => (message, z, Numerator::Activated(activation)),
            _ => (self.as_relevance(message), output, Numerator::One),
        };
        let slope = match &numerator {
            Numerator::Activated(activation) => slope(activation, &self.layouts[output.0]),
            Numerator::One | Numerator::Z => None,
        };
        let label = graph.nodes[i].label();
        let (of, z) = (z, self.recall(&self.image, z));
        let by = self.stabiliser(of, &z, label);
        let (eps, rms) = (by.eps, by.rms.clone());
        let stage = Stage::Epsilon { z: z.clone(), numerator: numerator.clone(), slope, eps, rms };
        let meaning = Meaning::Multiplier(output);
        let message = message.then(stage).meaning(meaning);
        let message = match &numerator {
            Numerator::Activated(activation) => self.masked(activation, output, message),
            Numerator::One | Numerator::Z => message,
        };
        if !self.audits() {
            return message;
        }
        let share = self.materialise(message, label);
        let is_signed = !matches!(&numerator, Numerator::Activated(activation) if is_zero_below(activation));
        self.audit_epsilon(label, share, is_signed.then_some(z), by, self.bias_of(i), 1.0);
        Message::new(share, meaning)
    }

    /// A rule by parts:
    /// `R_in = sum_g factor_g sum_t x_t * W_tᵀ( R / stab( sum_t (W_t x_t + b_t) ) )`.
    pub fn redistribute(&mut self, i: usize, conv: &Conv2d, groups: &[Group], message: Message) -> Message {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (x, label) = (node.inputs[0], node.label());
        let relevance = self.as_relevance(message);
        let relevance = self.materialise(relevance, label);
        self.producers.claim(relevance);
        let positive = is_non_negative(graph, x);
        let mut parts: Vec<Message> = Vec::new();
        for group in groups {
            let terms: Vec<Term> = group.terms.iter().copied().filter(|t| !(positive && t.x == Part::Neg)).collect();
            let inputs: Vec<View> = terms.iter().map(|term| self.part_of(x, term.x, positive, label)).collect();
            let z = self.denominator(i, conv, &terms, &inputs);
            let by = self.stabiliser(node.output, &z.into(), label);
            let (eps, rms) = (by.eps, by.rms.clone());
            let stages = vec![Stage::Epsilon { z: z.into(), numerator: Numerator::One, slope: None, eps, rms }];
            let share = Message { view: relevance, stages, meaning: Meaning::Relevance };
            let share = self.materialise(share, label);
            self.producers.claim(share);
            let part = terms.iter().map(|term| term.bias).find(|part| *part != Part::Zero);
            let bias = conv.bias.as_ref().zip(part);
            let bias = bias.map(|(bias, part)| Weight::channel(bias, part, &self.layouts[node.output.0]));
            self.audit_epsilon(label, share, Some(z.into()), by, bias, group.factor);
            for (term, input) in terms.iter().zip(inputs) {
                let (from, to) = (&self.layouts[x.0], &self.layouts[node.output.0]);
                let weights = conv_weights(conv, term.weight, Part::Zero, from, to);
                let sent = Message::new(share, Meaning::Relevance);
                let mut part = self.kernel_back(i, backward_kernel(conv), weights, sent);
                if term.x == Part::One {
                    part = part.meaning(Meaning::Relevance);
                } else if input != self.image.view(x) {
                    let operand = self.image.read(x).into();
                    part = part.then(Stage::Times { operand, part: term.x }).meaning(Meaning::Relevance);
                }
                if group.factor != 1.0 {
                    part = part.then(Stage::Multiply { factor: group.factor });
                }
                parts.push(part);
            }
        }
        match self.total(x, parts, label) {
            Some(sum) => sum,
            None => unreachable!("a rule has at least one term"),
        }
    }

    /// `sum_t (W_t x_t + b_t)`, one convolution a term, each added to the one before.
    fn denominator(&mut self, i: usize, conv: &Conv2d, terms: &[Term], inputs: &[View]) -> View {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let mut sum: Option<View> = None;
        for (term, &input) in terms.iter().zip(inputs) {
            let (from, to) = (&self.layouts[node.inputs[0].0], &self.layouts[node.output.0]);
            let weights = conv_weights(conv, term.weight, term.bias, from, to);
            let stages = sum.map(|z| Stage::Add { operand: z.into(), negative: false }).into_iter().collect();
            let output = self.image_buffer(node.output, node.label());
            self.emit(node.label(), forward_kernel(conv), vec![input], weights, output, stages);
            sum = Some(output);
        }
        match sum {
            Some(z) => z,
            None => unreachable!("a group has at least one term"),
        }
    }

    /// A part of a value, computed unless it is the value itself.
    fn part_of(&mut self, x: ValueId, part: Part, positive: bool, label: &str) -> View {
        let view = self.image.read(x);
        if part == Part::All || (positive && part == Part::Pos) {
            return view;
        }
        let output = self.image_buffer(x, label);
        let mut stages = vec![Stage::Take { part }];
        if part == Part::One && self.layouts[x.0].has_padding() {
            stages.push(Stage::Scale { factor: mask(&self.layouts[x.0]) });
        }
        self.emit(label, Kernel::ActivationForward, vec![view], Vec::new(), output, stages);
        output
    }

    /// A buffer of the shape of a value, one item an image.
    fn image_buffer(&mut self, value: ValueId, label: &str) -> View {
        let view = self.buffer_like(value, label);
        self.buffers[view.buffer.0].per = crate::program::Per::Image;
        view
    }
}

/// `f` where `a = f(z)`, and its node.
fn activation_between(graph: &Graph, z: ValueId, a: ValueId) -> Option<(usize, Activation)> {
    let at = graph.nodes.iter().position(|node| node.output == a && node.inputs == [z])?;
    match &graph.nodes[at].op {
        Op::Activation(activation) => Some((at, activation.clone())),
        _ => None,
    }
}

/// `f(z) = 0` for every `z < 0`.
fn is_zero_below(activation: &Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::Clip { low: 0.0, high: 0.0.. })
}

/// Nothing in the value can be below zero: what follows ReLU, through pools, concatenations and moves.
fn is_non_negative(graph: &Graph, value: ValueId) -> bool {
    let mut known = vec![false; graph.values.len()];
    let positive = |constant: &Constant| constant.iter().all(|v| v >= 0.0);
    for node in &graph.nodes {
        let inputs = node.inputs.iter().all(|input| known[input.0]);
        known[node.output.0] = match &node.op {
            Op::Activation(activation) => {
                activation.is_non_negative()
                    || inputs && !matches!(activation, Activation::Clip { high, .. } if *high < 0.0)
            }
            Op::Affine(affine) => inputs && positive(&affine.scale) && positive(&affine.shift),
            // A window of padding alone would be minus infinity, which no model has.
            Op::Pool(pool) => inputs && matches!(pool.kind, PoolKind::Max | PoolKind::Average { .. }),
            Op::Add { negative: false } | Op::Mul | Op::Concat | Op::Resize(_) => inputs,
            Op::Rearrange(rearrange) => inputs && rearrange.fill >= 0.0,
            Op::Add { negative: true } | Op::Conv2d(_) | Op::LayerNorm { .. } => false,
        };
    }
    known[value.0]
}
