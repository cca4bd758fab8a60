//! What the granules of shared memory went through since all warps last met, by lines of 64: all that most accesses need to
//! know.

use super::Extent;

const LINE: usize = 64;

/// A bit for each granule.
#[derive(Clone, Copy, Default)]
struct Line {
    /// They hold something.
    filled: u64,
    /// A copy in flight is filling them.
    pending: u64,
    /// Accesses since all warps last met, if `touched` is later.
    read: u64,
    written: u64,
    /// Tick of the last access.
    touched: u32,
}

impl Line {
    #[inline(always)]
    fn touch(&mut self, now: u32, met: u32) {
        if self.touched <= met {
            (self.read, self.written) = (0, 0);
        }
        self.touched = now;
    }
}

pub(super) struct Lines {
    lines: Vec<Line>,
    /// The tick at which all warps last met.
    met: u32,
}

impl Lines {
    /// Of so many granules.
    pub fn new(granules: usize) -> Self {
        // A line more, into which those of the last line may seem to reach.
        Lines { lines: vec![Line::default(); granules.div_ceil(LINE) + 1], met: 0 }
    }

    pub fn clear(&mut self) {
        self.lines.fill(Line::default());
    }

    /// All accesses up to a tick are ordered before all to come.
    pub fn meet(&mut self, tick: u32) {
        self.met = tick;
    }

    /// Calls a function for the lines of an access, with a bit for each granule.
    #[inline(always)]
    fn in_lines(&mut self, now: u32, extent: &Extent<'_>, mut act: impl FnMut(&mut Line, u64)) {
        let (first, shift) = (extent.first / LINE, extent.first % LINE);
        for (at, mask) in extent.granules {
            // The upper bits of a word are the lower ones of the line after.
            for (line, mask) in [(first + at, mask << shift), (first + at + 1, mask >> 1 >> (LINE - 1 - shift))] {
                let line = &mut self.lines[line];
                line.touch(now, self.met);
                act(line, mask);
            }
        }
    }

    /// Puts down a read; true where it is of what was written before all warps last met.
    #[inline(always)]
    pub fn read(&mut self, now: u32, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(now, extent, |line, mask| {
            met |= mask & (!line.filled | line.pending | line.written);
            line.read |= mask;
        });
        met == 0
    }

    /// Puts down a write; true where nothing was there since all warps last met.
    #[inline(always)]
    pub fn write(&mut self, now: u32, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(now, extent, |line, mask| {
            met |= mask & (line.pending | line.read | line.written);
            line.filled |= mask;
            line.written |= mask;
        });
        met == 0
    }

    /// Puts down the start of a copy, where nothing was there since all warps last met.
    #[inline(always)]
    pub fn start(&mut self, now: u32, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(now, extent, |line, mask| met |= mask & (line.pending | line.read | line.written));
        if met == 0 {
            self.in_lines(now, extent, |line, mask| line.pending |= mask);
        }
        met == 0
    }

    /// Puts down the end of a copy, or another write of granules of one line.
    #[inline(always)]
    pub fn complete(&mut self, now: u32, first: usize, count: usize) {
        let (met, mask) = (self.met, bits_of(first, count));
        let line = &mut self.lines[first / LINE];
        line.touch(now, met);
        line.pending &= !mask;
        line.filled |= mask;
        line.written |= mask;
    }

    pub fn start_granule(&mut self, at: usize) {
        self.lines[at / LINE].pending |= bits_of(at, 1);
    }

    pub fn is_pending(&self, at: usize) -> bool {
        self.lines[at / LINE].pending & bits_of(at, 1) != 0
    }

    pub fn is_filled(&self, at: usize) -> bool {
        self.lines[at / LINE].filled & bits_of(at, 1) != 0
    }
}

/// The bits of some granules in their line.
#[inline(always)]
fn bits_of(first: usize, count: usize) -> u64 {
    !(!0 << count) << (first % LINE)
}
