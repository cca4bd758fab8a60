//! Shared memory of the block that runs, with its shadow.

use super::Cell;
use crate::fault::{Access, FaultKind, Space};

pub(crate) struct Shared {
    pub bytes: Vec<u8>,
    cells: Vec<Cell>,
    granule: u32,
}

impl Shared {
    /// Of so many bytes; a granule has `2^granule` bytes.
    pub fn new(bytes: usize, granule: u32) -> Self {
        Shared { bytes: vec![0xff; bytes], cells: vec![Cell::default(); (bytes >> granule) + 1], granule }
    }

    /// Forgets everything, for the next block.
    pub fn clear(&mut self) {
        self.bytes.fill(0xff);
        self.cells.fill(Cell::default());
    }

    pub fn granule_bytes(&self) -> u64 {
        1 << self.granule
    }

    /// The offset of an aligned access.
    #[inline(always)]
    pub fn range(&self, address: u64, bytes: u32, access: Access) -> Result<usize, FaultKind> {
        if address & u64::from(bytes - 1) != 0 {
            return Err(FaultKind::Misaligned { space: Space::Shared, access, address, bytes });
        }
        let len = self.bytes.len() as u64;
        if address > len || address + u64::from(bytes) > len {
            return Err(FaultKind::OutOfBounds { space: Space::Shared, access, offset: address, bytes, len });
        }
        Ok(address as usize)
    }

    /// The cells of an access that is in range.
    #[inline(always)]
    pub fn cells(&mut self, offset: usize, bytes: u32) -> &mut [Cell] {
        let first = offset >> self.granule;
        &mut self.cells[first..first + (bytes >> self.granule).max(1) as usize]
    }
}
