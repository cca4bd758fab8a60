//! What the lanes of a warp tell each other.

use super::run::holds;
use super::{Machine, Warp};
use crate::fault::{FaultKind, Stop};
use crate::lanes::broadcast;
use crate::program::{Predicate, Row, Shuffle, ShuffleMode, Vote};
use crate::shadow::bits;

/// The members that take part, or none while they are not all here.
fn members(warp: &mut Warp, mask: u32, row: Row, instruction: &'static str) -> Result<Option<u32>, Stop> {
    let members = warp.registers.narrow[usize::from(row)];
    for lane in bits(mask) {
        if members[lane] >> lane & 1 == 0 {
            return Err(Stop::lane(FaultKind::NotAMember { instruction, members: members[lane] }, lane));
        }
    }
    let all = bits(mask).fold(0, |all, lane| all | members[lane]);
    if bits(mask).any(|lane| members[lane] != all) {
        return Err(FaultKind::NotUniform { instruction, operand: "membermask" }.into());
    }
    let needed = all & warp.alive;
    let fault = |active, needed| FaultKind::InactiveLanes { instruction, active, needed };
    Ok(warp.gather(mask, needed, fault)?.then_some(needed))
}

pub(super) fn warp_barrier(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, row: Row) -> Result<(), Stop> {
    if let Some(members) = members(warp, mask, row, "bar.warp.sync")? {
        if members == warp.alive {
            machine.shared.synchronise(&machine.clock, 1 << warp.index);
            machine.clock.synchronise_lanes(warp.index);
        } else {
            machine.shared.settle(&machine.clock);
            machine.clock.synchronise_some(warp.index, members);
        }
    }
    Ok(())
}

pub(super) fn shuffle(warp: &mut Warp, mask: u32, shuffle: &Shuffle) -> Result<(), Stop> {
    if members(warp, mask, shuffle.members, "shfl.sync")?.is_none() {
        return Ok(());
    }
    let [src, by, clamp] =
        [shuffle.src, shuffle.lane, shuffle.clamp].map(|row| warp.registers.narrow[usize::from(row)]);
    let mut result = src;
    let mut in_range = 0;
    for lane in bits(mask) {
        let own = lane as i32;
        let (by, segment) = ((by[lane] & 31) as i32, (clamp[lane] >> 8 & 31) as i32);
        let clamp = (clamp[lane] & 31) as i32;
        let (last, first) = ((own & segment) | (clamp & !segment), own & segment);
        let (source, valid) = match shuffle.mode {
            ShuffleMode::Up => (own - by, own - by >= last),
            ShuffleMode::Down => (own + by, own + by <= last),
            ShuffleMode::Bfly => (own ^ by, own ^ by <= last),
            ShuffleMode::Idx => (first | (by & !segment), first | (by & !segment) <= last),
        };
        let source = if valid { source } else { own } as usize;
        if mask >> source & 1 == 0 {
            let kind = FaultKind::InactiveSource { instruction: "shfl.sync", source_lane: source as u32 };
            return Err(Stop::lane(kind, lane));
        }
        result[lane] = src[source];
        in_range |= u32::from(valid) << lane;
    }
    let dst = &mut warp.registers.narrow[usize::from(shuffle.dst)];
    bits(mask).for_each(|lane| dst[lane] = result[lane]);
    if let Some(row) = shuffle.in_range {
        warp.write_predicate(row, mask, in_range);
    }
    Ok(())
}

pub(super) fn vote(warp: &mut Warp, mask: u32, mode: Vote, dst: Row, src: Predicate, row: Row) -> Result<(), Stop> {
    let Some(needed) = members(warp, mask, row, "vote.sync")? else { return Ok(()) };
    let ayes = holds(warp, src) & needed;
    let result = match mode {
        Vote::All => ayes == needed,
        Vote::Any => ayes != 0,
        Vote::Uni => ayes == needed || ayes == 0,
        Vote::Ballot => {
            broadcast(&mut warp.registers.narrow[usize::from(dst)], mask, ayes);
            return Ok(());
        }
    };
    warp.write_predicate(dst, mask, if result { !0 } else { 0 });
    Ok(())
}

pub(super) fn match_sync(
    warp: &mut Warp,
    mask: u32,
    (all, wide): (bool, bool),
    (dst, same): (Row, Option<Row>),
    src: Row,
    row: Row,
) -> Result<(), Stop> {
    let Some(needed) = members(warp, mask, row, "match.sync")? else { return Ok(()) };
    let registers = &mut warp.registers;
    let values: [u64; 32] = match wide {
        true => registers.wide[usize::from(src)],
        false => registers.narrow[usize::from(src)].map(u64::from),
    };
    let equal = |lane: usize| {
        bits(needed).filter(|other| values[*other] == values[lane]).fold(0, |found, other| found | 1 << other)
    };
    let unanimous = bits(needed).next().is_none_or(|lane| equal(lane) == needed);
    for lane in bits(mask) {
        let everyone = if unanimous { needed } else { 0 };
        registers.narrow[usize::from(dst)][lane] = if all { everyone } else { equal(lane) };
    }
    if let Some(same) = same {
        warp.write_predicate(same, mask, if unanimous { !0 } else { 0 });
    }
    Ok(())
}
