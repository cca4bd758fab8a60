//! Loads and stores: which memory, and between its bytes and the lanes of registers.

use super::{Machine, Registers, SHARED_WINDOW, Warp, global, local, shared};
use crate::fault::Stop;
use crate::memory::index;
use crate::program::{Address, Element, LoadSpace, Rows, StoreSpace};

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

    /// Bytes of memory to a lane's registers.
    #[inline(always)]
    pub fn load(self, registers: &mut Registers, lane: usize, bytes: &[u8]) {
        let size = usize::from(self.element.bytes);
        for (part, row) in bytes.chunks_exact(size).zip(self.rows.rows) {
            let row = usize::from(row);
            if let (4, false, Ok(word)) = (size, self.element.wide, part.try_into()) {
                registers.narrow[row][lane] = u32::from_le_bytes(word);
                continue;
            }
            let mut value = [0; 8];
            value[..size].copy_from_slice(part);
            let unused = 64 - 8 * size as u32;
            let value = match self.element.signed {
                true => ((u64::from_le_bytes(value) << unused) as i64 >> unused) as u64,
                false => u64::from_le_bytes(value),
            };
            match self.element.wide {
                true => registers.wide[row][lane] = value,
                false => registers.narrow[row][lane] = value as u32,
            }
        }
    }

    /// A lane's registers to bytes.
    #[inline(always)]
    pub fn store(self, registers: &Registers, lane: usize) -> [u8; 16] {
        let size = usize::from(self.element.bytes);
        let mut bytes = [0; 16];
        for (part, row) in bytes.chunks_exact_mut(size).zip(self.rows.iter()) {
            let row = usize::from(row);
            match self.element.wide {
                true => part.copy_from_slice(&registers.wide[row][lane].to_le_bytes()[..size]),
                false => part.copy_from_slice(&registers.narrow[row][lane].to_le_bytes()[..size]),
            }
        }
        bytes
    }
}

pub(super) fn load_param(warp: &mut Warp, params: &[u8], mask: u32, rows: Rows, element: Element, offset: u32) {
    let transfer = Transfer { rows, element };
    let bytes = &params[offset as usize..(offset + transfer.bytes()) as usize];
    crate::shadow::bits(mask).for_each(|lane| transfer.load(&mut warp.registers, lane, bytes));
}

pub(super) fn load(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    space: LoadSpace,
    rows: Rows,
    element: Element,
    from: Address,
) -> Result<(), Stop> {
    let (addresses, transfer) = (warp.addresses(from), Transfer { rows, element });
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

pub(super) fn store(
    warp: &mut Warp,
    machine: &mut Machine<'_>,
    mask: u32,
    space: StoreSpace,
    rows: Rows,
    element: Element,
    to: Address,
) -> Result<(), Stop> {
    let (addresses, transfer) = (warp.addresses(to), Transfer { rows, element });
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
    let lanes = crate::shadow::bits(mask).filter(is_shared).fold(0, |lanes, lane| lanes | 1 << lane);
    (lanes, addresses.map(|address| address.wrapping_sub(SHARED_WINDOW)))
}
