//! Operators that only move elements. Dimensions include the batch, which is 1 for activations (`batched`) and stays first.

use super::ImportError;
use super::args::Args;
use super::array::{BATCH, MAX_ELEMENTS, elements};
use super::layout::{self, Layout};
use crate::graph::Rearrange;

/// The new dimensions of a Reshape, Flatten, Squeeze or Unsqueeze; `None` for other operators.
pub(super) fn view(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Option<Vec<usize>>, ImportError> {
    let new = match args.node.op.as_str() {
        "Reshape" => reshape(args, dims, batched)?,
        "Flatten" => {
            let axis = args.node.int_or("axis", 1)?;
            let axis = if axis == dims.len() as i64 { dims.len() } else { args.axis(axis, dims.len())? };
            let (before, after) = dims.split_at_checked(axis).unwrap_or((dims, &[]));
            vec![before.iter().product(), after.iter().product()]
        }
        "Squeeze" => squeeze(args, dims, batched)?,
        "Unsqueeze" => unsqueeze(args, dims)?,
        _ => return Ok(None),
    };
    let joins_images = args.node.op == "Flatten" && args.node.int_or("axis", 1)? == 0 && args.batch != Some(1);
    if batched && (new.first() != Some(&1) || joins_images) {
        return Err(args.node.shape_error(format!("from {dims:?} to {new:?} mixes the images of a batch")));
    }
    Ok(Some(new))
}

fn reshape(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Vec<usize>, ImportError> {
    let want = args.ints("shape", 1)?.unwrap_or_default();
    let fail = || args.node.shape_error(format!("{dims:?} does not reshape to {want:?}"));
    if batched && want == [-1] && args.batch == Some(1) {
        // One row, batch and all; see `gather_of_all`.
        return Ok(vec![1, elements(dims).ok_or_else(fail)?]);
    }
    let keep_zero = args.node.flag("allowzero", false)?;
    let mut new = Vec::with_capacity(want.len());
    let mut open = None;
    for (i, &dim) in want.iter().enumerate() {
        let is_batch = batched && i == 0 && (dim == -1 || dim == 0 || Some(dim) == args.batch);
        new.push(match dim {
            BATCH | 1 => 1,
            _ if is_batch => 1,
            0 if !keep_zero => *dims.get(i).ok_or_else(fail)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            _ => usize::try_from(dim).map_err(|_| fail())?,
        });
    }
    let total = elements(dims).ok_or_else(fail)?;
    let known = elements(&new).ok_or_else(fail)?;
    if let Some(dim) = open.and_then(|i| new.get_mut(i)) {
        *dim = total.checked_div(known).ok_or_else(fail)?;
    }
    if elements(&new) != Some(total) {
        return Err(fail());
    }
    Ok(new)
}

fn squeeze(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Vec<usize>, ImportError> {
    let first = usize::from(batched);
    let axes = match args.ints("axes", 1)? {
        Some(axes) => args.axes(&axes, dims.len())?,
        None => dims.iter().enumerate().skip(first).filter(|(_, dim)| **dim == 1).map(|(axis, _)| axis).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| dims.get(axis) != Some(&1) || axis < first) {
        return Err(args.node.shape_error(format!("cannot squeeze axis {axis} of {dims:?}")));
    }
    Ok(dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &dim)| dim).collect())
}

fn unsqueeze(args: &Args<'_>, dims: &[usize]) -> Result<Vec<usize>, ImportError> {
    let axes = args.ints("axes", 1)?.unwrap_or_default();
    let rank = dims.len().saturating_add(axes.len());
    let axes = args.axes(&axes, rank)?;
    let mut old = dims.iter();
    let next = |axis: usize| if axes.contains(&axis) { Some(1) } else { old.next().copied() };
    (0..rank).map(next).collect::<Option<_>>().ok_or_else(|| args.node.shape_error("axes do not fit"))
}

/// Transpose, Slice, Split, Gather, Expand, DepthToSpace and SpaceToDepth: one layout per output; `None` for other operators.
pub(super) fn moves(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Option<Vec<Layout>>, ImportError> {
    let one = |layout: Layout| Ok(Some(vec![layout]));
    match args.node.op.as_str() {
        "Transpose" => one(transpose(args, dims, batched)?),
        "Slice" => one(slice(args, dims, batched)?),
        "Split" => split(args, dims, batched).map(Some),
        "Gather" => one(gather(args, dims, batched)?),
        "Expand" => one(expand(args, dims)?),
        "DepthToSpace" | "SpaceToDepth" => one(blocks(args, dims)?),
        _ => Ok(None),
    }
}

fn image_axis(args: &Args<'_>, axis: usize, batched: bool) -> Result<usize, ImportError> {
    if batched && axis == 0 {
        return Err(args.node.shape_error("it works across the images of a batch"));
    }
    Ok(axis)
}

fn transpose(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Layout, ImportError> {
    let perm = match args.node.ints("perm")? {
        Some(perm) => args.axes(perm, dims.len())?,
        None => (0..dims.len()).rev().collect(),
    };
    if batched && perm.first() != Some(&0) {
        return Err(args.node.shape_error(format!("perm {perm:?} moves the batch")));
    }
    layout::transpose(dims, &perm)
        .ok_or_else(|| args.node.shape_error(format!("perm {perm:?} for a tensor of rank {}", dims.len())))
}

fn slice(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Layout, ImportError> {
    let list = |name: &str, i: usize| args.ints(name, i);
    let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
    let axes = match list("axes", 3)? {
        Some(axes) => args.axes(&axes, dims.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&len| len != starts.len()) {
        return Err(args.node.shape_error("starts, ends, axes and steps differ in length"));
    }
    let mut layout = Layout::identity(dims.to_vec());
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let size = dims.get(axis).copied().ok_or_else(|| args.node.shape_error("more starts than axes"))?;
        let picks = range(start, end, step, size)
            .ok_or_else(|| args.node.shape_error(format!("{start}..{end} step {step} of an axis of {size}")))?;
        let whole = picks.iter().copied().eq(0..size as u32);
        if !whole {
            layout = layout.then_select(image_axis(args, axis, batched)?, &picks);
        }
    }
    Ok(layout)
}

/// Positions that a slice takes; ends beyond the axis are clamped, as ONNX has it.
fn range(start: i64, end: i64, step: i64, size: usize) -> Option<Vec<u32>> {
    let size = i64::try_from(size).ok()?;
    if size == 0 {
        return Some(Vec::new());
    }
    let at = |i: i64| if i < 0 { i.saturating_add(size) } else { i };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (start, end) = (at(start).clamp(low.max(0), high), at(end).clamp(low, high));
    match step {
        1.. => Some((start..end).step_by(usize::try_from(step).ok()?).map(|i| i as u32).collect()),
        0 => None,
        // `end` -1 stands for "down to 0 inclusive".
        _ => {
            let step = usize::try_from(step.checked_neg()?).ok()?;
            Some((end.saturating_add(1)..=start).rev().step_by(step).map(|i| i as u32).collect())
        }
    }
}

fn split(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Vec<Layout>, ImportError> {
    let axis = image_axis(args, args.axis(args.node.int_or("axis", 0)?, dims.len())?, batched)?;
    let size = dims.get(axis).copied().unwrap_or(0);
    let outputs = args.node.outputs.len();
    let parts: Vec<usize> = match args.ints("split", 1)? {
        Some(parts) => parts.iter().filter_map(|&part| usize::try_from(part).ok()).collect(),
        None => {
            let part = size.div_ceil(outputs.max(1));
            (0..outputs).map(|i| part.min(size.saturating_sub(i.saturating_mul(part)))).collect()
        }
    };
    let sum = parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
    if sum != Some(size) || parts.len() != outputs {
        return Err(args.node.shape_error(format!("parts {parts:?} of an axis of {size} for {outputs} outputs")));
    }
    let mut start = 0u32;
    let mut next = |part: usize| {
        let picks: Vec<u32> = (start..start + part as u32).collect();
        start += part as u32;
        layout::select(dims, axis, &picks)
    };
    Ok(parts.into_iter().map(&mut next).collect())
}

fn gather(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Layout, ImportError> {
    if let Some(layout) = gather_of_all(args, dims, batched)? {
        return Ok(layout);
    }
    let axis = image_axis(args, args.axis(args.node.int_or("axis", 0)?, dims.len())?, batched)?;
    let size = dims.get(axis).copied().unwrap_or(0) as i64;
    let indices = args.required(1)?;
    let pick =
        |&i: &i64| if (-size..size).contains(&i) { u32::try_from(if i < 0 { i + size } else { i }).ok() } else { None };
    let picks = indices.as_ints().and_then(|ints| ints.iter().map(pick).collect::<Option<Vec<u32>>>());
    let picks = picks.ok_or_else(|| args.node.shape_error(format!("an index lies outside an axis of {size}")))?;
    let mut layout = bounded(args, dims, axis, picks.len()).map(|()| layout::select(dims, axis, &picks))?;
    layout.dims.splice(axis..=axis, indices.dims.iter().copied());
    Ok(layout)
}

/// PyTorch writes `as_strided` as a Gather of a row that holds all of a batch of one. That is `[n]` in the file and `[1, n]` here,
/// so its indices are those of elements.
fn gather_of_all(args: &Args<'_>, dims: &[usize], batched: bool) -> Result<Option<Layout>, ImportError> {
    let indices = args.required(1)?;
    let &[1, all] = dims else { return Ok(None) };
    let [1, _, ..] = indices.dims[..] else { return Ok(None) };
    if !batched || args.batch != Some(1) || args.node.int_or("axis", 0)? != 0 {
        return Ok(None);
    }
    let table = indices.as_ints().and_then(|ints| {
        let inside = |&i: &i64| u32::try_from(i).ok().filter(|&i| (i as usize) < all);
        ints.iter().map(inside).collect::<Option<Vec<u32>>>()
    });
    // All zeros could be meant for the images of a batch.
    let table = table.filter(|table| table.iter().any(|&i| i > 0));
    Ok(table.map(|table| Layout { dims: indices.dims.clone(), table }))
}

fn bounded(args: &Args<'_>, dims: &[usize], axis: usize, size: usize) -> Result<(), ImportError> {
    let mut dims = dims.to_vec();
    if let Some(dim) = dims.get_mut(axis) {
        *dim = size;
    }
    match elements(&dims) {
        Some(_) => Ok(()),
        None => Err(args.node.shape_error(format!("a result of {dims:?} has more than {MAX_ELEMENTS} elements"))),
    }
}

fn expand(args: &Args<'_>, dims: &[usize]) -> Result<Layout, ImportError> {
    let want = args.ints("shape", 1)?.unwrap_or_default();
    let to: Option<Vec<usize>> =
        want.iter().map(|&dim| if dim == BATCH { Some(1) } else { usize::try_from(dim).ok() }).collect();
    let to = to.and_then(|to| layout::broadcast_dims(dims, &to)).filter(|to| elements(to).is_some());
    to.and_then(|to| layout::expand(dims, &to))
        .ok_or_else(|| args.node.shape_error(format!("{dims:?} does not expand to {want:?}")))
}

/// Blocks of pixels to channels or back, through six dimensions.
fn blocks(args: &Args<'_>, dims: &[usize]) -> Result<Layout, ImportError> {
    let fail = || args.node.shape_error(format!("the block size does not divide {dims:?}"));
    let block = usize::try_from(args.node.int_or("blocksize", 0)?).map_err(|_| fail())?;
    let &[n, c, h, w] = dims else { return Err(fail()) };
    let divide = |size: usize, by: usize| if by > 0 && size.is_multiple_of(by) { Ok(size / by) } else { Err(fail()) };
    let column_first = args.node.text("mode")?.unwrap_or("DCR") == "DCR";
    let (split, perm, dims): (_, &[usize], _) = if args.node.op == "SpaceToDepth" {
        let (h, w) = (divide(h, block)?, divide(w, block)?);
        ([n, c, h, block, w, block], &[0, 3, 5, 1, 2, 4], vec![n, c * block * block, h, w])
    } else {
        let few = divide(c, block.checked_mul(block).ok_or_else(fail)?)?;
        let out = vec![n, few, h * block, w * block];
        if column_first {
            ([n, block, block, few, h, w], &[0, 3, 4, 1, 5, 2], out)
        } else {
            ([n, few, block, block, h, w], &[0, 1, 4, 2, 5, 3], out)
        }
    };
    let moved = layout::transpose(&split, perm).ok_or_else(fail)?;
    Ok(Layout { dims, table: moved.table })
}

/// Padding by constants along every axis; negative pads crop.
pub(super) fn pad(dims: &[usize], pads: &[[i64; 2]]) -> Option<Layout> {
    let mut layout = Layout::identity(dims.to_vec());
    for (axis, (&dim, &[before, after])) in dims.iter().zip(pads).enumerate() {
        if [before, after] == [0, 0] {
            continue;
        }
        let size = i64::try_from(dim).ok()?;
        let end = size.checked_add(after)?;
        let start = before.checked_neg()?;
        let count = usize::try_from(end.checked_sub(start)?).ok()?;
        let mut next = layout.dims.clone();
        *next.get_mut(axis)? = count;
        elements(&next)?;
        let pick = |i: i64| if (0..size).contains(&i) { i as u32 } else { Rearrange::FILL };
        let picks: Vec<u32> = (start..end).map(pick).collect();
        layout = layout.then_select(axis, &picks);
    }
    Some(layout)
}
