//! `cp.async`: copies that are written when they are waited for.

use super::{Machine, Warp, global};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::program::CopyAsync;
use crate::shadow::bits;

struct Copy {
    /// How many groups the lane had committed before.
    group: u32,
    to: usize,
    bytes: u32,
    data: [u8; 16],
}

/// The copies in flight of each lane.
#[derive(Default)]
pub(super) struct Copies {
    lanes: [LaneCopies; 32],
}

#[derive(Default)]
struct LaneCopies {
    /// In the order of their groups.
    copies: Vec<Copy>,
    /// Groups committed.
    groups: u32,
}

impl Copies {
    pub fn commit(&mut self, mask: u32) {
        bits(mask).for_each(|lane| self.lanes[lane].groups += 1);
    }
}

pub(super) fn start(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, copy: &CopyAsync) -> Result<(), Stop> {
    let (to, from) = (warp.addresses(copy.to), warp.addresses(copy.from));
    let mut reading = 0;
    for lane in bits(mask) {
        let size = copy.src_size.map_or(copy.bytes, |row| warp.registers.narrow[usize::from(row)][lane]);
        let started = start_lane(machine, warp.index, lane, copy.bytes, size, (to[lane], from[lane]));
        let (to, data) = started.map_err(|kind| Stop::lane(kind, lane))?;
        let lane_copies = &mut warp.copies.lanes[lane];
        lane_copies.copies.push(Copy { group: lane_copies.groups, to, bytes: copy.bytes, data });
        reading |= u32::from(size > 0) << lane;
    }
    if machine.checks {
        global::count(machine, warp.last_pc(), reading, &from, copy.bytes);
        super::shared::count(machine, warp.last_pc(), mask, &to, copy.bytes);
    }
    Ok(())
}

/// The place in shared memory and what will be written there.
fn start_lane(
    machine: &mut Machine<'_>,
    warp: usize,
    lane: usize,
    bytes: u32,
    size: u32,
    (to, from): (u64, u64),
) -> Result<(usize, [u8; 16]), FaultKind> {
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
    Ok((to, data))
}

/// Writes the copies of all groups but the `keep` latest; with none, all copies.
pub(super) fn wait(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, keep: Option<u32>) {
    for lane in bits(mask) {
        let LaneCopies { copies, groups } = &mut warp.copies.lanes[lane];
        let ready = match keep {
            Some(keep) => copies.partition_point(|copy| copy.group < groups.saturating_sub(keep)),
            None => copies.len(),
        };
        for copy in copies.drain(..ready) {
            let by = machine.clock.observer(warp.index);
            let place = copy.to..copy.to + copy.bytes as usize;
            machine.shared.bytes[place].copy_from_slice(&copy.data[..copy.bytes as usize]);
            if machine.checks {
                machine.shared.cells(copy.to, copy.bytes).iter_mut().for_each(|cell| cell.complete(by));
            }
        }
    }
}
