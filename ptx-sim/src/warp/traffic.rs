//! What accesses of warps to global memory cost, in sectors.

use super::Machine;
use super::footprint::Footprint;
use crate::shadow::bits;

const SECTOR: u64 = 32;

/// An access and its cost: those that lie alike cost the same.
struct Pattern {
    mask: u32,
    bytes: u32,
    /// Of the first lane, in a sector or a bank.
    phase: u64,
    /// From the first lane's address to each; 0 of lanes that take no part.
    offsets: [u64; 32],
    cost: u64,
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

/// The cost of an access, and that of one without conflicts: as the last of this instruction where it lies alike but for a
/// multiple of the period.
#[inline(always)]
fn cost(
    last: &mut Option<Box<Pattern>>,
    mask: u32,
    addresses: &[u64; 32],
    bytes: u32,
    period: u64,
    count: fn(u32, &[u64; 32], u32) -> (u64, u64),
) -> (u64, u64) {
    let first = addresses[mask.trailing_zeros() as usize & 31];
    let phase = first & (period - 1);
    let mut offsets = [0; 32];
    crate::lanes::set(&mut offsets, mask, |lane| addresses[lane].wrapping_sub(first));
    if let Some(last) = last {
        let mut differs = 0;
        for (last, now) in last.offsets.iter().zip(&offsets) {
            differs |= last ^ now;
        }
        if differs == 0 && (last.mask, last.bytes, last.phase) == (mask, bytes, phase) {
            return (last.cost, last.ideal);
        }
    }
    let (cost, ideal) = count(mask, addresses, bytes);
    *last = Some(Box::new(Pattern { mask, bytes, phase, offsets, cost, ideal }));
    (cost, ideal)
}

/// Counts the sectors of a warp's access to global memory.
#[inline(always)]
pub(super) fn count_global(machine: &mut Machine<'_>, pc: usize, mask: u32, addresses: &[u64; 32], bytes: u32) {
    if mask == 0 {
        return;
    }
    let (sectors, ideal) = cost(&mut machine.patterns.global[pc], mask, addresses, bytes, SECTOR, sectors);
    let counter = &mut machine.counters[pc];
    counter.requests += 1;
    counter.sectors += sectors;
    counter.ideal_sectors += ideal;
}

/// The sectors that lanes touch, and those that hold as many bytes.
#[inline(never)]
fn sectors(mask: u32, addresses: &[u64; 32], bytes: u32) -> (u64, u64) {
    let mut touched: Vec<u64> = bits(mask).map(|lane| addresses[lane] / SECTOR).collect();
    touched.sort_unstable();
    touched.dedup();
    (touched.len() as u64, (u64::from(mask.count_ones()) * u64::from(bytes)).div_ceil(SECTOR))
}
