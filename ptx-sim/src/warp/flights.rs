//! The products of a warpgroup that are in flight, as one of its warps sees them: who uses which register.

use super::warpgroup::Columns;
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, Stop};
use crate::program::{Kernel, Op, Product, Wgmma};

/// What accesses a row of registers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    /// An instruction that is no product.
    #[default]
    Other,
    /// As d of a product of so many times eight columns.
    Sums(usize),
    /// As a of a product.
    Factors,
}

/// What a row of registers is used for.
#[derive(Clone, Copy, Default)]
struct Use {
    /// Products in flight that have it, and the line of the last.
    flying: u32,
    line: u32,
    /// What accessed it last, and how many fences had been before.
    role: Role,
    fences: u32,
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
        for (row, role) in rows(product) {
            let used = self.uses[usize::from(row)];
            // Products of one shape add to the same sums in their order, and several may read the same factors.
            if used.role == role {
                continue;
            }
            let (operand, access) = if role == Role::Factors { ("a", Access::Read) } else { ("d", Access::Write) };
            if used.flying > 0 {
                return Err(used.in_flight(access));
            }
            if used.fences == self.fences {
                return Err(FaultKind::RegisterUnfenced { operand }.into());
            }
        }
        for (row, role) in rows(product) {
            let used = &mut self.uses[usize::from(row)];
            let flying = used.flying + 1;
            *used = Use { flying, line: kernel.code[pc].line, role, fences: self.fences };
        }
        self.flights.push(Flight { pc, columns, group: self.committed });
        Ok(())
    }

    /// Ends the products of all groups but the `keep` latest; gives the columns that they read, and how many.
    pub(super) fn land(&mut self, kernel: &Kernel, keep: u32) -> Vec<(Columns, usize)> {
        let before = self.committed.saturating_sub(keep);
        let (landed, flying): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flights).into_iter().partition(|flight| flight.group < before);
        self.flights = flying;
        for (row, _) in landed.iter().flat_map(|flight| rows(product_at(kernel, flight.pc))) {
            self.uses[usize::from(row)].flying -= 1;
        }
        landed.iter().map(|flight| (flight.columns, 8 * product_at(kernel, flight.pc).d.len())).collect()
    }
}

/// The rows of a product, and what they are to it.
fn rows(product: &Product) -> impl Iterator<Item = (u16, Role)> {
    let (d, a, sums) = (product.d.as_flattened().iter(), product.a.iter(), Role::Sums(product.d.len()));
    d.map(move |row| (*row, sums)).chain(a.map(|row| (*row, Role::Factors)))
}

fn product_at(kernel: &Kernel, pc: usize) -> &Product {
    if let Op::Wgmma(wgmma) = &kernel.code[pc].op
        && let Wgmma::Multiply(product) = &**wgmma
    {
        return product;
    }
    unreachable!("a flight starts at a product")
}

/// That an instruction touches no register of a product in flight; it may touch others, from which a fence separates products
/// that come later.
#[inline(always)]
pub(super) fn watch(warp: &mut Warp, machine: &Machine<'_>, pc: usize) -> Result<(), Stop> {
    if !machine.watches {
        return Ok(());
    }
    let Some(touches) = machine.kernel.touches.get(pc) else { return Ok(()) };
    for touch in touches {
        let used = &mut warp.flights.uses[usize::from(touch.row)];
        if used.flying > 0 {
            return Err(used.in_flight(if touch.write { Access::Write } else { Access::Read }));
        }
        (used.role, used.fences) = (Role::Other, warp.flights.fences);
    }
    Ok(())
}
