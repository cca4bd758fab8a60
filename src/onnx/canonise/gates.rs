//! Activations that exporters take apart.

use super::super::draft::{Draft, Step, uniform};
use crate::graph::{Activation, Affine, Op, ValueId};

/// `Min` after `Max`, or a Clip after a Relu, is one Clip; a Clip from 0 up is a Relu.
pub(super) fn merge_clips(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        let Some((low, high)) = bounds(draft, i) else { continue };
        let Some((input, before)) = single_producer(draft, i) else { continue };
        // max and min commute here only while the bounds overlap.
        let Some((first_low, first_high)) = bounds(draft, before).filter(|b| b.0 <= high && low <= b.1) else {
            continue;
        };
        let (low, high) = (low.max(first_low), high.min(first_high));
        let source = draft.nodes.get(before).and_then(|node| node.inputs.first().copied());
        let output = draft.nodes.get(i).map(|node| node.output);
        if let (Some(source), Some(output), Some(node)) = (source, output, draft.nodes.get_mut(i)) {
            node.step = Step::Op(Op::Activation(Activation::Clip { low, high }));
            node.inputs = vec![source];
            absorb(draft, before, input, output);
        }
    }
    for node in &mut draft.nodes {
        if let Step::Op(Op::Activation(Activation::Clip { low: 0.0, high })) = node.step
            && high == f64::INFINITY
        {
            node.step = Step::Op(Op::Activation(Activation::Relu));
        }
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

fn bounds(draft: &Draft, i: usize) -> Option<(f64, f64)> {
    match draft.op(i)? {
        Op::Activation(Activation::Clip { low, high }) => Some((*low, *high)),
        Op::Activation(Activation::Relu) => Some((0.0, f64::INFINITY)),
        _ => None,
    }
}

/// The node that makes the only input of node `i`, where nothing else reads that value.
fn single_producer(draft: &Draft, i: usize) -> Option<(ValueId, usize)> {
    let node = draft.nodes.get(i)?;
    let [input] = *node.inputs.as_slice() else { return None };
    let uses = draft.nodes.iter().flat_map(|node| &node.inputs).filter(|id| **id == input).count();
    let before = producer(draft, input)?;
    (uses == 1).then_some((input, before))
}

fn producer(draft: &Draft, id: ValueId) -> Option<usize> {
    draft.nodes.iter().position(|node| node.output == id)
}

/// Node `i` lost its last reader to a pattern that ends in `to`.
fn absorb(draft: &mut Draft, i: usize, output: ValueId, to: ValueId) {
    if !draft.nodes.iter().any(|node| node.inputs.contains(&output)) {
        draft.merge_node(i, to);
    }
}

pub(super) fn fuse(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        let found = hard_sigmoid(draft, i)
            .or_else(|| product(draft, i))
            .or_else(|| scaled_product(draft, i))
            .or_else(|| gelu(draft, i));
        let Some((activation, input)) = found else { continue };
        let pieces = pieces(draft, i, input);
        let Some(node) = draft.nodes.get_mut(i) else { continue };
        let output = node.output;
        node.step = Step::Op(Op::Activation(activation));
        node.inputs = vec![input];
        // The piece nearest to the result comes first, so that each has lost its readers when its turn comes.
        for (piece, value) in pieces {
            absorb(draft, piece, value, output);
        }
    }
    draft.nodes.retain(|node| !matches!(node.step, Step::Blind));
}

type Found = Option<(Activation, ValueId)>;

/// Nodes between `input` and node `i`, last first.
fn pieces(draft: &Draft, i: usize, input: ValueId) -> Vec<(usize, ValueId)> {
    let mut pending: Vec<ValueId> = draft.nodes.get(i).map(|node| node.inputs.clone()).unwrap_or_default();
    let mut pieces = Vec::new();
    while let Some(id) = pending.pop() {
        if id == input {
            continue;
        }
        let Some(piece) = producer(draft, id) else { continue };
        if !pieces.contains(&(piece, id)) {
            pieces.push((piece, id));
            pending.extend(draft.nodes.get(piece).into_iter().flat_map(|node| &node.inputs));
        }
    }
    pieces.sort_unstable_by(|a, b| b.cmp(a));
    pieces
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * b.abs()
}

/// The input of an affine step `scale x + shift` with these two numbers.
fn affine(draft: &Draft, id: ValueId, scale: f64, shift: f64) -> Option<ValueId> {
    let i = producer(draft, id)?;
    affine_node(draft, i, scale, shift)
}

fn affine_node(draft: &Draft, i: usize, scale: f64, shift: f64) -> Option<ValueId> {
    let Op::Affine(Affine { scale: s, shift: t, .. }) = draft.op(i)? else { return None };
    let matches = near(uniform(s)?, scale) && (uniform(t)? - shift).abs() <= 1e-6;
    matches.then(|| draft.nodes.get(i)?.inputs.first().copied())?
}

fn activation(draft: &Draft, id: ValueId) -> Option<(&Activation, ValueId)> {
    let node = draft.nodes.get(producer(draft, id)?)?;
    match &node.step {
        Step::Op(Op::Activation(activation)) => Some((activation, *node.inputs.first()?)),
        _ => None,
    }
}

fn is_relu6(activation: &Activation) -> bool {
    matches!(activation, Activation::Clip { low: 0.0, high: 6.0 })
}

/// The input of `min(max(x + 3, 0), 6)`.
fn shifted_relu6(draft: &Draft, id: ValueId) -> Option<ValueId> {
    let (activation, before) = activation(draft, id)?;
    if is_relu6(activation) { affine(draft, before, 1.0, 3.0) } else { None }
}

/// `relu6(x + 3) / 6`
fn hard_sigmoid(draft: &Draft, i: usize) -> Found {
    let x = shifted_relu6(draft, affine_node(draft, i, 1.0 / 6.0, 0.0)?)?;
    Some((Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, x))
}

fn factors(draft: &Draft, i: usize) -> Option<[(ValueId, ValueId); 2]> {
    let node = draft.nodes.get(i)?;
    match (&node.step, node.inputs.as_slice()) {
        (Step::Op(Op::Mul), &[a, b]) if draft.shape(a) == draft.shape(b) => Some([(a, b), (b, a)]),
        _ => None,
    }
}

/// `x sigmoid(x)`, `x hardsigmoid(x)`, `(x / 6) relu6(x + 3)`
fn product(draft: &Draft, i: usize) -> Found {
    factors(draft, i)?.into_iter().find_map(|(x, gate)| {
        if let (Some(x), Some(gated)) = (affine(draft, x, 1.0 / 6.0, 0.0), shifted_relu6(draft, gate))
            && x == gated
        {
            return Some((Activation::HardSwish, x));
        }
        match activation(draft, gate)? {
            (Activation::Sigmoid, input) if input == x => Some((Activation::Silu, x)),
            (Activation::HardSigmoid { alpha, beta }, input)
                if input == x && near(*alpha, 1.0 / 6.0) && near(*beta, 0.5) =>
            {
                Some((Activation::HardSwish, x))
            }
            _ => None,
        }
    })
}

/// `(x relu6(x + 3)) / 6`
fn scaled_product(draft: &Draft, i: usize) -> Found {
    let product = affine_node(draft, i, 1.0 / 6.0, 0.0)?;
    let factors = factors(draft, producer(draft, product)?)?;
    factors.into_iter().find_map(|(x, gate)| (shifted_relu6(draft, gate)? == x).then_some((Activation::HardSwish, x)))
}

/// `x (1 + erf(x / sqrt 2)) / 2`, with the half at any of the three factors.
fn gelu(draft: &Draft, i: usize) -> Found {
    let found = |x: ValueId| Some((Activation::Gelu, x));
    if let Some(product) = affine_node(draft, i, 0.5, 0.0)
        && let Some(factors) = producer(draft, product).and_then(|p| factors(draft, p))
        && let Some((x, _)) = factors.into_iter().find(|&(x, gate)| one_plus_erf(draft, gate) == Some(x))
    {
        return found(x);
    }
    factors(draft, i)?.into_iter().find_map(|(a, b)| {
        if let Some(x) = affine(draft, a, 0.5, 0.0)
            && one_plus_erf(draft, b) == Some(x)
        {
            return found(x);
        }
        let half = affine(draft, b, 0.5, 0.0)?;
        (one_plus_erf(draft, half)? == a).then(|| found(a))?
    })
}

/// The input of `1 + erf(x / sqrt 2)`.
fn one_plus_erf(draft: &Draft, id: ValueId) -> Option<ValueId> {
    let erf = draft.nodes.get(producer(draft, affine(draft, id, 1.0, 1.0)?)?)?;
    match erf.step {
        Step::Erf => affine(draft, *erf.inputs.first()?, std::f64::consts::FRAC_1_SQRT_2, 0.0),
        _ => None,
    }
}
