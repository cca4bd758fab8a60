//! Shared memory.

use super::global::twins;
use super::memory::{Transfer, put};
use super::traffic::count_shared;
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
    let span = machine.shared.reach(addresses, mask, bytes, Access::Read)?;
    if machine.checks {
        machine.shared.read(&machine.clock, warp.index, (mask, addresses), bytes, span)?;
        count_shared(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
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
    let span = machine.shared.reach(addresses, mask, bytes, Access::Write)?;
    if machine.checks {
        machine.shared.settle_in(&machine.clock, span);
        count_shared(machine, warp.last_pc(), mask, addresses, bytes);
    }
    let by = machine.clock.observer(warp.index);
    for lane in bits(mask) {
        let (at, value) = (addresses[lane] as usize, transfer.store(&warp.registers, lane));
        if machine.checks {
            machine.shared.store(&by, lane, (at, bytes), &value, || twins(addresses, mask, lane))?;
        }
        put(&mut machine.shared.bytes, at, value, bytes);
    }
    Ok(())
}
