//! Accesses to shared memory that nothing has met between the same barriers.
//!
//! A barrier that all warps wait at orders what was before it; most accesses meet no other until then that they must be
//! compared with, and cost no more than to be put down here.

/// Accesses that are put down before they are settled.
const LONGEST: usize = 2048;

/// What the lanes of a warp did.
pub(super) struct Logged {
    pub write: bool,
    pub warp: usize,
    pub mask: u32,
    pub bytes: u32,
    pub addresses: [u32; 32],
}

#[derive(Default)]
pub(super) struct Log(Vec<Logged>);

impl Log {
    /// Puts down an access; true where the log is full.
    #[inline(always)]
    pub fn push(&mut self, write: bool, warp: usize, (mask, addresses): (u32, &[u64; 32]), bytes: u32) -> bool {
        let mut logged = Logged { write, warp, mask, bytes, addresses: [0; 32] };
        logged.addresses.iter_mut().zip(addresses).for_each(|(to, address)| *to = *address as u32);
        self.0.push(logged);
        self.0.len() == LONGEST
    }

    /// All accesses so far, which are forgotten.
    pub fn take(&mut self) -> impl Iterator<Item = Logged> + '_ {
        self.0.drain(..)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}
