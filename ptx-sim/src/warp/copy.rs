//! `cp.async`: copies that are written when they are waited for.

use super::memory::put;
use super::run::holds;
use super::traffic::{count_global, count_shared};
use super::{Machine, Warp, global};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::memory::offset;
use crate::program::CopyAsync;
use crate::shadow::bits;

/// What an instruction copies.
struct Copy {
    /// Lanes whose copies are in flight.
    lanes: u32,
    bytes: u32,
    /// How many groups each lane had committed before.
    groups: [u32; 32],
    to: [u64; 32],
    data: [[u8; 16]; 32],
}

/// The copies in flight.
#[derive(Default)]
pub(super) struct Copies {
    /// In the order of their instructions.
    copies: Vec<Copy>,
    /// Groups that each lane has committed.
    groups: [u32; 32],
}

impl Copies {
    pub fn commit(&mut self, mask: u32) {
        bits(mask).for_each(|lane| self.groups[lane] += 1);
    }
}

#[inline(always)]
pub(super) fn start(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, copy: &CopyAsync) -> Result<(), Stop> {
    let (to, from) = (warp.addresses(copy.to), warp.addresses(copy.from));
    let (bytes, by) = (copy.bytes, warp.index);
    // A lane that reads nothing has an address all the same.
    let misaligned = |lane: usize| from[lane] & u64::from(bytes - 1) != 0;
    if let Some(lane) = bits(mask).find(|lane| misaligned(*lane)) {
        let kind = FaultKind::Misaligned { space: Space::Global, access: Access::Read, address: from[lane], bytes };
        return Err(Stop::lane(kind, lane));
    }
    let mut reading = mask & !copy.ignore.map_or(0, |ignore| holds(warp, ignore));
    let mut sizes = [bytes; 32];
    if let Some(row) = copy.src_size {
        sizes = warp.registers.narrow[usize::from(row)];
        reading = bits(reading).filter(|lane| sizes[*lane] > 0).fold(0, |reading, lane| reading | 1 << lane);
    }
    let partial = copy.src_size.is_some() && bits(reading).any(|lane| sizes[lane] != bytes);
    let mut data = [[0; 16]; 32];
    match if partial || reading == 0 { None } else { global::read_lanes(machine, by, reading, &from, bytes, false)? } {
        Some(memory) => {
            for lane in bits(reading) {
                take(&mut data[lane], memory, offset(from[lane]) as usize, bytes);
            }
        }
        None => {
            for lane in bits(reading) {
                data[lane] = read_part(machine, by, lane, bytes, sizes[lane], from[lane])
                    .map_err(|kind| Stop::lane(kind, lane))?;
            }
        }
    }
    write(machine, by, mask, &to, bytes)?;
    warp.copies.copies.push(Copy { lanes: mask, bytes, groups: warp.copies.groups, to, data });
    if machine.checks {
        count_global(machine, warp.last_pc(), reading, &from, bytes);
        count_shared(machine, warp.last_pc(), mask, &to, bytes);
    }
    Ok(())
}

/// The first bytes of `data` from memory.
#[inline(always)]
fn take(data: &mut [u8; 16], memory: &[u8], at: usize, bytes: u32) {
    match bytes {
        4 => data[..4].copy_from_slice(&memory[at..at + 4]),
        8 => data[..8].copy_from_slice(&memory[at..at + 8]),
        _ => data.copy_from_slice(&memory[at..at + 16]),
    }
}

/// The first `size` of the bytes, and zeros.
fn read_part(
    machine: &mut Machine<'_>,
    warp: usize,
    lane: usize,
    bytes: u32,
    size: u32,
    from: u64,
) -> Result<[u8; 16], FaultKind> {
    if size > bytes {
        return Err(FaultKind::CopySize { src_size: size, bytes });
    }
    let mut data = [0; 16];
    let mut done = 0;
    // Aligned powers of two, as the checks of reads take them.
    while done < size {
        let part = 1 << (size - done).ilog2();
        let read = global::read_lane(machine, warp, lane, from + u64::from(done), part, false)?;
        data[done as usize..(done + part) as usize].copy_from_slice(read);
        done += part;
    }
    Ok(data)
}

/// Checks and records what will be written.
#[inline(always)]
fn write(machine: &mut Machine<'_>, warp: usize, mask: u32, to: &[u64; 32], bytes: u32) -> Result<(), Stop> {
    let span = machine.shared.reach(to, mask, bytes, Access::AsyncCopy)?;
    if machine.checks {
        machine.shared.settle_in(&machine.clock, span);
        let by = machine.clock.observer(warp);
        for lane in bits(mask) {
            let place = (to[lane] as usize, bytes);
            machine.shared.write(&by, lane, place, Access::AsyncCopy)?;
        }
    }
    Ok(())
}

/// Writes the copies of all groups but the `keep` latest; with none, all copies.
#[inline(always)]
pub(super) fn wait(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, keep: Option<u32>) {
    let Copies { copies, groups } = &mut warp.copies;
    let by = machine.clock.observer(warp.index);
    let before = groups.map(|groups| keep.map_or(u32::MAX, |keep| groups.saturating_sub(keep)));
    for copy in copies.iter_mut() {
        let mut ready = 0;
        for (lane, (group, before)) in copy.groups.iter().zip(&before).enumerate() {
            ready |= u32::from(group < before) << lane;
        }
        ready &= copy.lanes & mask;
        for lane in bits(ready) {
            put(&mut machine.shared.bytes, copy.to[lane] as usize, copy.data[lane], copy.bytes);
            if machine.checks {
                machine.shared.complete(&by, copy.to[lane] as usize, copy.bytes);
            }
        }
        copy.lanes &= !ready;
    }
    copies.retain(|copy| copy.lanes != 0);
}
