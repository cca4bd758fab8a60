//! Joined channels: nested lists share their prefix, duplicates are one.

use super::super::draft::{Draft, Step};
use crate::graph::{Op, ValueId};

/// A join that only another join reads is written out in it.
pub(super) fn flatten(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        if !matches!(draft.op(i), Some(Op::Concat)) {
            continue;
        }
        let Some(node) = draft.nodes.get(i) else { continue };
        let (output, inputs) = (node.output, node.inputs.clone());
        let readers: Vec<usize> = (0..draft.nodes.len()).filter(|&j| reads(draft, j, output) > 0).collect();
        if let [reader] = *readers.as_slice()
            && reads(draft, reader, output) == 1
            && matches!(draft.op(reader), Some(Op::Concat))
            && let Some(node) = draft.nodes.get_mut(reader)
        {
            let join = node.output;
            let parts = node.inputs.iter().flat_map(|&id| if id == output { inputs.clone() } else { vec![id] });
            node.inputs = parts.collect();
            draft.merge_node(i, join);
        }
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

fn reads(draft: &Draft, i: usize, value: ValueId) -> usize {
    draft.nodes.get(i).map_or(0, |node| node.inputs.iter().filter(|id| **id == value).count())
}

/// A list `[a, b, c] after a list `[a, b]` becomes `[[a, b], c]`: what a dense block writes as growing lists.
pub(super) fn merge(draft: &mut Draft) {
    // Output and leaves of the joins so far; leaves are never joins themselves.
    let mut known: Vec<(ValueId, Vec<ValueId>)> = Vec::new();
    for i in 0..draft.nodes.len() {
        if !matches!(draft.op(i), Some(Op::Concat)) {
            continue;
        }
        let Some(node) = draft.nodes.get(i) else { continue };
        let output = node.output;
        if let [only] = *node.inputs.as_slice() {
            draft.merge_node(i, only);
            continue;
        }
        let leaves: Vec<ValueId> = node.inputs.iter().flat_map(|id| leaves(&known, *id)).collect();
        let prefix = known.iter().filter(|(_, other)| leaves.starts_with(other)).max_by_key(|(_, other)| other.len());
        if let Some((other, shared)) = prefix {
            let (other, shared) = (*other, shared.len());
            if shared == leaves.len() {
                draft.merge_node(i, other);
                continue;
            }
            // Only where the prefix ends between two of the node's own inputs.
            if let Some(rest) = rest_after(&known, &node.inputs, shared)
                && let Some(node) = draft.nodes.get_mut(i)
            {
                node.inputs = std::iter::once(other).chain(rest).collect();
            }
        }
        known.push((output, leaves));
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

fn leaves(known: &[(ValueId, Vec<ValueId>)], id: ValueId) -> Vec<ValueId> {
    known.iter().find(|(output, _)| *output == id).map_or_else(|| vec![id], |(_, leaves)| leaves.clone())
}

fn rest_after(known: &[(ValueId, Vec<ValueId>)], inputs: &[ValueId], shared: usize) -> Option<Vec<ValueId>> {
    let mut covered = 0;
    for (i, &input) in inputs.iter().enumerate() {
        if covered == shared {
            return inputs.get(i..).map(<[ValueId]>::to_vec);
        }
        covered += leaves(known, input).len();
    }
    None
}
