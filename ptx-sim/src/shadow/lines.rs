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
    /// Accesses since all warps last met.
    read: u64,
    written: u64,
}

pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// Of so many granules.
    pub fn new(granules: usize) -> Self {
        // A line more, into which those of the last line may seem to reach.
        Lines(vec![Line::default(); granules.div_ceil(LINE) + 1])
    }

    pub fn clear(&mut self) {
        self.0.fill(Line::default());
    }

    /// All accesses so far are ordered before all to come.
    pub fn meet(&mut self) {
        self.0.iter_mut().for_each(|line| (line.read, line.written) = (0, 0));
    }

    /// Calls a function for the lines of an access, with a bit for each granule.
    #[inline(always)]
    fn in_lines(&mut self, extent: &Extent<'_>, mut act: impl FnMut(&mut Line, u64)) {
        let (first, shift) = (extent.first / LINE, extent.first % LINE);
        for (at, mask) in extent.granules {
            // The upper bits of a word are the lower ones of the line after.
            for (line, mask) in [(first + at, mask << shift), (first + at + 1, mask >> 1 >> (LINE - 1 - shift))] {
                act(&mut self.0[line], mask);
            }
        }
    }

    /// Puts down a read; true where it is of what was written before all warps last met.
    #[inline(always)]
    pub fn read(&mut self, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(extent, |line, mask| {
            met |= mask & (!line.filled | line.pending | line.written);
            line.read |= mask;
        });
        met == 0
    }

    /// Puts down a write; true where nothing was there since all warps last met.
    #[inline(always)]
    pub fn write(&mut self, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(extent, |line, mask| {
            met |= mask & (line.pending | line.read | line.written);
            line.filled |= mask;
            line.written |= mask;
        });
        met == 0
    }

    /// Puts down the start of a copy, where nothing was there since all warps last met.
    #[inline(always)]
    pub fn start(&mut self, extent: &Extent<'_>) -> bool {
        let mut met = 0;
        self.in_lines(extent, |line, mask| met |= mask & (line.pending | line.read | line.written));
        if met == 0 {
            self.in_lines(extent, |line, mask| line.pending |= mask);
        }
        met == 0
    }

    /// Puts down the end of a copy, or another write of granules of one line.
    #[inline(always)]
    pub fn complete(&mut self, first: usize, count: usize) {
        let (line, mask) = (&mut self.0[first / LINE], bits_of(first, count));
        line.pending &= !mask;
        line.filled |= mask;
        line.written |= mask;
    }

    /// Puts down a read of a granule that may be looked at closely.
    pub fn read_granule(&mut self, at: usize) {
        self.0[at / LINE].read |= bits_of(at, 1);
    }

    pub fn start_granule(&mut self, at: usize) {
        self.0[at / LINE].pending |= bits_of(at, 1);
    }

    pub fn is_pending(&self, at: usize) -> bool {
        self.0[at / LINE].pending & bits_of(at, 1) != 0
    }

    pub fn is_filled(&self, at: usize) -> bool {
        self.0[at / LINE].filled & bits_of(at, 1) != 0
    }
}

/// The bits of some granules in their line.
#[inline(always)]
fn bits_of(first: usize, count: usize) -> u64 {
    !(!0 << count) << (first % LINE)
}
