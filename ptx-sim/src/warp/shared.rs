//! Shared memory.

use super::footprint::survey;
use super::global::twins;
use super::memory::{Transfer, put};
use super::{Machine, Warp};
use crate::fault::{Access, Stop};
use crate::shadow::bits;

#[inline(always)]
pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    if mask == 0 {
        return Ok(());
    }
    read(warp, machine, mask, addresses, transfer.bytes())?;
    transfer.load_lanes(&mut warp.registers, mask, &machine.shared.bytes, addresses);
    Ok(())
}

/// Checks, records and counts the reads of some lanes.
#[inline(always)]
pub(super) fn read(
    warp: &Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    bytes: u32,
) -> Result<(), Stop> {
    read_as(warp, machine, (mask, addresses), bytes, true)
}

/// The same; where it does not count, it is no access of lanes, and costs no waves of theirs.
#[inline(always)]
pub(super) fn read_as(
    warp: &Warp,
    machine: &mut Machine<'_>,
    (mask, addresses): (u32, &[u64; 32]),
    bytes: u32,
    counts: bool,
) -> Result<(), Stop> {
    let (Machine { shared, clock, patterns, counters, checks, .. }, pc) = (machine, warp.last_pc());
    if !*checks {
        return shared.reach(addresses, mask, bytes, Access::Read);
    }
    let (footprint, extent) = survey(&mut patterns.shared[pc], shared, (mask, addresses), bytes, Access::Read)?;
    if counts {
        footprint.count(&mut counters[pc]);
    }
    shared.read(clock, warp.index, (mask, addresses), bytes, &extent)
}

/// What was done about the stores of some lanes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stores {
    Recorded,
    /// Nothing; no two lanes store in the same place.
    Apart,
    Together,
}

/// Records and counts the stores of some lanes, where nothing is there that they have to be compared with; else each lane is to
/// be looked at closely.
#[inline(always)]
pub(super) fn record_stores(
    warp: &Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    bytes: u32,
) -> Result<Stores, Stop> {
    let (Machine { shared, clock, patterns, counters, checks, .. }, pc) = (machine, warp.last_pc());
    if !*checks {
        return shared.reach(addresses, mask, bytes, Access::Write).map(|()| Stores::Recorded);
    }
    let (footprint, extent) = survey(&mut patterns.shared[pc], shared, (mask, addresses), bytes, Access::Write)?;
    footprint.count(&mut counters[pc]);
    Ok(match shared.store(clock, warp.index, (mask, addresses), bytes, &extent) {
        true => Stores::Recorded,
        false if extent.distinct => Stores::Apart,
        false => Stores::Together,
    })
}

#[inline(always)]
pub(super) fn store(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    if mask == 0 {
        return Ok(());
    }
    let bytes = transfer.bytes();
    let stores = record_stores(warp, machine, mask, addresses, bytes)?;
    let by = machine.clock.observer(warp.index);
    for lane in bits(mask) {
        let (at, value) = (addresses[lane] as usize, transfer.store(&warp.registers, lane));
        match stores {
            Stores::Recorded => {}
            Stores::Apart => machine.shared.store_closely(&by, lane, (at, bytes), &value, 1 << lane)?,
            Stores::Together => {
                machine.shared.store_closely(&by, lane, (at, bytes), &value, twins(addresses, mask, lane))?;
            }
        }
        put(&mut machine.shared.bytes, at, value, bytes);
    }
    Ok(())
}
