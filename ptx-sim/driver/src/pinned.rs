//! Page-locked host memory.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;

use crate::error::{Code, Result};
use crate::knobs::FailAt;

/// The alignment that drivers give.
const PAGE: usize = 4096;

/// What fresh bytes hold; four of them are a NaN, so that a value nothing has written shows.
pub(crate) const POISON: u8 = 0xff;

#[derive(Debug)]
pub(crate) struct Pinned {
    blocks: BTreeMap<usize, Layout>,
    fail: Option<FailAt>,
    fresh: u8,
    /// So many were asked for.
    pub allocations: u64,
}

impl Pinned {
    /// `fresh`: what new bytes hold.
    pub fn new(fail: Option<FailAt>, fresh: u8) -> Self {
        Pinned { blocks: BTreeMap::new(), fail, fresh, allocations: 0 }
    }

    pub fn alloc(&mut self, bytes: usize) -> Result<usize> {
        self.allocations += 1;
        if self.fail.is_some_and(|fail| fail.hits(self.allocations)) {
            return Err(Code::OutOfMemory.into());
        }
        if bytes == 0 {
            return Err(Code::InvalidValue.into());
        }
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| Code::OutOfMemory)?;
        // SAFETY: the layout has bytes.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return Err(Code::OutOfMemory.into());
        }
        // SAFETY: the block was allocated with so many bytes just now.
        unsafe { start.write_bytes(self.fresh, bytes) };
        self.blocks.insert(start.expose_provenance(), layout);
        Ok(start.expose_provenance())
    }

    pub fn free(&mut self, start: usize) -> Result<()> {
        let layout = self.blocks.remove(&start).ok_or(Code::InvalidValue)?;
        // SAFETY: the table says that the block is live and of this layout.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(start), layout) };
        Ok(())
    }

    /// Whether bytes lie in one block.
    pub fn contains(&self, start: usize, bytes: usize) -> bool {
        let block = self.blocks.range(..=start).next_back();
        block.is_some_and(|(at, layout)| start - at < layout.size() && bytes <= layout.size() - (start - at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_known_while_they_live() {
        let mut pinned = Pinned::new(None, POISON);
        let at = pinned.alloc(100).unwrap();
        assert_eq!(at % PAGE, 0);
        assert!(pinned.contains(at, 100) && pinned.contains(at + 99, 1));
        assert!(!pinned.contains(at + 99, 2) && !pinned.contains(at + 100, 0) && !pinned.contains(at - 1, 1));
        pinned.free(at).unwrap();
        assert!(!pinned.contains(at, 1));
        assert_eq!(pinned.free(at), Err(Code::InvalidValue.into()));
    }
}
