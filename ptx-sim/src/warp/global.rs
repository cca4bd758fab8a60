//! Global memory.

use super::memory::{Transfer, put};
use super::traffic::count_global;
use super::{Machine, Warp, copy};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::memory::{Allocation, offset};
use crate::shadow::{Cell, bits};

#[inline(always)]
pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
    non_coherent: bool,
) -> Result<(), Stop> {
    if mask == 0 {
        return Ok(());
    }
    let bytes = transfer.bytes();
    match read_lanes(machine, warp.index, mask, addresses, bytes, non_coherent)? {
        Some((allocation, _)) => {
            transfer.load_lanes(&mut warp.registers, mask, &allocation.data, &addresses.map(offset));
        }
        None => {
            for lane in bits(mask) {
                let data = read_lane(machine, warp.index, lane, addresses[lane], bytes, non_coherent);
                transfer.load(&mut warp.registers, lane, data.map_err(|kind| Stop::lane(kind, lane))?);
            }
        }
    }
    if machine.checks {
        count_global(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// The allocation that all lanes of a mask read, checked and recorded, and whether what they read cannot change; none where
/// they do not read initialised bytes of one.
#[inline(always)]
pub(super) fn read_lanes<'m>(
    machine: &'m mut Machine<'_>,
    warp: usize,
    mask: u32,
    addresses: &[u64; 32],
    bytes: u32,
    non_coherent: bool,
) -> Result<Option<(&'m Allocation, bool)>, Stop> {
    let Some(allocation) = machine.memory.common(addresses, mask, bytes) else { return Ok(None) };
    if machine.checks {
        let has = |lane: usize| allocation.written.has(offset(addresses[lane]) as usize, bytes);
        let is_written = allocation.written.is_whole() || bits(mask).all(has);
        if !is_written {
            return Ok(None);
        }
        if !allocation.read_only {
            let by = machine.clock.observer(warp);
            let fixed = machine.shadow.read_lanes(&by, (mask, addresses), bytes, non_coherent)?;
            return Ok(Some((allocation, fixed)));
        }
    }
    Ok(Some((allocation, true)))
}

/// The bytes at an address, checked and recorded as read by the lane.
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
            let by = machine.clock.observer(warp);
            machine.shadow.read(&by, lane, address, bytes, non_coherent)?;
        }
    }
    Ok(&allocation.data[offset..offset + bytes as usize])
}

#[inline(always)]
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
        copy::check_sources(machine, lane, address, bytes, Access::Write)?;
        let (allocation, offset) = machine.memory.device_range(address, bytes, Access::Write).map_err(stop)?;
        if allocation.read_only {
            return Err(stop(FaultKind::ReadOnly { access: Access::Write, address }));
        }
        if machine.checks {
            let by = machine.clock.observer(warp.index);
            let (cells, granule, lists) = machine.shadow.cells(address, bytes);
            for (i, cell) in cells.iter_mut().enumerate() {
                if cell.is_ordered(&by) {
                    *cell = Cell::written(&by, lane);
                    continue;
                }
                let (twins, space, address) =
                    (twins(addresses, mask, lane), Space::Global, address + (i * granule) as u64);
                if twins.trailing_zeros() as usize == lane {
                    let written = cell.write(&by, twins, lists);
                    written
                        .map_err(|(lane, conflict)| Stop::lane(conflict.fault(space, address, Access::Write), lane))?;
                    continue;
                }
                if allocation.data[offset + i * granule..][..granule] != value[i * granule..][..granule] {
                    return Err(stop(FaultKind::ConflictingStores { space, address }));
                }
                cell.overwrite(&by, twins, lists);
            }
        }
        allocation.written.set(offset, bytes);
        put(&mut allocation.data, offset, value, bytes);
    }
    if machine.checks {
        count_global(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// The lanes that store where a lane stores. All store as many bytes, aligned, so that what overlaps is the same.
pub(super) fn twins(addresses: &[u64; 32], mask: u32, lane: usize) -> u32 {
    let twins = |twins, other| twins | u32::from(addresses[other] == addresses[lane]) << other;
    (0..32).fold(0, twins) & mask
}
