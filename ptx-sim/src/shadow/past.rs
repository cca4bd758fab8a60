//! Accesses to a granule of which none is ordered before another: rare, and too many for its cell.

use super::Observer;
use crate::fault::Access;

/// What an access does, as far as that decides what it may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// Two that overlap are no race where both have as many bytes and reach each other's thread.
    Atomic {
        bytes: u8,
        /// Only threads of the same block are reached.
        of_block: bool,
    },
}

impl Kind {
    pub fn access(self) -> Access {
        match self {
            Kind::Read => Access::Read,
            Kind::Write => Access::Write,
            Kind::Atomic { .. } => Access::Atomic,
        }
    }
}

/// An access by lanes of a warp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    pub kind: Kind,
    pub warp: usize,
    pub tick: u32,
    /// All, where several made it and it does not matter which.
    pub lanes: u32,
}

impl Past {
    /// The lanes whose access makes a race with one by `lane`.
    pub fn races(&self, by: &Observer<'_>, lane: usize, kind: Kind) -> u32 {
        match (self.kind, kind) {
            (Kind::Read, Kind::Read) => 0,
            (Kind::Atomic { bytes, of_block }, Kind::Atomic { bytes: same, of_block: also })
                if bytes == same && !(by.is_of_earlier_block(self.tick) && (of_block || also)) =>
            {
                0
            }
            _ => by.unordered(lane, self),
        }
    }
}

/// Lists of accesses by number.
#[derive(Default)]
pub(crate) struct Lists {
    lists: Vec<Vec<Past>>,
    unused: Vec<u32>,
}

impl Lists {
    pub fn clear(&mut self) {
        self.lists.clear();
        self.unused.clear();
    }

    pub(super) fn put(&mut self, accesses: Vec<Past>) -> u32 {
        if let Some(number) = self.unused.pop() {
            self.lists[number as usize] = accesses;
            return number;
        }
        self.lists.push(accesses);
        self.lists.len() as u32 - 1
    }

    pub(super) fn get(&self, number: u32) -> &[Past] {
        &self.lists[number as usize]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut [Past] {
        &mut self.lists[number as usize]
    }

    pub(super) fn take(&mut self, number: u32) -> Vec<Past> {
        self.unused.push(number);
        std::mem::take(&mut self.lists[number as usize])
    }

    /// How many lists there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.lists.len() - self.unused.len()
    }
}
