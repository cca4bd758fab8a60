//! Who touched memory last, and whether that was ordered before the access at hand.
//!
//! A *tick* passes at each barrier. An access by a warp is stamped with the tick it happens at; a warp knows, for each
//! warp of its block, up to which tick that warp's accesses are ordered before its own. Ticks go on from block to block,
//! so that a stamp older than the block's first tick is one of another block, which nothing orders.
//!
//! Lanes of a warp are threads like others: only barriers and `bar.warp.sync` order their accesses.

mod global;
mod reads;
mod shared;
mod spread;

pub(crate) use global::GlobalShadow;
pub(crate) use shared::Shared;
pub(crate) use spread::Spread;

use crate::fault::{Access, FaultKind, OtherThread, Space};
use spread::Reader;

/// Warps that a block can have.
pub(crate) const MAX_WARPS: usize = 32;

/// What is ordered before what, in the block that runs.
pub(crate) struct Clock {
    now: u32,
    block_start: u32,
    /// For each warp, the last tick of each other warp that it has synchronised with.
    seen: Vec<[u32; MAX_WARPS]>,
    /// The least of `seen`.
    seen_all: Vec<u32>,
    warps: usize,
}

impl Clock {
    pub fn new() -> Self {
        Clock { now: 1, block_start: 1, seen: Vec::new(), seen_all: Vec::new(), warps: 0 }
    }

    /// Starts a block of so many warps.
    pub fn start_block(&mut self, warps: usize) {
        self.now += 1;
        self.block_start = self.now;
        self.warps = warps;
        self.seen = vec![[0; MAX_WARPS]; warps];
        self.seen_all = vec![0; warps];
    }

    /// Orders the lanes of a warp.
    pub fn synchronise_lanes(&mut self, warp: usize) {
        self.seen[warp][warp] = self.now;
        self.seen_all[warp] = self.seen[warp][..self.warps].iter().copied().min().unwrap_or(0);
        self.now += 1;
    }

    /// Whether these are all warps of the block.
    pub fn is_all(&self, warps: u32) -> bool {
        warps.count_ones() as usize == self.warps
    }

    /// Adds to `joined` what comes before a warp's arrival at a barrier that it does not wait at.
    pub fn arrive(&mut self, warp: usize, joined: &mut [u32; MAX_WARPS]) {
        self.join(warp, joined);
        self.now += 1;
    }

    fn join(&self, warp: usize, joined: &mut [u32; MAX_WARPS]) {
        joined.iter_mut().zip(&self.seen[warp]).for_each(|(joined, seen)| *joined = (*joined).max(*seen));
        joined[warp] = self.now;
    }

    /// Orders `joined`, and what the waiting warps did, before what these will do.
    pub fn synchronise(&mut self, mut joined: [u32; MAX_WARPS], waiting: u32) {
        bits(waiting).for_each(|warp| self.join(warp, &mut joined));
        for warp in bits(waiting) {
            self.seen[warp].iter_mut().zip(&joined).for_each(|(seen, joined)| *seen = (*seen).max(*joined));
            self.seen_all[warp] = self.seen[warp][..self.warps].iter().copied().min().unwrap_or(0);
        }
        self.now += 1;
    }

    /// The view of a warp for its next instruction.
    #[inline]
    pub fn observer(&self, warp: usize) -> Observer<'_> {
        Observer {
            warp,
            now: self.now,
            block_start: self.block_start,
            seen_all: self.seen_all[warp],
            ordered: (self.seen_all[warp] + 1).saturating_sub(self.block_start),
            seen: &self.seen[warp],
        }
    }
}

/// The set bits, from the lowest.
pub(crate) fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (at < 32).then_some(at)
    })
}

/// A warp that accesses memory.
#[derive(Clone, Copy)]
pub(crate) struct Observer<'a> {
    warp: usize,
    now: u32,
    block_start: u32,
    /// The tick up to which all accesses of the block are ordered before those of the warp.
    seen_all: u32,
    /// Ticks from the block's first whose accesses are ordered before those of the warp, whoever made them.
    ordered: u32,
    seen: &'a [u32; MAX_WARPS],
}

impl Observer<'_> {
    /// Whether a tick is one of the block's whose accesses are ordered before those of the warp.
    #[inline(always)]
    fn is_ordered(&self, tick: u32) -> bool {
        tick.wrapping_sub(self.block_start) < self.ordered
    }
}

/// The last accesses to a granule of memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cell {
    /// Tick of the last write, 0 before the first, [`PENDING`] while a copy is in flight.
    write: u32,
    /// Tick of the last read, 0 before the first since the write, [`SPREAD`] where not all that count were at one tick.
    read: u32,
    /// Warps that read, as far as they are not ordered before the last read; or the number of their list.
    readers: u32,
    /// Thread of the last write, and [`ATOMIC`].
    writer: u16,
    /// Lane of the last read, or [`MANY`]; and [`NON_COHERENT`].
    reader: u16,
}

const PENDING: u32 = u32::MAX;
/// Larger than any tick, so that it is ordered before nothing.
const SPREAD: u32 = u32::MAX;
const ATOMIC: u16 = 1 << 15;
const MANY: u16 = 1 << 14;
const NON_COHERENT: u16 = 1 << 13;
/// A thread of an earlier block read, too.
const FOREIGN: u16 = 1 << 12;
const LANE: u16 = 31;

/// Why an access is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    Race { earlier: Access, other: OtherThread },
    Pending,
    NonCoherent,
}

impl Conflict {
    pub fn fault(self, space: Space, address: u64, later: Access) -> FaultKind {
        match self {
            Conflict::Race { earlier, other } => FaultKind::Race { space, address, earlier, later, other },
            Conflict::Pending => FaultKind::AsyncPending { address, access: later },
            Conflict::NonCoherent => FaultKind::NonCoherent { address },
        }
    }
}

impl Cell {
    /// Whether threads of several blocks have read.
    fn is_foreign(&self) -> bool {
        self.reader & FOREIGN != 0
    }

    /// Records a read of memory that the launch has not written, where it is plain: no reader so far is of another block or
    /// of an earlier tick that is not ordered before. False where [`read`](Self::read) must look closer.
    #[inline(always)]
    pub fn read_unwritten(&mut self, by: &Observer<'_>, lane: usize, non_coherent: bool) -> bool {
        let plain = self.write == 0 && self.record_reader(by, lane);
        if plain && non_coherent {
            self.reader |= NON_COHERENT;
        }
        plain
    }

    /// Records a reader where all readers so far are of this tick or ordered before.
    #[inline(always)]
    fn record_reader(&mut self, by: &Observer<'_>, lane: usize) -> bool {
        let own = 1 << by.warp;
        if self.read == by.now {
            let alone = self.readers == own && self.reader & (LANE | MANY) == lane as u16;
            self.readers |= own;
            self.reader |= if alone { 0 } else { MANY };
            return true;
        }
        let forgets = self.read == 0 || (by.is_ordered(self.read) && self.reader & FOREIGN == 0);
        if forgets {
            (self.read, self.readers) = (by.now, own);
            self.reader = lane as u16 | (self.reader & NON_COHERENT);
        }
        forgets
    }

    /// Checks a read and records it.
    pub fn read(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        non_coherent: bool,
        spread: &mut Spread,
    ) -> Result<(), Conflict> {
        if self.write != 0 && (non_coherent || !by.is_ordered(self.write)) {
            self.check_write(by, lane, Access::Read)?;
            if non_coherent {
                return Err(Conflict::NonCoherent);
            }
        }
        self.add_reader(by, lane, spread);
        if non_coherent {
            self.reader |= NON_COHERENT;
        }
        Ok(())
    }

    /// Records a reader, beside those of other blocks, or of this one's earlier ticks that are not ordered before.
    fn add_reader(&mut self, by: &Observer<'_>, lane: usize, spread: &mut Spread) {
        // A granule that several blocks have read, none may write.
        if self.record_reader(by, lane) || self.is_foreign() {
            return;
        }
        let own = 1 << by.warp;
        let sticky = self.reader & NON_COHERENT;
        if self.is_of_earlier_block(by, spread) {
            self.forget_readers(spread);
            (self.read, self.readers, self.reader) = (by.now, own, MANY | FOREIGN | sticky);
            return;
        }
        let mut readers: Vec<Reader> =
            self.readers(spread).filter(|reader| by.seen[reader.warp] < reader.tick).collect();
        self.forget_readers(spread);
        let alone = readers.iter().all(|reader| reader.warp != by.warp || reader.lane == Some(lane));
        readers.retain(|reader| reader.warp != by.warp);
        if readers.is_empty() {
            (self.read, self.readers) = (by.now, own);
            self.reader = sticky | if alone { lane as u16 } else { MANY };
        } else {
            readers.push(Reader { warp: by.warp, tick: by.now, lane: alone.then_some(lane) });
            (self.read, self.readers, self.reader) = (SPREAD, spread.put(readers), sticky);
        }
    }

    /// The readers so far.
    fn readers<'s>(&self, spread: &'s Spread) -> impl Iterator<Item = Reader> + use<'s> {
        let (listed, warps) = match self.read {
            0 => (&[][..], 0),
            SPREAD => (spread.get(self.readers), 0),
            _ => (&[][..], self.readers),
        };
        let (tick, lane) = (self.read, (self.reader & MANY == 0).then_some(usize::from(self.reader & LANE)));
        bits(warps).map(move |warp| Reader { warp, tick, lane }).chain(listed.iter().copied())
    }

    fn is_of_earlier_block(&self, by: &Observer<'_>, spread: &Spread) -> bool {
        self.readers(spread).next().is_some_and(|reader| reader.tick < by.block_start)
    }

    fn forget_readers(&mut self, spread: &mut Spread) {
        if self.read == SPREAD {
            spread.take(self.readers);
        }
        (self.read, self.readers) = (0, 0);
    }

    /// A cell of the same history.
    fn copy(&self, spread: &mut Spread) -> Cell {
        let readers = match self.read {
            SPREAD => spread.put(spread.get(self.readers).to_vec()),
            _ => self.readers,
        };
        Cell { readers, ..*self }
    }

    /// Whether a write can be recorded as it is, since all accesses so far are ordered before it.
    #[inline(always)]
    pub fn is_ordered(&self, by: &Observer<'_>) -> bool {
        let is_before = |tick: u32| tick == 0 || by.is_ordered(tick);
        is_before(self.write) & is_before(self.read) & (self.reader & (FOREIGN | NON_COHERENT) == 0)
    }

    /// The same of a cell that only this block knows, by a tick up to which all accesses are ordered before.
    #[inline(always)]
    pub fn is_up_to(&self, tick: u32) -> bool {
        self.write.max(self.read) <= tick
    }

    /// Checks a write and records it.
    pub fn write(
        &mut self,
        by: &Observer<'_>,
        lane: usize,
        access: Access,
        spread: &mut Spread,
    ) -> Result<(), Conflict> {
        self.check_write(by, lane, access)?;
        self.check_readers(by, lane, spread)?;
        self.forget_readers(spread);
        *self = Cell::written(by, lane, access);
        Ok(())
    }

    /// After a write.
    #[inline(always)]
    pub fn written(by: &Observer<'_>, lane: usize, access: Access) -> Cell {
        let write = if access == Access::AsyncCopy { PENDING } else { by.now };
        let atomic = if access == Access::Atomic { ATOMIC } else { 0 };
        Cell { write, writer: (by.warp as u16) << 5 | lane as u16 | atomic, ..Cell::default() }
    }

    /// Ends the copy in flight, as a write of its thread.
    pub fn complete(&mut self, by: &Observer<'_>) {
        self.write = by.now;
    }

    /// The last write against an access.
    fn check_write(&self, by: &Observer<'_>, lane: usize, access: Access) -> Result<(), Conflict> {
        let (warp, writer_lane) = (usize::from(self.writer >> 5 & 31), usize::from(self.writer & LANE));
        let earlier = if self.writer & ATOMIC != 0 { Access::Atomic } else { Access::Write };
        if self.write == PENDING {
            return Err(Conflict::Pending);
        }
        if self.write == 0 || (earlier == Access::Atomic && access == Access::Atomic) {
            return Ok(());
        }
        if self.write < by.block_start {
            return Err(Conflict::Race { earlier, other: OtherThread::Block });
        }
        if by.seen[warp] >= self.write || (warp, writer_lane) == (by.warp, lane) {
            return Ok(());
        }
        let other = OtherThread::Lane { warp: warp as u32, lane: writer_lane as u32 };
        Err(Conflict::Race { earlier, other })
    }

    /// The last reads against a write.
    fn check_readers(&self, by: &Observer<'_>, lane: usize, spread: &Spread) -> Result<(), Conflict> {
        if self.reader & NON_COHERENT != 0 {
            return Err(Conflict::NonCoherent);
        }
        if self.is_foreign() || self.is_of_earlier_block(by, spread) {
            return Err(Conflict::Race { earlier: Access::Read, other: OtherThread::Block });
        }
        for reader in self.readers(spread).filter(|reader| by.seen[reader.warp] < reader.tick) {
            let warp = reader.warp as u32;
            let other = match reader.lane {
                Some(own) if (reader.warp, own) == (by.warp, lane) => continue,
                Some(lane) => OtherThread::Lane { warp, lane: lane as u32 },
                None => OtherThread::Warp { warp },
            };
            return Err(Conflict::Race { earlier: Access::Read, other });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_cell_have_readers_of_their_own() {
        let (mut clock, mut spread, mut cell) = (Clock::new(), Spread::default(), Cell::default());
        clock.start_block(3);
        cell.add_reader(&clock.observer(0), 5, &mut spread);
        clock.arrive(0, &mut [0; MAX_WARPS]);
        cell.add_reader(&clock.observer(1), 6, &mut spread);
        assert_eq!(cell.read, SPREAD);
        let mut copy = cell.copy(&mut spread);
        cell.forget_readers(&mut spread);
        let other = OtherThread::Lane { warp: 0, lane: 5 };
        let written = copy.write(&clock.observer(2), 0, Access::Write, &mut spread);
        assert_eq!(written, Err(Conflict::Race { earlier: Access::Read, other }));
    }
}
