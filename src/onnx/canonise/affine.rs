//! Batch normalisation and constants: merged with each other, then into the layer before, else the one after. In f64.

use super::super::draft::{Draft, Step, uniform};
use crate::graph::{Affine, AffineKind, Constant, Conv2d, ConvKind, Op, ValueId};

pub(super) fn merge(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        drop_identity(draft, i);
    }
    for i in 0..draft.nodes.len() {
        into_affine(draft, i);
    }
    for i in 0..draft.nodes.len() {
        into_layer_before(draft, i);
    }
    for i in 0..draft.nodes.len() {
        into_layer_after(draft, i);
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

/// The affine step at `i` and its input.
fn affine_at(draft: &Draft, i: usize) -> Option<(&Affine, ValueId)> {
    match draft.op(i)? {
        Op::Affine(affine) => Some((affine, *draft.nodes.get(i)?.inputs.first()?)),
        _ => None,
    }
}

fn drop_identity(draft: &mut Draft, i: usize) {
    if let Some((affine, input)) = affine_at(draft, i)
        && uniform(&affine.scale) == Some(1.0)
        && uniform(&affine.shift) == Some(0.0)
    {
        draft.merge_node(i, input);
    }
}

/// The node that makes `value`, where it has one reader.
fn only_read_here(draft: &Draft, value: ValueId) -> Option<usize> {
    let uses = draft.nodes.iter().flat_map(|node| &node.inputs).filter(|id| **id == value).count();
    (uses == 1).then(|| draft.nodes.iter().position(|node| node.output == value))?
}

/// Removes node `before`, whose only reader now computes what it computed too.
fn swallow(draft: &mut Draft, before: usize, by: usize) {
    let Some(output) = draft.nodes.get(by).map(|node| node.output) else { return };
    draft.merge_node(before, output);
}

/// `s2 (s1 x + t1) + t2`
fn into_affine(draft: &mut Draft, i: usize) {
    let Some((second, middle)) = affine_at(draft, i) else { return };
    let Some(before) = only_read_here(draft, middle) else { return };
    let Some((first, input)) = affine_at(draft, before) else { return };
    if first.scale.len() != second.scale.len() {
        return;
    }
    let zip = |f: &dyn Fn(f64, f64, f64, f64) -> f64| -> Constant {
        let firsts = first.scale.iter().zip(first.shift.iter());
        let seconds = second.scale.iter().zip(second.shift.iter());
        Constant::F64(firsts.zip(seconds).map(|((s1, t1), (s2, t2))| f(s1, t1, s2, t2)).collect())
    };
    let kind = match (first.kind, second.kind) {
        (a, b) if a == b => a,
        (AffineKind::BatchNorm, _) | (_, AffineKind::BatchNorm) => AffineKind::BatchNorm,
        _ => AffineKind::ScaleShift,
    };
    let joined = Affine { kind, scale: zip(&|s1, _, s2, _| s1 * s2), shift: zip(&|_, t1, s2, t2| s2 * t1 + t2) };
    if let Some(node) = draft.nodes.get_mut(i) {
        node.step = Step::Op(Op::Affine(joined));
        node.inputs = vec![input];
    }
    swallow(draft, before, i);
    drop_identity(draft, i);
}

/// `scale (W x + b) + shift`
fn into_layer_before(draft: &mut Draft, i: usize) {
    let Some((affine, middle)) = affine_at(draft, i) else { return };
    let Some(before) = only_read_here(draft, middle) else { return };
    let affine = affine.clone();
    let Some(Op::Conv2d(conv)) = draft.op_mut(before) else { return };
    if affine.scale.len() != conv.out_channels {
        return;
    }
    scale_outputs(conv, &affine);
    let (Some(layer), Some(node)) = (draft.nodes.get(before), draft.nodes.get(i)) else { return };
    let (old, new) = (layer.output, node.output);
    let (name, path) = (node.name.clone(), node.path.clone());
    if let Some(node) = draft.nodes.get_mut(i) {
        node.inputs.clear();
        node.step = Step::Blind;
        // The layer makes this value from now on.
        node.output = old;
    }
    if let Some(layer) = draft.nodes.get_mut(before) {
        layer.output = new;
    }
    draft.carry(old, new);
    draft.record(&name, &path, new);
}

fn scale_outputs(conv: &mut Conv2d, affine: &Affine) {
    if uniform(&affine.scale) != Some(1.0) {
        let cells: usize = conv.kernel.iter().product();
        let scale = affine.scale.to_vec();
        // Elements that follow each other with one output channel, and the channel of the n-th such run.
        let (run, channel): (usize, Box<dyn Fn(usize) -> usize>) = if conv.kind == ConvKind::Transposed {
            let per_group = conv.out_channels / conv.groups;
            let inputs = conv.weight.len() / (per_group * cells);
            let per = inputs / conv.groups;
            (cells, Box::new(move |n| n / per_group / per * per_group + n % per_group))
        } else {
            (conv.weight.len() / conv.out_channels, Box::new(|n| n))
        };
        let factor = |i: usize| scale.get(channel(i / run)).copied().unwrap_or(1.0);
        conv.weight = Constant::F64(conv.weight.iter().enumerate().map(|(i, w)| w * factor(i)).collect());
    }
    let shift = affine.shift.iter();
    conv.bias = Some(Constant::F64(match &conv.bias {
        Some(bias) => bias.iter().zip(affine.scale.iter()).zip(shift).map(|((b, s), t)| s * b + t).collect(),
        None => shift.collect(),
    }));
}

/// `W (scale x + shift) + b`, where no padding cuts the sum over taps short.
fn into_layer_after(draft: &mut Draft, i: usize) {
    let Some((affine, input)) = affine_at(draft, i) else { return };
    let Some(output) = draft.nodes.get(i).map(|node| node.output) else { return };
    let normalises = matches!(affine.kind, AffineKind::BatchNorm | AffineKind::ScaleShift);
    if !normalises || only_read_here(draft, output) != Some(i) {
        return;
    }
    let affine = affine.clone();
    let Some(user) = draft.nodes.iter().position(|node| node.inputs.contains(&output)) else { return };
    let Some(Op::Conv2d(conv)) = draft.op_mut(user) else { return };
    if conv.kind == ConvKind::Transposed || conv.pads != [0; 4] {
        return;
    }
    scale_inputs(conv, &affine);
    let Some(node) = draft.nodes.get_mut(user) else { return };
    node.inputs = vec![input];
    swallow(draft, i, user);
}

fn scale_inputs(conv: &mut Conv2d, affine: &Affine) {
    let per_out = conv.weight.len() / conv.out_channels;
    let cells: usize = conv.kernel.iter().product();
    let (inputs, outputs) = (per_out / cells, conv.out_channels / conv.groups);
    let channel = |out: usize, i: usize| out / outputs * inputs + i / cells;
    let (scale, shift) = (affine.scale.to_vec(), affine.shift.to_vec());
    let weights = conv.weight.to_vec();
    let own = conv.bias.as_ref().map(Constant::to_vec);
    let mut bias = Vec::with_capacity(conv.out_channels);
    let mut scaled = Vec::with_capacity(weights.len());
    for (out, row) in weights.chunks(per_out).enumerate() {
        let mut sum = own.as_ref().and_then(|bias| bias.get(out).copied()).unwrap_or(0.0);
        for (i, w) in row.iter().enumerate() {
            let c = channel(out, i);
            sum += w * shift.get(c).copied().unwrap_or(0.0);
            scaled.push(w * scale.get(c).copied().unwrap_or(1.0));
        }
        bias.push(sum);
    }
    conv.weight = Constant::F64(scaled.into());
    conv.bias = Some(Constant::F64(bias.into()));
}
