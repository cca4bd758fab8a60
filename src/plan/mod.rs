//! Graph and methods to a program.
//!
//! The backward part is planned first: it says which values and which bits it reads. The forward part then leaves
//! those and no more. Elementwise nodes become stages of the kernel before them wherever that has one user.

mod backward;
mod chain;
mod forward;
mod message;
mod readout;
mod relevance;
mod repack;
mod values;

use std::collections::BTreeSet;

use crate::graph::{Graph, ValueId};
use crate::method::Readout;
use crate::program::{Buffer, BufferId, Element, Kernel, Layout, Per, Port, Program, Stage, Step, View, Weight, slots};
use crate::rule::{Composite, Rule, RuleOptions};
use backward::Stops;
use chain::Chains;
use message::Producers;
use values::Side;

/// One map to plan: rules, where to stop, how to read.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub composite: &'static Composite,
    pub readout: Readout,
    /// The layer of a CAM readout; without one, the last spatial activation.
    pub layer: Option<ValueId>,
    /// A CAM comes at the resolution of the input, not on its layer's own grid.
    pub upsample: bool,
}

/// How many items of each kind the program works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    pub images: usize,
    /// Baselines: one for all images, or one an image.
    pub references: usize,
    pub messages_per_image: usize,
    /// The backward part may run several times for one forward part.
    pub repeat: bool,
}

impl Batch {
    /// One message and no baseline of its own for every image.
    pub fn of(images: usize) -> Self {
        Self { images, references: 1, messages_per_image: 1, repeat: false }
    }
}

/// A node for which the rules asked for have no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{node}: {op} has no {rule} rule ({reason})")]
    NoRule { node: String, op: &'static str, rule: &'static str, reason: &'static str },
    #[error("CAM needs a head of global average pooling and one dense layer behind {layer}; use grad-cam instead")]
    NoCamHead { layer: String },
    #[error("{method} needs a layer: the network has no activation with spatial extent, name one with --layer")]
    NoLayer { method: &'static str },
    #[error("{layer} has no spatial extent ({shape}); name an earlier one with --layer")]
    FlatLayer { layer: String, shape: String },
}

/// Plans the forward part and, for every pass, a map; `passes` may be empty (logits only).
///
/// # Errors
/// [`PlanError`] names the first node without a rule, before anything runs.
pub fn plan(graph: &Graph, passes: &[Pass], options: &RuleOptions, batch: Batch) -> Result<Program, PlanError> {
    let graph = &repack::insert(graph);
    let mut planner = Planner::new(graph, *options, passes);
    let outputs = planner.backward_part(passes)?;
    Ok(planner.finish(outputs, batch))
}

pub(crate) struct Planner<'a> {
    graph: &'a Graph,
    options: RuleOptions,
    layouts: Vec<Layout>,
    chains: Chains,
    buffers: Vec<Buffer>,
    image: Side,
    reference: Option<Side>,
    seeds: Option<Port>,
    /// Steps of the backward part, and which of them writes each buffer.
    steps: Vec<Step>,
    producers: Producers,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, options: RuleOptions, passes: &[Pass]) -> Self {
        let layouts = values::layouts(graph);
        let chains = Chains::new(graph);
        let mut buffers = Vec::new();
        let image = Side::new(graph, &layouts, &chains, Per::Image, &mut buffers);
        let needs_reference = passes.iter().any(|pass| pass.composite.needs_reference);
        let reference = needs_reference.then(|| Side::new(graph, &layouts, &chains, Per::Reference, &mut buffers));
        let mut planner = Self {
            graph,
            options,
            layouts,
            chains,
            buffers,
            image,
            reference,
            seeds: None,
            steps: Vec::new(),
            producers: Producers::default(),
        };
        if !passes.is_empty() {
            let view = planner.buffer_like(graph.output, "seeds");
            planner.seeds = Some(planner.port(graph.output, view));
        }
        planner
    }

    fn port(&self, value: ValueId, view: View) -> Port {
        let shape = self.graph.shape(value);
        Port { view, layout: self.layouts[value.0].clone(), height: shape.height, width: shape.width }
    }

    /// A message buffer of the shape of a value.
    fn buffer_like(&mut self, value: ValueId, name: &str) -> View {
        let shape = self.graph.shape(value);
        let channels = self.layouts[value.0].physical();
        self.new_buffer(name, shape.height, shape.width, channels)
    }

    fn new_buffer(&mut self, name: &str, height: usize, width: usize, channels: usize) -> View {
        let id = BufferId(self.buffers.len());
        let (per, element) = (Per::Message, Element::Float);
        self.buffers.push(Buffer { name: name.to_owned(), per, element, height, width, channels });
        View { buffer: id, offset: 0, channels }
    }

    /// Appends a step of the backward part.
    fn emit(
        &mut self,
        label: &str,
        kernel: Kernel,
        inputs: Vec<View>,
        weights: Vec<Weight>,
        output: View,
        stages: Vec<Stage>,
    ) {
        let step = Step { label: label.to_owned(), kernel, inputs, weights, output, stages };
        self.producers.record(&step, self.steps.len());
        self.steps.push(step);
    }

    /// The backward part of every distinct composite, then every readout. One port a pass.
    fn backward_part(&mut self, passes: &[Pass]) -> Result<Vec<Port>, PlanError> {
        let layers = passes.iter().map(|pass| self.layer_of(pass)).collect::<Result<Vec<_>, _>>()?;
        let mut runs: Vec<(&'static Composite, Stops)> = Vec::new();
        let mut stop_at = |composite: &'static Composite, value: ValueId| match runs
            .iter_mut()
            .find(|(known, _)| std::ptr::eq(*known, composite))
        {
            Some((_, stops)) => *stops.entry(value).or_default() += 1,
            None => runs.push((composite, Stops::from([(value, 1)]))),
        };
        for (pass, layer) in passes.iter().zip(&layers) {
            if let Some(layer) = layer {
                stop_at(&crate::rule::GRADIENT, *layer);
            }
            if !pass.readout.is_cam() {
                stop_at(pass.composite, self.graph.input);
            }
        }
        let mut arrived = Vec::new();
        for (composite, stops) in &runs {
            let rules: Vec<Rule> = composite.assign(self.graph, &self.options);
            arrived.push((*composite, self.run_back(&rules, stops)?));
        }
        passes.iter().zip(&layers).map(|(pass, layer)| self.read_out(pass, *layer, &mut arrived)).collect()
    }

    fn layer_of(&self, pass: &Pass) -> Result<Option<ValueId>, PlanError> {
        if !pass.readout.needs_layer() {
            return Ok(None);
        }
        let layer = pass
            .layer
            .or_else(|| self.graph.last_spatial_activation())
            .ok_or(PlanError::NoLayer { method: pass.composite.name })?;
        let value = self.graph.value(layer);
        if !value.shape.is_spatial() {
            return Err(PlanError::FlatLayer { layer: value.name.clone(), shape: value.shape.to_string() });
        }
        if pass.readout == Readout::Cam && !readout::has_cam_head(self.graph, layer) {
            return Err(PlanError::NoCamHead { layer: value.name.clone() });
        }
        Ok(Some(layer))
    }

    /// Puts the forward parts in front and assigns slots.
    fn finish(mut self, outputs: Vec<Port>, batch: Batch) -> Program {
        let mut steps = Vec::new();
        let reference = self.reference.take();
        for side in std::iter::once(&self.image).chain(&reference) {
            forward::emit(self.graph, &self.layouts, &self.chains, side, &mut steps);
        }
        let backward_from = steps.len();
        steps.append(&mut self.steps);

        let graph = self.graph;
        let port = |side: &Side, value| self.port(value, side.view(value));
        let (input, logits) = (port(&self.image, graph.input), port(&self.image, graph.output));
        let reference_input = reference.as_ref().map(|side| port(side, graph.input));
        let reference_logits = reference.as_ref().map(|side| port(side, graph.output));

        let ports = [&input, &logits].into_iter().chain(&self.seeds).chain(&outputs);
        let ports = ports.chain(&reference_input).chain(&reference_logits);
        let mut pinned: BTreeSet<usize> = ports.map(|port| port.view.buffer.0).collect();
        if batch.repeat {
            let written: BTreeSet<usize> = steps[..backward_from].iter().flat_map(buffers_written).collect();
            let read = steps[backward_from..].iter().flat_map(|step| step.reads()).map(|view| view.buffer.0);
            pinned.extend(read.filter(|buffer| written.contains(buffer)));
        }
        let pinned: Vec<usize> = pinned.into_iter().collect();
        let lives = slots::lifetimes(self.buffers.len(), &steps, &pinned);
        let mut program = Program {
            images: batch.images,
            references: batch.references,
            messages_per_image: batch.messages_per_image,
            buffers: self.buffers,
            steps,
            backward_from,
            input,
            reference: reference_input,
            logits,
            reference_logits,
            seeds: self.seeds,
            outputs,
            slots: slots::Slots::default(),
        };
        program.slots = slots::assign(&program.buffers, &lives, |per| program.count(per));
        program
    }
}

fn buffers_written(step: &Step) -> Vec<usize> {
    step.writes().into_iter().map(|view| view.buffer.0).collect()
}
