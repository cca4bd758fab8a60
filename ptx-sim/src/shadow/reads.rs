//! Reads of shared memory that only later writes between the same barriers need to know of.
//!
//! A barrier that all warps wait at orders what was read before it; most reads meet no write until then, and cost no more
//! than to be put down here.

/// Log2 of the bytes of a line.
const LINE: u32 = 8;

/// Lines of the largest shared memory, by 64.
const WORDS: usize = 16;

/// Reads that are put down before they are settled.
const LONGEST: usize = 2048;

/// The lines from one to another.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    first: u32,
    last: u32,
}

impl Span {
    /// Of the bytes from one to another.
    #[inline(always)]
    pub fn new(first: u32, last: u32) -> Self {
        Span { first: first >> LINE, last: last >> LINE }
    }

    /// A bit for each line, in words of which the place is given.
    #[inline(always)]
    fn words(self) -> impl Iterator<Item = (usize, u64)> {
        (self.first / 64..=self.last / 64).map(move |word| {
            let from = self.first.max(word * 64) & 63;
            let to = self.last.min(word * 64 + 63) & 63;
            (word as usize, (!0 << from) & (!0 >> (63 - to)))
        })
    }
}

/// What the lanes of a warp read.
pub(crate) struct Read {
    pub warp: usize,
    pub mask: u32,
    pub bytes: u32,
    pub addresses: [u32; 32],
}

#[derive(Default)]
pub(crate) struct Reads {
    log: Vec<Read>,
    /// The lines that they may touch.
    lines: [u64; WORDS],
}

impl Reads {
    /// Puts down a read; true where the log is full.
    #[inline(always)]
    pub fn log(&mut self, warp: usize, mask: u32, addresses: &[u64; 32], bytes: u32, span: Span) -> bool {
        span.words().for_each(|(word, lines)| self.lines[word] |= lines);
        self.log.push(Read { warp, mask, bytes, addresses: addresses.map(|address| address as u32) });
        self.log.len() == LONGEST
    }

    /// Whether a read may touch these lines.
    #[inline(always)]
    pub fn meet(&self, span: Span) -> bool {
        span.words().any(|(word, lines)| self.lines[word] & lines != 0)
    }

    /// All reads so far, which are forgotten.
    pub fn take(&mut self) -> impl Iterator<Item = Read> + '_ {
        self.lines = [0; WORDS];
        self.log.drain(..)
    }

    pub fn clear(&mut self) {
        self.lines = [0; WORDS];
        self.log.clear();
    }
}
