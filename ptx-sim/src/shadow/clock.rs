//! What is ordered before what, in the block that runs.

use super::bits;
use super::past::Past;

/// Warps that a block can have.
pub(crate) const MAX_WARPS: usize = 32;

/// For each lane of a warp, the last tick of each other that it knows of beyond what all of them do.
type Met = [[u32; 32]; 32];

pub(crate) struct Clock {
    now: u32,
    block_start: u32,
    /// For each warp, the last tick of each other warp that it has synchronised with.
    seen: Vec<[u32; MAX_WARPS]>,
    /// The least of `seen`.
    seen_all: Vec<u32>,
    /// For each warp whose lanes have synchronised in part since all of them did.
    met: Vec<Option<Box<Met>>>,
    warps: usize,
    by_lane: bool,
}

impl Clock {
    /// Where lanes of a warp may synchronise in part, `by_lane` says so.
    pub fn new(by_lane: bool) -> Self {
        let (seen, seen_all, met) = (Vec::new(), Vec::new(), Vec::new());
        Clock { now: 1, block_start: 1, seen, seen_all, met, warps: 0, by_lane }
    }

    /// Starts a block of so many warps.
    pub fn start_block(&mut self, warps: usize) {
        self.now += 1;
        self.block_start = self.now;
        self.warps = warps;
        self.seen = vec![[0; MAX_WARPS]; warps];
        self.seen_all = vec![0; warps];
        self.met = vec![None; warps];
    }

    /// Orders all lanes of a warp.
    pub fn synchronise_lanes(&mut self, warp: usize) {
        self.seen[warp][warp] = self.now;
        self.learned(warp);
        self.now += 1;
    }

    /// Orders some lanes of a warp.
    pub fn synchronise_some(&mut self, warp: usize, members: u32) {
        let met = self.met[warp].get_or_insert_with(|| Box::new([[0; 32]; 32]));
        let mut joined = [0; 32];
        for lane in bits(members) {
            joined.iter_mut().zip(&met[lane]).for_each(|(joined, met)| *joined = (*joined).max(*met));
            joined[lane] = self.now;
        }
        bits(members).for_each(|lane| met[lane] = joined);
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
            self.learned(warp);
        }
        self.now += 1;
    }

    /// After all lanes of a warp have synchronised.
    fn learned(&mut self, warp: usize) {
        self.seen_all[warp] = self.seen[warp][..self.warps].iter().copied().min().unwrap_or(0);
        self.met[warp] = None;
    }

    /// The view of a warp for its next instruction.
    #[inline(always)]
    pub fn observer(&self, warp: usize) -> Observer<'_> {
        Observer {
            warp,
            now: self.now,
            block_start: self.block_start,
            ordered: (self.seen_all[warp] + 1).saturating_sub(self.block_start),
            seen: &self.seen[warp],
            met: self.met[warp].as_deref(),
            by_lane: self.by_lane,
        }
    }
}

/// A warp that accesses memory.
#[derive(Clone, Copy)]
pub(crate) struct Observer<'a> {
    pub(super) warp: usize,
    pub(super) now: u32,
    block_start: u32,
    /// Ticks from the block's first whose accesses are ordered before those of the warp, whoever made them.
    ordered: u32,
    seen: &'a [u32; MAX_WARPS],
    met: Option<&'a Met>,
    /// Whether it matters which lanes of a warp made an access, where several did.
    pub(super) by_lane: bool,
}

impl Observer<'_> {
    /// Whether a tick is one of the block's whose accesses are ordered before those of the warp.
    #[inline(always)]
    pub(super) fn is_ordered(&self, tick: u32) -> bool {
        tick.wrapping_sub(self.block_start) < self.ordered
    }

    /// Whether all lanes know of a tick of a warp.
    pub(super) fn has_met(&self, warp: usize, tick: u32) -> bool {
        self.seen[warp] >= tick
    }

    #[inline(always)]
    pub(super) fn is_of_earlier_block(&self, tick: u32) -> bool {
        tick < self.block_start
    }

    /// The lanes of an access that are not ordered before one by `lane`.
    pub(super) fn unordered(&self, lane: usize, past: &Past) -> u32 {
        if self.is_of_earlier_block(past.tick) {
            return past.lanes;
        }
        if self.seen[past.warp] >= past.tick {
            return 0;
        }
        if past.warp != self.warp {
            return past.lanes;
        }
        let others = past.lanes & !(1 << lane);
        match self.met {
            Some(met) => {
                bits(others).filter(|other| met[lane][*other] < past.tick).fold(0, |all, other| all | 1 << other)
            }
            None => others,
        }
    }
}
