//! Shadow of device memory, for one launch.

use std::ops::Range;

use super::{Cell, Lists, Observer, bits};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::memory::{index, offset};

/// Bytes whose cells come into being together.
const PAGE: usize = 4096;

/// Cells of equal granules: as large as the smallest access so far, since what one access touches has one history.
struct Page {
    /// Log2 of a granule's bytes.
    granule: u32,
    cells: Box<[Cell]>,
    /// How many of them several blocks have read: no write is allowed there, and no further read changes that.
    foreign: usize,
}

impl Page {
    fn new(granule: u32) -> Self {
        Page { granule, cells: vec![Cell::default(); PAGE >> granule].into(), foreign: 0 }
    }

    /// Splits the granules.
    #[inline(never)]
    fn refine(&mut self, granule: u32, lists: &mut Lists) {
        let copies = 1 << (self.granule - granule);
        let mut cells = Vec::with_capacity(PAGE >> granule);
        for cell in &self.cells {
            cells.push(*cell);
            (1..copies).for_each(|_| cells.push(cell.copy(lists)));
        }
        self.cells = cells.into();
        self.granule = granule;
        self.foreign *= copies;
    }
}

/// Cells of the bytes that the launch has touched.
pub(crate) struct GlobalShadow {
    /// For each allocation its pages.
    allocations: Vec<Vec<Option<Page>>>,
    lists: Lists,
}

impl GlobalShadow {
    /// For so many allocations.
    pub fn new(allocations: usize) -> Self {
        let pages = std::iter::repeat_with(Vec::new).take(allocations).collect();
        GlobalShadow { allocations: pages, lists: Lists::default() }
    }

    /// The page of an aligned access of at most 16 bytes, and its cells there.
    #[inline(always)]
    fn page(&mut self, address: u64, bytes: u32) -> (&mut Page, Range<usize>, &mut Lists) {
        let pages = &mut self.allocations[index(address)];
        let offset = offset(address) as usize;
        let page = offset / PAGE;
        if page >= pages.len() {
            pages.resize_with(page + 1, || None);
        }
        let granule = bytes.trailing_zeros();
        let page = pages[page].get_or_insert_with(|| Page::new(granule));
        if page.granule > granule {
            page.refine(granule, &mut self.lists);
        }
        let first = (offset % PAGE) >> page.granule;
        let range = first..first + (bytes >> page.granule) as usize;
        (page, range, &mut self.lists)
    }

    /// The cells of an aligned access of at most 16 bytes, the bytes of each, and what they need to know.
    #[inline(always)]
    pub fn cells(&mut self, address: u64, bytes: u32) -> (&mut [Cell], usize, &mut Lists) {
        let (page, range, lists) = self.page(address, bytes);
        (&mut page.cells[range], 1 << page.granule, lists)
    }

    /// Checks and records the reads of some lanes; true where several blocks have read all of their pages, so that none may
    /// write there.
    #[inline(always)]
    pub fn read_lanes(
        &mut self,
        by: &Observer<'_>,
        (mask, addresses): (u32, &[u64; 32]),
        bytes: u32,
        non_coherent: bool,
    ) -> Result<bool, Stop> {
        // The last page in which no read changes anything.
        let (mut foreign, mut all_foreign) = (None, true);
        for lane in bits(mask) {
            let page = addresses[lane] / PAGE as u64;
            if foreign == Some(page) {
                continue;
            }
            let read = self.read(by, lane, addresses[lane], bytes, non_coherent);
            match read.map_err(|kind| Stop::lane(kind, lane))? {
                true => foreign = Some(page),
                false => all_foreign = false,
            }
        }
        Ok(all_foreign)
    }

    /// Checks and records a lane's read of at most 16 aligned bytes; true where several blocks have read all of its page.
    #[inline(always)]
    pub fn read(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        address: u64,
        bytes: u32,
        non_coherent: bool,
    ) -> Result<bool, FaultKind> {
        let (page, range, lists) = self.page(address, bytes);
        if page.foreign == page.cells.len() {
            return Ok(true);
        }
        for (i, cell) in page.cells[range].iter_mut().enumerate() {
            if cell.read_unwritten(by, lane, non_coherent) {
                continue;
            }
            let was_foreign = cell.is_foreign();
            cell.read(by, lane, non_coherent, lists).map_err(|conflict| {
                conflict.fault(Space::Global, address + ((i as u64) << page.granule), Access::Read)
            })?;
            page.foreign += usize::from(cell.is_foreign() && !was_foreign);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;
    use crate::Memory;

    #[test]
    fn what_several_blocks_read_needs_no_lists() {
        let (mut clock, mut shadow, first) = (Clock::new(true), GlobalShadow::new(1), Memory::new().alloc(PAGE));
        // By all lanes; how many words were in a page that several blocks had read before, and how many lists are left.
        let mut read = || {
            clock.start_block(1);
            let foreign = (first..)
                .step_by(4)
                .take(PAGE / 4)
                .filter(|address| shadow.read_lanes(&clock.observer(0), (!0, &[*address; 32]), 4, false).unwrap());
            (foreign.count(), shadow.lists.count())
        };
        assert_eq!([read(), read(), read()], [(0, PAGE / 4), (0, 0), (PAGE / 4, 0)]);
    }
}
