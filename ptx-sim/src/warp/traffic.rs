//! What accesses of warps to global memory cost, in sectors.

use super::Machine;
use super::footprint::Footprint;
use super::shape::Shape;
use crate::shadow::bits;

const SECTOR: u64 = 32;

/// An access and its cost.
struct Pattern {
    shape: Shape,
    /// That lanes touch, and that hold as many bytes.
    sectors: u64,
    ideal: u64,
}

/// The last access of each instruction.
pub(crate) struct Patterns {
    global: Vec<Option<Box<Pattern>>>,
    pub shared: Vec<Option<Box<Footprint>>>,
}

impl Patterns {
    pub fn new(instructions: usize) -> Self {
        let global = std::iter::repeat_with(|| None).take(instructions).collect();
        Patterns { global, shared: std::iter::repeat_with(|| None).take(instructions).collect() }
    }
}

/// Counts the sectors of a warp's access to global memory.
#[inline(always)]
pub(super) fn count_global(machine: &mut Machine<'_>, pc: usize, mask: u32, addresses: &[u64; 32], bytes: u32) {
    if mask == 0 {
        return;
    }
    let (lanes, last) = ((mask, addresses), &mut machine.patterns.global[pc]);
    if last.as_ref().is_some_and(|last| !last.shape.is_of(lanes, bytes, SECTOR)) {
        *last = None;
    }
    let pattern = last.get_or_insert_with(|| Pattern::new(lanes, bytes));
    let counter = &mut machine.counters[pc];
    counter.requests += 1;
    counter.sectors += pattern.sectors;
    counter.ideal_sectors += pattern.ideal;
}

impl Pattern {
    #[inline(never)]
    fn new((mask, addresses): (u32, &[u64; 32]), bytes: u32) -> Box<Self> {
        let mut touched: Vec<u64> = bits(mask).map(|lane| addresses[lane] / SECTOR).collect();
        touched.sort_unstable();
        touched.dedup();
        Box::new(Pattern {
            shape: Shape::new((mask, addresses), bytes, SECTOR),
            sectors: touched.len() as u64,
            ideal: (u64::from(mask.count_ones()) * u64::from(bytes)).div_ceil(SECTOR),
        })
    }
}
