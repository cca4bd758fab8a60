//! The products of a warpgroup that are in flight, as one of its warps sees them: who uses which register.

use super::warpgroup::Columns;
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, Stop};
use crate::program::{Kernel, Op, Product, Wgmma};

/// What products do with a row of registers.
#[derive(Clone, Copy, Default)]
struct Use {
    /// How many in flight have it in d, or in a.
    sums: u32,
    factors: u32,
    /// Of the last that has it: where it is, and by how many columns it has eight of.
    line: u32,
    eights: usize,
    /// How many fences had been before another instruction wrote it.
    written: u32,
}

impl Use {
    fn in_flight(self, access: Access) -> Stop {
        FaultKind::RegisterInFlight { access, line: self.line }.into()
    }
}

/// A product that its warp has not waited for.
struct Flight {
    pc: usize,
    columns: Columns,
    /// How many groups the warp had committed before.
    group: u32,
}

#[derive(Default)]
pub(crate) struct Flights {
    /// For each row of 32-bit lanes, where the kernel has products.
    uses: Vec<Use>,
    flights: Vec<Flight>,
    fences: u32,
    committed: u32,
    /// What the warp did with its warpgroup so far: how much, and a hash.
    history: (u32, u64),
}

impl Flights {
    pub fn new(kernel: &Kernel) -> Self {
        let rows = if kernel.multiplies_by_warpgroup() { kernel.narrow_rows.len() } else { 0 };
        Flights { uses: vec![Use::default(); rows], ..Flights::default() }
    }

    /// What the warps of a warpgroup must have in common.
    pub fn history(&self) -> (u32, u64) {
        self.history
    }

    /// Adds an instruction to the history.
    pub fn pass(&mut self, pc: usize) {
        self.history.0 += 1;
        self.note(pc as u64);
    }

    /// Adds the value of an operand to the history.
    pub fn note(&mut self, value: u64) {
        self.history.1 = (self.history.1 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    pub fn fence(&mut self) {
        self.fences += 1;
    }

    pub fn commit(&mut self) {
        self.committed += 1;
    }

    /// Checks the registers of a product and records that it uses them.
    pub(super) fn start(
        &mut self,
        kernel: &Kernel,
        pc: usize,
        product: &Product,
        columns: Columns,
    ) -> Result<(), Stop> {
        let eights = product.d.len();
        for row in product.d.as_flattened() {
            let used = self.fenced(*row, "d")?;
            if used.factors > 0 || used.sums > 0 && used.eights != eights {
                return Err(used.in_flight(Access::Write));
            }
        }
        for row in product.a {
            let used = self.fenced(row, "a")?;
            // As a factor, several may read it.
            if used.sums > 0 {
                return Err(used.in_flight(Access::Read));
            }
        }
        for (row, in_d) in rows(product) {
            let used = &mut self.uses[usize::from(row)];
            (used.line, used.eights) = (kernel.code[pc].line, eights);
            *(if in_d { &mut used.sums } else { &mut used.factors }) += 1;
        }
        self.flights.push(Flight { pc, columns, group: self.committed });
        Ok(())
    }

    /// The use of a row that no instruction may have written since the last fence.
    fn fenced(&self, row: u16, operand: &'static str) -> Result<Use, Stop> {
        let used = self.uses[usize::from(row)];
        if used.written == self.fences { Err(FaultKind::RegisterUnfenced { operand }.into()) } else { Ok(used) }
    }

    /// Ends the products of all groups but the `keep` latest; gives the columns that they read, and how many.
    pub(super) fn land(&mut self, kernel: &Kernel, keep: u32) -> Vec<(Columns, usize)> {
        let before = self.committed.saturating_sub(keep);
        let (landed, flying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flights).into_iter().partition(|flight| flight.group < before);
        self.flights = flying;
        for (row, in_d) in landed.iter().flat_map(|flight| rows(product_at(kernel, flight.pc))) {
            let used = &mut self.uses[usize::from(row)];
            *(if in_d { &mut used.sums } else { &mut used.factors }) -= 1;
        }
        landed.iter().map(|flight| (flight.columns, 8 * product_at(kernel, flight.pc).d.len())).collect()
    }
}

/// The rows of a product, and whether they are of d.
fn rows(product: &Product) -> impl Iterator<Item = (u16, bool)> {
    let (d, a) = (product.d.as_flattened().iter(), product.a.iter());
    d.map(|row| (*row, true)).chain(a.map(|row| (*row, false)))
}

fn product_at(kernel: &Kernel, pc: usize) -> &Product {
    if let Op::Wgmma(wgmma) = &kernel.code[pc].op
        && let Wgmma::Multiply(product) = &**wgmma
    {
        return product;
    }
    unreachable!("a flight starts at a product")
}

/// That an instruction touches no register of a product in flight; it may write others.
#[inline(always)]
pub(super) fn watch(warp: &mut Warp, machine: &Machine<'_>, pc: usize) -> Result<(), Stop> {
    if !machine.watches {
        return Ok(());
    }
    let Some(touches) = machine.kernel.touches.get(pc) else { return Ok(()) };
    for touch in touches {
        let used = &mut warp.flights.uses[usize::from(touch.row)];
        if used.sums + used.factors > 0 {
            return Err(used.in_flight(if touch.write { Access::Write } else { Access::Read }));
        }
        if touch.write {
            used.written = warp.flights.fences;
        }
    }
    Ok(())
}
