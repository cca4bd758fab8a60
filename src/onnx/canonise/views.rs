//! Chains of views, transposes and slices become one table, or nothing.

use super::super::draft::{Draft, Step};
use super::super::layout;
use crate::graph::{Op, Rearrange};

pub(super) fn compose(draft: &mut Draft) {
    let producers = draft.producers();
    for i in 0..draft.nodes.len() {
        compose_one(draft, i, |id| producers.get(&id).copied());
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

fn compose_one(draft: &mut Draft, i: usize, producer: impl Fn(crate::graph::ValueId) -> Option<usize>) {
    let Some(node) = draft.nodes.get(i) else { return };
    let (Some(&input), output) = (node.inputs.first(), node.output) else { return };
    let own = match &node.step {
        Step::View(_) => None,
        Step::Op(Op::Rearrange(own)) => Some(own.clone()),
        _ => return,
    };
    let before = producer(input).and_then(|p| draft.nodes.get(p)).filter(|node| node.output == input);
    let joined = match before.map(|before| (&before.step, before.inputs.first())) {
        Some((Step::View(_), Some(&source))) => Some((own.clone(), source)),
        Some((Step::Op(Op::Rearrange(first)), Some(&source))) => {
            join(first, own.as_ref()).map(|table| (Some(table), source))
        }
        _ => None,
    };
    let (table, input) = joined.unwrap_or((own, input));
    let table = table.filter(|table| {
        let moved = !table.table.iter().copied().eq(0..table.table.len() as u32);
        moved || draft.shape(input).len() != table.table.len()
    });
    if table.is_none() && draft.shape(input) == draft.shape(output) {
        draft.merge_node(i, input);
        return;
    }
    if let Some(node) = draft.nodes.get_mut(i) {
        node.inputs = vec![input];
        node.step = match table {
            Some(table) => Step::Op(Op::Rearrange(table)),
            None => match node.step {
                Step::View(name) => Step::View(name),
                _ => Step::View("Reshape"),
            },
        };
    }
}

/// Lets permutations follow what computes every element by itself, so that they meet others.
pub(super) fn sink(draft: &mut Draft) {
    let producers = draft.producers();
    let users = draft.users();
    for i in 0..draft.nodes.len() {
        if let Some(Op::Activation(_)) = draft.op(i)
            && let Some(&[middle]) = draft.nodes.get(i).map(|node| node.inputs.as_slice())
            && users.get(&middle).is_some_and(|users| users.len() == 1)
            && let Some(&before) = producers.get(&middle)
            && let Some(Op::Rearrange(moves)) = draft.op(before)
            && let Some(&input) = draft.nodes.get(before).and_then(|node| node.inputs.first())
            && is_permutation(&moves.table, draft.shape(input).len())
        {
            let dims = draft.dims(input).to_vec();
            draft.set_dims(middle, dims);
            draft.swap_steps(before, i);
        }
    }
}

fn is_permutation(table: &[u32], len: usize) -> bool {
    let mut seen = vec![false; len];
    let first = |from: &u32| seen.get_mut(*from as usize).is_some_and(|seen| !std::mem::replace(seen, true));
    table.len() == len && table.iter().all(first)
}

/// `first` and then `second` (a view where `None`), unless they pad with different values.
fn join(first: &Rearrange, second: Option<&Rearrange>) -> Option<Rearrange> {
    let Some(second) = second else { return Some(first.clone()) };
    let pads = |r: &Rearrange| r.table.contains(&Rearrange::FILL);
    let fill = match (pads(first), pads(second)) {
        (true, true) if first.fill != second.fill => return None,
        (true, _) => first.fill,
        _ => second.fill,
    };
    Some(Rearrange { name: second.name, table: layout::compose(&first.table, &second.table).into(), fill })
}

/// Views that change the shape are tables like any other in the graph.
pub(super) fn to_tables(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        let Some(node) = draft.nodes.get(i) else { continue };
        if let Step::View(name) = node.step {
            let len = draft.shape(node.output).len() as u32;
            let table = Rearrange { name, table: (0..len).collect(), fill: 0.0 };
            if let Some(node) = draft.nodes.get_mut(i) {
                node.step = Step::Op(Op::Rearrange(table));
            }
        }
    }
}
