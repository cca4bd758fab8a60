//! `cp.async`: copies that are written when they are waited for.

use super::{Machine, Warp, global};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::program::CopyAsync;
use crate::shadow::bits;

struct Copy {
    to: usize,
    bytes: u32,
    data: [u8; 16],
}

/// The copies in flight of each lane: groups, and what no group has.
#[derive(Default)]
pub(super) struct Copies {
    lanes: [LaneCopies; 32],
}

#[derive(Default)]
struct LaneCopies {
    groups: Vec<Vec<Copy>>,
    open: Vec<Copy>,
}

impl Copies {
    pub fn commit(&mut self, mask: u32) {
        for lane in bits(mask) {
            let lane = &mut self.lanes[lane];
            lane.groups.push(std::mem::take(&mut lane.open));
        }
    }
}

pub(super) fn start(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, copy: &CopyAsync) -> Result<(), Stop> {
    let (to, from) = (warp.addresses(copy.to), warp.addresses(copy.from));
    let mut reading = 0;
    for lane in bits(mask) {
        let size = copy.src_size.map_or(copy.bytes, |row| warp.registers.narrow[usize::from(row)][lane]);
        let started = start_lane(machine, warp.index, lane, copy.bytes, size, (to[lane], from[lane]));
        let started = started.map_err(|kind| Stop::lane(kind, lane))?;
        warp.copies.lanes[lane].open.push(started);
        reading |= u32::from(size > 0) << lane;
    }
    if machine.checks {
        global::count(machine, warp.last_pc(), reading, &from, copy.bytes);
        super::shared::count(machine, warp.last_pc(), mask, &to, copy.bytes);
    }
    Ok(())
}

fn start_lane(
    machine: &mut Machine<'_>,
    warp: usize,
    lane: usize,
    bytes: u32,
    size: u32,
    (to, from): (u64, u64),
) -> Result<Copy, FaultKind> {
    if size > bytes {
        return Err(FaultKind::CopySize { src_size: size, bytes });
    }
    let to = machine.shared.range(to, bytes, Access::AsyncCopy)?;
    if machine.checks {
        let (by, granule) = (machine.clock.observer(warp), machine.shared.granule_bytes());
        for (i, cell) in machine.shared.cells(to, bytes).iter_mut().enumerate() {
            let at = to as u64 + i as u64 * granule;
            let written = cell.write(by, lane, Access::AsyncCopy);
            written.map_err(|conflict| conflict.fault(Space::Shared, at, Access::AsyncCopy))?;
        }
    }
    if from & u64::from(bytes - 1) != 0 {
        return Err(FaultKind::Misaligned { space: Space::Global, access: Access::Read, address: from, bytes });
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
    Ok(Copy { to, bytes, data })
}

/// Writes the copies of all groups but the `keep` latest; with none, all copies.
pub(super) fn wait(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, keep: Option<u32>) {
    for lane in bits(mask) {
        let copies = &mut warp.copies.lanes[lane];
        let ready = copies.groups.len().saturating_sub(keep.unwrap_or(0) as usize);
        let open = if keep.is_none() { std::mem::take(&mut copies.open) } else { Vec::new() };
        for copy in copies.groups.drain(..ready).flatten().chain(open) {
            let by = machine.clock.observer(warp.index);
            let place = copy.to..copy.to + copy.bytes as usize;
            machine.shared.bytes[place].copy_from_slice(&copy.data[..copy.bytes as usize]);
            if machine.checks {
                machine.shared.cells(copy.to, copy.bytes).iter_mut().for_each(|cell| cell.complete(by));
            }
        }
    }
}
