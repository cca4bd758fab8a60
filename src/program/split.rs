//! Filters that are too large for a kernel of some device, in parts.
//!
//! A part has some output channels of a filter. Forward, each part computes these channels of the step's output. Backward,
//! where they are summed over, each part adds its sum to that of the parts before it. Both take the same parts, so that these
//! are stored once.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{
    Arrangement, Buffer, BufferId, Element, Kernel, Operand, Phase, Program, Stage, Step, View, Weight, slots,
};

/// A program in place of another, and how many steps it has for each of the other's.
pub struct Split {
    pub program: Program,
    pub steps: Vec<usize>,
}

impl Split {
    /// The program with what `replace` adds to it in place of each step, and slots for all.
    pub(crate) fn of(program: &Program, mut replace: impl FnMut(&mut Program, &Step)) -> Self {
        let mut whole = Program { steps: Vec::new(), ..program.clone() };
        let mut steps = Vec::new();
        for step in &program.steps {
            let before = whole.steps.len();
            replace(&mut whole, step);
            steps.push(whole.steps.len() - before);
        }
        whole.forward_from = steps[..program.forward_from].iter().sum();
        whole.backward_from = steps[..program.backward_from].iter().sum();
        assign(&mut whole);
        Self { program: whole, steps }
    }

    /// The program as it is.
    pub fn none(program: Program) -> Self {
        Self { steps: vec![1; program.steps.len()], program }
    }

    /// What `next` makes of the program, where it makes anything, in place of the same program as before.
    #[must_use]
    pub fn then(self, next: impl FnOnce(&Program) -> Option<Self>) -> Self {
        let Some(Self { program, steps }) = next(&self.program) else { return self };
        let mut steps = steps.into_iter();
        Self { program, steps: self.steps.into_iter().map(|count| steps.by_ref().take(count).sum()).collect() }
    }
}

/// What a part's channels are a multiple of: bits lie together in eights.
const GRAIN: usize = 8;

/// The program with filters of at most `most` values, where it has larger ones. The filters of a grouped convolution, and
/// those of which eight channels are too large, stay whole.
pub fn split(program: &Program, most: usize) -> Option<Split> {
    let is_split = program.steps.iter().any(|step| parts(step, most).len() > 1);
    is_split.then(|| {
        Split::of(program, |whole, step| {
            let parts = parts(step, most);
            match &step.kernel {
                _ if parts.len() < 2 => whole.steps.push(step.clone()),
                Kernel::Conv2dBackward(_) => sums(whole, step, &parts),
                _ => whole.steps.extend(parts.into_iter().map(|range| channels(step, range))),
            }
        })
    })
}

/// Output channels of the parts of a step's filters.
fn parts(step: &Step, most: usize) -> Vec<Range<usize>> {
    let Some(Weight { arrangement: Arrangement::Conv { groups: 1, output, .. }, .. }) = step.weights.first() else {
        return Vec::new();
    };
    let (all, values) = (output.physical(), step.weights[0].physical());
    let fit = most / (values / all).max(1) / GRAIN * GRAIN;
    if values <= most || fit == 0 {
        return Vec::new();
    }
    let size = all.div_ceil(all.div_ceil(fit)).next_multiple_of(GRAIN);
    (0..all).step_by(size).map(|first| first..all.min(first + size)).collect()
}

/// The step for some channels of its output.
fn channels(step: &Step, range: Range<usize>) -> Step {
    Step {
        weights: step.weights.iter().map(|weight| weight.cut(range.clone())).collect(),
        output: step.output.cut(range.clone()),
        stages: step.stages.iter().filter_map(|stage| stage.cut(range.clone())).collect(),
        ..step.clone()
    }
}

/// The step as sums over some of its input's channels at a time.
fn sums(program: &mut Program, step: &Step, parts: &[Range<usize>]) {
    let mut sum: Option<View> = None;
    for (number, range) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let mut weights = vec![step.weights[0].cut(range.clone())];
        let mut stages = Vec::new();
        match sum {
            None => weights.extend(step.weights.iter().skip(1).cloned()),
            Some(view) => stages.push(Stage::Add { operand: Operand::from(view), negative: false }),
        }
        if is_last {
            stages.extend(step.stages.iter().cloned());
        }
        let output = if is_last { step.output } else { partial(program, step) };
        let inputs = vec![step.inputs[0].cut(range.clone())];
        program.steps.push(Step { inputs, weights, stages, output, ..step.clone() });
        sum = Some(output);
    }
}

/// A buffer for what a part of a step comes to.
pub(crate) fn partial(program: &mut Program, step: &Step) -> View {
    let (of, channels) = (program.buffer(step.output), step.output.channels);
    let name = format!("a part of {}", step.label);
    let buffer = Buffer { name, element: Element::Float, channels, ..of.clone() };
    program.buffers.push(buffer);
    View { buffer: BufferId(program.buffers.len() - 1), offset: 0, channels }
}

/// Slots for all buffers; later parts may run several times on what an earlier one left. A buffer that had a slot of its own
/// keeps one, for whoever reads it at the end.
fn assign(program: &mut Program) {
    let left = [Phase::Reference, Phase::Forward].into_iter().flat_map(|phase| program.left_by(phase));
    let slots = &program.slots.of;
    let is_alone = |buffer: &usize| {
        let others = (0..slots.len()).filter(|other| slots[*other] == slots[*buffer]);
        slots[*buffer].is_some() && others.count() == 1
    };
    let alone = (0..slots.len()).filter(is_alone);
    let ports = program.ports().map(|port| port.view.buffer.0);
    let pinned: BTreeSet<usize> = ports.chain(left).chain(alone).collect();
    let pinned: Vec<usize> = pinned.into_iter().collect();
    let lives = slots::lifetimes(program.buffers.len(), &program.steps, &pinned);
    program.slots = slots::assign(&program.buffers, &lives, |per| program.count(per));
}
