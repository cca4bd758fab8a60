//! The way back from the logits, node by node, by the rules of one composite.

use std::collections::{BTreeMap, BTreeSet};

use super::forward::{backward_kernel, conv_weights, mask, operand, physical_table, slope};
use super::message::{Meaning, Message};
use super::{PlanError, Planner};
use crate::graph::{Activation, Affine, Graph, Op, Pool, PoolKind, Rearrange, ValueId};
use crate::program::{Kernel, Operand, Part, Stage, View, Weight};
use crate::rule::Rule;

/// Values at which messages are read, and by how many readouts.
pub type Stops = BTreeMap<ValueId, usize>;

/// The message that arrived at each stop.
pub type Arrived = BTreeMap<ValueId, (View, Meaning)>;

impl Planner<'_> {
    /// Sends the seeds back to the stops and no further.
    pub fn run_back(&mut self, rules: &[Rule], stops: &Stops) -> Result<Arrived, PlanError> {
        let graph = self.graph;
        let wanted = downstream(graph, stops);
        let mut waiting: BTreeMap<ValueId, Vec<Message>> = BTreeMap::new();
        let mut arrived = Arrived::new();
        let Some(seeds) = self.seeds.as_ref().map(|port| port.view) else { return Ok(arrived) };
        self.producers.claim(seeds);
        waiting.insert(graph.output, vec![Message::new(seeds, Meaning::Multiplier(graph.output))]);
        for i in (0..graph.nodes.len()).rev() {
            let node = &graph.nodes[i];
            let Some(message) = self.arrive(node.output, &mut waiting, stops, &mut arrived) else { continue };
            if !node.inputs.iter().any(|input| wanted.contains(input)) {
                continue;
            }
            for (input, message) in self.through(i, rules[i], message)? {
                if wanted.contains(&input) {
                    waiting.entry(input).or_default().push(message);
                }
            }
        }
        self.arrive(graph.input, &mut waiting, stops, &mut arrived);
        Ok(arrived)
    }

    /// Sums what waits at a value; at a stop the sum is computed and recorded.
    fn arrive(
        &mut self,
        value: ValueId,
        waiting: &mut BTreeMap<ValueId, Vec<Message>>,
        stops: &Stops,
        arrived: &mut Arrived,
    ) -> Option<Message> {
        let messages = waiting.remove(&value)?;
        let name = self.graph.value(value).name.clone();
        let message = self.total(value, messages, &name)?;
        let Some(readers) = stops.get(&value) else { return Some(message) };
        let meaning = message.meaning;
        let view = self.materialise(message, &name);
        arrived.insert(value, (view, meaning));
        // The input's only reader may work on the message where it is.
        if value != self.graph.input || *readers > 1 {
            self.producers.claim(view);
        }
        Some(Message::new(view, meaning))
    }

    /// The messages at the inputs of a node, for the message at its output.
    fn through(&mut self, i: usize, rule: Rule, message: Message) -> Result<Vec<(ValueId, Message)>, PlanError> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let x = node.inputs[0];
        match (&node.op, rule) {
            (Op::Concat, _) => Ok(self.split(i, message)),
            (Op::Rearrange(rearrange), _) => self.move_back(i, rearrange, message),
            (Op::Activation(_), Rule::Pass) => Ok(vec![(x, self.pass_activation(i, message))]),
            (Op::Activation(activation), _) => Ok(vec![(x, self.factor(i, activation, rule, message))]),
            (Op::Affine(affine), Rule::Pass) => Ok(vec![(x, self.pass_affine(i, affine, message))]),
            (Op::Conv2d(conv), Rule::Relevance(groups)) if groups != crate::rule::EPSILON => {
                Ok(vec![(x, self.redistribute(i, conv, groups, message))])
            }
            (Op::Pool(pool), _) if pool.kind == PoolKind::Max => Ok(vec![(x, self.max_pool(i, pool, rule, message))]),
            (Op::Mul, _) => Ok(self.product(i, rule, message)),
            (Op::LayerNorm { epsilon }, _) => Ok(vec![(x, self.normalised_back(i, *epsilon, rule, message)?)]),
            (_, Rule::Relevance(_)) => {
                let share = self.epsilon(i, message);
                self.transpose(i, share)
            }
            (_, Rule::Gradient | Rule::Rescale) => self.transpose(i, message),
            (op, rule) => Err(PlanError::NoRule {
                node: node.label().to_owned(),
                op: op.name(),
                rule: rule.name(),
                reason: "the composite gives it a rule for another kind of node",
            }),
        }
    }

    /// The transpose of a node that is linear in its inputs.
    fn transpose(&mut self, i: usize, message: Message) -> Result<Vec<(ValueId, Message)>, PlanError> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let x = node.inputs[0];
        match &node.op {
            Op::Affine(affine) => {
                let factor = Weight::channel(&affine.scale, Part::All, &self.layouts[x.0]);
                Ok(vec![(x, message.then(Stage::Scale { factor }).meaning(Meaning::Multiplier(x)))])
            }
            Op::Add { negative } => Ok(self.sum(i, *negative, message)),
            Op::Conv2d(conv) => {
                let weights =
                    conv_weights(conv, Part::All, Part::Zero, &self.layouts[x.0], &self.layouts[node.output.0]);
                Ok(vec![(x, self.kernel_back(i, backward_kernel(conv), weights, message))])
            }
            Op::Pool(pool) => {
                let kernel = Kernel::PoolAverageBackward { pool: pool.clone() };
                Ok(vec![(x, self.kernel_back(i, kernel, Vec::new(), message))])
            }
            Op::Resize(resize) => {
                let kernel = Kernel::UpsampleBilinearBackward(resize.clone());
                Ok(vec![(x, self.kernel_back(i, kernel, Vec::new(), message))])
            }
            op => Err(PlanError::NoRule {
                node: node.label().to_owned(),
                op: op.name(),
                rule: "transpose",
                reason: "it is not linear",
            }),
        }
    }

    /// Runs the message through a kernel to the shape of the node's first input.
    pub fn kernel_back(&mut self, i: usize, kernel: Kernel, weights: Vec<Weight>, message: Message) -> Message {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let x = node.inputs[0];
        let from = self.materialise(message, node.label());
        let output = self.buffer_like(x, &format!("m.{}", graph.value(x).name));
        self.emit(node.label(), kernel, vec![from], weights, output, Vec::new());
        Message::new(output, Meaning::Multiplier(x))
    }

    /// A concatenation: every member gets its channels, which are its own.
    fn split(&mut self, i: usize, message: Message) -> Vec<(ValueId, Message)> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let message = self.in_terms_of(node.output, message);
        let relevance = message.meaning == Meaning::Relevance;
        let whole = self.materialise(message, node.label());
        let mut offset = whole.offset;
        let mut parts = Vec::new();
        for &member in &node.inputs {
            let channels = self.layouts[member.0].physical();
            let meaning = if relevance { Meaning::Relevance } else { Meaning::Multiplier(member) };
            parts.push((member, Message::new(View { offset, channels, ..whole }, meaning)));
            offset += channels;
        }
        parts
    }

    /// Elements return to where they came from; one that went to several places gets the sum.
    fn move_back(
        &mut self,
        i: usize,
        rearrange: &Rearrange,
        message: Message,
    ) -> Result<Vec<(ValueId, Message)>, PlanError> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (x, y) = (node.inputs[0], node.output);
        let inverses = inverse_tables(&rearrange.table, graph.shape(x).len());
        if inverses.len() > MOST_COPIES {
            let (node, op, rule) = (node.label().to_owned(), rearrange.name, "transpose");
            return Err(PlanError::NoRule { node, op, rule, reason: "it repeats elements too often" });
        }
        let message = self.in_terms_of(y, message);
        let meaning = if message.meaning == Meaning::Relevance { Meaning::Relevance } else { Meaning::Multiplier(x) };
        let from = self.materialise(message, node.label());
        self.producers.claim(from);
        let mut moved = Vec::new();
        for inverse in inverses {
            let to = (graph.shape(x), &self.layouts[x.0]);
            let table = physical_table(&inverse, (graph.shape(y), &self.layouts[y.0]), to).into();
            let part = Message::new(from, meaning);
            moved.push(self.kernel_back(i, Kernel::Rearrange { table, fill: 0.0 }, Vec::new(), part).meaning(meaning));
        }
        Ok(self.total(x, moved, node.label()).map(|message| (x, message)).into_iter().collect())
    }

    /// Both summands get the message; one that was broadcast gets the sum over what it was spread on.
    fn sum(&mut self, i: usize, negative: bool, message: Message) -> Vec<(ValueId, Message)> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let view = self.materialise(message, node.label());
        self.producers.claim(view);
        let mut parts = Vec::new();
        for (position, &input) in node.inputs.iter().enumerate() {
            let mut part = self.reduce_to(i, input, Message::new(view, Meaning::Multiplier(input)));
            if negative && position == 1 {
                part = part.then(Stage::Multiply { factor: -1.0 });
            }
            parts.push((input, part));
        }
        parts
    }

    /// A product of two values.
    fn product(&mut self, i: usize, rule: Rule, message: Message) -> Vec<(ValueId, Message)> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let relevance_rule = rule == Rule::Signal;
        let message = if relevance_rule { self.in_terms_of(node.output, message) } else { message };
        let (relevance, shares) = match relevance_rule {
            true => (message.meaning == Meaning::Relevance, signal_shares(graph, a, b)),
            false => (false, [1.0, 1.0]),
        };
        let view = self.materialise(message, node.label());
        self.producers.claim(view);
        let mut parts = Vec::new();
        for ((input, other), share) in [(a, b), (b, a)].into_iter().zip(shares) {
            if share == 0.0 {
                continue;
            }
            let meaning = if relevance { Meaning::Relevance } else { Meaning::Multiplier(input) };
            let mut part = Message::new(view, meaning);
            if !relevance {
                part = part.then(self.other_factor(node.output, other, rule));
            }
            if share != 1.0 {
                part = part.then(Stage::Multiply { factor: share });
            }
            parts.push((input, self.reduce_to(i, input, part)));
        }
        parts
    }

    /// The other factor of a product: its value, or DeepLIFT's mean of its two values.
    fn other_factor(&mut self, result: ValueId, other: ValueId, rule: Rule) -> Stage {
        let operand = self.operand_at(other, result);
        match (&self.reference, rule) {
            (Some(reference), Rule::Rescale) => {
                let b = Operand { view: reference.read(other), ..operand.clone() };
                Stage::TimesMean { a: operand, b }
            }
            _ => Stage::Times { operand, part: Part::All },
        }
    }

    fn operand_at(&self, value: ValueId, result: ValueId) -> Operand {
        operand(self.image.read(value), self.graph.shape(value), self.graph.shape(result))
    }

    /// Sums a message over the pixels or channels on which `input` was spread.
    fn reduce_to(&mut self, i: usize, input: ValueId, message: Message) -> Message {
        let graph = self.graph;
        let (small, full) = (graph.shape(input), graph.shape(graph.nodes[i].output));
        if small == full {
            return message;
        }
        let (label, meaning) = (graph.nodes[i].label(), message.meaning);
        let mut view = self.materialise(message, label);
        let channels = self.layouts[input.0].physical();
        if small.channels < full.channels {
            let ones = self.new_buffer(label, full.height, full.width, view.channels);
            let stages = vec![Stage::Take { part: Part::One }];
            self.emit(label, Kernel::ActivationBackward, vec![view], Vec::new(), ones, stages);
            let output = self.new_buffer(label, full.height, full.width, channels);
            self.emit(label, Kernel::CamMix, vec![view, ones], Vec::new(), output, Vec::new());
            view = output;
        }
        if small.area() < full.area() {
            let output = self.new_buffer(label, 1, 1, channels);
            let kernel = Kernel::PoolAverageForward { pool: global_pool(full.height, full.width), sum: true };
            self.emit(label, kernel, vec![view], Vec::new(), output, Vec::new());
            view = output;
        }
        Message::new(view, meaning)
    }

    /// `m -> m f'(z)` and its relatives, one factor a rule.
    fn factor(&mut self, i: usize, activation: &Activation, rule: Rule, message: Message) -> Message {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (z, layout) = (node.inputs[0], &self.layouts[node.output.0]);
        let slope = slope(activation, layout);
        let message = message.meaning(Meaning::Multiplier(z));
        if rule == Rule::Rescale {
            self.audit_rescale(node.label(), z);
        }
        if let (Rule::Rescale, Some(reference)) = (rule, &self.reference) {
            let (z, reference) = (self.recall(&self.image, z), self.recall(reference, z));
            let message = message.then(Stage::Rescale { z, reference, activation: activation.clone(), slope });
            return self.masked(activation, node.output, message);
        }
        let message =
            if matches!(rule, Rule::Guided | Rule::Deconvnet) { message.then(Stage::Positive) } else { message };
        if rule == Rule::Deconvnet {
            return message;
        }
        if !activation.is_two_valued() || self.chains.is_prologue(i) {
            let stage = Stage::Derivative { z: self.recall(&self.image, z), activation: activation.clone() };
            return self.masked(activation, node.output, message.then(stage));
        }
        let bits = self.image.read_bits(self.graph, i, &mut self.buffers).into();
        let (high, low) = match activation {
            Activation::LeakyRelu { slope } => (1.0, *slope),
            Activation::HardSigmoid { alpha, .. } => (*alpha, 0.0),
            _ => (1.0, 0.0),
        };
        message.then(Stage::Gate { bits, high, low, slope })
    }

    /// Padding lanes stay zero where the factor there is not finite.
    pub fn masked(&self, activation: &Activation, value: ValueId, message: Message) -> Message {
        let layout = &self.layouts[value.0];
        match activation {
            Activation::Reciprocal if layout.has_padding() => message.then(Stage::Scale { factor: mask(layout) }),
            _ => message,
        }
    }

    fn max_pool(&mut self, i: usize, pool: &Pool, rule: Rule, message: Message) -> Message {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (x, y) = (node.inputs[0], node.output);
        if rule == Rule::Rescale {
            self.audit_rescale(node.label(), x);
        }
        let message = match rule {
            Rule::Relevance(_) => self.epsilon(i, message),
            _ => self.in_terms_of(y, message),
        };
        let relevance = message.meaning == Meaning::Relevance;
        let winners = self.image.read_winners(i, y, &mut self.buffers);
        let from = self.materialise(message, node.label());
        let output = self.buffer_like(x, &format!("m.{}", graph.value(x).name));
        let (kernel, inputs) = match (rule, &self.reference) {
            (Rule::Rescale, Some(reference)) => {
                let theirs = reference.read_winners(i, y, &mut self.buffers);
                let values = [self.image.read(x), reference.read(x), self.image.read(y), reference.read(y)];
                let inputs = [from].into_iter().chain(values).chain([winners, theirs]).collect();
                (Kernel::PoolMaxRescale { pool: pool.clone() }, inputs)
            }
            _ => (Kernel::PoolMaxBackward { pool: pool.clone() }, vec![from, winners]),
        };
        self.emit(node.label(), kernel, inputs, Vec::new(), output, Vec::new());
        Message::new(output, if relevance { Meaning::Relevance } else { Meaning::Multiplier(x) })
    }

    /// The derivative of a layer normalisation; under LRP that with the deviation taken as constant (Ali et al. 2022), as of
    /// any linear layer.
    fn normalised_back(&mut self, i: usize, epsilon: f64, rule: Rule, message: Message) -> Result<Message, PlanError> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (x, label) = (node.inputs[0], node.label());
        let (message, fixed) = match rule {
            Rule::Relevance(_) => (self.epsilon(i, message), true),
            Rule::Gradient => (message, false),
            rule => {
                let reason = "no factor of one channel accounts for what its deviation changes";
                return Err(PlanError::NoRule {
                    node: label.to_owned(),
                    op: node.op.name(),
                    rule: rule.name(),
                    reason,
                });
            }
        };
        let inputs = vec![self.materialise(message, label), self.image.read(x)];
        let output = self.buffer_like(x, &format!("m.{}", graph.value(x).name));
        let weights = vec![mask(&self.layouts[x.0])];
        self.emit(label, Kernel::LayerNormBackward { epsilon, fixed }, inputs, weights, output, Vec::new());
        Ok(Message::new(output, Meaning::Multiplier(x)))
    }

    fn pass_affine(&mut self, i: usize, affine: &Affine, message: Message) -> Message {
        let node = &self.graph.nodes[i];
        let x = node.inputs[0];
        let scaling = affine.kind == crate::graph::AffineKind::Scale;
        if scaling && message.meaning == Meaning::Multiplier(node.output) {
            let factor = Weight::channel(&affine.scale, Part::All, &self.layouts[x.0]);
            return message.then(Stage::Scale { factor }).meaning(Meaning::Multiplier(x));
        }
        self.as_relevance(message)
    }
}

/// Values from which a stop can be reached going back, the stops themselves included.
fn downstream(graph: &Graph, stops: &Stops) -> BTreeSet<ValueId> {
    let mut reached: BTreeSet<ValueId> = stops.keys().copied().collect();
    for node in &graph.nodes {
        if node.inputs.iter().any(|input| reached.contains(input)) {
            reached.insert(node.output);
        }
    }
    reached
}

/// The share of each factor of a product: the signal's is 1, a gate's 0; two of a kind share evenly.
fn signal_shares(graph: &Graph, a: ValueId, b: ValueId) -> [f64; 2] {
    // Moved or resampled (a mask of an image), a gate is still one.
    let gate = |mut value: ValueId| {
        while let Some(node) = graph.nodes.iter().find(|node| node.output == value) {
            match &node.op {
                Op::Rearrange(_) | Op::Resize(_) => value = node.inputs[0],
                Op::Activation(activation) => {
                    return activation.is_gate() || matches!(activation, Activation::Reciprocal);
                }
                _ => return false,
            }
        }
        false
    };
    match (gate(a), gate(b)) {
        (false, true) => [1.0, 0.0],
        (true, false) => [0.0, 1.0],
        _ => [0.5, 0.5],
    }
}

/// How often a rearrangement may repeat one element.
const MOST_COPIES: usize = 64;

/// Where the input elements of a gather went: the first place of each, then the second of those that have one, ...
fn inverse_tables(table: &[u32], inputs: usize) -> Vec<Vec<u32>> {
    let mut inverses: Vec<Vec<u32>> = vec![vec![Rearrange::FILL; inputs]];
    let mut copies = vec![0usize; inputs];
    for (output, &input) in table.iter().enumerate().filter(|(_, input)| **input != Rearrange::FILL) {
        let copy = copies[input as usize];
        copies[input as usize] += 1;
        if copy == inverses.len() {
            inverses.push(vec![Rearrange::FILL; inputs]);
        }
        if copy <= MOST_COPIES {
            inverses[copy][input as usize] = output as u32;
        }
    }
    inverses
}

/// One window over everything.
pub fn global_pool(height: usize, width: usize) -> Pool {
    Pool::unpadded(PoolKind::Average { include_pad: false }, [height, width])
}
