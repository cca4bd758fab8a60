//! Constant folding: shape arithmetic, and the arithmetic on weights that exporters leave behind.

use super::ImportError;
use super::args::{Args, Input};
use super::array::{Array, BATCH, Data, elements};
use super::layout;
use super::moves;
use super::proto::tensor_proto::DataType;
use super::{opset, reduce};

/// The outputs of a node whose inputs are all constants.
pub(super) fn evaluate(args: &Args<'_>) -> Result<Vec<Array>, ImportError> {
    let node = args.node;
    if !opset::is_known(node) {
        return Err(super::unsupported(node));
    }
    let array = match node.op.as_str() {
        "Constant" => constant(args)?,
        "ConstantOfShape" => constant_of_shape(args)?,
        "Range" => range(args)?,
        "Identity" | "Dropout" => args.required(0)?.clone(),
        "Cast" => cast(args, args.required(0)?)?,
        "CastLike" => convert(args.required(0)?, args.required(1)?.is_int()),
        "Shape" => shape(args, &full_dims(&args.required(0)?.dims))?,
        "Size" => Array::ints(vec![args.required(0)?.len() as i64]).view(Vec::new()),
        "Concat" => concat(args)?,
        "Where" => choose(args)?,
        "Pad" => pad(args)?,
        "ReduceMean" | "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin" => reduce::reduce(args)?,
        _ => return general(args),
    };
    Ok(vec![array])
}

fn general(args: &Args<'_>) -> Result<Vec<Array>, ImportError> {
    let first = args.required(0)?;
    if let Some(dims) = moves::view(args, &first.dims, false)? {
        return Ok(vec![first.view(dims)]);
    }
    if let Some(layouts) = moves::moves(args, &first.dims, false)? {
        return Ok(layouts.into_iter().map(|l| first.gather(l.dims, &l.table, 0.0)).collect());
    }
    if let Some(f) = unary(&args.node.op) {
        return Ok(vec![map(first, f)]);
    }
    let mut result = first.clone();
    for i in 1..args.inputs.len() {
        result = binary(args, &result, args.required(i)?)?;
    }
    if args.inputs.len() == 1 && binary_f64(&args.node.op).is_none() {
        return Err(super::unsupported(args.node));
    }
    Ok(vec![result])
}

fn constant(args: &Args<'_>) -> Result<Array, ImportError> {
    let node = args.node;
    if let Some(array) = node.tensors.get("value") {
        return Ok(array.clone());
    }
    if let Some(value) = node.int("value_int")? {
        return Ok(Array::ints(vec![value]).view(Vec::new()));
    }
    if let Some(values) = node.ints("value_ints")? {
        return Ok(Array::ints(values.to_vec()));
    }
    if let Some(value) = node.float("value_float")? {
        return Ok(Array::floats(Vec::new(), vec![value]));
    }
    match node.floats("value_floats")? {
        Some(values) => Ok(Array::floats(vec![values.len()], values.iter().map(|&v| v.into()).collect())),
        None => Err(node.error("it has no value that is read: a tensor, numbers or a number")),
    }
}

fn constant_of_shape(args: &Args<'_>) -> Result<Array, ImportError> {
    let shape = args.required(0)?.as_ints().unwrap_or(&[]);
    let fail = || args.node.shape_error(format!("no constant of dimensions {shape:?} is made"));
    let dim = |&dim: &i64| if dim == BATCH { Ok(1) } else { usize::try_from(dim).map_err(|_| fail()) };
    let dims: Vec<usize> = shape.iter().map(dim).collect::<Result<_, _>>()?;
    let count = elements(&dims).ok_or_else(fail)?;
    Ok(match args.node.tensors.get("value") {
        Some(value) if value.len() != 1 => return Err(args.node.error("its value must be one element")),
        Some(value) => value.gather(dims, &vec![0; count], 0.0),
        None => Array { dims, data: Data::Float(crate::graph::Constant::F32(vec![0.0; count].into())) },
    })
}

fn range(args: &Args<'_>) -> Result<Array, ImportError> {
    let number = |i: usize| args.required(i).map(|a| a.scalar().unwrap_or(f64::NAN));
    let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if count.is_nan() || count > 1e7 {
        return Err(args.node.shape_error(format!("a range of {count} elements")));
    }
    let values: Vec<f64> = (0..count as usize).map(|i| start + i as f64 * delta).collect();
    let array = Array::floats(vec![values.len()], values);
    Ok(convert(&array, args.required(0)?.is_int()))
}

/// A type of the standard: integers, booleans and floats of any width.
pub(super) fn is_int_type(args: &Args<'_>) -> Result<bool, ImportError> {
    let to = args.node.int_or("to", 0)?;
    match i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok()) {
        Some(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => Ok(false),
        Some(
            DataType::Int64 | DataType::Int32 | DataType::Int16 | DataType::Int8 | DataType::Uint8 | DataType::Bool,
        ) => Ok(true),
        _ => Err(args.node.error(format!("a cast to type {to} is not known"))),
    }
}

fn cast(args: &Args<'_>, array: &Array) -> Result<Array, ImportError> {
    let to_int = is_int_type(args)?;
    if args.node.int_or("to", 0)? == DataType::Bool as i64 {
        return Ok(map(&convert(array, true), |v| f64::from(v != 0.0)));
    }
    Ok(convert(array, to_int))
}

/// The same numbers as integers or floats.
pub(super) fn convert(array: &Array, to_int: bool) -> Array {
    let data = match (&array.data, to_int) {
        (Data::Float(values), true) => Data::Int(values.iter().map(|v| v as i64).collect()),
        (Data::Int(_), false) => return Array::floats(array.dims.clone(), array.to_f64()),
        _ => array.data.clone(),
    };
    Array { dims: array.dims.clone(), data }
}

fn full_dims(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&dim| dim as i64).collect()
}

/// `Shape` of a tensor of these dimensions.
pub(super) fn shape(args: &Args<'_>, dims: &[i64]) -> Result<Array, ImportError> {
    let rank = dims.len() as i64;
    let at = |axis: i64| if axis < 0 { axis.saturating_add(rank) } else { axis }.clamp(0, rank) as usize;
    let start = at(args.node.int_or("start", 0)?);
    let end = at(args.node.int_or("end", rank)?);
    Ok(Array::ints(dims.get(start..end).unwrap_or(&[]).to_vec()))
}

fn concat(args: &Args<'_>) -> Result<Array, ImportError> {
    let parts: Vec<&Array> = (0..args.inputs.len()).map(|i| args.required(i)).collect::<Result<_, _>>()?;
    let fail = || args.node.shape_error("the parts differ in dimensions");
    let first = parts.first().ok_or_else(fail)?;
    let axis = args.axis(args.node.int_or("axis", 1)?, first.dims.len())?;
    let others = |dims: &[usize]| -> Vec<usize> {
        dims.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &d)| d).collect()
    };
    if parts.iter().any(|p| others(&p.dims) != others(&first.dims) || p.is_int() != first.is_int()) {
        return Err(fail());
    }
    let mut dims = first.dims.clone();
    if let Some(dim) = dims.get_mut(axis) {
        *dim = parts.iter().filter_map(|p| p.dims.get(axis)).sum();
    }
    elements(&dims).ok_or_else(fail)?;
    let outer: usize = dims.iter().take(axis).product();
    let mut floats = Vec::new();
    let mut ints = Vec::new();
    let inner = |part: &Array| part.len().checked_div(outer).unwrap_or(0);
    for i in 0..outer {
        for part in &parts {
            let span = i * inner(part)..(i + 1) * inner(part);
            match &part.data {
                Data::Float(values) => floats.extend(span.map(|j| values.get(j))),
                Data::Int(values) => ints.extend_from_slice(values.get(span).unwrap_or(&[])),
            }
        }
    }
    Ok(if first.is_int() { Array::ints(ints).view(dims) } else { Array::floats(dims, floats) })
}

fn choose(args: &Args<'_>) -> Result<Array, ImportError> {
    let (condition, yes, no) = (args.required(0)?, args.required(1)?, args.required(2)?);
    let dims = layout::broadcast_dims(&condition.dims, &yes.dims).and_then(|d| layout::broadcast_dims(&d, &no.dims));
    let fail = || args.node.shape_error("the operands do not broadcast");
    let dims = dims.filter(|dims| elements(dims).is_some()).ok_or_else(fail)?;
    let spread = |a: &Array| layout::expand(&a.dims, &dims).map(|l| a.gather(dims.clone(), &l.table, 0.0).to_f64());
    let (c, y, n) = (spread(condition), spread(yes), spread(no));
    let (c, y, n) = (c.ok_or_else(fail)?, y.ok_or_else(fail)?, n.ok_or_else(fail)?);
    let values = c.iter().zip(y).zip(n).map(|((&c, y), n)| if c != 0.0 { y } else { n }).collect();
    Ok(convert(&Array::floats(dims, values), yes.is_int()))
}

fn pad(args: &Args<'_>) -> Result<Array, ImportError> {
    let array = args.required(0)?;
    let (pads, fill) = super::lower::pads(args, &array.dims)?;
    let layout = moves::pad(&array.dims, &pads).ok_or_else(|| args.node.shape_error(format!("pads {pads:?}")))?;
    Ok(array.gather(layout.dims, &layout.table, fill))
}

fn unary(op: &str) -> Option<fn(f64) -> f64> {
    Some(match op {
        "Abs" => f64::abs,
        "Ceil" => f64::ceil,
        "Exp" => f64::exp,
        "Floor" => f64::floor,
        "Log" => f64::ln,
        "Neg" => |v| -v,
        "Not" => |v| f64::from(v == 0.0),
        "Reciprocal" => f64::recip,
        "Relu" => |v| v.max(0.0),
        "Round" => f64::round_ties_even,
        "Sigmoid" => |v| 1.0 / (1.0 + (-v).exp()),
        "Sqrt" => f64::sqrt,
        "Tanh" => f64::tanh,
        _ => return None,
    })
}

fn map(array: &Array, f: impl Fn(f64) -> f64) -> Array {
    let values = array.to_f64().into_iter().map(f).collect();
    convert(&Array::floats(array.dims.clone(), values), array.is_int())
}

fn binary_f64(op: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        "Add" | "Sum" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f64::powf,
        "Mod" => |a, b| a - b * (a / b).floor(),
        "Min" => f64::min,
        "Max" => f64::max,
        "Equal" => |a, b| f64::from(a == b),
        "Less" => |a, b| f64::from(a < b),
        "Greater" => |a, b| f64::from(a > b),
        "And" => |a, b| f64::from(a != 0.0 && b != 0.0),
        "Or" => |a, b| f64::from(a != 0.0 || b != 0.0),
        _ => return None,
    })
}

/// Integers wrap nowhere: what overflows, or divides by zero, is `None`.
fn binary_i64(op: &str) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match op {
        "Add" | "Sum" => i64::checked_add,
        "Sub" => i64::checked_sub,
        "Mul" => i64::checked_mul,
        "Div" => i64::checked_div,
        "Mod" => |a, b| a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        "Min" => |a, b| Some(a.min(b)),
        "Max" => |a, b| Some(a.max(b)),
        "Pow" => |a, b| a.checked_pow(u32::try_from(b).ok()?),
        _ => return None,
    })
}

fn binary(args: &Args<'_>, a: &Array, b: &Array) -> Result<Array, ImportError> {
    let op = args.node.op.as_str();
    let fail = || args.node.shape_error(format!("{:?} and {:?} do not broadcast", a.dims, b.dims));
    let dims = layout::broadcast_dims(&a.dims, &b.dims).filter(|dims| elements(dims).is_some()).ok_or_else(fail)?;
    let spread = |x: &Array| {
        if x.dims == dims {
            return Some(x.clone());
        }
        layout::expand(&x.dims, &dims).map(|l| x.gather(dims.clone(), &l.table, 0.0))
    };
    let (a, b) = (spread(a).ok_or_else(fail)?, spread(b).ok_or_else(fail)?);
    if let (Some(a), Some(b), Some(f)) = (a.as_ints(), b.as_ints(), binary_i64(op)) {
        let values: Option<Vec<i64>> = a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
        let values = values.ok_or_else(|| args.node.error("its integers overflow, or it divides by zero"))?;
        return Ok(Array::ints(values).view(dims));
    }
    let f = binary_f64(op).ok_or_else(|| super::unsupported(args.node))?;
    let values = a.to_f64().into_iter().zip(b.to_f64()).map(|(a, b)| f(a, b)).collect();
    let array = Array::floats(dims, values);
    Ok(convert(&array, matches!(op, "Equal" | "Less" | "Greater" | "And" | "Or")))
}

/// Whether every input that is given is a constant.
pub(super) fn is_foldable(args: &Args<'_>) -> bool {
    args.inputs.iter().all(|input| !matches!(input, Input::Data(_)))
}
