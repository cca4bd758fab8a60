//! Reductions of constants, and which axes a reduction works on.

use super::ImportError;
use super::args::Args;
use super::array::{Array, Data};
use super::layout;

/// The axes of a reduction; all of them where none are given.
pub(super) fn axes(args: &Args<'_>, rank: usize) -> Result<Vec<usize>, ImportError> {
    let mut axes = match args.ints("axes", 1)? {
        Some(axes) if !axes.is_empty() => args.axes(&axes, rank)?,
        _ if args.node.flag("noop_with_empty_axes", false)? => Vec::new(),
        _ => (0..rank).collect(),
    };
    axes.sort_unstable();
    Ok(axes)
}

pub(super) fn reduce(args: &Args<'_>) -> Result<Array, ImportError> {
    let array = args.required(0)?;
    let rank = array.dims.len();
    let axes = axes(args, rank)?;
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let perm: Vec<usize> = kept.iter().chain(&axes).copied().collect();
    let moved = layout::transpose(&array.dims, &perm).ok_or_else(|| args.node.shape_error("axes do not fit"))?;
    let group: usize = moved.dims.iter().skip(kept.len()).product();
    let moved = array.gather(moved.dims, &moved.table, 0.0);
    let keep = args.node.flag("keepdims", true)?;
    let dim = |(axis, &dim): (usize, &usize)| if !axes.contains(&axis) { Some(dim) } else { keep.then_some(1) };
    let dims: Vec<usize> = array.dims.iter().enumerate().filter_map(dim).collect();
    if group == 0 {
        return Err(args.node.shape_error("nothing is left to reduce"));
    }
    if let Data::Int(values) = &moved.data
        && args.node.op != "ReduceMean"
    {
        let groups: Option<Vec<i64>> = values.chunks(group).map(|group| reduce_ints(&args.node.op, group)).collect();
        let ints = groups.ok_or_else(|| args.node.error("its integers overflow"))?;
        return Ok(Array::ints(ints).view(dims));
    }
    let floats = moved.to_f64().chunks(group).map(|group| reduce_floats(&args.node.op, group)).collect();
    Ok(Array::floats(dims, floats))
}

fn reduce_ints(op: &str, group: &[i64]) -> Option<i64> {
    match op {
        "ReduceProd" => group.iter().try_fold(1i64, |a, &b| a.checked_mul(b)),
        "ReduceSum" => group.iter().try_fold(0i64, |a, &b| a.checked_add(b)),
        "ReduceMax" => group.iter().copied().max(),
        _ => group.iter().copied().min(),
    }
}

fn reduce_floats(op: &str, group: &[f64]) -> f64 {
    match op {
        "ReduceProd" => group.iter().product(),
        "ReduceSum" => group.iter().sum(),
        "ReduceMax" => group.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "ReduceMin" => group.iter().copied().fold(f64::INFINITY, f64::min),
        _ => group.iter().sum::<f64>() / group.len() as f64,
    }
}
