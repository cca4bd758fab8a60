//! Chains of views, transposes and slices become one table, or nothing.

use super::super::draft::{Draft, Step};
use super::super::layout;
use crate::graph::{Activation, Op, Rearrange};

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

/// Takes an activation from between two moves that undo each other: it computes every element by itself.
pub(super) fn unwrap(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        if let Some((before, after)) = wrapping(draft, i)
            && let Some(&input) = draft.nodes.get(before).and_then(|node| node.inputs.first())
            && let Some(node) = draft.nodes.get_mut(i)
        {
            let (middle, output) = (std::mem::replace(&mut node.inputs, vec![input]), node.output);
            let dims = draft.dims(input).to_vec();
            draft.set_dims(output, dims);
            middle.into_iter().for_each(|middle| draft.carry(middle, input));
            draft.merge_node(after, output);
        }
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

/// The moves before and after activation `i`, which nothing else reads, where the second undoes the first.
fn wrapping(draft: &Draft, i: usize) -> Option<(usize, usize)> {
    match draft.op(i)? {
        Op::Activation(Activation::PRelu { .. }) => return None,
        Op::Activation(_) => {}
        _ => return None,
    }
    let node = draft.nodes.get(i)?;
    let middle = *node.inputs.first()?;
    let readers = |value| draft.nodes.iter().enumerate().filter(move |(_, node)| node.inputs.contains(&value));
    let (mut of_middle, mut of_output) = (readers(middle), readers(node.output));
    let (Some(_), None, Some((after, last)), None) =
        (of_middle.next(), of_middle.next(), of_output.next(), of_output.next())
    else {
        return None;
    };
    let before = draft.nodes.iter().position(|node| node.output == middle)?;
    let (Op::Rearrange(first), Op::Rearrange(second)) = (draft.op(before)?, draft.op(after)?) else { return None };
    let input = *draft.nodes.get(before)?.inputs.first()?;
    let both = layout::compose(&first.table, &second.table);
    let undone = both.into_iter().eq(0..draft.shape(input).len() as u32);
    (undone && draft.dims(input) == draft.dims(last.output)).then_some((before, after))
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
