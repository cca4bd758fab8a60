//! Matrix fragments: `mma`, `ldmatrix`, `stmatrix`.
//!
//! Lane 4 g + t holds, of a row-major fragment, the elements at row g and columns 2 t, 2 t + 1.

use super::global::twins;
use super::memory::{put, shared_lanes};
use super::shared::{self, Stores};
use super::{Machine, Warp};
use crate::fault::{Access, FaultKind, Stop};
use crate::program::{Address, Mma, MmaType, Row, Rows};
use crate::shadow::bits;

/// All 32 lanes must be here.
pub(super) fn whole_warp(warp: &mut Warp, mask: u32, instruction: &'static str) -> Result<bool, Stop> {
    let fault = |active, needed| FaultKind::InactiveLanes { instruction, active, needed };
    if warp.alive != !0 {
        return Err(fault(mask, !0).into());
    }
    warp.gather(mask, !0, fault)
}

/// What a sum that is no number holds.
const NAN: u32 = 0x7fff_ffff;

/// d = a b + c, where a is 16 x k, b is k x 8, and c is 16 x 8; sums run along k and are rounded to f32 at each step.
#[inline(always)]
pub(super) fn mma(warp: &mut Warp, mask: u32, mma: &Mma) -> Result<(), Stop> {
    if !whole_warp(warp, mask, "mma.sync")? {
        return Ok(());
    }
    match mma.of {
        MmaType::Tf32 | MmaType::F16 { k: 8 } | MmaType::Bf16 { k: 8 } => product::<8>(warp, mma),
        MmaType::F16 { .. } | MmaType::Bf16 { .. } => product::<16>(warp, mma),
    }
    Ok(())
}

#[inline(always)]
fn product<const K: usize>(warp: &mut Warp, mma: &Mma) {
    let narrow = &mut warp.registers.narrow;
    let (mut a, mut b, mut sum) = ([[0f32; K]; 16], [[0f32; 8]; K], [[0f32; 8]; 16]);
    match mma.of {
        MmaType::Tf32 => {
            tf32_rows(narrow, &mma.a, &mut a);
            tf32_columns(narrow, &mma.b, &mut b);
        }
        MmaType::F16 { .. } => half_fragments(narrow, mma, f16, &mut a, &mut b),
        MmaType::Bf16 { .. } => half_fragments(narrow, mma, |bits| f32::from_bits(bits << 16), &mut a, &mut b),
    }
    take_sums(narrow, &mma.c, &mut sum);
    multiply(&a, &b, &mut sum);
    put_sums(narrow, &mma.d, &sum);
}

/// Of eight rows, flat, element 2 lane + i is in register i.
#[inline(always)]
pub(super) fn take_sums(narrow: &[[u32; 32]], rows: &[Row; 4], sum: &mut [[f32; 8]; 16]) {
    for (pair, rows) in rows.as_chunks::<2>().0.iter().enumerate() {
        let [left, right] = rows.map(|row| narrow[usize::from(row)]);
        let flat = sum[8 * pair..8 * pair + 8].as_flattened_mut().as_chunks_mut().0;
        for (lane, to) in flat.iter_mut().enumerate() {
            *to = [f32::from_bits(left[lane]), f32::from_bits(right[lane])];
        }
    }
}

#[inline(always)]
pub(super) fn put_sums(narrow: &mut [[u32; 32]], rows: &[Row; 4], sum: &[[f32; 8]; 16]) {
    for (pair, rows) in rows.as_chunks::<2>().0.iter().enumerate() {
        let flat = sum[8 * pair..8 * pair + 8].as_flattened().as_chunks::<16>().0;
        for (i, row) in rows.iter().enumerate() {
            for (to, from) in narrow[usize::from(*row)].as_chunks_mut::<8>().0.iter_mut().zip(flat) {
                *to = std::array::from_fn(|at| from[2 * at + i].to_bits());
            }
        }
    }
}

/// The mantissa's lower 13 bits are not read.
#[inline(always)]
pub(super) fn tf32(bits: u32) -> f32 {
    f32::from_bits(bits & !0x1fff)
}

/// Register i of a lane is at column t + 4 (i / 2) of row g + 8 (i % 2).
#[inline(always)]
pub(super) fn tf32_rows<const K: usize>(narrow: &[[u32; 32]], rows: &[Row; 4], a: &mut [[f32; K]; 16]) {
    for (i, row) in rows.iter().enumerate() {
        let to = a[8 * (i % 2)..].iter_mut().map(|row| &mut row.as_chunks_mut::<4>().0[i / 2]);
        narrow[usize::from(*row)].as_chunks::<4>().0.iter().zip(to).for_each(|(lanes, to)| *to = lanes.map(tf32));
    }
}

/// Register i of a lane is at row t + 4 i of column g.
#[inline(always)]
fn tf32_columns<const K: usize>(narrow: &[[u32; 32]], rows: &[Row; 2], b: &mut [[f32; 8]; K]) {
    for (row, rows) in rows.iter().zip(b.as_chunks_mut::<4>().0) {
        for (g, lanes) in narrow[usize::from(*row)].as_chunks::<4>().0.iter().enumerate() {
            rows.iter_mut().zip(lanes).for_each(|(row, bits)| row[g] = tf32(*bits));
        }
    }
}

/// Two elements a register, the lower half first: at columns 2 t + 8 (i / 2) of row g + 8 (i % 2) of a, and at rows
/// 2 t + 8 i of column g of b.
#[inline(always)]
fn half_fragments<const K: usize>(
    narrow: &[[u32; 32]],
    mma: &Mma,
    value: impl Fn(u32) -> f32,
    a: &mut [[f32; K]; 16],
    b: &mut [[f32; 8]; K],
) {
    let pairs =
        |lanes: &[u32; 4]| -> [f32; 8] { std::array::from_fn(|at| value(lanes[at / 2] >> (16 * (at % 2)) & 0xffff)) };
    for (i, row) in mma.a.iter().enumerate().take(K / 4) {
        let to = a[8 * (i % 2)..].iter_mut().map(|row| &mut row.as_chunks_mut::<8>().0[i / 2]);
        narrow[usize::from(*row)].as_chunks::<4>().0.iter().zip(to).for_each(|(lanes, to)| *to = pairs(lanes));
    }
    for (row, rows) in mma.b.iter().zip(b.as_chunks_mut::<8>().0) {
        for (g, lanes) in narrow[usize::from(*row)].as_chunks::<4>().0.iter().enumerate() {
            rows.iter_mut().zip(pairs(lanes)).for_each(|(row, value)| row[g] = value);
        }
    }
}

/// Without branches, so that lanes go together. The exponent's bias is 15, not 127: numbers are scaled by 2^112.
#[inline(always)]
fn f16(bits: u32) -> f32 {
    let magnitude = (bits & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let magnitude = if bits & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { finite };
    f32::from_bits(magnitude | (bits & 0x8000) << 16)
}

/// Products of the short mantissas are exact in f32.
#[inline(always)]
pub(super) fn multiply<const K: usize>(a: &[[f32; K]; 16], b: &[[f32; 8]; K], sum: &mut [[f32; 8]; 16]) {
    for (a, sum) in a.iter().zip(sum) {
        let mut total = *sum;
        for (a, b) in a.iter().zip(b) {
            for (total, b) in total.iter_mut().zip(b) {
                *total += a * b;
            }
        }
        *sum = total.map(|total| if total.is_nan() { f32::from_bits(NAN) } else { total });
    }
}

/// Lane 8 i + r gives the address of row r of matrix i.
pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    (dst, transpose): (Rows, bool),
    (from, generic): (Address, bool),
    all_lanes: bool,
) -> Result<(), Stop> {
    if !whole_warp(warp, mask, "ldmatrix")? {
        return Ok(());
    }
    let lanes = row_lanes(dst.count);
    let valid = if all_lanes { !0 } else { lanes };
    let addresses = row_addresses(warp, valid, from, generic, "ldmatrix")?;
    machine.shared.reach(&addresses, valid, 16, Access::Read)?;
    shared::read(warp, machine, lanes, &addresses, 16)?;
    for (i, register) in dst.iter().enumerate() {
        let mut matrix = [[0u16; 8]; 8];
        for (row, values) in matrix.iter_mut().enumerate() {
            let at = addresses[8 * i + row] as usize;
            let halves = machine.shared.bytes[at..at + 16].as_chunks().0;
            values.iter_mut().zip(halves).for_each(|(value, half)| *value = u16::from_le_bytes(*half));
        }
        let at =
            |row: usize, column: usize| u32::from(if transpose { matrix[column][row] } else { matrix[row][column] });
        warp.registers.narrow[usize::from(register)] = std::array::from_fn(|lane| {
            let (row, column) = (lane / 4, 2 * (lane % 4));
            at(row, column) | at(row, column + 1) << 16
        });
    }
    Ok(())
}

/// Lane 8 i + r gives the address of row r of matrix i.
pub(super) fn store(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    (src, transpose): (Rows, bool),
    (to, generic): (Address, bool),
) -> Result<(), Stop> {
    if !whole_warp(warp, mask, "stmatrix")? {
        return Ok(());
    }
    let lanes = row_lanes(src.count);
    let addresses = row_addresses(warp, lanes, to, generic, "stmatrix")?;
    let stores = shared::record_stores(warp, machine, lanes, &addresses, 16)?;
    let by = machine.clock.observer(warp.index);
    for lane in bits(lanes) {
        let (fragment, row) = (&warp.registers.narrow[usize::from(src.rows[lane / 8])], lane % 8);
        let at = |row: usize, column: usize| (fragment[4 * row + column / 2] >> (16 * (column % 2))) as u16;
        let mut value = [0; 16];
        for (column, half) in value.as_chunks_mut().0.iter_mut().enumerate() {
            *half = if transpose { at(column, row) } else { at(row, column) }.to_le_bytes();
        }
        let at = addresses[lane] as usize;
        if stores != Stores::Recorded {
            machine.shared.store_closely(&by, lane, (at, 16), &value, twins(&addresses, lanes, lane))?;
        }
        put(&mut machine.shared.bytes, at, value, 16);
    }
    Ok(())
}

/// The lanes whose addresses count.
fn row_lanes(matrices: u8) -> u32 {
    if matrices == 4 { !0 } else { (1 << (8 * matrices)) - 1 }
}

/// Where the rows are in shared memory.
fn row_addresses(
    warp: &Warp,
    lanes: u32,
    address: Address,
    generic: bool,
    instruction: &'static str,
) -> Result<[u64; 32], Stop> {
    let addresses = warp.addresses(address);
    if !generic {
        return Ok(addresses);
    }
    let (shared, offsets) = shared_lanes(&addresses, lanes);
    match bits(lanes & !shared).next() {
        Some(lane) => Err(Stop::lane(FaultKind::NotShared { instruction, address: addresses[lane] }, lane)),
        None => Ok(offsets),
    }
}
