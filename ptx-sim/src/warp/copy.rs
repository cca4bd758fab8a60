//! `cp.async`: copies that are written when they are waited for.

use super::footprint::survey;
use super::run::holds;
use super::traffic::count_global;
use super::{Machine, Warp, global};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::lanes::{for_lanes, hull};
use crate::memory::offset;
use crate::program::CopyAsync;
use crate::shadow::bits;

/// What an instruction copies. Those that are waited for together are written in the order of their slots, not of their start;
/// it matters only without checks, which let no two in flight write the same bytes.
pub(crate) struct Copy {
    warp: usize,
    /// Lanes whose copies are in flight; none of a free slot.
    lanes: u32,
    bytes: u32,
    /// How many groups each lane had committed before.
    groups: [u32; 32],
    to: [u64; 32],
    data: [[u8; 16]; 32],
    sources: Sources,
}

/// What a copy reads, at any time until it is waited for.
struct Sources {
    /// Lanes whose source has bytes that kernels may write.
    lanes: u32,
    from: [u64; 32],
    sizes: [u32; 32],
}

impl Sources {
    /// Of some lanes, whether an access meets one.
    fn meet(&self, lanes: u32, address: u64, bytes: u32) -> bool {
        bits(self.lanes & lanes).any(|lane| {
            let (first, size) = (self.from[lane], u64::from(self.sizes[lane]));
            address < first + size && first < address.saturating_add(u64::from(bytes))
        })
    }

    /// Whether lanes read as many bytes each.
    fn are_whole(&self, lanes: u32, bytes: u32) -> bool {
        let mut whole = true;
        for_lanes(lanes, |lane| whole &= self.sizes[lane] == bytes);
        whole
    }

    /// Records that some lanes read until now.
    fn read(&self, machine: &mut Machine<'_>, warp: usize, lanes: u32, bytes: u32) -> Result<(), Stop> {
        let (by, lanes) = (machine.clock.observer(warp), self.lanes & lanes);
        if self.are_whole(lanes, bytes) {
            return machine.shadow.read_lanes(&by, (lanes, &self.from), bytes, false).map(|_| ());
        }
        for lane in bits(lanes) {
            for (at, bytes) in parts(self.sizes[lane]) {
                let read = machine.shadow.read(&by, lane, self.from[lane] + u64::from(at), bytes, false);
                read.map_err(|kind| Stop::lane(kind, lane))?;
            }
        }
        Ok(())
    }
}

/// That no copy in flight reads what a lane is about to write.
#[inline(always)]
pub(super) fn check_sources(
    machine: &Machine<'_>,
    lane: usize,
    address: u64,
    bytes: u32,
    access: Access,
) -> Result<(), Stop> {
    match machine.copies.is_empty() || !are_read(&machine.copies, address, bytes) {
        true => Ok(()),
        false => Err(Stop::lane(FaultKind::AsyncSource { address, access }, lane)),
    }
}

/// Whether copies read some of these bytes.
#[inline(never)]
fn are_read(copies: &[Copy], address: u64, bytes: u32) -> bool {
    copies.iter().any(|copy| copy.sources.meet(copy.lanes, address, bytes))
}

#[inline(always)]
pub(super) fn start(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, copy: &CopyAsync) -> Result<(), Stop> {
    let (to, from) = (warp.addresses(copy.to), warp.addresses(copy.from));
    let (bytes, by) = (copy.bytes, warp.index);
    // A lane that reads nothing has an address all the same.
    let misaligned = |address: u64| address & u64::from(bytes - 1) != 0;
    if misaligned(hull(&from, mask).any)
        && let Some(lane) = bits(mask).find(|lane| misaligned(from[*lane]))
    {
        let kind = FaultKind::Misaligned { space: Space::Global, access: Access::Read, address: from[lane], bytes };
        return Err(Stop::lane(kind, lane));
    }
    let mut reading = mask & !copy.ignore.map_or(0, |ignore| holds(warp, ignore));
    let mut sizes = [bytes; 32];
    if let Some(row) = copy.src_size {
        sizes = warp.registers.narrow[usize::from(row)];
        reading = bits(reading).filter(|lane| sizes[*lane] > 0).fold(0, |reading, lane| reading | 1 << lane);
    }
    let mut sources = Sources { lanes: reading, from, sizes };
    let data = read(machine, by, &mut sources, bytes)?;
    start_copies(warp, machine, mask, &to, bytes)?;
    let copy = Copy { warp: by, lanes: mask, bytes, groups: warp.groups, to, data, sources };
    match machine.copies.iter_mut().find(|copy| copy.lanes == 0) {
        Some(free) => *free = copy,
        None => machine.copies.push(copy),
    }
    if machine.checks {
        count_global(machine, warp.last_pc(), reading, &from, bytes);
    }
    Ok(())
}

/// What the lanes read; those are left whose sources are to be watched.
#[inline(always)]
fn read(machine: &mut Machine<'_>, warp: usize, sources: &mut Sources, bytes: u32) -> Result<[[u8; 16]; 32], Stop> {
    let whole = sources.are_whole(sources.lanes, bytes);
    let Sources { lanes, from, sizes } = sources;
    let mut data = [[0; 16]; 32];
    if whole
        && *lanes != 0
        && let Some((allocation, fixed)) = global::read_lanes(machine, warp, *lanes, from, bytes, false)?
    {
        match bytes {
            4 => take::<4>(&mut data, *lanes, &allocation.data, from),
            8 => take::<8>(&mut data, *lanes, &allocation.data, from),
            _ => take::<16>(&mut data, *lanes, &allocation.data, from),
        }
        if fixed {
            *lanes = 0;
        }
        return Ok(data);
    }
    for lane in bits(*lanes) {
        let read = read_part(machine, warp, lane, bytes, sizes[lane], from[lane]);
        data[lane] = read.map_err(|kind| Stop::lane(kind, lane))?;
    }
    let is_watched = |lane: &usize| machine.checks && !machine.memory.is_read_only(from[*lane]);
    *lanes = bits(*lanes).filter(is_watched).fold(0, |lanes, lane| lanes | 1 << lane);
    Ok(data)
}

/// The first `N` bytes of the data of some lanes from memory.
#[inline(always)]
fn take<const N: usize>(data: &mut [[u8; 16]; 32], lanes: u32, memory: &[u8], from: &[u64; 32]) {
    for_lanes(lanes, |lane| {
        let at = offset(from[lane]) as usize;
        data[lane][..N].copy_from_slice(&memory[at..at + N]);
    });
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
    for (at, part) in parts(size) {
        let read = global::read_lane(machine, warp, lane, from + u64::from(at), part, false)?;
        data[at as usize..(at + part) as usize].copy_from_slice(read);
    }
    Ok(data)
}

/// The first `size` bytes as aligned powers of two, as the checks of reads take them: offsets and lengths.
fn parts(size: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let part = 1 << (size - done).checked_ilog2()?;
        done += part;
        Some((done - part, part))
    })
}

/// Checks, records and counts what will be written.
#[inline(always)]
fn start_copies(warp: &Warp, machine: &mut Machine<'_>, mask: u32, to: &[u64; 32], bytes: u32) -> Result<(), Stop> {
    let (Machine { shared, clock, patterns, counters, checks, .. }, pc) = (machine, warp.last_pc());
    if !*checks {
        return shared.reach(to, mask, bytes, Access::AsyncCopy);
    }
    let (footprint, extent) = survey(&mut patterns.shared[pc], shared, (mask, to), bytes, Access::AsyncCopy)?;
    footprint.count(&mut counters[pc]);
    shared.start_copies(clock, warp.index, (mask, to), bytes, &extent)
}

/// Ends the copies of all groups but the `keep` latest; with none, all copies.
#[inline(always)]
pub(super) fn wait(warp: &Warp, machine: &mut Machine<'_>, mask: u32, keep: Option<u32>) -> Result<(), Stop> {
    let before = warp.groups.map(|groups| keep.map_or(u32::MAX, |keep| groups.saturating_sub(keep)));
    let mut copies = std::mem::take(&mut machine.copies);
    for copy in copies.iter_mut().filter(|copy| copy.warp == warp.index) {
        let mut ready = 0;
        for (lane, (group, before)) in copy.groups.iter().zip(&before).enumerate() {
            ready |= u32::from(group < before) << lane;
        }
        ready &= copy.lanes & mask;
        if ready != 0 {
            finish(copy, machine, ready)?;
            copy.lanes &= !ready;
        }
    }
    while copies.pop_if(|copy| copy.lanes == 0).is_some() {}
    machine.copies = copies;
    Ok(())
}

/// Writes what some lanes have copied.
#[inline(always)]
fn finish(copy: &Copy, machine: &mut Machine<'_>, ready: u32) -> Result<(), Stop> {
    let memory = &mut machine.shared.bytes;
    match copy.bytes {
        4 => give::<4>(memory, ready, &copy.to, &copy.data),
        8 => give::<8>(memory, ready, &copy.to, &copy.data),
        _ => give::<16>(memory, ready, &copy.to, &copy.data),
    }
    if machine.checks {
        machine.shared.complete(&machine.clock, copy.warp, (ready, &copy.to), copy.bytes);
        copy.sources.read(machine, copy.warp, ready, copy.bytes)?;
    }
    Ok(())
}

/// The first `N` bytes of the data of some lanes to memory.
#[inline(always)]
fn give<const N: usize>(memory: &mut [u8], lanes: u32, to: &[u64; 32], data: &[[u8; 16]; 32]) {
    for_lanes(lanes, |lane| {
        let at = to[lane] as usize;
        memory[at..at + N].copy_from_slice(&data[lane][..N]);
    });
}
