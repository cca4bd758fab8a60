//! Shared memory of the block that runs, with its shadow.

use std::ops::Range;

use super::lines::Lines;
use super::log::Log;
use super::proxy::Proxy;
use super::{Cell, Clock, Conflict, Kind, Lists, Observer, bits};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::lanes::{for_lanes, hull};

pub(crate) struct Shared {
    pub bytes: Vec<u8>,
    lines: Lines,
    /// Accesses that the cells do not know of yet.
    log: Log,
    cells: Vec<Cell>,
    lists: Lists,
    granule: u32,
    /// Where products of warpgroups read it.
    proxy: Option<Box<Proxy>>,
}

/// Which granules an access touches.
pub(crate) struct Extent<'a> {
    /// The lowest.
    pub first: usize,
    /// From that on, a bit for each; by words of 64, where one is set.
    pub granules: &'a [(usize, u64)],
    /// Whether no two lanes touch the same.
    pub distinct: bool,
}

impl Shared {
    /// Of so many bytes; a granule has `2^granule` bytes. Products of warpgroups read it where `products` says so.
    pub fn new(bytes: usize, granule: u32, products: bool) -> Self {
        let cells = vec![Cell::default(); bytes.div_ceil(1 << granule)];
        let (lines, log, lists) = (Lines::new(cells.len()), Log::default(), Lists::default());
        let proxy = products.then(|| Box::new(Proxy::new(cells.len())));
        Shared { bytes: vec![0xff; bytes], lines, log, cells, lists, granule, proxy }
    }

    /// Forgets everything, for the next block.
    pub fn clear(&mut self) {
        self.bytes.fill(0xff);
        self.lines.clear();
        self.log.clear();
        self.cells.fill(Cell::default());
        self.lists.clear();
        if let Some(proxy) = &mut self.proxy {
            proxy.clear();
        }
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

    /// That the accesses of some lanes are aligned and in range.
    #[inline(always)]
    pub fn reach(&self, addresses: &[u64; 32], mask: u32, bytes: u32, access: Access) -> Result<(), Stop> {
        let hull = hull(addresses, mask);
        let end = u64::from(hull.last) + u64::from(bytes);
        if hull.any & u64::from(bytes - 1) == 0 && hull.any >> 32 == 0 && end <= self.bytes.len() as u64 {
            return Ok(());
        }
        let fault = |lane| self.range(addresses[lane], bytes, access).err().map(|kind| Stop::lane(kind, lane));
        Err(bits(mask).find_map(fault).unwrap_or_else(|| unreachable!("one of them is not in range")))
    }

    /// The granules of an access.
    #[inline(always)]
    pub fn granules(&self, offset: usize, bytes: u32) -> Range<usize> {
        granules(self.granule, offset, bytes)
    }

    /// Checks and records reads that are in range.
    #[inline(always)]
    pub fn read(
        &mut self,
        clock: &Clock,
        warp: usize,
        lanes: (u32, &[u64; 32]),
        bytes: u32,
        extent: &Extent<'_>,
    ) -> Result<(), Stop> {
        if self.lines.read(extent) {
            self.put_down(clock, false, warp, lanes, bytes);
            return Ok(());
        }
        self.read_closely(clock, warp, lanes, bytes)
    }

    #[inline(never)]
    fn read_closely(
        &mut self,
        clock: &Clock,
        warp: usize,
        (mask, addresses): (u32, &[u64; 32]),
        bytes: u32,
    ) -> Result<(), Stop> {
        self.settle(clock);
        let by = clock.observer(warp);
        for lane in bits(mask) {
            for at in self.granules(addresses[lane] as usize, bytes) {
                self.check_pending(lane, at, Access::Read)?;
                let (space, address) = (Space::Shared, self.address(at));
                if !self.lines.is_filled(at) {
                    return Err(Stop::lane(FaultKind::Uninitialised { space, address, bytes }, lane));
                }
                let read = self.cells[at].read(&by, lane, false, &mut self.lists);
                read.map_err(|conflict| Stop::lane(conflict.fault(space, address, Access::Read), lane))?;
            }
        }
        Ok(())
    }

    fn address(&self, at: usize) -> u64 {
        (at << self.granule) as u64
    }

    /// That no copy in flight fills a granule.
    fn check_pending(&self, lane: usize, at: usize, access: Access) -> Result<(), Stop> {
        match self.lines.is_pending(at) {
            true => Err(Stop::lane(FaultKind::AsyncPending { address: self.address(at), access }, lane)),
            false => Ok(()),
        }
    }

    /// That no product in flight reads a granule that is to be written.
    fn check_held(&self, at: usize, access: Access) -> Result<(), FaultKind> {
        match &self.proxy {
            Some(proxy) if proxy.is_held(at) => Err(FaultKind::ProductSource { address: self.address(at), access }),
            _ => Ok(()),
        }
    }

    /// Lets products know of a write by lanes of a warp.
    #[inline(always)]
    fn note_write(&mut self, warp: usize, lanes: (u32, &[u64; 32]), bytes: u32) {
        if let Some(proxy) = &mut self.proxy {
            touched(self.granule, lanes, bytes).for_each(|(lane, granules)| proxy.write(warp, lane, granules));
        }
    }

    /// Records a fence between what lanes of a warp wrote and the products that read it.
    pub fn fence(&mut self, clock: &Clock, warp: usize, mask: u32) {
        if let Some(proxy) = &mut self.proxy {
            proxy.fence(&clock.observer(warp), mask);
        }
    }

    /// Checks and records that a product of a warp starts to read what the warp has been recorded to read.
    pub fn hold(&mut self, clock: &Clock, warp: usize, lanes: (u32, &[u64; 32]), bytes: u32) -> Result<(), FaultKind> {
        let Some(proxy) = &mut self.proxy else { return Ok(()) };
        let by = clock.observer(warp);
        for at in touched(self.granule, lanes, bytes).flat_map(|(_, granules)| granules) {
            if !proxy.is_seen(&by, at) {
                return Err(FaultKind::ProxyUnfenced { address: (at << self.granule) as u64 });
            }
            proxy.hold(at);
        }
        Ok(())
    }

    /// Records that a product of a warp has read until now.
    pub fn release(&mut self, clock: &Clock, warp: usize, lanes: (u32, &[u64; 32]), bytes: u32) {
        if let Some(proxy) = &mut self.proxy {
            for at in touched(self.granule, lanes, bytes).flat_map(|(_, granules)| granules) {
                proxy.release(at);
                self.lines.read_granule(at);
            }
        }
        self.put_down(clock, false, warp, lanes, bytes);
    }

    #[inline(always)]
    fn put_down(&mut self, clock: &Clock, write: bool, warp: usize, lanes: (u32, &[u64; 32]), bytes: u32) {
        if write {
            self.note_write(warp, lanes, bytes);
        }
        if self.log.push(write, warp, lanes, bytes) {
            self.settle(clock);
        }
    }

    /// Lets the cells know of all accesses so far.
    #[inline(never)]
    pub fn settle(&mut self, clock: &Clock) {
        for logged in self.log.take() {
            let by = clock.observer(logged.warp);
            for lane in bits(logged.mask) {
                let first = logged.addresses[lane] as usize >> self.granule;
                let cells = &mut self.cells[first..first + (logged.bytes >> self.granule).max(1) as usize];
                match logged.write {
                    true => cells.iter_mut().for_each(|cell| cell.overwrite(&by, 1 << lane, &mut self.lists)),
                    false => cells.iter_mut().for_each(|cell| cell.add_reader(&by, lane, &mut self.lists)),
                }
            }
        }
    }

    /// Before a barrier that some warps wait at. What it orders before all that follows is forgotten.
    pub fn synchronise(&mut self, clock: &Clock, waiting: u32) {
        match clock.is_all(waiting) {
            true => {
                self.log.clear();
                self.lines.meet();
                let held = self.proxy.iter().flat_map(|proxy| proxy.all_held());
                held.for_each(|at| self.lines.read_granule(at));
            }
            false => self.settle(clock),
        }
    }

    /// Records stores that are in range, where nothing is there that they have to be compared with; else false, and each lane
    /// is to be looked at [closely](Self::store_closely).
    #[inline(always)]
    pub fn store(
        &mut self,
        clock: &Clock,
        warp: usize,
        lanes: (u32, &[u64; 32]),
        bytes: u32,
        extent: &Extent<'_>,
    ) -> bool {
        let alone = self.lines.write(extent) && extent.distinct;
        match alone {
            true => self.put_down(clock, true, warp, lanes, bytes),
            false => self.settle(clock),
        }
        alone
    }

    /// Checks and records the store of a lane before it happens. `twins` are the lanes of the instruction that store in the
    /// same place: they may store the same value.
    #[inline(never)]
    pub fn store_closely(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        (offset, bytes): (usize, u32),
        value: &[u8; 16],
        twins: u32,
    ) -> Result<(), Stop> {
        let first = twins.trailing_zeros() as usize == lane;
        for (at, value) in self.granules(offset, bytes).zip(value.chunks(1 << self.granule)) {
            let (place, address) = (at << self.granule, self.address(at));
            if first {
                self.check_pending(lane, at, Access::Write)?;
                self.check_held(at, Access::Write).map_err(|kind| Stop::lane(kind, lane))?;
                let written = self.cells[at].write(by, twins, &mut self.lists);
                written.map_err(|(lane, conflict)| {
                    Stop::lane(conflict.fault(Space::Shared, address, Access::Write), lane)
                })?;
            } else if self.bytes[place..place + value.len()] != *value {
                return Err(Stop::lane(FaultKind::ConflictingStores { space: Space::Shared, address }, lane));
            }
        }
        self.note_write(by.warp, (1 << lane, &[offset as u64; 32]), bytes);
        Ok(())
    }

    /// Checks and records the start of copies that are in range.
    #[inline(always)]
    pub fn start_copies(
        &mut self,
        clock: &Clock,
        warp: usize,
        (mask, addresses): (u32, &[u64; 32]),
        bytes: u32,
        extent: &Extent<'_>,
    ) -> Result<(), Stop> {
        if extent.distinct && self.lines.start(extent) {
            return Ok(());
        }
        self.settle(clock);
        bits(mask).try_for_each(|lane| self.start_copy(&clock.observer(warp), lane, (addresses[lane] as usize, bytes)))
    }

    #[inline(never)]
    fn start_copy(&mut self, by: &Observer<'_>, lane: usize, (offset, bytes): (usize, u32)) -> Result<(), Stop> {
        for at in self.granules(offset, bytes) {
            self.check_pending(lane, at, Access::AsyncCopy)?;
            self.check_held(at, Access::AsyncCopy).map_err(|kind| Stop::lane(kind, lane))?;
            let checked = self.cells[at].check(by, lane, Kind::Write, &self.lists);
            let fault = |conflict: Conflict| conflict.fault(Space::Shared, self.address(at), Access::AsyncCopy);
            checked.map_err(|conflict| Stop::lane(fault(conflict), lane))?;
            self.lines.start_granule(at);
        }
        Ok(())
    }

    /// Ends copies in flight, as writes of their threads.
    #[inline(always)]
    pub fn complete(&mut self, clock: &Clock, warp: usize, lanes: (u32, &[u64; 32]), bytes: u32) {
        let granules = self.granules(0, bytes).len();
        for_lanes(lanes.0, |lane| self.lines.complete(lanes.1[lane] as usize >> self.granule, granules));
        self.put_down(clock, true, warp, lanes, bytes);
    }

    /// Checks and records the atomic operation of a lane, in range; all other accesses are settled.
    pub fn atomic(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        (offset, bytes): (usize, u32),
        kind: Kind,
    ) -> Result<(), FaultKind> {
        let (space, access) = (Space::Shared, Access::Atomic);
        for at in self.granules(offset, bytes) {
            let address = self.address(at);
            if self.lines.is_pending(at) {
                return Err(FaultKind::AsyncPending { address, access });
            }
            if !self.lines.is_filled(at) {
                return Err(FaultKind::Uninitialised { space, address: offset as u64, bytes });
            }
            self.check_held(at, access)?;
            let done = self.cells[at].atomic(by, lane, kind, &mut self.lists);
            done.map_err(|conflict| conflict.fault(space, offset as u64, access))?;
            self.lines.complete(at, 1);
        }
        self.note_write(by.warp, (1 << lane, &[offset as u64; 32]), bytes);
        Ok(())
    }
}

/// The lanes of an access, and the granules of each; a granule has `2^granule` bytes.
fn touched(
    granule: u32,
    (mask, addresses): (u32, &[u64; 32]),
    bytes: u32,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    bits(mask).map(move |lane| (lane, granules(granule, addresses[lane] as usize, bytes)))
}

/// The granules of an access.
#[inline(always)]
fn granules(granule: u32, offset: usize, bytes: u32) -> Range<usize> {
    let first = offset >> granule;
    first..first + (bytes >> granule).max(1) as usize
}
