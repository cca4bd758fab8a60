//! Local memory: each thread has its own.

use super::memory::Transfer;
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::shadow::bits;

pub(super) fn load(
    warp: &mut Warp,
    machine: &Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    for lane in bits(mask) {
        let at = place(machine, addresses[lane], transfer.bytes(), lane, Access::Read)?;
        transfer.load(&mut warp.registers, lane, &warp.local[at..at + transfer.bytes() as usize]);
    }
    Ok(())
}

pub(super) fn store(
    warp: &mut Warp,
    machine: &Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    let bytes = transfer.bytes() as usize;
    for lane in bits(mask) {
        let at = place(machine, addresses[lane], transfer.bytes(), lane, Access::Write)?;
        let value = transfer.store(&warp.registers, lane);
        warp.local[at..at + bytes].copy_from_slice(&value[..bytes]);
    }
    Ok(())
}

/// The place in the warp's local memory.
fn place(machine: &Machine<'_>, address: u64, bytes: u32, lane: usize, access: Access) -> Result<usize, Stop> {
    let (space, len) = (Space::Local, u64::from(machine.kernel.local_bytes));
    if address & u64::from(bytes - 1) != 0 {
        return Err(Stop::lane(FaultKind::Misaligned { space, access, address, bytes }, lane));
    }
    if address > len || address + u64::from(bytes) > len {
        return Err(Stop::lane(FaultKind::OutOfBounds { space, access, offset: address, bytes, len }, lane));
    }
    Ok(lane * len as usize + address as usize)
}
