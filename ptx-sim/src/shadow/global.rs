//! Shadow of device memory, for one launch.

use super::Cell;
use crate::memory::index;

/// Cells that come into being together.
const PAGE: usize = 1024;

type Page = Option<Box<[Cell; PAGE]>>;

/// Cells of the granules that the launch has touched.
pub(crate) struct GlobalShadow {
    /// For each allocation its pages.
    allocations: Vec<Vec<Page>>,
    granule: u32,
}

impl GlobalShadow {
    /// For so many allocations; a granule has `2^granule` bytes.
    pub fn new(allocations: usize, granule: u32) -> Self {
        GlobalShadow { allocations: vec![Vec::new(); allocations], granule }
    }

    pub fn granule_bytes(&self) -> u64 {
        1 << self.granule
    }

    /// The cells of an aligned access of at most 16 bytes.
    #[inline(always)]
    pub fn cells(&mut self, address: u64, offset: usize, bytes: u32) -> &mut [Cell] {
        let pages = &mut self.allocations[index(address)];
        let first = offset >> self.granule;
        let page = first / PAGE;
        if page >= pages.len() {
            pages.resize_with(page + 1, || None);
        }
        let cells = pages[page].get_or_insert_with(|| Box::new([Cell::default(); PAGE]));
        let at = first % PAGE;
        &mut cells[at..at + (bytes >> self.granule).max(1) as usize]
    }
}
