//! Constants on a device: weights, tables, zeros. Each is there once, whatever the number of sessions.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Pointer, SplitFilters, number};
use crate::graph::Constant;
use crate::kernel::Type;
use crate::program::{Arrangement, Weight, WeightKey};

/// What a constant is known by.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Weights(Vec<WeightKey>, Type),
    SplitFilters(WeightKey, bool),
    Table(Arc<[u32]>),
    Zeros(usize),
}

impl Key {
    /// Of a constant; a buffer has none.
    fn of(pointer: &Pointer) -> Option<Self> {
        match pointer {
            Pointer::Buffer(_) => None,
            Pointer::Weight(weight, stored) => Some(Self::Weights(vec![weight.key()], *stored)),
            Pointer::SplitFilters(filters) => Some(Self::SplitFilters(filters.weight.key(), filters.over_inputs)),
            Pointer::Weights(weights) => Some(Self::Weights(weights.iter().map(Weight::key).collect(), Type::F32)),
            Pointer::Table(table) => Some(Self::Table(Arc::clone(table))),
            Pointer::Zeros(count) => Some(Self::Zeros(*count)),
        }
    }
}

impl Pointer {
    /// The words of a constant, numbers as they are stored; a buffer has none.
    pub fn words(&self) -> Vec<u32> {
        match self {
            Self::Buffer(_) => Vec::new(),
            Self::Weight(weight, stored) => {
                bytemuck::pod_collect_to_vec(&number::stored(weight.materialise_f32(), *stored))
            }
            Self::SplitFilters(filters) => bytemuck::cast_vec(filters.materialise()),
            Self::Weights(weights) => bytemuck::cast_vec(weights.iter().flat_map(Weight::materialise_f32).collect()),
            Self::Table(table) => table.to_vec(),
            Self::Zeros(count) => vec![0; *count],
        }
    }
}

impl SplitFilters {
    /// All numbers in their order, twice as many as the filters have.
    fn materialise(&self) -> Vec<f32> {
        let filters = self.weight.materialise_f32();
        let filters = match &self.weight.arrangement {
            Arrangement::Conv { input, output, .. } if self.over_inputs => {
                transposed(&filters, input.physical(), output.physical())
            }
            Arrangement::Conv { .. } => filters,
            other => unreachable!("the filters of a convolution are arranged as {other:?}"),
        };
        let (mut upper, rest): (Vec<f32>, Vec<f32>) = filters.into_iter().map(number::split).unzip();
        upper.extend(rest);
        upper
    }
}

/// Matrices of `rows` by `columns`, one after another, the other way.
fn transposed(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let of = |matrix: &[f32]| -> Vec<f32> {
        (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns).copied()).collect()
    };
    matrices.chunks_exact((rows * columns).max(1)).flat_map(of).collect()
}

/// A constant in the memory of a device.
pub struct Upload<M> {
    pub memory: M,
    /// A constant's identity is good while it lives.
    _sources: Vec<Constant>,
}

impl<M> Upload<M> {
    /// Sums over uploads, each counted once however many steps use it.
    pub fn total<'a>(uploads: impl IntoIterator<Item = &'a Arc<Self>>, bytes: impl Fn(&M) -> usize) -> usize
    where
        M: 'a,
    {
        let mut seen = HashSet::new();
        let distinct = uploads.into_iter().filter(|upload| seen.insert(Arc::as_ptr(upload)));
        distinct.map(|upload| bytes(&upload.memory)).sum()
    }
}

/// The constants of a device.
pub struct Uploads<M> {
    kept: Mutex<HashMap<Key, Arc<Upload<M>>>>,
}

impl<M> Default for Uploads<M> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<M> Uploads<M> {
    /// A constant that is there.
    pub fn find(&self, pointer: &Pointer) -> Option<Arc<Upload<M>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&Key::of(pointer)?).cloned()
    }

    /// Keeps the memory that has the words of `pointer`.
    pub fn keep(&self, pointer: &Pointer, memory: M) -> Arc<Upload<M>> {
        let sources = match pointer {
            Pointer::Weight(weight, _) => vec![weight.source.clone()],
            Pointer::SplitFilters(filters) => vec![filters.weight.source.clone()],
            Pointer::Weights(weights) => weights.iter().map(|weight| weight.source.clone()).collect(),
            _ => Vec::new(),
        };
        let upload = Arc::new(Upload { memory, _sources: sources });
        if let Some(key) = Key::of(pointer) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&upload));
        }
        upload
    }

    /// Frees what no session uses; true where there was something.
    pub fn prune(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.len();
        kept.retain(|_, upload| Arc::strong_count(upload) > 1);
        kept.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Precision;
    use crate::program::{Layout, Part};

    #[test]
    fn filters_for_warpgroups_lie_along_what_is_summed_and_lose_little() {
        let arrangement = Arrangement::Conv {
            kernel: [1, 2],
            groups: 1,
            merged: 1,
            input: Layout::dense(3),
            output: Layout::dense(5),
            space_to_depth: None,
        };
        let values = (0..5 * 3 * 2).map(|i| f64::from(i) / 7.0 + 1.0);
        let source = Constant::new(values, Precision::F32);
        let weight = Weight { source, part: Part::All, arrangement, first: 0 };
        let plain = weight.materialise_f32();
        for over_inputs in [false, true] {
            let split = SplitFilters { weight: weight.clone(), over_inputs }.materialise();
            let (upper, rest) = split.split_at(plain.len());
            for tap in 0..2 {
                for (i, o) in (0..4).flat_map(|i| (0..8).map(move |o| (i, o))) {
                    let at = 32 * tap + if over_inputs { 4 * o + i } else { 8 * i + o };
                    let whole = plain[32 * tap + 8 * i + o];
                    assert_eq!(upper[at].to_bits() & 0x1fff, 0, "11 bits");
                    assert_eq!(upper[at] + rest[at], whole);
                    assert!(rest[at].abs() <= whole.abs() / 2048.0);
                }
            }
        }
    }
}
