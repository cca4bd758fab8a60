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
    /// For each warp, the last tick of each other warp that it has synchronised with; then those of the lanes that have left.
    seen: Vec<Vec<u32>>,
    /// The least of `seen`.
    seen_all: Vec<u32>,
    /// For each warp whose lanes have synchronised in part since all of them did.
    met: Vec<Option<Box<Met>>>,
    left: Vec<Left>,
    warps: usize,
    by_lane: bool,
}

/// A lane that exited before others of its warp. It is at none of the barriers that they come to from then on.
struct Left {
    warp: usize,
    lane: usize,
}

impl Clock {
    /// Where threads synchronise, `by_lane` says so: some lanes of a warp may do it without the others.
    pub fn new(by_lane: bool) -> Self {
        let (seen, seen_all, met, left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Clock { now: 1, block_start: 1, seen, seen_all, met, left, warps: 0, by_lane }
    }

    /// Starts a block of so many warps.
    pub fn start_block(&mut self, warps: usize) {
        self.now += 1;
        self.block_start = self.now;
        self.warps = warps;
        self.seen = vec![vec![0; warps]; warps];
        self.seen_all = vec![0; warps];
        self.met = vec![None; warps];
        self.left.clear();
    }

    /// Some lanes of a warp exit before others; those of `touched` may have accessed memory since all of the warp synchronised.
    pub fn leave(&mut self, warp: usize, lanes: u32, touched: u32) {
        if let Some(met) = &mut self.met[warp] {
            bits(lanes).for_each(|lane| met[lane] = [0; 32]);
        }
        for lane in bits(lanes & touched) {
            self.left.push(Left { warp, lane });
            self.seen.iter_mut().for_each(|seen| seen.push(seen[warp]));
        }
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

    /// Whether these are all threads of the block that may have accessed memory.
    pub fn is_all(&self, warps: u32) -> bool {
        warps.count_ones() as usize == self.warps && self.left.is_empty()
    }

    /// Adds to `joined`, which is empty at first, what comes before a warp's arrival at a barrier that it does not wait at.
    pub fn arrive(&mut self, warp: usize, joined: &mut Vec<u32>) {
        self.join(warp, joined);
        self.now += 1;
    }

    fn join(&self, warp: usize, joined: &mut Vec<u32>) {
        joined.resize(joined.len().max(self.warps), 0);
        // Until a lane left, what was known of it was known of its warp.
        for left in &self.left[joined.len() - self.warps..] {
            joined.push(joined[left.warp]);
        }
        joined.iter_mut().zip(&self.seen[warp]).for_each(|(joined, seen)| *joined = (*joined).max(*seen));
        joined[warp] = self.now;
        let Some(met) = &self.met[warp] else { return };
        for (left, joined) in self.left.iter().zip(&mut joined[self.warps..]).filter(|(left, _)| left.warp == warp) {
            *joined = met.iter().fold(*joined, |joined, met| joined.max(met[left.lane]));
        }
    }

    /// Orders `joined`, and what the waiting warps did, before what these will do.
    pub fn synchronise(&mut self, mut joined: Vec<u32>, waiting: u32) {
        bits(waiting).for_each(|warp| self.join(warp, &mut joined));
        for warp in bits(waiting) {
            self.seen[warp].iter_mut().zip(&joined).for_each(|(seen, joined)| *seen = (*seen).max(*joined));
            self.seen_all[warp] = self.seen[warp].iter().copied().min().unwrap_or(0);
            self.met[warp] = None;
        }
        self.now += 1;
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
            left: &self.left,
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
    seen: &'a [u32],
    left: &'a [Left],
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

    /// Whether all lanes know of a tick of another.
    pub(super) fn has_met(&self, warp: usize, lane: usize, tick: u32) -> bool {
        self.unseen(warp, tick) >> lane & 1 == 0
    }

    /// The lanes of a warp of which not all lanes of this know a tick.
    fn unseen(&self, warp: usize, tick: u32) -> u32 {
        if self.seen[warp] < tick {
            return !0;
        }
        let seen = &self.seen[self.seen.len() - self.left.len()..];
        let unseen = self.left.iter().zip(seen).filter(|(left, seen)| left.warp == warp && **seen < tick);
        unseen.fold(0, |lanes, (left, _)| lanes | 1 << left.lane)
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
        let unseen = past.lanes & self.unseen(past.warp, past.tick);
        if unseen == 0 || past.warp != self.warp {
            return unseen;
        }
        let others = unseen & !(1 << lane);
        match self.met {
            Some(met) => {
                bits(others).filter(|other| met[lane][*other] < past.tick).fold(0, |all, other| all | 1 << other)
            }
            None => others,
        }
    }
}
