use std::sync::Arc;

use crate::graph::Constant;

/// The most elements that a constant or an activation of one image may have.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;

/// Stands for the batch in shape arithmetic; no real dimension is as large.
pub(super) const BATCH: i64 = 1 << 40;

/// A constant of any rank, in C order.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub dims: Vec<usize>,
    pub data: Data,
}

/// Integers and booleans are `i64`; arithmetic on floats is done in `f64` and not rounded in between.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Float(Constant),
    Int(Arc<[i64]>),
}

impl Array {
    pub fn ints(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::Int(values.into()) }
    }

    pub fn floats(dims: Vec<usize>, values: Vec<f64>) -> Self {
        Self { dims, data: Data::Float(Constant::F64(values.into())) }
    }

    pub fn len(&self) -> usize {
        match &self.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        }
    }

    pub fn is_int(&self) -> bool {
        matches!(self.data, Data::Int(_))
    }

    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::Float(values) => values.to_vec(),
            Data::Int(values) => values.iter().map(|&v| v as f64).collect(),
        }
    }

    /// `None` for floats.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Float(_) => None,
            Data::Int(values) => Some(values),
        }
    }

    /// The only element.
    pub fn scalar(&self) -> Option<f64> {
        match &self.data {
            Data::Float(values) if values.len() == 1 => Some(values.get(0)),
            Data::Int(values) => match **values {
                [value] => Some(value as f64),
                _ => None,
            },
            Data::Float(_) => None,
        }
    }

    /// The weights as stored, shared, where they are floats.
    pub fn constant(&self) -> Constant {
        match &self.data {
            Data::Float(values) => values.clone(),
            Data::Int(_) => Constant::F64(self.to_f64().into()),
        }
    }

    /// The same elements under other dimensions of the same product.
    pub fn view(&self, dims: Vec<usize>) -> Self {
        Self { dims, data: self.data.clone() }
    }

    /// Element `i` of the result is element `table[i]`, or `fill` where the table says `u32::MAX`.
    pub fn gather(&self, dims: Vec<usize>, table: &[u32], fill: f64) -> Self {
        let data = match &self.data {
            Data::Float(Constant::F32(v)) => Data::Float(Constant::F32(pick(v, table, fill as f32))),
            Data::Float(Constant::F64(v)) => Data::Float(Constant::F64(pick(v, table, fill))),
            Data::Int(v) => Data::Int(pick(v, table, fill as i64)),
        };
        Self { dims, data }
    }
}

fn pick<T: Copy>(values: &[T], table: &[u32], fill: T) -> Arc<[T]> {
    table.iter().map(|&i| values.get(i as usize).copied().unwrap_or(fill)).collect()
}

/// The product of dimensions, where it is at most [`MAX_ELEMENTS`].
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    let product = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    (product <= MAX_ELEMENTS).then_some(product)
}
