//! A cell for each granule of memory, of 16 bytes while its history is simple.

use super::past::{Kind, Lists, Past};
use super::{Observer, bits};
use crate::fault::{Access, FaultKind, OtherThread, Space};

/// The last accesses to a granule of memory.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cell {
    /// Tick of the last write, 0 before the first; [`LISTED`] of several, and of atomic operations.
    write: u32,
    /// Tick of the last read, 0 before the first since the write; [`LISTED`] where the cell has a list: of reads that count and
    /// were not all at one tick, or of all accesses.
    read: u32,
    /// Warps that read, as far as they are not ordered before the last read; or the number of the list.
    readers: u32,
    /// Thread of the last write, or with [`MANY`] its warp.
    writer: u16,
    /// Lane of the last read, or [`MANY`]; and [`NON_COHERENT`].
    reader: u16,
}

/// In place of a tick: the list has these accesses. Larger than any tick, so that it is ordered before nothing.
const LISTED: u32 = u32::MAX;
const MANY: u16 = 1 << 14;
const NON_COHERENT: u16 = 1 << 13;
/// A thread of an earlier block read, too.
const FOREIGN: u16 = 1 << 12;
const LANE: u16 = 31;

/// Why an access is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    Race { earlier: Access, other: OtherThread },
    NonCoherent,
}

impl Conflict {
    pub fn fault(self, space: Space, address: u64, later: Access) -> FaultKind {
        match self {
            Conflict::Race { earlier, other } => FaultKind::Race { space, address, earlier, later, other },
            Conflict::NonCoherent => FaultKind::NonCoherent { address },
        }
    }
}

impl Cell {
    /// Whether threads of several blocks have read.
    pub fn is_foreign(&self) -> bool {
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
            if !alone && by.by_lane {
                return false;
            }
            self.readers |= own;
            self.reader |= if alone { 0 } else { MANY };
            return true;
        }
        let forgets = self.read == 0 || (by.is_ordered(self.read) && !self.is_foreign());
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
        lists: &mut Lists,
    ) -> Result<(), Conflict> {
        if self.write != 0 && (non_coherent || !by.is_ordered(self.write)) {
            self.check(by, lane, Kind::Read, lists)?;
            if non_coherent {
                return Err(Conflict::NonCoherent);
            }
        }
        self.add_reader(by, lane, lists);
        if non_coherent {
            self.reader |= NON_COHERENT;
        }
        Ok(())
    }

    /// Records a reader.
    pub fn add_reader(&mut self, by: &Observer<'_>, lane: usize, lists: &mut Lists) {
        // A granule that several blocks have read, none may write.
        if self.record_reader(by, lane) || self.is_foreign() {
            return;
        }
        match by.is_of_earlier_block(self.read) {
            true => self.read_beyond(by),
            false => self.record(by, lane, Kind::Read, lists),
        }
    }

    /// Records that several blocks have read.
    fn read_beyond(&mut self, by: &Observer<'_>) {
        (self.read, self.readers) = (by.now, 1 << by.warp);
        self.reader |= MANY | FOREIGN;
    }

    /// Whether a write can be recorded as it is, since all accesses so far are ordered before it.
    #[inline(always)]
    pub fn is_ordered(&self, by: &Observer<'_>) -> bool {
        let is_before = |tick: u32| tick == 0 || by.is_ordered(tick);
        is_before(self.write) & is_before(self.read) & (self.reader & (FOREIGN | NON_COHERENT) == 0)
    }

    /// Checks a write by lanes of one instruction and records it. An error has its lane.
    pub fn write(&mut self, by: &Observer<'_>, lanes: u32, lists: &mut Lists) -> Result<(), (usize, Conflict)> {
        for lane in bits(lanes) {
            self.check(by, lane, Kind::Write, lists).map_err(|conflict| (lane, conflict))?;
        }
        self.overwrite(by, lanes, lists);
        Ok(())
    }

    /// Records a write that all accesses so far are ordered before, or are a part of.
    pub fn overwrite(&mut self, by: &Observer<'_>, lanes: u32, lists: &mut Lists) {
        self.forget(lists);
        *self = Cell::written(by, lanes.trailing_zeros() as usize);
        if !lanes.is_power_of_two() {
            self.pack(vec![Past { kind: Kind::Write, warp: by.warp, tick: by.now, lanes }], by, lists);
        }
    }

    /// After a write.
    #[inline(always)]
    pub fn written(by: &Observer<'_>, lane: usize) -> Cell {
        Cell { write: by.now, writer: (by.warp as u16) << 5 | lane as u16, ..Cell::default() }
    }

    /// Checks an atomic operation and records it, beside all that it orders nothing of.
    pub fn atomic(&mut self, by: &Observer<'_>, lane: usize, kind: Kind, lists: &mut Lists) -> Result<(), Conflict> {
        self.check(by, lane, kind, lists)?;
        self.record(by, lane, kind, lists);
        Ok(())
    }

    /// The accesses so far against another.
    pub fn check(&self, by: &Observer<'_>, lane: usize, kind: Kind, lists: &Lists) -> Result<(), Conflict> {
        if kind != Kind::Read && self.reader & NON_COHERENT != 0 {
            return Err(Conflict::NonCoherent);
        }
        // Of warps that read at one tick no lanes are known: those of `lane`'s own may be itself alone.
        let races = self.pasts(lists).map(|past| (past, past.races(by, lane, kind))).filter(|(_, lanes)| *lanes != 0);
        let Some((past, lanes)) = races.min_by_key(|(past, _)| past.warp == by.warp) else { return Ok(()) };
        let warp = past.warp as u32;
        let other = match lanes.is_power_of_two() {
            _ if by.is_of_earlier_block(past.tick) => OtherThread::Block,
            true => OtherThread::Lane { warp, lane: lanes.trailing_zeros() },
            false => OtherThread::Warp { warp },
        };
        Err(Conflict::Race { earlier: past.kind.access(), other })
    }

    /// The accesses so far that are not known to come before all to come.
    fn pasts<'s>(&self, lists: &'s Lists) -> impl Iterator<Item = Past> + use<'s> {
        let lanes = |of: u16| if of & MANY == 0 { 1 << (of & LANE) } else { !0 };
        let (warp, writers) = (usize::from(self.writer >> 5 & 31), lanes(self.writer));
        let written = !matches!(self.write, 0 | LISTED);
        let write = written.then_some(Past { kind: Kind::Write, warp, tick: self.write, lanes: writers });
        let (listed, warps, tick) = match self.read {
            0 => (&[][..], 0, 0),
            LISTED => (lists.get(self.readers), 0, 0),
            // Of any earlier block.
            _ if self.is_foreign() => (&[][..], 1, 0),
            tick => (&[][..], self.readers, tick),
        };
        let readers = lanes(self.reader);
        let reads = bits(warps).map(move |warp| Past { kind: Kind::Read, warp, tick, lanes: readers });
        write.into_iter().chain(reads).chain(listed.iter().copied())
    }

    /// Adds an access to those so far; it stands for what is ordered before it and races with no more.
    fn record(&mut self, by: &Observer<'_>, lane: usize, kind: Kind, lists: &mut Lists) {
        // A warp that does not know of this tick races with `lane` in any case, whatever it knows of the others.
        let joins =
            |past: &&mut Past| (past.kind, past.warp) == (kind, by.warp) && (past.tick == by.now || !by.by_lane);
        // One of an earlier block races with all that one of this would.
        let stands = |past: &Past| past.kind == kind && by.is_of_earlier_block(past.tick);
        if self.read == LISTED {
            let listed = lists.get_mut(self.readers);
            let stands = listed.iter().any(stands);
            // Reads alone need no list any more.
            if stands && self.write == LISTED {
                return;
            }
            if !stands && let Some(past) = listed.iter_mut().find(joins) {
                (past.lanes, past.tick) = (by.unordered(lane, past) | 1 << lane, by.now);
                return;
            }
        }
        let mut pasts = self.unpack(lists);
        if !pasts.iter().any(stands) {
            for past in pasts.iter_mut().filter(|past| past.kind == kind) {
                past.lanes = by.unordered(lane, past);
            }
            pasts.retain(|past| past.lanes != 0);
            match pasts.iter_mut().find(joins) {
                Some(past) => (past.tick, past.lanes) = (by.now, past.lanes | 1 << lane),
                None => pasts.push(Past { kind, warp: by.warp, tick: by.now, lanes: 1 << lane }),
            }
        }
        self.pack(pasts, by, lists);
    }

    /// All accesses as a list; the cell's own is taken.
    fn unpack(&mut self, lists: &mut Lists) -> Vec<Past> {
        if self.write == LISTED {
            return lists.take(self.readers);
        }
        let pasts = self.pasts(lists).collect();
        self.forget(lists);
        pasts
    }

    /// Keeps accesses in as little room as they need.
    fn pack(&mut self, mut pasts: Vec<Past>, by: &Observer<'_>, lists: &mut Lists) {
        let exact = |past: &Past| !by.by_lane || past.lanes.is_power_of_two();
        let lane = |past: &Past| if past.lanes.is_power_of_two() { past.lanes.trailing_zeros() as u16 } else { MANY };
        *self = Cell { reader: self.reader & NON_COHERENT, ..Cell::default() };
        let mut others = pasts.iter().filter(|past| past.kind != Kind::Read).copied();
        match (others.next(), others.next()) {
            (None, _) => {}
            (Some(past), None) if past.kind == Kind::Write && exact(&past) => {
                (self.write, self.writer) = (past.tick, (past.warp as u16) << 5 | lane(&past));
                pasts.retain(|past| past.kind == Kind::Read);
            }
            _ => {
                (self.write, self.read, self.readers) = (LISTED, LISTED, lists.put(pasts));
                return;
            }
        }
        let Some(first) = pasts.first() else { return };
        if pasts.iter().any(|past| by.is_of_earlier_block(past.tick)) {
            self.read_beyond(by);
        } else if pasts.iter().all(|past| past.tick == first.tick && exact(past)) && (pasts.len() == 1 || !by.by_lane) {
            (self.read, self.readers) = (first.tick, pasts.iter().fold(0, |warps, past| warps | 1 << past.warp));
            self.reader |= if pasts.len() == 1 { lane(first) } else { MANY };
        } else {
            (self.read, self.readers) = (LISTED, lists.put(pasts));
        }
    }

    fn forget(&mut self, lists: &mut Lists) {
        if self.read == LISTED {
            lists.take(self.readers);
        }
    }

    /// A cell of the same history.
    pub fn copy(&self, lists: &mut Lists) -> Cell {
        let readers = match self.read {
            LISTED => lists.put(lists.get(self.readers).to_vec()),
            _ => self.readers,
        };
        Cell { readers, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;

    #[test]
    fn copies_of_a_cell_have_readers_of_their_own() {
        let (mut clock, mut lists, mut cell) = (Clock::new(false), Lists::default(), Cell::default());
        clock.start_block(3);
        cell.add_reader(&clock.observer(0), 5, &mut lists);
        clock.arrive(0, &mut Vec::new());
        cell.add_reader(&clock.observer(1), 6, &mut lists);
        assert_eq!(cell.read, LISTED);
        let mut copy = cell.copy(&mut lists);
        cell.forget(&mut lists);
        let other = OtherThread::Lane { warp: 0, lane: 5 };
        let written = copy.write(&clock.observer(2), 1, &mut lists);
        assert_eq!(written, Err((0, Conflict::Race { earlier: Access::Read, other })));
    }

    #[test]
    fn a_race_is_with_another_thread() {
        let (mut clock, mut lists, mut cell) = (Clock::new(false), Lists::default(), Cell::default());
        clock.start_block(2);
        for (warp, lane) in [(0, 3), (1, 5)] {
            cell.add_reader(&clock.observer(warp), lane, &mut lists);
        }
        for (warp, lane) in [(0, 3), (1, 5)] {
            let other = OtherThread::Warp { warp: 1 - warp };
            let race = Conflict::Race { earlier: Access::Read, other };
            assert_eq!(cell.check(&clock.observer(warp as usize), lane, Kind::Write, &lists), Err(race));
        }
    }
}
