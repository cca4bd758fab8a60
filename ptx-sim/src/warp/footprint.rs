//! Where lanes access shared memory, and what that costs: cycles of its banks.

use std::collections::BTreeMap;

use super::shape::{Shape, first_of};
use crate::fault::{Access, Stop};
use crate::report::LineReport;
use crate::shadow::{Extent, Shared, bits};

/// An access, but for where it starts.
pub(crate) struct Footprint {
    shape: Shape,
    /// From the lowest address to that of the first lane, and to the end of the highest.
    first: u64,
    len: u64,
    /// A bit for each granule from the lowest, by words of 64, where one is set.
    granules: Vec<(usize, u64)>,
    /// Whether no two lanes touch the same.
    distinct: bool,
    waves: u64,
    ideal: u64,
}

impl Footprint {
    fn new(shared: &Shared, mask: u32, addresses: &[u64; 32], bytes: u32) -> Box<Self> {
        let lanes = || bits(mask).map(|lane| addresses[lane]);
        let (lowest, highest) = (lanes().min().unwrap_or(0), lanes().max().unwrap_or(0));
        let len = highest + u64::from(bytes) - lowest;
        let (mut granules, mut distinct) = (BTreeMap::new(), true);
        for granule in lanes().flat_map(|address| shared.granules((address - lowest) as usize, bytes)) {
            let (word, bit) = (granules.entry(granule / 64).or_insert(0), 1 << (granule % 64));
            distinct &= *word & bit == 0;
            *word |= bit;
        }
        let granules = granules.into_iter().collect();
        let shape = Shape::new((mask, addresses), bytes, period(bytes));
        let (waves, ideal) = waves(mask, addresses, bytes);
        let first = first_of(mask, addresses) - lowest;
        Box::new(Footprint { shape, first, len, granules, distinct, waves, ideal })
    }

    /// Of an access whose lowest granule is this.
    #[inline(always)]
    pub fn extent(&self, first: usize) -> Extent<'_> {
        Extent { first, granules: &self.granules, distinct: self.distinct }
    }

    #[inline(always)]
    pub fn count(&self, counter: &mut LineReport) {
        counter.shared_accesses += 1;
        counter.shared_waves += self.waves;
        counter.ideal_shared_waves += self.ideal;
    }
}

/// From one bank as wide as the access to another, all lanes meet as they did.
#[inline(always)]
fn period(bytes: u32) -> u64 {
    u64::from(bytes.max(4))
}

/// The footprint of some lanes, whose accesses are checked to be aligned and in range, and which granules that is; `last` is
/// the footprint of the same instruction before.
#[inline(always)]
pub(super) fn survey<'f>(
    last: &'f mut Option<Box<Footprint>>,
    shared: &Shared,
    (mask, addresses): (u32, &[u64; 32]),
    bytes: u32,
    access: Access,
) -> Result<(&'f Footprint, Extent<'f>), Stop> {
    let first = first_of(mask, addresses);
    // What lies alike is aligned alike.
    let alike = match last {
        Some(last) => {
            let lowest = first.wrapping_sub(last.first);
            let is_in_range = lowest <= first && lowest.saturating_add(last.len) <= shared.bytes.len() as u64;
            is_in_range && last.shape.is_of((mask, addresses), bytes, period(bytes))
        }
        None => false,
    };
    if !alike {
        shared.reach(addresses, mask, bytes, access)?;
        *last = None;
    }
    let footprint = last.get_or_insert_with(|| Footprint::new(shared, mask, addresses, bytes));
    let lowest = shared.granules((first - footprint.first) as usize, bytes).start;
    Ok((footprint, footprint.extent(lowest)))
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
