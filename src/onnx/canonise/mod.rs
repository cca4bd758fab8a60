//! One graph for every way of writing it down.

mod affine;
mod concat;
mod dense;
mod gates;
mod pads;
mod views;

use super::ImportError;
use super::draft::{Draft, Step};
use super::error::{Place, UnsupportedOp, collect};
use crate::graph::{Op, PoolKind, ValueId};

/// Rewrites the draft; returns where the output went.
pub(super) fn run(draft: &mut Draft, output: ValueId) -> Result<ValueId, ImportError> {
    views::compose(draft);
    drop_trivial_pools(draft);
    gates::merge_clips(draft);
    gates::fuse(draft);
    draft.drop_dead(output);
    affine::merge(draft);
    pads::into_convolutions(draft);
    draft.drop_dead(output);
    concat::flatten(draft);
    concat::merge(draft);
    views::unwrap(draft);
    views::compose(draft);
    draft.drop_dead(output);
    dense::absorb_views(draft);
    affine::merge(draft);
    dense::absorb_views(draft);
    pads::to_tables(draft);
    views::compose(draft);
    draft.drop_dead(output);
    views::to_tables(draft);
    leftovers(draft)?;
    Ok(draft.resolve(output))
}

/// A window of one cell at stride 1 passes everything on.
fn drop_trivial_pools(draft: &mut Draft) {
    for i in 0..draft.nodes.len() {
        if let Some(Op::Pool(pool)) = draft.op(i)
            && (pool.kernel, pool.stride, pool.pads) == ([1, 1], [1, 1], [0; 4])
            && matches!(pool.kind, PoolKind::Max | PoolKind::Average { .. })
            && let Some(&input) = draft.nodes.get(i).and_then(|node| node.inputs.first())
            && draft.nodes.get(i).is_some_and(|node| draft.shape(node.output) == draft.shape(input))
        {
            draft.merge_node(i, input);
        }
    }
}

/// Pieces of a pattern that was not recognised have no rule of their own.
fn leftovers(draft: &Draft) -> Result<(), ImportError> {
    let mut ops: Vec<UnsupportedOp> = Vec::new();
    for node in draft.nodes.iter().filter(|node| !matches!(node.step, Step::Op(_))) {
        let place = Place { node: node.name.clone(), path: node.path.clone() };
        collect(&mut ops, UnsupportedOp { op: node.source.clone(), domain: String::new(), nodes: vec![place] });
    }
    if ops.is_empty() { Ok(()) } else { Err(ImportError::Unsupported { ops }) }
}
