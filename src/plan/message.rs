//! Messages on their way back: a view, the stages it still has to pass, and what it means.

use std::collections::BTreeMap;

use super::Planner;
use crate::graph::ValueId;
use crate::program::{BufferId, Channels, Kernel, Part, Stage, Step, View};

/// What a message stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A gradient, or relevance divided by this value: relevance is the message times the value.
    Multiplier(ValueId),
    Relevance,
}

/// `stages(view)`, not yet computed.
#[derive(Clone, Debug)]
pub struct Message {
    pub view: View,
    pub stages: Vec<Stage>,
    pub meaning: Meaning,
}

impl Message {
    pub fn new(view: View, meaning: Meaning) -> Self {
        Self { view, stages: Vec::new(), meaning }
    }

    pub fn then(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    pub fn meaning(mut self, meaning: Meaning) -> Self {
        self.meaning = meaning;
        self
    }
}

/// Which step of the backward part writes each buffer, and what of it is read already.
#[derive(Default)]
pub struct Producers {
    step: BTreeMap<BufferId, usize>,
    claimed: BTreeMap<BufferId, Vec<View>>,
}

impl Producers {
    pub fn record(&mut self, step: &Step, at: usize) {
        for view in step.writes() {
            self.step.insert(view.buffer, at);
        }
        step.reads().into_iter().for_each(|view| self.claim(view));
    }

    /// A step of the backward part writes it.
    pub fn makes(&self, view: View) -> bool {
        self.step.contains_key(&view.buffer)
    }

    /// Somebody else reads this view too.
    pub fn claim(&mut self, view: View) {
        let claimed = self.claimed.entry(view.buffer).or_default();
        if !claimed.contains(&view) {
            claimed.push(view);
        }
    }

    fn is_claimed(&self, view: View) -> bool {
        self.claimed.get(&view.buffer).is_some_and(|claimed| claimed.iter().any(|other| other.overlaps(&view)))
    }
}

/// Stages of the backward part that one kernel takes.
const LONGEST: usize = 6;

/// Tensors that one kernel takes. Beside its inputs these are filters, a bias and its result, then those of its stages.
const MOST_TENSORS: usize = 16;

/// Channels that a vector of bits begins at.
const VECTOR: usize = 8;

impl Planner<'_> {
    /// Computes a message: its stages join the kernel that made the view, or become a kernel of their own.
    pub fn materialise(&mut self, message: Message, label: &str) -> View {
        let Message { view, stages, .. } = message;
        if stages.is_empty() {
            return view;
        }
        if let Some(at) = self.extensible(view, &stages) {
            if view != self.steps[at].output {
                return self.extend_within(at, view, stages);
            }
            let claimed = self.producers.is_claimed(view);
            let output = if claimed { self.like(view, label) } else { view };
            let step = &mut self.steps[at];
            if claimed {
                step.stages.push(Stage::Keep { into: view });
                step.output = output;
            }
            step.stages.extend(stages);
            let step = self.steps[at].clone();
            self.producers.record(&step, at);
            return output;
        }
        self.compute(view, stages, label)
    }

    /// Steps of their own for stages: each takes as many as have room beside its input and its result.
    fn compute(&mut self, mut view: View, stages: Vec<Stage>, label: &str) -> View {
        let mut stages = stages.into_iter().peekable();
        while stages.peek().is_some() {
            let (mut taken, mut tensors) = (Vec::new(), 2);
            while let Some(stage) =
                stages.next_if(|stage| taken.is_empty() || tensors + stage.tensors() <= MOST_TENSORS)
            {
                tensors += stage.tensors();
                taken.push(stage);
            }
            let output = self.like(view, label);
            self.emit(label, Kernel::ActivationBackward, vec![view], Vec::new(), output, taken);
            view = output;
        }
        view
    }

    /// Lets step `at` do stages at some of its channels.
    fn extend_within(&mut self, at: usize, view: View, stages: Vec<Stage>) -> View {
        let step = &mut self.steps[at];
        let channels = Channels { first: view.offset - step.output.offset, count: view.channels };
        step.stages.extend(stages.into_iter().map(|stage| Stage::Within { channels, stage: Box::new(stage) }));
        let step = step.clone();
        self.producers.record(&step, at);
        view
    }

    /// A message buffer with the pixels of `view` and just its channels.
    fn like(&mut self, view: View, label: &str) -> View {
        let buffer = &self.buffers[view.buffer.0];
        let (height, width) = (buffer.height, buffer.width);
        self.new_buffer(label, height, width, view.channels)
    }

    /// The step that made `view` as its last result and can take these stages: everything they read exists before it
    /// runs. Of a part of a result nobody may have read anything, for the part is changed in place.
    fn extensible(&self, view: View, stages: &[Stage]) -> Option<usize> {
        let at = *self.producers.step.get(&view.buffer)?;
        let step = &self.steps[at];
        let ready = |v: View| self.producers.step.get(&v.buffer).is_none_or(|&made| made < at);
        let is_whole = step.output == view;
        let is_part = step.output.contains(&view)
            && (view.offset - step.output.offset).is_multiple_of(VECTOR)
            && !self.producers.is_claimed(view);
        let tensors: usize = step.stages.iter().chain(stages).map(Stage::tensors).sum();
        let fits = step.stages.len() + stages.len() < LONGEST && step.inputs.len() + 3 + tensors <= MOST_TENSORS;
        ((is_whole || is_part) && fits && stages.iter().flat_map(Stage::reads).all(ready)).then_some(at)
    }

    /// The sum of all messages that arrived at a value.
    pub fn total(&mut self, value: ValueId, mut messages: Vec<Message>, label: &str) -> Option<Message> {
        let first = messages.first()?.meaning;
        if messages.iter().any(|message| message.meaning != first) {
            messages = messages.into_iter().map(|message| self.as_relevance(message)).collect();
        }
        let meaning = messages.first()?.meaning;
        let latest = (0..messages.len()).max_by_key(|&i| self.producers.step.get(&messages[i].view.buffer).copied())?;
        let mut sum = messages.swap_remove(latest);
        let others: Vec<View> = messages.into_iter().map(|message| self.materialise(message, label)).collect();
        for view in others {
            self.producers.claim(view);
            sum = sum.then(Stage::Add { operand: view.into(), negative: false });
        }
        debug_assert_eq!(sum.view.channels, self.layouts[value.0].physical());
        Some(sum.meaning(meaning))
    }

    /// `R = m x`
    pub fn as_relevance(&mut self, message: Message) -> Message {
        match message.meaning {
            Meaning::Relevance => message,
            Meaning::Multiplier(of) => {
                let operand = self.recall(&self.image, of);
                message.then(Stage::Times { operand, part: Part::All }).meaning(Meaning::Relevance)
            }
        }
    }
}
