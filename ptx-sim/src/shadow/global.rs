//! Shadow of device memory, for one launch.

use super::Cell;
use crate::memory::{index, offset};

/// Bytes whose cells come into being together.
const PAGE: usize = 4096;

/// Cells of equal granules: as large as the smallest access so far, since what one access touches has one history.
struct Page {
    /// Log2 of a granule's bytes.
    granule: u32,
    cells: Box<[Cell]>,
}

impl Page {
    fn new(granule: u32) -> Self {
        Page { granule, cells: vec![Cell::default(); PAGE >> granule].into() }
    }

    /// Splits the granules.
    #[inline(never)]
    fn refine(&mut self, granule: u32) {
        let copies = 1 << (self.granule - granule);
        self.cells = self.cells.iter().flat_map(|cell| std::iter::repeat_n(*cell, copies)).collect();
        self.granule = granule;
    }
}

/// Cells of the bytes that the launch has touched.
pub(crate) struct GlobalShadow {
    /// For each allocation its pages.
    allocations: Vec<Vec<Option<Page>>>,
}

impl GlobalShadow {
    /// For so many allocations.
    pub fn new(allocations: usize) -> Self {
        GlobalShadow { allocations: std::iter::repeat_with(Vec::new).take(allocations).collect() }
    }

    /// The cells of an aligned access of at most 16 bytes, and the bytes of each.
    #[inline(always)]
    pub fn cells(&mut self, address: u64, bytes: u32) -> (&mut [Cell], usize) {
        let pages = &mut self.allocations[index(address)];
        let offset = offset(address) as usize;
        let page = offset / PAGE;
        if page >= pages.len() {
            pages.resize_with(page + 1, || None);
        }
        let granule = bytes.trailing_zeros();
        let page = pages[page].get_or_insert_with(|| Page::new(granule));
        if page.granule > granule {
            page.refine(granule);
        }
        let first = (offset % PAGE) >> page.granule;
        (&mut page.cells[first..first + (bytes >> page.granule) as usize], 1 << page.granule)
    }
}
