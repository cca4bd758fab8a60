//! From the draft to the graph: constants rounded once, values renumbered, names resolved.

use std::collections::HashMap;

use super::ImportError;
use super::draft::{Draft, Step};
use crate::graph::{Activation, Affine, Constant, Conv2d, Graph, Node, Op, Precision, Value, ValueId};

pub(super) fn graph(
    mut draft: Draft,
    input: ValueId,
    output: ValueId,
    precision: Precision,
) -> Result<Graph, ImportError> {
    let steps = std::mem::take(&mut draft.nodes);
    let mut ids = HashMap::from([(input, ValueId(0))]);
    let mut values = vec![Value { name: draft.name(input).to_owned(), shape: draft.shape(input) }];
    let mut nodes = Vec::with_capacity(steps.len());
    for node in steps {
        let lost = |reason: &str| ImportError::Graph { node: node.name.clone(), reason: reason.to_owned() };
        let Step::Op(op) = node.step else { return Err(lost("it was not lowered")) };
        let inputs: Option<Vec<ValueId>> = node.inputs.iter().map(|id| ids.get(id).copied()).collect();
        let inputs = inputs.ok_or_else(|| lost("an input of it was lost"))?;
        let id = ValueId(values.len());
        ids.insert(node.output, id);
        values.push(Value { name: draft.name(node.output).to_owned(), shape: draft.shape(node.output) });
        let op = rounded(op, precision)
            .ok_or_else(|| lost("a weight is too large for f32 once normalisation is folded in"))?;
        nodes.push(Node { op, inputs, output: id, name: node.name, path: node.path });
    }
    let output = ids.get(&output).copied().ok_or_else(|| ImportError::Graph {
        node: "model".to_owned(),
        reason: "nothing is left between the image and the output".to_owned(),
    })?;
    let aliases = aliases(&draft, &ids, &values, &nodes);
    Ok(Graph { values, nodes, input: ValueId(0), output, precision, aliases, notes: draft.notes })
}

/// Names of merged nodes and values; a layer keeps its own last node where it has one.
fn aliases(
    draft: &Draft,
    ids: &HashMap<ValueId, ValueId>,
    values: &[Value],
    nodes: &[Node],
) -> HashMap<String, ValueId> {
    let mut aliases = HashMap::new();
    let paths = nodes.iter().flat_map(|node| {
        let ends = node.path.match_indices('.').map(|(i, _)| i).chain([node.path.len()]);
        ends.filter_map(|end| node.path.get(..end))
    });
    let mut taken: std::collections::HashSet<&str> = paths.collect();
    taken.extend(values.iter().map(|value| value.name.as_str()));
    taken.extend(nodes.iter().map(|node| node.name.as_str()));
    let mut add = |name: &str, id: ValueId| {
        if let Some(&id) = ids.get(&draft.resolve(id))
            && !name.is_empty()
            && !taken.contains(name)
        {
            aliases.insert(name.to_owned(), id);
        }
    };
    for (i, value) in draft.values.iter().enumerate() {
        add(&value.name, ValueId(i));
    }
    for (name, id) in &draft.merged {
        add(name, *id);
    }
    for (path, name) in &draft.long_paths {
        let merged = || draft.merged.iter().find(|(other, _)| other == name).map(|(_, id)| draft.resolve(*id));
        let own = nodes.iter().find(|node| node.name == *name).map(|node| node.output);
        if let Some(id) = own.or_else(|| merged().and_then(|id| ids.get(&id).copied()))
            && !taken.contains(path.as_str())
        {
            aliases.insert(path.clone(), id);
        }
    }
    aliases
}

/// The operation with its constants in `precision`; `None` where one is not finite then.
fn rounded(op: Op, precision: Precision) -> Option<Op> {
    let round = |constant: Constant| {
        if constant.precision() == precision.arithmetic() {
            return Some(constant);
        }
        let constant = Constant::new(constant.iter(), precision);
        let is_finite = constant.iter().all(f64::is_finite);
        is_finite.then_some(constant)
    };
    Some(match op {
        Op::Conv2d(conv) => {
            let bias = match conv.bias {
                Some(bias) => Some(round(bias)?),
                None => None,
            };
            Op::Conv2d(Conv2d { weight: round(conv.weight)?, bias, ..conv })
        }
        Op::Affine(affine) => Op::Affine(Affine { scale: round(affine.scale)?, shift: round(affine.shift)?, ..affine }),
        Op::Activation(Activation::PRelu { slope }) => Op::Activation(Activation::PRelu { slope: round(slope)? }),
        op => op,
    })
}
