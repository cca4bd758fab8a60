//! Graph and methods to a program.
//!
//! The backward part is planned first: it says which values and which bits it reads. The forward part then leaves
//! those and no more. Elementwise nodes become stages of the kernel before them wherever that has one user, or else the
//! prologue of the kernel after them, and what such a prologue computes is not stored. Images, baselines and maps are in planes
//! outside; a step brings each into the order of its buffer, or out of it.

mod audit;
mod backward;
mod chain;
mod forward;
mod message;
mod paint;
mod planes;
mod readout;
mod relevance;
mod repack;
mod space_to_depth;
mod stabiliser;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::graph::{Graph, ValueId};
use crate::method::{Completeness, Method, Readout, Sampling};
use crate::program::{
    Buffer, BufferId, Element, Kernel, Layout, Operand, Per, Phase, Port, Program, Stage, Step, View, Weight, slots,
};
use crate::rule::{Composite, Rule, RuleOptions};
use audit::Audit;
use backward::Stops;
use chain::Chains;
use message::Producers;
pub use paint::{Painting, paint};
use space_to_depth::Blocks;
use stabiliser::Known;
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
    /// What the rules absorb, or where they fall back, is summed too: two small steps a layer.
    pub audit: bool,
}

impl Pass {
    /// A method's map at the resolution of the input, audited where its sum is promised.
    pub fn of(method: &Method, layer: Option<ValueId>) -> Self {
        let audit = method.sampling == Sampling::Once && method.completeness != Completeness::None;
        Self { composite: method.composite, readout: method.readout, layer, upsample: true, audit }
    }
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
    /// The messages of an image are those of its greatest logits, which the program finds; without it the caller writes them.
    pub ranked: bool,
}

impl Batch {
    /// One message and no baseline of its own for every image.
    pub fn of(images: usize) -> Self {
        Self { images, references: 1, messages_per_image: 1, repeat: false, ranked: false }
    }
}

/// A node for which the rules asked for have no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{node}: {op} has no {rule} rule ({reason}); choose another --method")]
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
    let (folded, blocks) = space_to_depth::fold(graph, passes);
    let graph = &repack::insert(&folded);
    let mut planner = Planner::new(graph, blocks, *options, passes);
    let maps = planner.backward_part(passes)?;
    Ok(planner.finish(maps, batch))
}

/// One composite's way back.
struct Run {
    composite: &'static Composite,
    stops: Stops,
    audit: bool,
}

pub(crate) struct Planner<'a> {
    graph: &'a Graph,
    /// How the caller's image lies in the graph's input.
    blocks: Blocks,
    options: RuleOptions,
    layouts: Vec<Layout>,
    chains: Chains,
    buffers: Vec<Buffer>,
    image: Side,
    reference: Option<Side>,
    seeds: Option<Port>,
    /// Maps that steps move to where the caller reads them.
    left: Vec<(View, Port)>,
    /// Steps of the backward part, and which of them writes each buffer.
    steps: Vec<Step>,
    producers: Producers,
    /// What the backward part reads of forward values beside themselves: steps at the end of the forward part.
    prepared: Vec<Step>,
    /// Root mean squares that steps leave.
    rms: BTreeMap<Known, View>,
    /// Of the run that is being planned.
    audit: Audit,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, blocks: Blocks, options: RuleOptions, passes: &[Pass]) -> Self {
        let layouts = values::layouts(graph);
        let chains = Chains::new(graph, &layouts);
        let mut buffers = Vec::new();
        let image = Side::new(graph, &layouts, &chains, Per::Image, &mut buffers);
        let needs_reference = passes.iter().any(|pass| pass.composite.needs_reference);
        let reference = needs_reference.then(|| Side::new(graph, &layouts, &chains, Per::Reference, &mut buffers));
        let mut planner = Self {
            graph,
            blocks,
            options,
            layouts,
            chains,
            buffers,
            image,
            reference,
            seeds: None,
            left: Vec::new(),
            steps: Vec::new(),
            producers: Producers::default(),
            prepared: Vec::new(),
            rms: BTreeMap::new(),
            audit: Audit::Off,
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
        let (per, element) = (Per::Message, Element::from(self.graph.precision));
        self.buffers.push(Buffer { name: name.to_owned(), per, element, height, width, channels });
        View { buffer: id, offset: 0, channels }
    }

    /// A value as an operand of the backward part: what a prologue computed and nobody stored is computed again.
    fn recall(&self, side: &Side, value: ValueId) -> Operand {
        match self.chains.scaled(self.graph, value) {
            Some((affine, x)) => {
                let scale_shift = Some(forward::scale_shift(affine, &self.layouts[x.0]));
                Operand { scale_shift, ..side.read(x).into() }
            }
            None => side.read(value).into(),
        }
    }

    /// Appends a step of the backward part, without a prologue.
    fn emit(
        &mut self,
        label: &str,
        kernel: Kernel,
        inputs: Vec<View>,
        weights: Vec<Weight>,
        output: View,
        stages: Vec<Stage>,
    ) {
        self.append(Step { label: label.to_owned(), kernel, inputs, weights, output, prologue: None, stages });
    }

    fn append(&mut self, step: Step) {
        self.producers.record(&step, self.steps.len());
        self.steps.push(step);
    }

    /// The backward part of every distinct composite, then every readout. Of every pass its map and its audit.
    fn backward_part(&mut self, passes: &[Pass]) -> Result<Vec<(Port, Option<Port>)>, PlanError> {
        let layers = passes.iter().map(|pass| self.layer_of(pass)).collect::<Result<Vec<_>, _>>()?;
        let mut runs: Vec<Run> = Vec::new();
        let mut stop_at = |composite: &'static Composite, value: ValueId, audit: bool| {
            let known = runs.iter().position(|run| std::ptr::eq(run.composite, composite));
            let at = known.unwrap_or_else(|| {
                runs.push(Run { composite, stops: Stops::new(), audit: false });
                runs.len() - 1
            });
            *runs[at].stops.entry(value).or_default() += 1;
            runs[at].audit |= audit;
        };
        for (pass, layer) in passes.iter().zip(&layers) {
            if let Some(layer) = layer {
                stop_at(&crate::rule::GRADIENT, *layer, false);
            }
            if !pass.readout.is_cam() {
                stop_at(pass.composite, self.graph.input, pass.audit);
            }
        }
        let (mut arrived, mut audits) = (Vec::new(), Vec::new());
        for Run { composite, stops, audit } in &runs {
            let rules: Vec<Rule> = composite.assign(self.graph, &self.options);
            self.audit = if *audit { Audit::On(BTreeMap::new()) } else { Audit::Off };
            arrived.push((*composite, self.run_back(&rules, stops)?));
            audits.push((*composite, self.close_audit()));
        }
        let mut maps = Vec::new();
        for (pass, layer) in passes.iter().zip(layers) {
            let of_pass = |(composite, _): &&(&'static Composite, _)| std::ptr::eq(*composite, pass.composite);
            let audit = audits.iter().find(of_pass).filter(|_| pass.audit).and_then(|(_, port)| port.clone());
            maps.push((self.read_out(pass, layer, &mut arrived)?, audit));
        }
        Ok(maps)
    }

    /// The step that finds the seeds.
    fn rank_seeds(&self) -> Option<Step> {
        let output = self.seeds.as_ref()?.view;
        let logits = self.graph.output;
        let (inputs, weights) = (vec![self.image.view(logits)], vec![forward::mask(&self.layouts[logits.0])]);
        let (label, kernel) = ("seeds".to_owned(), Kernel::RankSeeds);
        Some(Step { label, kernel, inputs, weights, output, prologue: None, stages: Vec::new() })
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

    /// Puts the reference part and the forward part in front and assigns slots.
    fn finish(mut self, maps: Vec<(Port, Option<Port>)>, batch: Batch) -> Program {
        let graph = self.graph;
        let ports = |side: &Side| [graph.input, graph.output].map(|value| self.port(value, side.view(value)));
        let (of_image, of_reference) = (ports(&self.image), self.reference.as_ref().map(ports));
        let (mut steps, mut table) = (Vec::new(), None);
        let mut emit = |label: &str, side: &Side, [input, logits]: [Port; 2]| {
            let planes = planes::planes(&input, &mut self.buffers);
            let table = table.get_or_insert_with(|| planes::table(&self.blocks.order(), &planes, &input));
            steps.push(planes::moved(label, &planes, &input, Arc::clone(table)));
            forward::emit(graph, &self.layouts, &self.chains, side, &mut steps);
            (planes, logits, steps.len())
        };
        let reference = self.reference.as_ref().zip(of_reference).map(|(side, ports)| emit("baseline", side, ports));
        let (input, logits, _) = emit("image", &self.image, of_image);
        let forward_from = reference.as_ref().map_or(0, |(.., end)| *end);
        let (reference, reference_logits) = reference.map(|(input, logits, _)| (input, logits)).unzip();
        steps.append(&mut self.prepared);
        let backward_from = steps.len();
        steps.extend(self.rank_seeds().filter(|_| batch.ranked));
        steps.append(&mut self.steps);
        let (outputs, audits) = maps.into_iter().unzip();

        let mut program = Program {
            images: batch.images,
            references: batch.references,
            messages_per_image: batch.messages_per_image,
            steps,
            forward_from,
            backward_from,
            input,
            reference,
            logits,
            reference_logits,
            buffers: self.buffers,
            seeds: self.seeds,
            outputs,
            audits,
            slots: slots::Slots::default(),
        };
        let mut pinned: BTreeSet<usize> = program.ports().map(|port| port.view.buffer.0).collect();
        // What enters and leaves is never a half.
        pinned.iter().for_each(|&port| program.buffers[port].element = Element::Float);
        // A baseline that images share outlasts batches.
        if batch.references == 1 || batch.repeat {
            pinned.extend(program.left_by(Phase::Reference));
        }
        if batch.repeat {
            pinned.extend(program.left_by(Phase::Forward));
        }
        let pinned: Vec<usize> = pinned.into_iter().collect();
        let lives = slots::lifetimes(program.buffers.len(), &program.steps, &pinned);
        program.slots = slots::assign(&program.buffers, &lives, |per| program.count(per));
        program
    }
}
