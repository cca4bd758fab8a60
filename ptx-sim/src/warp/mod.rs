//! A warp: its registers, and which of its lanes are where.

mod atomic;
mod compare;
mod copy;
mod exchange;
mod flights;
mod footprint;
mod global;
mod local;
mod machine;
mod matrix;
mod memory;
mod run;
mod shape;
mod shared;
mod traffic;
mod warpgroup;

use flights::Flights;
pub(crate) use machine::{Machine, random};
pub(crate) use run::{Pause, run};
pub(crate) use warpgroup::WARPS as WARPGROUP;

use crate::program::{Address, Initial, Kernel, Special};

/// Generic addresses of shared memory start here, below every allocation.
pub(crate) const SHARED_WINDOW: u64 = 1 << 32;

/// The lanes of a row that hold nothing yet.
const POISON: u32 = 0x7fff_dead;

/// The register file: rows of 32 lanes.
#[derive(Clone)]
pub(crate) struct Registers {
    pub narrow: Vec<[u32; 32]>,
    pub wide: Vec<[u64; 32]>,
    /// A bit for each lane.
    pub predicates: Vec<u32>,
}

/// Where the warps of a launch are.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub block: [u32; 3],
    pub warp: usize,
}

/// Lanes that wait at an instruction while others run.
#[derive(Clone, Copy)]
struct Fragment {
    pc: u32,
    lanes: u32,
    /// Waits for other lanes of the warp to come to the same instruction.
    blocked: bool,
}

pub(crate) struct Warp {
    pub index: usize,
    pub registers: Registers,
    /// Lanes that have not exited.
    pub alive: u32,
    /// The lanes that run, at `pc`.
    active: u32,
    pc: u32,
    others: Vec<Fragment>,
    /// Lanes that may have accessed memory since all last waited for each other.
    pub touched: u32,
    /// Groups of copies that each lane has committed.
    groups: [u32; 32],
    /// What its products in flight use.
    pub flights: Flights,
    local: Vec<u8>,
}

impl Warp {
    /// At the first instruction; `registers` hold the constants of the launch.
    pub fn new(machine: &Machine<'_>, place: Place, registers: &Registers) -> Self {
        let threads: u32 = machine.launch.block.iter().product();
        let lanes = (threads - place.warp as u32 * 32).min(32);
        let alive = if lanes == 32 { !0 } else { (1 << lanes) - 1 };
        let mut registers = registers.clone();
        for (row, initial) in machine.kernel.narrow_rows.iter().enumerate() {
            if let Initial::Special(special) = initial {
                registers.narrow[row] =
                    std::array::from_fn(|lane| special_value(machine, *special, place, lane as u32));
            }
        }
        for (row, initial) in machine.kernel.wide_rows.iter().enumerate() {
            if let Initial::Special(special) = initial {
                let value = |lane| u64::from(special_value(machine, *special, place, lane as u32));
                registers.wide[row] = std::array::from_fn(value);
            }
        }
        let local = vec![0xff; machine.kernel.local_bytes as usize * 32];
        let (others, groups, flights) = (Vec::new(), [0; 32], Flights::new(machine.kernel));
        Warp { index: place.warp, registers, alive, active: alive, pc: 0, others, touched: 0, groups, flights, local }
    }

    /// The instruction that ran last.
    pub fn last_pc(&self) -> usize {
        self.pc.saturating_sub(1) as usize
    }

    /// The address of each lane.
    #[inline(always)]
    fn addresses(&self, address: Address) -> [u64; 32] {
        let (row, mut addresses) = (usize::from(address.row), [0; 32]);
        if address.wide {
            for (to, base) in addresses.iter_mut().zip(&self.registers.wide[row]) {
                *to = base.wrapping_add_signed(i64::from(address.offset));
            }
        } else {
            for (to, base) in addresses.iter_mut().zip(&self.registers.narrow[row]) {
                *to = u64::from(base.wrapping_add_signed(address.offset));
            }
        }
        addresses
    }

    fn write_predicate(&mut self, row: u16, mask: u32, value: u32) {
        let old = &mut self.registers.predicates[usize::from(row)];
        *old = (*old & !mask) | (value & mask);
    }

    /// Joins the lanes that wait at this instruction, and lets those furthest behind run.
    fn reconverge(&mut self) {
        let here = self.pc;
        let active = &mut self.active;
        self.others.retain(|other| {
            let joins = other.pc == here;
            if joins {
                *active |= other.lanes;
            }
            !joins
        });
        if let Some(behind) = self.furthest_behind().filter(|at| self.others[*at].pc < here) {
            self.others.push(Fragment { pc: here, lanes: self.active, blocked: false });
            self.resume(behind);
        }
    }

    /// The fragment that can run and has the lowest place.
    fn furthest_behind(&self) -> Option<usize> {
        let ready = self.others.iter().enumerate().filter(|(_, other)| !other.blocked);
        ready.min_by_key(|(_, other)| other.pc).map(|(at, _)| at)
    }

    fn resume(&mut self, at: usize) {
        let fragment = self.others.swap_remove(at);
        (self.pc, self.active) = (fragment.pc, fragment.lanes);
    }

    /// Lets the lanes furthest behind run where none does; false where none can.
    fn keep_running(&mut self) -> bool {
        if self.active == 0
            && let Some(next) = self.furthest_behind()
        {
            self.resume(next);
        }
        self.active != 0
    }

    /// Lets some of the running lanes wait at the instruction that they are at until others come; false where none can.
    fn hold(&mut self, lanes: u32) -> bool {
        self.others.push(Fragment { pc: self.pc - 1, lanes, blocked: true });
        self.active &= !lanes;
        self.keep_running()
    }

    /// Ends lanes; false where none is left.
    fn exit(&mut self, lanes: u32) -> bool {
        self.alive &= !lanes;
        self.active &= !lanes;
        // Those that waited for the exited lanes look again.
        self.others.iter_mut().for_each(|other| other.blocked = false);
        self.keep_running()
    }

    fn branch(&mut self, target: u32, taken: u32) {
        if taken == self.active {
            self.pc = target;
        } else if taken != 0 {
            self.others.push(Fragment { pc: target, lanes: taken, blocked: false });
            self.active &= !taken;
        }
    }
}

/// The registers of each warp before its own values are set.
pub(crate) fn initial_registers(kernel: &Kernel) -> Registers {
    let narrow = kernel.narrow_rows.iter().map(|initial| match initial {
        Initial::Constant(value) => [*value as u32; 32],
        _ => [POISON; 32],
    });
    let wide = kernel.wide_rows.iter().map(|initial| match initial {
        Initial::Constant(value) => [*value; 32],
        _ => [u64::from(POISON); 32],
    });
    let mut predicates = vec![0; kernel.predicates];
    predicates[usize::from(crate::program::ALWAYS)] = !0;
    Registers { narrow: narrow.collect(), wide: wide.collect(), predicates }
}

fn special_value(machine: &Machine<'_>, special: Special, place: Place, lane: u32) -> u32 {
    let size = machine.launch.block;
    let thread = place.warp as u32 * 32 + lane;
    let tid = [thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1]];
    match special {
        Special::Tid(axis) => tid[usize::from(axis)],
        Special::Ntid(axis) => size[usize::from(axis)],
        Special::Ctaid(axis) => place.block[usize::from(axis)],
        Special::Nctaid(axis) => machine.launch.grid[usize::from(axis)],
        Special::LaneId => lane,
        Special::WarpId => place.warp as u32,
        Special::WarpCount => size.iter().product::<u32>().div_ceil(32),
        Special::MaskEq => 1 << lane,
        Special::MaskLt => (1 << lane) - 1,
        Special::MaskLe => !0 >> (31 - lane),
        Special::MaskGe => !0 << lane,
        Special::MaskGt => !1 << lane,
        Special::Zero => 0,
        Special::DynamicShared(offset) => machine.kernel.dynamic_shared.wrapping_add_signed(offset),
        Special::DynamicSharedBytes => machine.launch.shared_bytes,
    }
}
