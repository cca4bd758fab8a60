//! A node with its inputs resolved: constants, activations or nothing.

use super::ImportError;
use super::array::Array;
use super::source::SourceNode;
use crate::graph::{Constant, ValueId};

#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Nothing,
    Constant(&'a Array),
    Data(ValueId),
}

pub(super) struct Args<'a> {
    pub node: &'a SourceNode,
    pub inputs: Vec<Input<'a>>,
    pub opset: i64,
    /// Size of the batch where the file fixes it.
    pub batch: Option<i64>,
}

impl<'a> Args<'a> {
    pub fn input(&self, i: usize) -> Input<'a> {
        self.inputs.get(i).copied().unwrap_or(Input::Nothing)
    }

    /// An activation; a constant in its place is an error.
    pub fn data(&self, i: usize) -> Result<ValueId, ImportError> {
        match self.input(i) {
            Input::Data(id) => Ok(id),
            _ => Err(self.node.error(format!("input {i} must be an activation, it is a constant"))),
        }
    }

    pub fn all_data(&self) -> Result<Vec<ValueId>, ImportError> {
        (0..self.inputs.len()).map(|i| self.data(i)).collect()
    }

    /// A constant or nothing; an activation in its place is an error.
    pub fn constant(&self, i: usize) -> Result<Option<&'a Array>, ImportError> {
        match self.input(i) {
            Input::Nothing => Ok(None),
            Input::Constant(array) => Ok(Some(array)),
            Input::Data(_) => Err(self.node.error(format!("input {i} must be a constant, it depends on the image"))),
        }
    }

    pub fn required(&self, i: usize) -> Result<&'a Array, ImportError> {
        self.constant(i)?.ok_or_else(|| self.node.error(format!("input {i} is missing")))
    }

    /// Integers from an attribute (old opsets) or a constant input (new ones).
    pub fn ints(&self, attribute: &str, i: usize) -> Result<Option<Vec<i64>>, ImportError> {
        match self.constant(i)? {
            Some(array) => array
                .as_ints()
                .map(|ints| Some(ints.to_vec()))
                .ok_or_else(|| self.node.error(format!("input {i} must hold integers"))),
            None => Ok(self.node.ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    /// One number from an attribute (old opsets) or a constant input (new ones).
    pub fn number(&self, attribute: &str, i: usize) -> Result<Option<f64>, ImportError> {
        match self.constant(i)? {
            Some(array) => match array.scalar() {
                Some(value) if !value.is_nan() => Ok(Some(value)),
                _ => Err(self.node.error(format!("input {i} must hold one number"))),
            },
            None => self.node.float(attribute),
        }
    }

    /// Weights: floats, all finite.
    pub fn weights(&self, i: usize) -> Result<Constant, ImportError> {
        let constant = self.required(i)?.constant();
        self.finite(i, &constant)?;
        Ok(constant)
    }

    pub fn finite(&self, i: usize, constant: &Constant) -> Result<(), ImportError> {
        let bad = match constant {
            Constant::F32(values) => values.iter().position(|v| !v.is_finite()),
            Constant::F64(values) => values.iter().position(|v| !v.is_finite()),
        };
        let Some(at) = bad else { return Ok(()) };
        let name = self.node.inputs.get(i).cloned().unwrap_or_default();
        let reason = format!("element {at} is not finite (a weight of {}); was training stable?", self.node.label());
        Err(ImportError::Tensor { name, reason })
    }

    /// An axis between 0 and `rank - 1`, counted from the end where negative.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let from_end = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        match from_end.and_then(|axis| usize::try_from(axis).ok()) {
            Some(axis) if axis < rank => Ok(axis),
            _ => Err(self.node.shape_error(format!("axis {axis} of a tensor of rank {rank}"))),
        }
    }

    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, ImportError> {
        let axes: Vec<usize> = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<_, _>>()?;
        let mut seen = axes.clone();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() == axes.len() { Ok(axes) } else { Err(self.node.shape_error(format!("axes {axes:?} repeat"))) }
    }
}
