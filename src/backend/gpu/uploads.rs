//! Constants on a device: weights, tables, zeros. Each is there once, whatever the number of sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Pointer, number};
use crate::graph::Constant;
use crate::kernel::Type;
use crate::program::{Weight, WeightKey};

/// What a constant is known by.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Weights(Vec<WeightKey>, Type),
    Table(Arc<[u32]>),
    Zeros(usize),
}

impl Key {
    /// Of a constant; a buffer has none.
    fn of(pointer: &Pointer) -> Option<Self> {
        match pointer {
            Pointer::Buffer(_) => None,
            Pointer::Weight(weight, stored) => Some(Self::Weights(vec![weight.key()], *stored)),
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
            Self::Weights(weights) => bytemuck::cast_vec(weights.iter().flat_map(Weight::materialise_f32).collect()),
            Self::Table(table) => table.to_vec(),
            Self::Zeros(count) => vec![0; *count],
        }
    }
}

/// A constant in the memory of a device.
pub struct Upload<M> {
    pub memory: M,
    /// A constant's identity is good while it lives.
    _sources: Vec<Constant>,
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
