//! The loop over a warp's instructions.

use super::memory::{self, Transfer};
use super::{Machine, Warp, atomic, compare, copy, exchange, flights, matrix, warpgroup};
use crate::fault::{FaultKind, Stop};
use crate::lanes;
use crate::program::{Barrier, Logic, Op, Predicate};

/// Why a warp stops running for now.
pub(crate) enum Pause {
    /// All its lanes have exited.
    Done,
    /// Its turn is over.
    Preempted,
    /// It arrived at a barrier.
    Barrier(Barrier),
}

/// Runs a warp for at most `turn` instructions.
pub(crate) fn run(warp: &mut Warp, machine: &mut Machine<'_>, turn: u64) -> Result<Pause, Stop> {
    match machine.fused {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Fused` is made only where the processor has the features.
        Some(_) if machine.watches => unsafe { run_fused_watching(warp, machine, turn) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Some(_) => unsafe { run_fused(warp, machine, turn) },
        _ => run_lanes(warp, machine, turn, run_rare, flights::watch),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt,lzcnt,bmi1,bmi2")]
fn run_fused(warp: &mut Warp, machine: &mut Machine<'_>, turn: u64) -> Result<Pause, Stop> {
    run_lanes(warp, machine, turn, |warp, machine, op, mask| run_rare_fused(warp, machine, op, mask), |_, _, _| Ok(()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt,lzcnt,bmi1,bmi2")]
fn run_fused_watching(warp: &mut Warp, machine: &mut Machine<'_>, turn: u64) -> Result<Pause, Stop> {
    run_lanes(warp, machine, turn, |warp, machine, op, mask| run_rare_fused(warp, machine, op, mask), flights::watch)
}

#[inline(always)]
fn run_lanes(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    turn: u64,
    rare: impl Fn(&mut Warp, &mut Machine<'_>, &Op, u32) -> Result<(), Stop>,
    watch: impl Fn(&mut Warp, &Machine<'_>, usize) -> Result<(), Stop>,
) -> Result<Pause, Stop> {
    let kernel = machine.kernel;
    for _ in 0..turn {
        if !warp.others.is_empty() {
            warp.reconverge();
        }
        let pc = warp.pc as usize;
        let instruction = &kernel.code[pc];
        warp.pc += 1;
        let mask = warp.active & holds(warp, instruction.guard);
        if machine.budget == 0 {
            return Err(machine.spent().into());
        }
        machine.budget -= 1;
        machine.counters[pc].executed += 1;
        machine.thread_instructions += u64::from(mask.count_ones());
        if mask != 0 {
            watch(warp, machine, pc)?;
            if let Some(pause) = step(warp, machine, &instruction.op, mask, &rare)? {
                return Ok(pause);
            }
        }
    }
    Ok(Pause::Preempted)
}

/// Does an instruction in the lanes of `mask`; gives why the warp stops, if it does.
#[inline(always)]
fn step(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    op: &Op,
    mask: u32,
    rare: impl Fn(&mut Warp, &mut Machine<'_>, &Op, u32) -> Result<(), Stop>,
) -> Result<Option<Pause>, Stop> {
    let registers = &mut warp.registers;
    match op {
        Op::Fma(rows) => lanes::fma(registers, rows, mask),
        Op::Binary(op, rows) => op.apply(registers, rows, mask),
        Op::Ternary(op, rows) => op.apply(registers, rows, mask),
        Op::Unary(op, rows) => op.apply(registers, rows, mask),
        Op::Binary64(op, rows) => op.apply(registers, rows, mask),
        Op::Unary64(op, rows) => op.apply(registers, rows, mask),
        Op::Shift64(op, rows) => op.apply(registers, rows, mask),
        Op::Ternary64(op, rows) => op.apply(registers, rows, mask),
        Op::Widen(op, rows) => op.apply(registers, rows, mask),
        Op::Widen2(op, rows) => op.apply(registers, rows, mask),
        Op::Widen3(op, rows) => op.apply(registers, rows, mask),
        Op::Narrow(op, rows) => op.apply(registers, rows, mask),
        Op::LutLogic(table, rows) => lanes::lut_logic(registers, *table, rows, mask),
        Op::Insert(rows) => lanes::insert_field(registers, rows, mask),
        Op::Split64(rows) => lanes::split64(registers, rows, mask),
        Op::Split32(rows) => lanes::split32(registers, rows, mask),
        Op::Float(op, rows) => lanes::float(registers, *op, rows, mask),
        Op::Convert(convert, rows) => lanes::convert(registers, convert, rows, mask),
        Op::ConvertPair(convert, rows) => lanes::convert_pair(registers, convert, rows, mask),
        Op::Compare(compare) => compare::compare(warp, compare, mask),
        Op::Select { rows, by } => {
            let by = holds(warp, *by);
            lanes::select(&mut warp.registers.narrow, rows, by, mask);
        }
        Op::Select64 { rows, by } => {
            let by = holds(warp, *by);
            lanes::select(&mut warp.registers.wide, rows, by, mask);
        }
        Op::Logic { op, dst, a, b } => {
            let value = logic(*op, holds(warp, *a), holds(warp, *b));
            warp.write_predicate(*dst, mask, value);
        }
        Op::Load { space, dst: rows, element, from } => {
            let transfer = Transfer { rows: *rows, element: *element };
            warp.touched |= mask;
            memory::load(warp, machine, mask, *space, transfer, *from)?;
        }
        Op::Store { space, src: rows, element, to } => {
            let transfer = Transfer { rows: *rows, element: *element };
            warp.touched |= mask;
            memory::store(warp, machine, mask, *space, transfer, *to)?;
        }
        Op::LoadParam { dst, element, offset } => {
            memory::load_param(warp, &machine.launch.params, mask, *dst, *element, *offset);
        }
        Op::Branch(target) => warp.branch(*target, mask),
        Op::Exit => {
            if mask != warp.alive {
                machine.clock.leave(warp.index, mask, warp.touched);
            }
            return Ok((!warp.exit(mask)).then_some(Pause::Done));
        }
        Op::Barrier(barrier) => return arrive(warp, mask, barrier),
        op => {
            warp.touched |= mask;
            rare(warp, machine, op, mask)?;
        }
    }
    Ok(None)
}

/// Stops at a barrier, where all lanes are here.
fn arrive(warp: &mut Warp, mask: u32, barrier: &Barrier) -> Result<Option<Pause>, Stop> {
    let fault = |active, needed| FaultKind::BarrierDivergence { active, needed };
    Ok(warp.gather(mask, warp.alive, fault)?.then(|| Pause::Barrier(barrier.clone())))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt,lzcnt,bmi1,bmi2")]
#[inline(never)]
fn run_rare_fused(warp: &mut Warp, machine: &mut Machine<'_>, op: &Op, mask: u32) -> Result<(), Stop> {
    run_rare(warp, machine, op, mask)
}

/// The instructions that gain nothing from being part of the loop. What is inlined has the features of the caller.
#[inline(always)]
fn run_rare(warp: &mut Warp, machine: &mut Machine<'_>, op: &Op, mask: u32) -> Result<(), Stop> {
    match op {
        Op::Atomic(atomic) => atomic::atomic(warp, machine, mask, atomic),
        Op::CopyAsync(copy) => copy::start(warp, machine, mask, copy),
        Op::CommitGroup => {
            crate::shadow::bits(mask).for_each(|lane| warp.groups[lane] += 1);
            Ok(())
        }
        Op::Wait(keep) => copy::wait(warp, machine, mask, *keep),
        Op::BranchIndexed { index, targets } => branch_indexed(warp, mask, *index, targets),
        Op::Trap => Err(FaultKind::Trap.into()),
        Op::WarpBarrier { members } => exchange::warp_barrier(warp, machine, mask, *members),
        Op::Shuffle(shuffle) => exchange::shuffle(warp, mask, shuffle),
        Op::Vote { mode, dst, src, members } => exchange::vote(warp, mask, *mode, *dst, *src, *members),
        Op::Match { all, wide, dst, same, src, members } => {
            exchange::match_sync(warp, mask, (*all, *wide), (*dst, *same), *src, *members)
        }
        Op::ActiveMask { dst } => {
            lanes::broadcast(&mut warp.registers.narrow[usize::from(*dst)], mask, mask);
            Ok(())
        }
        Op::Mma(mma) => matrix::mma(warp, mask, mma),
        Op::ProxyFence => {
            machine.shared.fence(&machine.clock, warp.index, mask);
            Ok(())
        }
        Op::Wgmma(wgmma) => warpgroup::wgmma(warp, machine, mask, wgmma),
        Op::LoadMatrix { dst, transpose, generic, all_lanes, from } => {
            matrix::load(warp, machine, mask, (*dst, *transpose), (*from, *generic), *all_lanes)
        }
        Op::StoreMatrix { src, transpose, generic, to } => {
            matrix::store(warp, machine, mask, (*src, *transpose), (*to, *generic))
        }
        _ => Ok(()),
    }
}

fn branch_indexed(warp: &mut Warp, mask: u32, index: u16, targets: &[u32]) -> Result<(), Stop> {
    let index = warp.registers.narrow[usize::from(index)];
    for lane in crate::shadow::bits(mask) {
        let found = targets.get(index[lane] as usize).copied();
        let fault = FaultKind::BranchIndex { index: index[lane], targets: targets.len() as u32 };
        let target = found.ok_or_else(|| Stop::lane(fault, lane))?;
        match warp.others.iter_mut().find(|other| other.pc == target && !other.blocked) {
            Some(other) => other.lanes |= 1 << lane,
            None => warp.others.push(super::Fragment { pc: target, lanes: 1 << lane, blocked: false }),
        }
        warp.active &= !(1 << lane);
    }
    warp.keep_running();
    Ok(())
}

/// The lanes in which a predicate holds.
#[inline(always)]
pub(super) fn holds(warp: &Warp, predicate: Predicate) -> u32 {
    let value = warp.registers.predicates[usize::from(predicate.row)];
    if predicate.negate { !value } else { value }
}

#[inline(always)]
pub(super) fn logic(op: Logic, a: u32, b: u32) -> u32 {
    match op {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}

impl Warp {
    /// Whether the lanes `needed` are together here; if not, the running ones wait, which is a fault where no other can
    /// come.
    pub(super) fn gather(
        &mut self,
        mask: u32,
        needed: u32,
        fault: impl FnOnce(u32, u32) -> FaultKind,
    ) -> Result<bool, Stop> {
        if mask & needed == needed {
            return Ok(true);
        }
        // Lanes that are here and whose guard is false will not come.
        let gone = self.active & !mask & needed != 0;
        if gone || !self.hold(self.active) { Err(fault(mask, needed).into()) } else { Ok(false) }
    }
}
