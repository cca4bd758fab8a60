//! How lanes of a warp access memory, wherever that is.

/// Accesses that lie alike: from one period of memory to another they cost the same.
pub(super) struct Shape {
    mask: u32,
    bytes: u32,
    /// Of the first lane, in its period.
    phase: u64,
    /// From the first lane's address to each; 0 of lanes that take no part.
    offsets: [u64; 32],
}

impl Shape {
    /// With a period that is a power of two, and the same for all accesses of as many bytes.
    #[inline(always)]
    pub fn new((mask, addresses): (u32, &[u64; 32]), bytes: u32, period: u64) -> Self {
        let (first, mut offsets) = (first_of(mask, addresses), [0; 32]);
        crate::lanes::set(&mut offsets, mask, |lane| addresses[lane].wrapping_sub(first));
        Shape { mask, bytes, phase: first & (period - 1), offsets }
    }

    #[inline(always)]
    pub fn is_of(&self, lanes: (u32, &[u64; 32]), bytes: u32, period: u64) -> bool {
        let other = Shape::new(lanes, bytes, period);
        let mut differs = 0;
        for (own, other) in self.offsets.iter().zip(&other.offsets) {
            differs |= own ^ other;
        }
        differs == 0 && (self.mask, self.bytes, self.phase) == (other.mask, other.bytes, other.phase)
    }
}

/// The first lane's address.
#[inline(always)]
pub(super) fn first_of(mask: u32, addresses: &[u64; 32]) -> u64 {
    addresses[mask.trailing_zeros() as usize & 31]
}
