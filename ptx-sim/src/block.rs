//! The warps of a block: whose turn it is, and barriers.

use crate::fault::{Fault, FaultKind, Stop};
use crate::lanes::broadcast;
use crate::program::{Barrier, BarrierKind, Predicate};
use crate::shadow::bits;
use crate::warp::{Machine, Pause, Place, WARPGROUP, Warp, random, run};

/// Instructions of a warp before another has its turn, in the natural order: enough to see that a warp waits for another
/// by reading memory.
const LONG_TURN: u64 = 1 << 16;

/// Barriers of a block.
const BARRIERS: usize = 16;

struct Block {
    warps: Vec<Warp>,
    /// Warps that can run.
    ready: Vec<usize>,
    barriers: [Gathering; BARRIERS],
}

/// The warps that have arrived at a barrier.
#[derive(Default)]
struct Gathering {
    arrived: u32,
    /// What comes before the arrivals of those that do not wait.
    joined: Vec<u32>,
    /// Those that wait, and for what.
    waiting: Vec<(usize, BarrierKind)>,
    /// How many warps the barrier is for, where it says so.
    expected: Option<u32>,
    /// Lanes that arrived, and those among them whose predicate holds.
    lanes: u32,
    ayes: u32,
}

/// Runs a block to its end; `seed` 0 lets each warp run as far as it comes.
pub(crate) fn run_block(machine: &mut Machine<'_>, block: [u32; 3], seed: u64) -> Result<(), Fault> {
    let threads: u32 = machine.launch.block.iter().product();
    let count = threads.div_ceil(32) as usize;
    machine.clock.start_block(count);
    machine.shared.clear();
    machine.copies.clear();
    let registers = machine.registers.clone();
    let warps = (0..count).map(|warp| Warp::new(machine, Place { block, warp }, &registers)).collect();
    let mut state = Block { warps, ready: (0..count).rev().collect(), barriers: Default::default() };
    let mut random_state = seed;
    while let Some(warp) = state.next(seed, &mut random_state) {
        let turn = if seed == 0 { LONG_TURN } else { 16 + random(&mut random_state) % 1024 };
        state.turn(machine, warp, turn).map_err(|stop| fault(machine, &state, block, warp, stop))?;
    }
    if let Some((warp, waiting)) = state.stuck() {
        return Err(fault(machine, &state, block, warp, FaultKind::Deadlock { waiting }.into()));
    }
    match state.divided() {
        None => Ok(()),
        Some((warp, kind)) => Err(fault(machine, &state, block, warp, kind.into())),
    }
}

fn fault(machine: &Machine<'_>, state: &Block, block: [u32; 3], warp: usize, stop: Stop) -> Fault {
    let (kind, lane) = *stop.0;
    let line = machine.kernel.code[state.warps[warp].last_pc()].line;
    Fault { kind, kernel: machine.kernel.name.clone(), line, block, warp: warp as u32, lane }
}

impl Block {
    /// Takes a warp that can run.
    fn next(&mut self, seed: u64, random_state: &mut u64) -> Option<usize> {
        if seed == 0 || self.ready.is_empty() {
            return self.ready.pop();
        }
        let at = random(random_state) as usize % self.ready.len();
        Some(self.ready.swap_remove(at))
    }

    fn turn(&mut self, machine: &mut Machine<'_>, index: usize, turn: u64) -> Result<(), Stop> {
        match run(&mut self.warps[index], machine, turn)? {
            Pause::Preempted => self.ready.insert(0, index),
            Pause::Barrier(barrier) => self.arrive(machine, index, &barrier)?,
            // A barrier may have waited for the warps that are left only.
            Pause::Done => (0..BARRIERS).for_each(|id| self.release(machine, id)),
        }
        Ok(())
    }

    fn arrive(&mut self, machine: &mut Machine<'_>, index: usize, barrier: &Barrier) -> Result<(), Stop> {
        let warp = &self.warps[index];
        let id = uniform(warp, barrier.id, "number")?;
        let Some(gathering) = self.barriers.get_mut(id as usize) else {
            return Err(FaultKind::BarrierId { id }.into());
        };
        let expected = match barrier.threads {
            Some(row) => {
                let count = uniform(warp, row, "thread count")?;
                let warps = count / 32;
                if count % 32 != 0 || count == 0 || warps as usize > self.warps.len() {
                    return Err(FaultKind::BarrierCount { count }.into());
                }
                Some(warps)
            }
            None => None,
        };
        // A warp that only arrives may come again before the others do, which counts again on a device.
        if gathering.arrived >> index & 1 == 1 || (gathering.arrived != 0 && gathering.expected != expected) {
            let count = expected.map_or(0, |warps| warps * 32);
            return Err(FaultKind::BarrierCount { count }.into());
        }
        gathering.expected = expected;
        gathering.arrived |= 1 << index;
        gathering.lanes += warp.alive.count_ones();
        if let BarrierKind::Popc { src, .. } | BarrierKind::All { src, .. } | BarrierKind::Any { src, .. } =
            barrier.kind
        {
            gathering.ayes += (holds(warp, src) & warp.alive).count_ones();
        }
        match barrier.kind {
            BarrierKind::Arrive => {
                machine.shared.settle(&machine.clock);
                machine.clock.arrive(index, &mut gathering.joined);
                self.ready.push(index);
            }
            kind => {
                gathering.waiting.push((index, kind));
                self.warps[index].touched = 0;
            }
        }
        self.release(machine, id as usize);
        Ok(())
    }

    /// Lets the warps at a barrier go on, where all have come.
    fn release(&mut self, machine: &mut Machine<'_>, id: usize) {
        let alive = self.warps.iter().filter(|warp| warp.alive != 0).count() as u32;
        let gathering = &mut self.barriers[id];
        if gathering.arrived == 0 || gathering.arrived.count_ones() < gathering.expected.unwrap_or(alive) {
            return;
        }
        let done = std::mem::take(gathering);
        let waiting = done.waiting.iter().fold(0, |mask, (warp, _)| mask | 1 << warp);
        machine.shared.synchronise(&machine.clock, waiting);
        machine.clock.synchronise(done.joined, waiting);
        for (index, kind) in done.waiting.into_iter().rev() {
            let warp = &mut self.warps[index];
            let lanes = warp.alive;
            match kind {
                BarrierKind::Popc { dst, .. } => {
                    broadcast(&mut warp.registers.narrow[usize::from(dst)], lanes, done.ayes);
                }
                BarrierKind::All { dst, .. } => set(warp, dst, lanes, done.ayes == done.lanes),
                BarrierKind::Any { dst, .. } => set(warp, dst, lanes, done.ayes != 0),
                BarrierKind::Sync | BarrierKind::Arrive => {}
            }
            self.ready.push(index);
        }
    }

    /// A warp that did not do the same with its warpgroup as the first of that.
    fn divided(&self) -> Option<(usize, FaultKind)> {
        let groups = self.warps.chunks(WARPGROUP).map(|group| (&group[0], group));
        let others = groups.flat_map(|(first, group)| group.iter().map(move |warp| (first, warp)));
        let (first, warp) =
            others.into_iter().find(|(first, warp)| first.flights.history() != warp.flights.history())?;
        let (done, of_first) = (warp.flights.history().0, first.flights.history().0);
        Some((warp.index, FaultKind::WarpgroupDivergence { done, first: first.index as u32, of_first }))
    }

    /// A warp that waits although none can run, and how many do.
    fn stuck(&self) -> Option<(usize, u32)> {
        let waiting = self.barriers.iter().flat_map(|gathering| &gathering.waiting);
        let (first, count) = (waiting.clone().map(|(warp, _)| *warp).min()?, waiting.count());
        Some((first, count as u32))
    }
}

fn set(warp: &mut Warp, row: u16, lanes: u32, value: bool) {
    let old = &mut warp.registers.predicates[usize::from(row)];
    *old = if value { *old | lanes } else { *old & !lanes };
}

fn holds(warp: &Warp, predicate: Predicate) -> u32 {
    let value = warp.registers.predicates[usize::from(predicate.row)];
    if predicate.negate { !value } else { value }
}

/// The value of an operand that must be the same in each lane.
fn uniform(warp: &Warp, row: u16, operand: &'static str) -> Result<u32, Stop> {
    let row = &warp.registers.narrow[usize::from(row)];
    let mut values = bits(warp.alive).map(|lane| row[lane]);
    let first = values.next().unwrap_or(0);
    match values.all(|value| value == first) {
        true => Ok(first),
        false => Err(FaultKind::NotUniform { instruction: "barrier", operand }.into()),
    }
}
