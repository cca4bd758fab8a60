//! Reads of a granule at several ticks, none ordered before another: rare, and too long for its cell.

/// The last read of a warp.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub warp: usize,
    pub tick: u32,
    /// Which lane read; none where several did.
    pub lane: Option<usize>,
}

/// Lists of readers by number.
#[derive(Default)]
pub(crate) struct Spread {
    lists: Vec<Vec<Reader>>,
    unused: Vec<u32>,
}

impl Spread {
    pub fn clear(&mut self) {
        self.lists.clear();
        self.unused.clear();
    }

    pub(super) fn put(&mut self, readers: Vec<Reader>) -> u32 {
        if let Some(number) = self.unused.pop() {
            self.lists[number as usize] = readers;
            return number;
        }
        self.lists.push(readers);
        self.lists.len() as u32 - 1
    }

    pub(super) fn get(&self, number: u32) -> &[Reader] {
        &self.lists[number as usize]
    }

    pub(super) fn take(&mut self, number: u32) -> Vec<Reader> {
        self.unused.push(number);
        std::mem::take(&mut self.lists[number as usize])
    }
}
