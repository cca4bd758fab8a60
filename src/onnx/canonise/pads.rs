//! Padding as a node: part of the convolution that reads it, else a table.

use super::super::draft::{Draft, Step};
use super::super::moves;
use crate::graph::{ConvKind, Op, Rearrange};

pub(super) fn into_convolutions(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        let Some(node) = draft.nodes.get(i) else { continue };
        let (Step::Pad { pads: [top, left, bottom, right], fill: 0.0 }, Some(&input)) =
            (&node.step, node.inputs.first())
        else {
            continue;
        };
        let (top, left, bottom, right) = (*top, *left, *bottom, *right);
        let users = draft.users().remove(&node.output).unwrap_or_default();
        let is_conv = |&user: &usize| matches!(draft.op(user), Some(Op::Conv2d(conv)) if conv.kind == ConvKind::Conv);
        if users.is_empty() || !users.iter().all(is_conv) {
            continue;
        }
        for user in users {
            if let Some(Op::Conv2d(conv)) = draft.op_mut(user) {
                let [t, l, b, r] = conv.pads;
                conv.pads = [t + top, l + left, b + bottom, r + right];
            }
        }
        draft.merge_node(i, input);
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

pub(super) fn to_tables(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        let Some(node) = draft.nodes.get(i) else { continue };
        let (&Step::Pad { pads, fill }, Some(&input)) = (&node.step, node.inputs.first()) else { continue };
        let [top, left, bottom, right] = pads.map(|pad| pad as i64);
        if let Some(layout) = moves::pad(draft.dims(input), &[[0, 0], [top, bottom], [left, right]])
            && let Some(node) = draft.nodes.get_mut(i)
        {
            node.step = Step::Op(Op::Rearrange(Rearrange { name: "Pad", table: layout.table.into(), fill }));
        }
    }
}
