//! Flatten before a dense layer: the layer reads the image as it is, with a kernel of its size.

use std::sync::Arc;

use super::super::draft::{Draft, Step, shape_of, uniform};
use crate::graph::{Activation, Constant, Conv2d, ConvKind, Op, Shape, ValueId};

pub(super) fn absorb_views(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        absorb_view(draft, i);
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

fn absorb_view(draft: &mut Draft, i: usize) {
    let Some(node) = draft.nodes.get(i) else { return };
    let (Some(&input), output) = (node.inputs.first(), node.output) else { return };
    let (shape, flat) = (draft.shape(input), draft.shape(output));
    if flat != Shape::new(shape.len(), 1, 1) {
        return;
    }
    let source = match &node.step {
        Step::View(_) => None,
        Step::Op(Op::Rearrange(moved)) => match inverse(&moved.table) {
            Some(inverse) => Some(inverse),
            None => return,
        },
        _ => return,
    };
    let Some(readers) = readers(draft, output) else { return };
    let dims = vec![shape.channels, shape.height, shape.width];
    for reader in readers {
        let Some(value) = draft.nodes.get(reader).map(|node| node.output) else { continue };
        match draft.op_mut(reader) {
            Some(Op::Conv2d(conv)) => {
                conv.kernel = [shape.height, shape.width];
                if let Some(source) = &source {
                    permute_columns(conv, source);
                }
            }
            Some(Op::Activation(activation)) => {
                resize_slopes(activation, shape_of(&dims).channels);
                draft.set_dims(value, dims.clone());
            }
            _ => {}
        }
    }
    draft.merge_node(i, input);
}

/// For every input element the output element that it goes to; `None` unless each goes to exactly one.
fn inverse(table: &[u32]) -> Option<Vec<u32>> {
    let mut inverse = vec![u32::MAX; table.len()];
    for (to, &from) in table.iter().enumerate() {
        let slot = inverse.get_mut(from as usize)?;
        if *slot != u32::MAX {
            return None;
        }
        *slot = to as u32;
    }
    Some(inverse)
}

/// Elementwise activations and dense layers that read the value, where nothing else does and every way ends in a dense layer.
fn readers(draft: &Draft, value: ValueId) -> Option<Vec<usize>> {
    let users = draft.users();
    let mut pending = vec![value];
    let mut readers = Vec::new();
    while let Some(value) = pending.pop() {
        for &user in users.get(&value)? {
            let node = draft.nodes.get(user)?;
            match draft.op(user)? {
                Op::Conv2d(conv) if conv.kind == ConvKind::Dense && conv.kernel == [1, 1] => {}
                Op::Activation(Activation::PRelu { slope }) if uniform(slope).is_none() => return None,
                Op::Activation(_) => pending.push(node.output),
                _ => return None,
            }
            readers.push(user);
        }
    }
    Some(readers)
}

fn resize_slopes(activation: &mut Activation, channels: usize) {
    if let Activation::PRelu { slope } = activation
        && let Some(one) = uniform(slope)
    {
        *slope = Constant::F64(vec![one; channels].into());
    }
}

/// Column `k` of the new weights is column `source[k]` of the old ones.
fn permute_columns(conv: &mut Conv2d, source: &[u32]) {
    conv.weight = match &conv.weight {
        Constant::F32(weight) => Constant::F32(permuted(weight, source)),
        Constant::F64(weight) => Constant::F64(permuted(weight, source)),
    };
}

fn permuted<T: Copy>(weight: &[T], source: &[u32]) -> Arc<[T]> {
    let rows = weight.chunks(source.len().max(1));
    rows.flat_map(|row| source.iter().filter_map(|&k| row.get(k as usize).copied())).collect()
}
