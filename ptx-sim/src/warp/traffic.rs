//! What accesses of warps cost: sectors of global memory, cycles of the banks of shared memory.

use super::Machine;
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
    shared: Vec<Option<Box<Pattern>>>,
}

impl Patterns {
    pub fn new(instructions: usize) -> Self {
        let none = || std::iter::repeat_with(|| None).take(instructions).collect();
        Patterns { global: none(), shared: none() }
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

/// Counts the cycles of a warp's access to shared memory.
#[inline(always)]
pub(super) fn count_shared(machine: &mut Machine<'_>, pc: usize, mask: u32, addresses: &[u64; 32], bytes: u32) {
    if mask == 0 {
        return;
    }
    // From one bank to another, all lanes meet as they did.
    let period = u64::from(bytes.max(4));
    let (waves, ideal) = cost(&mut machine.patterns.shared[pc], mask, addresses, bytes, period, waves);
    let counter = &mut machine.counters[pc];
    counter.shared_accesses += 1;
    counter.shared_waves += waves;
    counter.ideal_shared_waves += ideal;
}

/// The sectors that lanes touch, and those that hold as many bytes.
#[inline(never)]
fn sectors(mask: u32, addresses: &[u64; 32], bytes: u32) -> (u64, u64) {
    let mut touched: Vec<u64> = bits(mask).map(|lane| addresses[lane] / SECTOR).collect();
    touched.sort_unstable();
    touched.dedup();
    (touched.len() as u64, (u64::from(mask.count_ones()) * u64::from(bytes)).div_ceil(SECTOR))
}

/// The cycles of an access, and without conflicts: in each, a bank gives one word. Accesses of 8 or 16 bytes go by halves
/// or quarters of the warp.
#[inline(never)]
fn waves(mask: u32, addresses: &[u64; 32], bytes: u32) -> (u64, u64) {
    let unit = bytes.max(4).trailing_zeros();
    // Lanes of a cycle, and banks as wide as the access.
    let lanes = 32 >> (unit - 2);
    let all = if lanes == 32 { !0 } else { (1 << lanes) - 1 };
    let groups = (0..32).step_by(lanes).map(|first| mask & all << first).filter(|group| *group != 0);
    groups
        .fold((0, 0), |(waves, ideal), group| (waves + most_words_of_a_bank(group, addresses, unit, lanes), ideal + 1))
}

/// The most different words that lanes want of one bank.
fn most_words_of_a_bank(group: u32, addresses: &[u64; 32], unit: u32, banks: usize) -> u64 {
    let mut words = [0; 32];
    let mut found = 0;
    let mut counts = [0; 32];
    for lane in bits(group) {
        let word = addresses[lane] >> unit;
        if !words[..found].contains(&word) {
            words[found] = word;
            found += 1;
            counts[word as usize & (banks - 1)] += 1;
        }
    }
    counts.into_iter().max().unwrap_or(0)
}
