//! `wgmma`: products of four warps, of which each has sixteen rows of its own; all read the same columns of shared memory.

use super::matrix::{multiply, put_sums, take_sums, tf32, tf32_rows, whole_warp};
use super::run::holds;
use super::{Machine, Warp, shared};
use crate::fault::{FaultKind, Stop};
use crate::program::{Predicate, Product, Row, Wgmma};

/// The warps of a warpgroup.
pub(crate) const WARPS: usize = 4;

/// Bytes of shared memory that stay together.
const CHUNK: u32 = 16;

#[inline(always)]
pub(super) fn wgmma(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, wgmma: &Wgmma) -> Result<(), Stop> {
    let instruction = name(wgmma);
    if !whole_warp(warp, mask, instruction)? {
        return Ok(());
    }
    let warps = machine.launch.block.iter().product::<u32>().div_ceil(32);
    if !(warps as usize).is_multiple_of(WARPS) {
        return Err(FaultKind::Warpgroup { instruction, warps }.into());
    }
    warp.flights.pass(warp.last_pc());
    match wgmma {
        Wgmma::Multiply(product) => return multiply_columns(warp, machine, product),
        Wgmma::Fence => warp.flights.fence(),
        Wgmma::Commit => warp.flights.commit(),
        Wgmma::Wait(keep) => wait(warp, machine, *keep),
    }
    Ok(())
}

fn name(wgmma: &Wgmma) -> &'static str {
    match wgmma {
        Wgmma::Fence => "wgmma.fence",
        Wgmma::Multiply(_) => "wgmma.mma_async",
        Wgmma::Commit => "wgmma.commit_group",
        Wgmma::Wait(_) => "wgmma.wait_group",
    }
}

#[inline(always)]
fn multiply_columns(warp: &mut Warp, machine: &mut Machine<'_>, product: &Product) -> Result<(), Stop> {
    let descriptor = descriptor(warp, product.descriptor)?;
    let columns = Columns::of(descriptor)?;
    let adds = uniform(warp, product.adds)?;
    warp.flights.note(descriptor.rotate_left(1) ^ u64::from(adds));
    read_columns(warp, machine, columns, 8 * product.d.len())?;
    if machine.checks {
        warp.flights.start(machine.kernel, warp.last_pc(), product, columns)?;
    }
    let narrow = &mut warp.registers.narrow;
    let mut a = [[0f32; 8]; 16];
    tf32_rows(narrow, &product.a, &mut a);
    for (eight, d) in product.d.iter().enumerate() {
        let b = columns.values(&machine.shared.bytes, eight);
        let mut sum = [[0f32; 8]; 16];
        if adds {
            take_sums(narrow, d, &mut sum);
        }
        multiply(&a, &b, &mut sum);
        put_sums(narrow, d, &sum);
    }
    Ok(())
}

/// Checks and records the reads of the first `count` columns.
#[inline(always)]
fn read_columns(warp: &Warp, machine: &mut Machine<'_>, columns: Columns, count: usize) -> Result<(), Stop> {
    for (mask, addresses) in columns.chunks(count) {
        shared::read_as(warp, machine, (mask, &addresses), CHUNK, false)?;
        machine.shared.hold(&machine.clock, warp.index, (mask, &addresses), CHUNK)?;
    }
    Ok(())
}

/// Ends the products of all groups but the `keep` latest.
fn wait(warp: &mut Warp, machine: &mut Machine<'_>, keep: u32) {
    for (columns, count) in warp.flights.land(machine.kernel, keep) {
        for (mask, addresses) in columns.chunks(count) {
            machine.shared.release(&machine.clock, warp.index, (mask, &addresses), CHUNK);
        }
    }
}

/// The descriptor, which must be the same in each lane.
fn descriptor(warp: &Warp, row: Row) -> Result<u64, Stop> {
    let lanes = &warp.registers.wide[usize::from(row)];
    match lanes.iter().all(|lane| *lane == lanes[0]) {
        true => Ok(lanes[0]),
        false => Err(FaultKind::NotUniform { instruction: "wgmma.mma_async", operand: "descriptor" }.into()),
    }
}

/// A predicate that must be the same in each lane.
fn uniform(warp: &Warp, predicate: Predicate) -> Result<bool, Stop> {
    match holds(warp, predicate) {
        0 => Ok(false),
        u32::MAX => Ok(true),
        _ => Err(FaultKind::NotUniform { instruction: "wgmma.mma_async", operand: "scale-d" }.into()),
    }
}

/// Where the columns of b are: eight values each, in rows of shared memory whose chunks of 16 bytes are permuted.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    start: u64,
    /// From one group of eight columns to the next.
    stride: u64,
    /// Bytes from a column to the next.
    pitch: u64,
}

impl Columns {
    fn of(descriptor: u64) -> Result<Self, Stop> {
        let field = |at: u32, bits: u32| descriptor >> at & ((1 << bits) - 1);
        let fault = |what| Stop::from(FaultKind::Descriptor { descriptor, what });
        let pitch = match field(62, 2) {
            1 => 128,
            2 => 64,
            3 => 32,
            _ => return Err(fault("columns without a swizzle are not supported")),
        };
        let (start, stride) = (field(0, 14) << 4, field(32, 14) << 4);
        if field(14, 2) | field(30, 2) | field(46, 3) | field(52, 10) != 0 {
            return Err(fault("a bit is set that has no meaning"));
        }
        if field(49, 3) != 0 || start % (8 * pitch) >= pitch || stride % (8 * pitch) != 0 {
            return Err(fault("eight columns must be aligned to their bytes"));
        }
        if start % pitch + 32 > pitch {
            return Err(fault("eight values reach beyond the row of their column"));
        }
        Ok(Columns { start, stride, pitch })
    }

    /// Where the first or the last four values of a column are.
    #[inline(always)]
    fn chunk(&self, column: usize, last: bool) -> u64 {
        let column = column as u64;
        let at = self.start + column / 8 * self.stride + column % 8 * self.pitch + 16 * u64::from(last);
        // Of rows of eight, four or two chunks, which of the eight, four or two lines of 128 bytes they are in.
        at ^ (at >> 7 & (self.pitch / 16 - 1)) << 4
    }

    /// The places of all chunks of the first `count` columns, by as many as a warp has lanes.
    fn chunks(self, count: usize) -> impl Iterator<Item = (u32, [u64; 32])> {
        (0..count).step_by(16).map(move |first| {
            let addresses = std::array::from_fn(|lane| self.chunk(first + lane / 2, lane % 2 == 1));
            (if count - first >= 16 { !0 } else { 0xffff }, addresses)
        })
    }

    /// Row k and column n of eight columns.
    #[inline(always)]
    fn values(&self, memory: &[u8], eight: usize) -> [[f32; 8]; 8] {
        let mut values = [[0f32; 8]; 8];
        for (column, half) in (0..16).map(|at| (at / 2, at % 2)) {
            let at = self.chunk(8 * eight + column, half == 1) as usize;
            for (row, bytes) in values[4 * half..].iter_mut().zip(memory[at..at + 16].as_chunks().0) {
                row[column] = tf32(u32::from_le_bytes(*bytes));
            }
        }
        values
    }
}
