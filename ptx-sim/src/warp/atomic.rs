//! `atom` and `red`: lanes one after the other.

use super::memory::shared_lanes;
use super::{Machine, Warp, copy};
use crate::fault::{Access, FaultKind, Space, Stop};
use crate::program::{Atomic, AtomicOp, StoreSpace};
use crate::shadow::{Kind, bits};

pub(super) fn atomic(warp: &mut Warp, machine: &mut Machine<'_>, mask: u32, atomic: &Atomic) -> Result<(), Stop> {
    let addresses = warp.addresses(atomic.at);
    let (in_shared, offsets) = match atomic.space {
        StoreSpace::Shared => (mask, addresses),
        StoreSpace::Generic => shared_lanes(&addresses, mask),
        _ => (0, addresses),
    };
    if in_shared != 0 {
        machine.shared.settle(&machine.clock);
    }
    for lane in bits(mask) {
        let result = match in_shared >> lane & 1 == 1 {
            true => in_shared_memory(warp, machine, atomic, lane, offsets[lane]),
            false => {
                copy::check_sources(machine, lane, addresses[lane], u32::from(atomic.element.bytes), Access::Atomic)?;
                in_global_memory(warp, machine, atomic, lane, addresses[lane])
            }
        };
        let old = result.map_err(|kind| Stop::lane(kind, lane))?;
        match (atomic.dst, atomic.element.wide) {
            (Some(dst), true) => warp.registers.wide[usize::from(dst)][lane] = old,
            (Some(dst), false) => warp.registers.narrow[usize::from(dst)][lane] = old as u32,
            (None, _) => {}
        }
    }
    Ok(())
}

fn in_shared_memory(
    warp: &Warp,
    machine: &mut Machine<'_>,
    atomic: &Atomic,
    lane: usize,
    address: u64,
) -> Result<u64, FaultKind> {
    let bytes = u32::from(atomic.element.bytes);
    let offset = machine.shared.range(address, bytes, Access::Atomic)?;
    if machine.checks {
        machine.shared.atomic(&machine.clock.observer(warp.index), lane, (offset, bytes), kind(atomic))?;
    }
    Ok(update(&mut machine.shared.bytes[offset..offset + bytes as usize], warp, atomic, lane, false))
}

fn in_global_memory(
    warp: &Warp,
    machine: &mut Machine<'_>,
    atomic: &Atomic,
    lane: usize,
    address: u64,
) -> Result<u64, FaultKind> {
    let bytes = u32::from(atomic.element.bytes);
    let (allocation, offset) = machine.memory.device_range(address, bytes, Access::Atomic)?;
    if allocation.read_only {
        return Err(FaultKind::ReadOnly { access: Access::Atomic, address });
    }
    if machine.checks {
        if !allocation.written.has(offset, bytes) {
            return Err(FaultKind::Uninitialised { space: Space::Global, address, bytes });
        }
        let by = machine.clock.observer(warp.index);
        let (cells, _, lists) = machine.shadow.cells(address, bytes);
        for cell in cells {
            let done = cell.atomic(&by, lane, kind(atomic), lists);
            done.map_err(|conflict| conflict.fault(Space::Global, address, Access::Atomic))?;
        }
    }
    Ok(update(&mut allocation.data[offset..offset + bytes as usize], warp, atomic, lane, true))
}

fn kind(atomic: &Atomic) -> Kind {
    Kind::Atomic { bytes: atomic.element.bytes, of_block: atomic.of_block }
}

/// Replaces the value in memory; gives the old one. With `ftz`, as in global memory, sums of f32 take subnormal numbers for
/// zeros.
fn update(memory: &mut [u8], warp: &Warp, atomic: &Atomic, lane: usize, ftz: bool) -> u64 {
    let operand = |row: u16| match atomic.element.wide {
        true => warp.registers.wide[usize::from(row)][lane],
        false => u64::from(warp.registers.narrow[usize::from(row)][lane]),
    };
    let mut bytes = [0; 8];
    bytes[..memory.len()].copy_from_slice(memory);
    let old = u64::from_le_bytes(bytes);
    let new = combine(atomic, old, operand(atomic.a), atomic.b.map(operand), ftz);
    memory.copy_from_slice(&new.to_le_bytes()[..memory.len()]);
    old
}

fn combine(atomic: &Atomic, old: u64, a: u64, b: Option<u64>, ftz: bool) -> u64 {
    // Signed values are compared as such.
    let signed = |value: u64| if atomic.element.wide { value as i64 } else { i64::from(value as i32) };
    let less = match atomic.element.signed {
        true => signed(old) < signed(a),
        false => old < a,
    };
    match atomic.op {
        AtomicOp::Add => old.wrapping_add(a),
        AtomicOp::AddF32 => u64::from(add_f32(old as u32, a as u32, ftz)),
        AtomicOp::Min => {
            if less {
                old
            } else {
                a
            }
        }
        AtomicOp::Max => {
            if less {
                a
            } else {
                old
            }
        }
        AtomicOp::And => old & a,
        AtomicOp::Or => old | a,
        AtomicOp::Xor => old ^ a,
        AtomicOp::Exchange => a,
        AtomicOp::CompareSwap => {
            if old == a {
                b.unwrap_or(old)
            } else {
                old
            }
        }
        AtomicOp::Increment => {
            if old >= a {
                0
            } else {
                old + 1
            }
        }
        AtomicOp::Decrement => {
            if old == 0 || old > a {
                a
            } else {
                old - 1
            }
        }
    }
}

fn add_f32(x: u32, y: u32, ftz: bool) -> u32 {
    let flushed = |value: f32| if ftz && value.is_subnormal() { 0f32.copysign(value) } else { value };
    flushed(flushed(f32::from_bits(x)) + flushed(f32::from_bits(y))).to_bits()
}
