//! Shared memory.

use super::global::same_instruction;
use super::memory::Transfer;
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::program::{Element, Rows};
use crate::shadow::bits;

pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    transfer: Transfer,
) -> Result<(), Stop> {
    let bytes = transfer.bytes();
    match (transfer.element, transfer.rows.count) {
        (Element { bytes: 4, wide: false, .. }, 1) => load_words::<1>(warp, machine, mask, addresses, transfer.rows)?,
        (Element { bytes: 4, wide: false, .. }, 4) => load_words::<4>(warp, machine, mask, addresses, transfer.rows)?,
        _ => {
            for lane in bits(mask) {
                read_lane(machine, warp.index, lane, addresses[lane], bytes)
                    .map(|data| transfer.load(&mut warp.registers, lane, data))
                    .map_err(|kind| Stop::lane(kind, lane))?;
            }
        }
    }
    if machine.checks {
        count(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// Loads of whole words: most loads of inner loops.
fn load_words<const N: usize>(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    addresses: &[u64; 32],
    rows: Rows,
) -> Result<(), Stop> {
    let bytes = 4 * N as u32;
    for lane in bits(mask) {
        let data = read_lane(machine, warp.index, lane, addresses[lane], bytes);
        let data = data.map_err(|kind| Stop::lane(kind, lane))?;
        for (i, word) in data.as_chunks::<4>().0.iter().enumerate().take(N) {
            warp.registers.narrow[usize::from(rows.rows[i])][lane] = u32::from_le_bytes(*word);
        }
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
) -> Result<&'m [u8], FaultKind> {
    let offset = machine.shared.range(address, bytes, Access::Read)?;
    if machine.checks {
        let (by, granule) = (machine.clock.observer(warp), machine.shared.granule_bytes());
        for (i, cell) in machine.shared.cells(offset, bytes).iter_mut().enumerate() {
            let at = address + i as u64 * granule;
            if !cell.is_written() {
                return Err(FaultKind::Uninitialised { space: Space::Shared, address: at, bytes });
            }
            cell.read(by, lane, false).map_err(|conflict| conflict.fault(Space::Shared, at, Access::Read))?;
        }
    }
    Ok(&machine.shared.bytes[offset..offset + bytes as usize])
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
        let offset = machine.shared.range(address, bytes, Access::Write).map_err(stop)?;
        if machine.checks {
            let (by, granule) = (machine.clock.observer(warp.index), machine.shared.granule_bytes());
            for i in 0..u64::from(bytes) / granule {
                let at = offset + (i * granule) as usize;
                let Err(conflict) = machine.shared.cells(at, granule as u32)[0].write(by, lane, Access::Write) else {
                    continue;
                };
                if !same_instruction(conflict, warp.index, mask, lane, addresses, bytes, at as u64) {
                    return Err(stop(conflict.fault(Space::Shared, at as u64, Access::Write)));
                }
                let span = at - offset..at - offset + granule as usize;
                if machine.shared.bytes[at..at + granule as usize] != value[span] {
                    return Err(stop(FaultKind::ConflictingStores { space: Space::Shared, address: at as u64 }));
                }
            }
        }
        machine.shared.bytes[offset..offset + bytes as usize].copy_from_slice(&value[..bytes as usize]);
    }
    if machine.checks {
        count(machine, warp.last_pc(), mask, addresses, bytes);
    }
    Ok(())
}

/// Counts the cycles of a warp's access: in each, a bank gives one word. Accesses of 8 or 16 bytes go by halves or
/// quarters of the warp.
pub(super) fn count(machine: &mut Machine<'_>, pc: usize, mask: u32, addresses: &[u64; 32], bytes: u32) {
    if mask == 0 {
        return;
    }
    let unit = bytes.max(4).trailing_zeros();
    // Lanes of a cycle, and banks as wide as the access.
    let lanes = 32 >> (unit - 2);
    let (mut waves, mut ideal) = (0, 0);
    for first in (0..32).step_by(lanes) {
        let group = if lanes == 32 { mask } else { mask >> first & ((1 << lanes) - 1) };
        if group == 0 {
            continue;
        }
        let mut seen = [u64::MAX; 32];
        let mut crowded = false;
        for lane in bits(group).map(|lane| lane + first) {
            let word = addresses[lane] >> unit;
            let bank = word as usize & (lanes - 1);
            crowded |= seen[bank] != u64::MAX && seen[bank] != word;
            seen[bank] = word;
        }
        waves += if crowded { most_words_of_a_bank(group, &addresses[first..], unit, lanes) } else { 1 };
        ideal += 1;
    }
    let counter = &mut machine.counters[pc];
    counter.shared_accesses += 1;
    counter.shared_waves += waves;
    counter.ideal_shared_waves += ideal;
}

/// The most different words that lanes want of one bank.
fn most_words_of_a_bank(group: u32, addresses: &[u64], unit: u32, banks: usize) -> u64 {
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
