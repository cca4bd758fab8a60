//! What the lanes of a warp tell each other.

use super::run::holds;
use super::{Machine, Warp};
use crate::fault::{FaultKind, Stop};
use crate::lanes::broadcast;
use crate::program::{Predicate, Row, Shuffle, ShuffleMode, Vote};
use crate::shadow::bits;

/// Groups of lanes that are together at an instruction, each by the membermask of its lanes.
struct Groups {
    lanes: u32,
    members: [u32; 32],
}

impl Iterator for Groups {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let group = self.lanes & self.members[bits(self.lanes).next()?];
        self.lanes &= !group;
        Some(group)
    }
}

/// The groups whose members have all come, but for those that have exited; the lanes of others wait for them.
fn groups(warp: &mut Warp, mask: u32, row: Row, instruction: &'static str) -> Result<Groups, Stop> {
    let members = warp.registers.narrow[usize::from(row)];
    let (mut left, mut together, mut lacking) = (mask, 0, None);
    while let Some(lane) = bits(left).next() {
        let group = group_of(&members, mask, lane, instruction)?;
        let needed = members[lane] & warp.alive;
        if group == needed {
            together |= group;
        } else {
            let fault = FaultKind::InactiveLanes { instruction, active: group, needed };
            // Lanes that are here and whose guard is false will not come.
            if warp.active & !mask & needed != 0 {
                return Err(fault.into());
            }
            lacking = Some(fault);
        }
        left &= !group;
    }
    match lacking {
        Some(fault) if !warp.hold(mask & !together) => Err(fault.into()),
        _ => Ok(Groups { lanes: together, members }),
    }
}

/// The lanes of a mask that have the membermask of one of them: all that it names.
fn group_of(members: &[u32; 32], mask: u32, lane: usize, instruction: &'static str) -> Result<u32, Stop> {
    let own = members[lane];
    if own >> lane & 1 == 0 {
        return Err(Stop::lane(FaultKind::NotAMember { instruction, members: own }, lane));
    }
    match bits(own & mask).find(|other| members[*other] != own) {
        None => Ok(own & mask),
        Some(other) => {
            let (member, others) = (other as u32, members[other]);
            Err(Stop::lane(FaultKind::OtherMembers { instruction, members: own, member, others }, lane))
        }
    }
}

pub(super) fn warp_barrier(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, row: Row) -> Result<(), Stop> {
    for group in groups(warp, mask, row, "bar.warp.sync")? {
        if group == warp.alive {
            machine.shared.synchronise(&machine.clock, 1 << warp.index);
            machine.clock.synchronise(Vec::new(), 1 << warp.index);
            warp.touched = 0;
        } else {
            machine.shared.settle(&machine.clock);
            machine.clock.synchronise_some(warp.index, group);
        }
    }
    Ok(())
}

pub(super) fn shuffle(warp: &mut Warp, mask: u32, shuffle: &Shuffle) -> Result<(), Stop> {
    groups(warp, mask, shuffle.members, "shfl.sync")?.try_for_each(|group| shuffle_group(warp, group, shuffle))
}

fn shuffle_group(warp: &mut Warp, group: u32, shuffle: &Shuffle) -> Result<(), Stop> {
    let [src, by, clamp] =
        [shuffle.src, shuffle.lane, shuffle.clamp].map(|row| warp.registers.narrow[usize::from(row)]);
    let mut result = src;
    let mut in_range = 0;
    for lane in bits(group) {
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
        if group >> source & 1 == 0 {
            let kind = FaultKind::InactiveSource { instruction: "shfl.sync", source_lane: source as u32 };
            return Err(Stop::lane(kind, lane));
        }
        result[lane] = src[source];
        in_range |= u32::from(valid) << lane;
    }
    let dst = &mut warp.registers.narrow[usize::from(shuffle.dst)];
    bits(group).for_each(|lane| dst[lane] = result[lane]);
    if let Some(row) = shuffle.in_range {
        warp.write_predicate(row, group, in_range);
    }
    Ok(())
}

pub(super) fn vote(warp: &mut Warp, mask: u32, mode: Vote, dst: Row, src: Predicate, row: Row) -> Result<(), Stop> {
    let votes = holds(warp, src);
    for group in groups(warp, mask, row, "vote.sync")? {
        let ayes = votes & group;
        let result = match mode {
            Vote::All => ayes == group,
            Vote::Any => ayes != 0,
            Vote::Uni => ayes == group || ayes == 0,
            Vote::Ballot => {
                broadcast(&mut warp.registers.narrow[usize::from(dst)], group, ayes);
                continue;
            }
        };
        warp.write_predicate(dst, group, if result { !0 } else { 0 });
    }
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
    let values: [u64; 32] = match wide {
        true => warp.registers.wide[usize::from(src)],
        false => warp.registers.narrow[usize::from(src)].map(u64::from),
    };
    for group in groups(warp, mask, row, "match.sync")? {
        let equal = |lane: usize| {
            bits(group).filter(|other| values[*other] == values[lane]).fold(0, |found, other| found | 1 << other)
        };
        let unanimous = bits(group).next().is_none_or(|lane| equal(lane) == group);
        let everyone = if unanimous { group } else { 0 };
        for lane in bits(group) {
            warp.registers.narrow[usize::from(dst)][lane] = if all { everyone } else { equal(lane) };
        }
        if let Some(same) = same {
            warp.write_predicate(same, group, if unanimous { !0 } else { 0 });
        }
    }
    Ok(())
}
