//! Which value is explained: the logits, unless the caller says otherwise.

use super::ImportError;
use super::build::{Built, Known};
use super::draft::{Draft, Step};
use super::error::{UnsupportedOp, collect};
use crate::graph::{Activation, Op, ValueId};

pub(super) fn choose(built: &mut Built, wanted: Option<&str>) -> Result<ValueId, ImportError> {
    let output = match wanted {
        Some(name) => named(built, name)?,
        None => declared(built)?,
    };
    let is_inner = wanted.is_some_and(|name| !built.outputs.iter().any(|output| output == name));
    let mut output = logits(&mut built.draft, output, is_inner);
    if wanted.is_none() && !is_clean(&built.draft, output) {
        output = last_layer(&mut built.draft, built.input, output).unwrap_or(output);
    }
    report(&mut built.draft, output)?;
    if output == built.input {
        return Err(ImportError::Graph {
            node: "model".to_owned(),
            reason: "the output is the input itself".to_owned(),
        });
    }
    Ok(output)
}

fn declared(built: &mut Built) -> Result<ValueId, ImportError> {
    let data = |name: &String| match built.values.get(name) {
        Some(Known::Data(id)) => Some((name.clone(), *id)),
        _ => None,
    };
    let (name, id) = built.outputs.iter().find_map(data).ok_or_else(|| ImportError::Graph {
        node: "model".to_owned(),
        reason: "no output depends on the image".to_owned(),
    })?;
    if built.outputs.len() > 1 {
        let names = built.outputs.join(", ");
        built
            .draft
            .notes
            .push(format!("of the outputs {names} the graph ends in {name}; --logits NAME chooses another"));
    }
    Ok(id)
}

fn named(built: &Built, name: &str) -> Result<ValueId, ImportError> {
    if let Some(Known::Data(id)) = built.values.get(name) {
        return Ok(*id);
    }
    let nodes = &built.draft.nodes;
    let inside = |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if let Some(node) = nodes.iter().rfind(|n| n.name == name).or_else(|| nodes.iter().rfind(|n| inside(&n.path))) {
        return Ok(node.output);
    }
    let mut known: Vec<&str> = nodes.iter().flat_map(|n| [n.name.as_str(), n.path.as_str()]).collect();
    known.extend(built.outputs.iter().map(String::as_str));
    known.retain(|known| !known.is_empty());
    known.sort_by_key(|known| crate::suggest::distance(known, name));
    known.dedup();
    let nearest = known.into_iter().take(3).map(str::to_owned).collect();
    Err(ImportError::Output { name: name.to_owned(), outputs: built.outputs.clone(), nearest })
}

/// Walks back over a final Softmax, LogSoftmax or Sigmoid, and over views behind it; a sigmoid inside the network stays.
fn logits(draft: &mut Draft, mut output: ValueId, is_inner: bool) -> ValueId {
    let producers = draft.producers();
    let mut at = output;
    while let Some(node) = producers.get(&at).and_then(|&i| draft.nodes.get(i)) {
        let Some(&before) = node.inputs.first() else { break };
        match &node.step {
            Step::View(_) => {}
            Step::Softmax => output = before,
            Step::Op(Op::Activation(Activation::Sigmoid)) if !is_inner => output = before,
            _ => break,
        }
        if output == before {
            draft.notes.push(format!("the final {} is left out: the graph ends in the logits", node.source));
        }
        at = before;
    }
    output
}

fn is_clean(draft: &Draft, output: ValueId) -> bool {
    let bad = |step: &Step| matches!(step, Step::Failed(_) | Step::Blind);
    draft.ancestors(output).into_iter().zip(&draft.nodes).all(|(needed, node)| !needed || !bad(&node.step))
}

/// The output of the last dense layer or convolution, where all of the output depends on it and it is a vector.
fn last_layer(draft: &mut Draft, input: ValueId, output: ValueId) -> Option<ValueId> {
    let layers = ["Conv", "Gemm", "MatMul", "ConvTranspose"];
    let needed = draft.ancestors(output);
    let (last, node) = draft
        .nodes
        .iter()
        .enumerate()
        .zip(needed)
        .filter(|((_, node), needed)| *needed && layers.contains(&node.source.as_str()))
        .map(|(found, _)| found)
        .next_back()?;
    let mut logits = node.output;
    let vector = matches!(node.step, Step::Op(_)) && !draft.shape(logits).is_spatial();
    if !vector || !is_clean(draft, logits) || reaches(draft, output, input, last) {
        return None;
    }
    let users = draft.users();
    while let Some([next]) = users.get(&logits).map(Vec::as_slice)
        && let Some(node) = draft.nodes.get(*next)
        && matches!(node.step, Step::Op(Op::Affine(_)))
    {
        logits = node.output;
    }
    let name = draft.name(logits).to_owned();
    draft.notes.push(format!("what follows the last layer has no rule: the graph ends in {name}"));
    Some(logits)
}

/// Whether `output` depends on `input` by a way around node `without`.
fn reaches(draft: &Draft, output: ValueId, input: ValueId, without: usize) -> bool {
    let producers = draft.producers();
    let mut seen = std::collections::HashSet::new();
    let mut pending = vec![output];
    while let Some(value) = pending.pop() {
        if value == input {
            return true;
        }
        let Some(&i) = producers.get(&value).filter(|&&i| i != without && seen.insert(i)) else { continue };
        pending.extend(draft.nodes.get(i).into_iter().flat_map(|node| &node.inputs));
    }
    false
}

/// All unsupported operators at once, else the first error that the output depends on.
pub(super) fn report(draft: &mut Draft, output: ValueId) -> Result<(), ImportError> {
    let needed = draft.ancestors(output);
    let mut ops: Vec<UnsupportedOp> = Vec::new();
    let mut first = None;
    let mut blind = None;
    for (node, _) in draft.nodes.iter_mut().zip(needed).filter(|(_, needed)| *needed) {
        match std::mem::replace(&mut node.step, Step::Blind) {
            Step::Failed(ImportError::Unsupported { ops: more }) => {
                more.into_iter().for_each(|op| collect(&mut ops, op))
            }
            Step::Failed(error) => first = first.or(Some(error)),
            Step::Blind => blind = blind.or_else(|| Some(node.name.clone())),
            step => node.step = step,
        }
    }
    if !ops.is_empty() {
        return Err(ImportError::Unsupported { ops });
    }
    if let Some(error) = first {
        return Err(error);
    }
    match blind {
        None => Ok(()),
        Some(node) => Err(ImportError::Graph { node, reason: "an input of it could not be computed".to_owned() }),
    }
}
