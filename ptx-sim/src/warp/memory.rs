//! Loads and stores: which memory, and between its bytes and the lanes of registers.

use super::{Machine, Registers, SHARED_WINDOW, Warp, global, local, shared};
use crate::fault::Stop;
use crate::lanes::set;
use crate::memory::index;
use crate::program::{Address, Element, LoadSpace, Row, Rows, StoreSpace};
use crate::shadow::bits;

/// What one instruction moves.
#[derive(Clone, Copy)]
pub(super) struct Transfer {
    pub rows: Rows,
    pub element: Element,
}

impl Transfer {
    /// Bytes of a lane.
    #[inline(always)]
    pub fn bytes(self) -> u32 {
        u32::from(self.element.bytes) * u32::from(self.rows.count)
    }

    /// Bytes of memory, from each lane's offset, to registers. They are in range.
    #[inline(always)]
    pub fn load_lanes(self, registers: &mut Registers, mask: u32, memory: &[u8], offsets: &[u64; 32]) {
        let bytes = self.bytes() as usize;
        match (self.element, self.rows.count) {
            (Element { bytes: 4, wide: false, .. }, 1) => {
                load_words::<1>(self.rows.rows, registers, mask, memory, offsets);
            }
            (Element { bytes: 4, wide: false, .. }, 2) => {
                load_words::<2>(self.rows.rows, registers, mask, memory, offsets);
            }
            (Element { bytes: 4, wide: false, .. }, 4) => {
                load_words::<4>(self.rows.rows, registers, mask, memory, offsets);
            }
            _ => bits(mask).for_each(|lane| self.load(registers, lane, &memory[offsets[lane] as usize..][..bytes])),
        }
    }

    /// Bytes of memory to a lane's registers.
    #[inline(always)]
    pub fn load(self, registers: &mut Registers, lane: usize, bytes: &[u8]) {
        let size = usize::from(self.element.bytes);
        for (part, row) in bytes.chunks_exact(size).zip(self.rows.rows) {
            let value = self.element.value(part);
            match self.element.wide {
                true => registers.wide[usize::from(row)][lane] = value,
                false => registers.narrow[usize::from(row)][lane] = value as u32,
            }
        }
    }

    /// A lane's registers to bytes.
    #[inline(always)]
    pub fn store(self, registers: &Registers, lane: usize) -> [u8; 16] {
        let mut bytes = [0; 16];
        let values = self.rows.iter().map(|row| match self.element.wide {
            true => registers.wide[usize::from(row)][lane],
            false => u64::from(registers.narrow[usize::from(row)][lane]),
        });
        match self.element.bytes {
            1 => join::<1>(&mut bytes, values),
            2 => join::<2>(&mut bytes, values),
            4 => join::<4>(&mut bytes, values),
            _ => join::<8>(&mut bytes, values),
        }
        bytes
    }
}

/// The low `N` bytes of each value.
#[inline(always)]
fn join<const N: usize>(bytes: &mut [u8; 16], values: impl Iterator<Item = u64>) {
    for (part, value) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        part.copy_from_slice(&value.to_le_bytes()[..N]);
    }
}

/// The first `N` of the rows from words of memory.
#[inline(always)]
fn load_words<const N: usize>(
    rows: [Row; 4],
    registers: &mut Registers,
    mask: u32,
    memory: &[u8],
    offsets: &[u64; 32],
) {
    for (i, row) in rows.into_iter().enumerate().take(N) {
        // All are below 4 GiB.
        let at = |lane: usize| offsets[lane] as u32 as usize + 4 * i;
        let word = |lane| {
            memory.get(at(lane)..at(lane) + 4).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
        };
        set(&mut registers.narrow[usize::from(row)], mask, word);
    }
}

impl Element {
    /// Of its bytes in memory, extended to 64 bits, or to 16 in registers of these.
    #[inline(always)]
    fn value(self, bytes: &[u8]) -> u64 {
        let value = match *bytes {
            [a] => u64::from(a),
            [a, b] => u64::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
            _ => bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
        };
        if !self.signed {
            return value;
        }
        let unused = 64 - 8 * u32::from(self.bytes);
        let extended = ((value << unused) as i64 >> unused) as u64;
        if self.half { extended & 0xffff } else { extended }
    }
}

/// Replaces `size` bytes of memory, a power of two up to 16.
#[inline(always)]
pub(super) fn put(memory: &mut [u8], at: usize, value: [u8; 16], size: u32) {
    #[inline(always)]
    fn copy<const N: usize>(memory: &mut [u8], at: usize, value: [u8; 16]) {
        memory[at..at + N].copy_from_slice(&value[..N]);
    }
    match size {
        1 => copy::<1>(memory, at, value),
        2 => copy::<2>(memory, at, value),
        4 => copy::<4>(memory, at, value),
        8 => copy::<8>(memory, at, value),
        _ => copy::<16>(memory, at, value),
    }
}

pub(super) fn load_param(warp: &mut Warp, params: &[u8], mask: u32, rows: Rows, element: Element, offset: u32) {
    let bytes = &params[offset as usize..(offset + Transfer { rows, element }.bytes()) as usize];
    for (part, row) in bytes.chunks_exact(usize::from(element.bytes)).zip(rows.rows) {
        let value = element.value(part);
        match element.wide {
            true => set(&mut warp.registers.wide[usize::from(row)], mask, |_| value),
            false => set(&mut warp.registers.narrow[usize::from(row)], mask, |_| value as u32),
        }
    }
}

#[inline(always)]
pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    space: LoadSpace,
    transfer: Transfer,
    from: Address,
) -> Result<(), Stop> {
    let addresses = warp.addresses(from);
    match space {
        LoadSpace::Shared => shared::load(warp, machine, mask, &addresses, transfer),
        LoadSpace::Global => global::load(warp, machine, mask, &addresses, transfer, false),
        LoadSpace::NonCoherent => global::load(warp, machine, mask, &addresses, transfer, true),
        LoadSpace::Local => local::load(warp, machine, mask, &addresses, transfer),
        LoadSpace::Generic => {
            let (in_shared, offsets) = shared_lanes(&addresses, mask);
            shared::load(warp, machine, in_shared, &offsets, transfer)?;
            global::load(warp, machine, mask & !in_shared, &addresses, transfer, false)
        }
    }
}

#[inline(always)]
pub(super) fn store(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    space: StoreSpace,
    transfer: Transfer,
    to: Address,
) -> Result<(), Stop> {
    let addresses = warp.addresses(to);
    match space {
        StoreSpace::Shared => shared::store(warp, machine, mask, &addresses, transfer),
        StoreSpace::Global => global::store(warp, machine, mask, &addresses, transfer),
        StoreSpace::Local => local::store(warp, machine, mask, &addresses, transfer),
        StoreSpace::Generic => {
            let (in_shared, offsets) = shared_lanes(&addresses, mask);
            shared::store(warp, machine, in_shared, &offsets, transfer)?;
            global::store(warp, machine, mask & !in_shared, &addresses, transfer)
        }
    }
}

/// The lanes whose generic addresses are shared memory, and the offsets there.
pub(super) fn shared_lanes(addresses: &[u64; 32], mask: u32) -> (u32, [u64; 32]) {
    let is_shared = |lane: &usize| {
        index(addresses[*lane]) == usize::MAX && (SHARED_WINDOW..2 * SHARED_WINDOW).contains(&addresses[*lane])
    };
    let lanes = bits(mask).filter(is_shared).fold(0, |lanes, lane| lanes | 1 << lane);
    (lanes, addresses.map(|address| address.wrapping_sub(SHARED_WINDOW)))
}
