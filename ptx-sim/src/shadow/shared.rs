//! Shared memory of the block that runs, with its shadow.

use std::ops::Range;

use super::reads::{Reads, Span};
use super::{Cell, Clock, Conflict, Kind, Observer, Spread, bits};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::lanes::hull;

pub(crate) struct Shared {
    pub bytes: Vec<u8>,
    cells: Vec<Cell>,
    /// Ticks of the cells' last writes: all that most reads need to know.
    writes: Vec<u32>,
    /// Reads that the cells do not know of yet.
    reads: Reads,
    spread: Spread,
    granule: u32,
}

impl Shared {
    /// Of so many bytes; a granule has `2^granule` bytes.
    pub fn new(bytes: usize, granule: u32) -> Self {
        let cells = vec![Cell::default(); bytes.div_ceil(1 << granule)];
        let writes = vec![0; cells.len()];
        let (reads, spread) = (Reads::default(), Spread::default());
        Shared { bytes: vec![0xff; bytes], cells, writes, reads, spread, granule }
    }

    /// Forgets everything, for the next block.
    pub fn clear(&mut self) {
        self.bytes.fill(0xff);
        self.cells.fill(Cell::default());
        self.writes.fill(0);
        self.reads.clear();
        self.spread.clear();
    }

    /// The offset of an aligned access.
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

    /// That the accesses of some lanes are aligned and in range; gives the lines that they lie in.
    #[inline(always)]
    pub fn reach(&self, addresses: &[u64; 32], mask: u32, bytes: u32, access: Access) -> Result<Span, Stop> {
        let hull = hull(addresses, mask);
        let end = u64::from(hull.last) + u64::from(bytes);
        if hull.any & u64::from(bytes - 1) == 0 && hull.any >> 32 == 0 && end <= self.bytes.len() as u64 {
            return Ok(Span::new(hull.first, hull.last + bytes - 1));
        }
        let fault = |lane| self.range(addresses[lane], bytes, access).err().map(|kind| Stop::lane(kind, lane));
        Err(bits(mask).find_map(fault).unwrap_or_else(|| unreachable!("one of them is not in range")))
    }

    /// Checks and records reads that are in range.
    #[inline(always)]
    pub fn read(
        &mut self,
        clock: &Clock,
        warp: usize,
        (mask, addresses): (u32, &[u64; 32]),
        bytes: u32,
        span: Span,
    ) -> Result<(), Stop> {
        let by = clock.observer(warp);
        let ordered = match bytes >> self.granule {
            0 | 1 => self.are_ordered::<1>(&by, mask, addresses),
            2 => self.are_ordered::<2>(&by, mask, addresses),
            4 => self.are_ordered::<4>(&by, mask, addresses),
            cells => bits(mask).all(|lane| {
                let first = addresses[lane] as usize >> self.granule;
                self.writes[first..first + cells as usize].iter().all(|tick| by.is_ordered(*tick))
            }),
        };
        if !ordered {
            self.read_closely(&by, mask, addresses, bytes)?;
        } else if self.reads.log(warp, mask, addresses, bytes, span) {
            self.settle(clock);
        }
        Ok(())
    }

    /// Whether `N` cells from each address were written, before the warp's accesses.
    #[inline(always)]
    fn are_ordered<const N: usize>(&self, by: &Observer<'_>, mask: u32, addresses: &[u64; 32]) -> bool {
        let mut ordered = true;
        for lane in bits(mask) {
            let first = addresses[lane] as usize >> self.granule;
            ordered &= self.writes[first..first + N].iter().fold(true, |ordered, tick| ordered & by.is_ordered(*tick));
        }
        ordered
    }

    #[inline(never)]
    fn read_closely(&mut self, by: &Observer<'_>, mask: u32, addresses: &[u64; 32], bytes: u32) -> Result<(), Stop> {
        for lane in bits(mask) {
            for at in self.granules(addresses[lane] as usize, bytes) {
                let (address, cell) = ((at << self.granule) as u64, &mut self.cells[at]);
                let read = match cell.write {
                    0 => Err(FaultKind::Uninitialised { space: Space::Shared, address, bytes }),
                    _ => {
                        let read = cell.read(by, lane, false, &mut self.spread);
                        read.map_err(|conflict| conflict.fault(Space::Shared, address, Access::Read))
                    }
                };
                read.map_err(|kind| Stop::lane(kind, lane))?;
            }
        }
        Ok(())
    }

    /// The cells of an access.
    #[inline(always)]
    fn granules(&self, offset: usize, bytes: u32) -> Range<usize> {
        granules(offset, bytes, self.granule)
    }

    /// Lets the cells know of all reads so far, if any may be of these lines.
    #[inline(always)]
    pub fn settle_in(&mut self, clock: &Clock, span: Span) {
        if self.reads.meet(span) {
            self.settle(clock);
        }
    }

    /// Lets the cells know of all reads so far.
    #[inline(never)]
    pub fn settle(&mut self, clock: &Clock) {
        for read in self.reads.take() {
            let by = clock.observer(read.warp);
            for lane in bits(read.mask) {
                let place = granules(read.addresses[lane] as usize, read.bytes, self.granule);
                self.cells[place].iter_mut().for_each(|cell| cell.add_reader(&by, lane, &mut self.spread));
            }
        }
    }

    /// Before a barrier that some warps wait at. Reads that it orders before all that follows are forgotten.
    pub fn synchronise(&mut self, clock: &Clock, waiting: u32) {
        match clock.is_all(waiting) {
            true => self.reads.clear(),
            false => self.settle(clock),
        }
    }

    /// Checks and records the write of a lane, in range, before it happens; the reads of its lines are settled.
    #[inline(always)]
    pub fn write(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        (offset, bytes): (usize, u32),
        access: Access,
    ) -> Result<(), Stop> {
        let granules = self.granules(offset, bytes);
        if self.write_ordered(by, lane, granules.clone(), access) {
            return Ok(());
        }
        for at in granules {
            self.write_closely(by, 1 << lane, at, access)?;
        }
        Ok(())
    }

    /// The same of a plain store, to which `twins` gives the lanes of the instruction that store in the same place: they may
    /// store the same value.
    #[inline(always)]
    pub fn store(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        (offset, bytes): (usize, u32),
        value: &[u8; 16],
        twins: impl FnOnce() -> u32,
    ) -> Result<(), Stop> {
        let granules = self.granules(offset, bytes);
        match self.write_ordered(by, lane, granules.clone(), Access::Write) {
            true => Ok(()),
            false => self.store_closely(by, lane, granules, value, twins()),
        }
    }

    /// Records a write where all accesses so far are ordered before it.
    #[inline(always)]
    fn write_ordered(&mut self, by: &Observer<'_>, lane: usize, granules: Range<usize>, access: Access) -> bool {
        let cells = &mut self.cells[granules.clone()];
        let ordered = cells.iter().fold(true, |ordered, cell| ordered & cell.is_up_to(by.seen_all));
        if ordered {
            let cell = Cell::written(by, lane, access);
            cells.fill(cell);
            self.writes[granules].fill(cell.write);
        }
        ordered
    }

    #[inline(never)]
    fn store_closely(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        granules: Range<usize>,
        value: &[u8; 16],
        twins: u32,
    ) -> Result<(), Stop> {
        let first = twins.trailing_zeros() as usize == lane;
        for (at, value) in granules.zip(value.chunks(1 << self.granule)) {
            if first {
                self.write_closely(by, twins, at, Access::Write)?;
                continue;
            }
            let place = at << self.granule;
            if self.bytes[place..place + value.len()] != *value {
                let kind = FaultKind::ConflictingStores { space: Space::Shared, address: place as u64 };
                return Err(Stop::lane(kind, lane));
            }
            self.cells[at].written_also(by, lane, &mut self.spread);
            self.writes[at] = self.cells[at].write;
        }
        Ok(())
    }

    fn write_closely(&mut self, by: &Observer<'_>, lanes: u32, at: usize, access: Access) -> Result<(), Stop> {
        let written = self.cells[at].write(by, lanes, access, &mut self.spread);
        self.writes[at] = self.cells[at].write;
        written.map_err(|(lane, conflict)| {
            Stop::lane(conflict.fault(Space::Shared, (at << self.granule) as u64, access), lane)
        })
    }

    /// Checks and records the atomic operation of a lane, in range; all reads are settled.
    pub fn atomic(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        (offset, bytes): (usize, u32),
        kind: Kind,
    ) -> Result<(), Conflict> {
        for at in self.granules(offset, bytes) {
            self.cells[at].atomic(by, lane, kind, &mut self.spread)?;
            self.writes[at] = self.cells[at].write;
        }
        Ok(())
    }

    /// Ends the copy in flight to these bytes.
    #[inline(always)]
    pub fn complete(&mut self, by: &Observer<'_>, offset: usize, bytes: u32) {
        let granules = self.granules(offset, bytes);
        for (cell, write) in self.cells[granules.clone()].iter_mut().zip(&mut self.writes[granules]) {
            cell.complete(by);
            *write = cell.write;
        }
    }

    /// Whether an atomic operation finds something here.
    pub fn is_written(&self, offset: usize, bytes: u32) -> bool {
        self.granules(offset, bytes).all(|at| self.writes[at] != 0)
    }
}

#[inline(always)]
fn granules(offset: usize, bytes: u32, granule: u32) -> Range<usize> {
    let first = offset >> granule;
    first..first + (bytes >> granule).max(1) as usize
}
