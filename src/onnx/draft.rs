//! The graph while it is rewritten: ranks other than an image's, and operators that may turn out not to matter.

use std::collections::HashMap;

use super::ImportError;
use crate::graph::{Constant, Op, Shape, ValueId};

#[derive(Default)]
pub(super) struct Draft {
    pub values: Vec<DraftValue>,
    /// In topological order.
    pub nodes: Vec<DraftNode>,
    /// Values that another one took the place of.
    moved: HashMap<ValueId, ValueId>,
    /// Names of nodes, values and layers that were merged into a value.
    pub merged: Vec<(String, ValueId)>,
    /// Paths of the file that were shortened, with the node they belong to.
    pub long_paths: Vec<(String, String)>,
    pub notes: Vec<String>,
}

pub(super) struct DraftValue {
    pub name: String,
    /// For one image, without the batch; `None` after an operator that was not understood.
    pub dims: Option<Vec<usize>>,
}

pub(super) struct DraftNode {
    pub step: Step,
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
    pub name: String,
    pub path: String,
    /// The operator in the file.
    pub source: String,
}

pub(super) enum Step {
    Op(Op),
    /// The same elements in the same order under other dimensions.
    View(&'static str),
    /// Constant padding: top, left, bottom, right.
    Pad {
        pads: [usize; 4],
        fill: f64,
    },
    Erf,
    /// Softmax or LogSoftmax.
    Softmax,
    /// What to report if the output depends on this node.
    Failed(ImportError),
    /// Reads the result of a failed node.
    Blind,
}

impl Draft {
    pub fn add_value(&mut self, name: impl Into<String>, dims: Option<Vec<usize>>) -> ValueId {
        self.values.push(DraftValue { name: name.into(), dims });
        ValueId(self.values.len() - 1)
    }

    pub fn name(&self, id: ValueId) -> &str {
        self.values.get(id.0).map_or("", |value| &value.name)
    }

    pub fn is_known(&self, id: ValueId) -> bool {
        self.values.get(id.0).is_some_and(|value| value.dims.is_some())
    }

    pub fn dims(&self, id: ValueId) -> &[usize] {
        self.values.get(id.0).and_then(|value| value.dims.as_deref()).unwrap_or(&[])
    }

    pub fn set_dims(&mut self, id: ValueId, dims: Vec<usize>) {
        if let Some(value) = self.values.get_mut(id.0) {
            value.dims = Some(dims);
        }
    }

    pub fn shape(&self, id: ValueId) -> Shape {
        shape_of(self.dims(id))
    }

    /// The value that carries what `id` carried.
    pub fn resolve(&self, mut id: ValueId) -> ValueId {
        while let Some(&next) = self.moved.get(&id) {
            id = next;
        }
        id
    }

    /// Names that lead to the node's layer.
    pub fn record(&mut self, name: &str, path: &str, to: ValueId) {
        self.merged.push((name.to_owned(), to));
        if !path.is_empty() {
            self.merged.push((path.to_owned(), to));
        }
    }

    /// Lets every reader of `from` read `to`, which is made earlier.
    pub fn replace(&mut self, from: ValueId, to: ValueId) {
        if from == to {
            return;
        }
        for input in self.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if *input == from {
                *input = to;
            }
        }
        self.moved.insert(from, to);
    }

    /// Marks `from` as carried by `to` without touching readers (there are none left, or they are rewritten elsewhere).
    pub fn carry(&mut self, from: ValueId, to: ValueId) {
        if from != to && self.resolve(to) != from {
            self.moved.insert(from, to);
        }
    }

    /// Removes node `i`; its names and its output lead to `to`.
    pub fn merge_node(&mut self, i: usize, to: ValueId) {
        let Some(node) = self.nodes.get_mut(i) else { return };
        let (name, path, output) = (std::mem::take(&mut node.name), std::mem::take(&mut node.path), node.output);
        node.inputs.clear();
        node.step = Step::Blind;
        self.record(&name, &path, to);
        self.replace(output, to);
    }

    /// Lets each of two nodes have the other's name.
    pub fn swap_names(&mut self, a: usize, b: usize) {
        let name = |node: Option<&mut DraftNode>| node.map_or_else(String::new, |node| std::mem::take(&mut node.name));
        let [of_a, of_b] = [a, b].map(|i| name(self.nodes.get_mut(i)));
        for (i, name) in [(a, of_b), (b, of_a)] {
            if let Some(node) = self.nodes.get_mut(i) {
                node.name = name;
            }
        }
    }

    /// For every value, the node that makes it.
    pub fn producers(&self) -> HashMap<ValueId, usize> {
        self.nodes.iter().enumerate().map(|(i, node)| (node.output, i)).collect()
    }

    /// For every value, the nodes that read it, one entry per use.
    pub fn users(&self) -> HashMap<ValueId, Vec<usize>> {
        let mut users: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                users.entry(input).or_default().push(i);
            }
        }
        users
    }

    pub fn op(&self, i: usize) -> Option<&Op> {
        match &self.nodes.get(i)?.step {
            Step::Op(op) => Some(op),
            _ => None,
        }
    }

    pub fn op_mut(&mut self, i: usize) -> Option<&mut Op> {
        match &mut self.nodes.get_mut(i)?.step {
            Step::Op(op) => Some(op),
            _ => None,
        }
    }

    /// Which nodes `output` depends on.
    pub fn ancestors(&self, output: ValueId) -> Vec<bool> {
        let producers = self.producers();
        let mut needed = vec![false; self.nodes.len()];
        let mut pending = vec![output];
        while let Some(value) = pending.pop() {
            let Some(&i) = producers.get(&value) else { continue };
            if let (Some(needed), Some(node)) = (needed.get_mut(i), self.nodes.get(i))
                && !std::mem::replace(needed, true)
            {
                pending.extend(&node.inputs);
            }
        }
        needed
    }

    /// Drops what `output` does not depend on.
    pub fn drop_dead(&mut self, output: ValueId) {
        let mut needed = self.ancestors(self.resolve(output)).into_iter();
        self.nodes.retain(|_| needed.next().unwrap_or(false));
    }
}

/// Channels are the first dimension of an image, whatever the rank.
pub(super) fn shape_of(dims: &[usize]) -> Shape {
    match dims {
        [] => Shape::new(1, 1, 1),
        [c] => Shape::new(*c, 1, 1),
        [c, h] => Shape::new(*c, *h, 1),
        [c, h, rest @ ..] => Shape::new(*c, *h, rest.iter().product()),
    }
}

/// A per-channel constant that is one number.
pub(super) fn uniform(constant: &Constant) -> Option<f64> {
    let mut values = constant.iter();
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
