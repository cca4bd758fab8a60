//! Where two operands have their channels in different places, or a grouped convolution would meet holes, the value
//! is copied into the dense layout first. So is the image, narrower than all other values, where another one meets it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::values;
use crate::graph::{Graph, Node, Op, Rearrange, Value, ValueId};
use crate::program::Layout;

/// The graph with identity [`Rearrange`] nodes in front of such uses; values keep their ids.
pub fn insert(graph: &Graph) -> Cow<'_, Graph> {
    let layouts = values::layouts(graph);
    let wanted: Vec<(usize, ValueId)> = (0..graph.nodes.len())
        .flat_map(|i| holed_inputs(&graph.nodes[i], &layouts).into_iter().map(move |value| (i, value)))
        .collect();
    if wanted.is_empty() {
        return Cow::Borrowed(graph);
    }
    let mut graph = graph.clone();
    let mut packed: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let mut before: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
    for (i, value) in wanted {
        let output = *packed.entry(value).or_insert_with(|| {
            let output = ValueId(graph.values.len());
            let Value { name, shape } = graph.values[value.0].clone();
            graph.values.push(Value { name: format!("{name}.packed"), shape });
            let table: Arc<[u32]> = (0..shape.len() as u32).collect();
            let op = Op::Rearrange(Rearrange { name: "Repack", table, fill: 0.0 });
            let name = format!("{name}.repack");
            before.entry(i).or_default().push(Node { op, inputs: vec![value], output, name, path: String::new() });
            output
        });
        for input in &mut graph.nodes[i].inputs {
            if *input == value {
                *input = output;
            }
        }
    }
    let nodes = std::mem::take(&mut graph.nodes);
    for (i, node) in nodes.into_iter().enumerate() {
        graph.nodes.extend(before.remove(&i).unwrap_or_default());
        graph.nodes.push(node);
    }
    // A packed operand makes the layout of its result dense, which may meet a holed one further on.
    Cow::Owned(insert(&graph).into_owned())
}

fn holed_inputs(node: &Node, layouts: &[Layout]) -> Vec<ValueId> {
    let holed = |value: &ValueId| !layouts[value.0].is_dense();
    match &node.op {
        Op::Conv2d(conv) if conv.groups > 1 && !conv.is_depthwise() => {
            node.inputs.iter().copied().filter(holed).collect()
        }
        Op::Add { .. } | Op::Mul => {
            let layout = |value: &ValueId| &layouts[value.0];
            let differ = node.inputs.iter().any(|value| layout(value) != layout(&node.inputs[0]));
            let broadcast = node.inputs.iter().any(|value| layout(value).real() != layout(&node.inputs[0]).real());
            let widest = node.inputs.iter().map(|value| layout(value).physical()).max();
            let moves = |value: &ValueId| holed(value) || Some(layout(value).physical()) < widest;
            if differ && !broadcast { node.inputs.iter().copied().filter(moves).collect() } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}
