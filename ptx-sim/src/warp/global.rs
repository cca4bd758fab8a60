//! Global memory.

use super::memory::Transfer;
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, OtherThread, Space, Stop};
use crate::shadow::{Conflict, bits};

pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
    non_coherent: bool,
) -> Result<(), Stop> {
    let bytes = transfer.bytes();
    for lane in bits(mask) {
        read_lane(machine, warp.index, lane, addresses[lane], bytes, non_coherent)
            .map(|data| transfer.load(&mut warp.registers, lane, data))
            .map_err(|kind| Stop::lane(kind, lane))?;
    }
    if machine.checks {
        count(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// The bytes at an address, checked and recorded as read by the lane.
#[inline(always)]
pub(super) fn read_lane<'m>(
    machine: &'m mut Machine<'_>,
    warp: usize,
    lane: usize,
    address: u64,
    bytes: u32,
    non_coherent: bool,
) -> Result<&'m [u8], FaultKind> {
    let (allocation, offset) = machine.memory.device_range(address, bytes, Access::Read)?;
    if machine.checks {
        if !allocation.written.has(offset, bytes) {
            return Err(FaultKind::Uninitialised { space: Space::Global, address, bytes });
        }
        if !allocation.read_only {
            let (by, granule) = (machine.clock.observer(warp), machine.shadow.granule_bytes());
            for (i, cell) in machine.shadow.cells(address, offset, bytes).iter_mut().enumerate() {
                cell.read(by, lane, non_coherent)
                    .map_err(|conflict| conflict.fault(Space::Global, address + i as u64 * granule, Access::Read))?;
            }
        }
    }
    Ok(&allocation.data[offset..offset + bytes as usize])
}

pub(super) fn store(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    let bytes = transfer.bytes();
    for lane in bits(mask) {
        let value = transfer.store(&warp.registers, lane);
        let address = addresses[lane];
        let stop = |kind| Stop::lane(kind, lane);
        let (allocation, offset) = machine.memory.device_range(address, bytes, Access::Write).map_err(stop)?;
        if allocation.read_only {
            return Err(stop(FaultKind::ReadOnly { access: Access::Write, address }));
        }
        let place = offset..offset + bytes as usize;
        if machine.checks {
            let (by, granule) = (machine.clock.observer(warp.index), machine.shadow.granule_bytes());
            for (i, cell) in machine.shadow.cells(address, offset, bytes).iter_mut().enumerate() {
                let Err(conflict) = cell.write(by, lane, Access::Write) else { continue };
                let at = address + i as u64 * granule;
                if !same_instruction(conflict, warp.index, mask, lane, addresses, bytes, at) {
                    return Err(stop(conflict.fault(Space::Global, at, Access::Write)));
                }
                let span = i * granule as usize..(i + 1) * granule as usize;
                if allocation.data[place.clone()][span.clone()] != value[span] {
                    return Err(stop(FaultKind::ConflictingStores { space: Space::Global, address: at }));
                }
            }
        }
        allocation.written.set(offset, bytes);
        allocation.data[place].copy_from_slice(&value[..bytes as usize]);
    }
    if machine.checks {
        count(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// Whether a store conflicts with one by an earlier lane of the same instruction.
pub(super) fn same_instruction(
    conflict: Conflict,
    warp: usize,
    mask: u32,
    lane: usize,
    addresses: &[u64; 32],
    bytes: u32,
    at: u64,
) -> bool {
    let Conflict::Race { earlier: Access::Write, other: OtherThread::Lane { warp: other_warp, lane: other } } =
        conflict
    else {
        return false;
    };
    let other = other as usize;
    let overlaps = (addresses[other]..addresses[other] + u64::from(bytes)).contains(&at);
    other_warp as usize == warp && other < lane && mask >> other & 1 == 1 && overlaps
}

/// Counts the sectors of a warp's access.
pub(super) fn count(machine: &mut Machine<'_>, pc: usize, mask: u32, addresses: &[u64; 32], bytes: u32) {
    if mask == 0 {
        return;
    }
    let (mut sectors, mut last, mut ascending) = (0, None, true);
    for lane in bits(mask) {
        let sector = addresses[lane] >> 5;
        if last != Some(sector) {
            sectors += 1;
            ascending &= last.is_none_or(|last| last < sector);
        }
        last = Some(sector);
    }
    if !ascending {
        let mut touched: Vec<u64> = bits(mask).map(|lane| addresses[lane] >> 5).collect();
        touched.sort_unstable();
        touched.dedup();
        sectors = touched.len() as u64;
    }
    let counter = &mut machine.counters[pc];
    counter.requests += 1;
    counter.sectors += sectors;
    counter.ideal_sectors += (u64::from(mask.count_ones()) * u64::from(bytes)).div_ceil(32);
}
