//! Handles: numbers that stand for what the driver owns, so that a stale or foreign one is an error and never a bad pointer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Code, Result};

/// What callers hold in place of a pointer to a stream, an event, a module and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct Handle(pub u64);

impl Handle {
    pub const NULL: Handle = Handle(0);

    /// A handle that was never given out, of no matter what kind of thing.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0x1000);
        Handle(NEXT.fetch_add(16, Ordering::Relaxed))
    }
}

/// Things of one kind by their handles.
#[derive(Debug)]
pub(crate) struct Table<T>(BTreeMap<Handle, T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(BTreeMap::new())
    }
}

impl<T> Table<T> {
    pub fn insert(&mut self, value: T) -> Handle {
        let handle = Handle::fresh();
        self.0.insert(handle, value);
        handle
    }

    pub fn find(&self, handle: Handle) -> Option<&T> {
        self.0.get(&handle)
    }

    pub fn get(&self, handle: Handle) -> Result<&T> {
        self.0.get(&handle).ok_or(Code::InvalidHandle.into())
    }

    pub fn get_mut(&mut self, handle: Handle) -> Result<&mut T> {
        self.0.get_mut(&handle).ok_or(Code::InvalidHandle.into())
    }

    pub fn remove(&mut self, handle: Handle) -> Result<T> {
        self.0.remove(&handle).ok_or(Code::InvalidHandle.into())
    }

    pub fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.0.iter().map(|(handle, value)| (*handle, value))
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.0.retain(|_, value| keep(value));
    }
}
