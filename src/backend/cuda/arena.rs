//! One allocation for all slots of a program.

use super::memory::Memory;
use super::stream::Stream;
use crate::backend::BackendError;
use crate::program::slots::{Slot, unit_bytes};
use crate::program::{BufferId, Program};

/// Where a slot may begin: what `cuMemAlloc` itself promises, and more than any vector load needs.
const ALIGNMENT: usize = 256;
/// Bytes of a float.
const FLOAT: usize = 4;

/// The slots of a program.
pub struct Arena {
    pub memory: Memory,
    offsets: Vec<usize>,
}

/// A buffer in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub offset: usize,
    pub bytes: usize,
}

impl Arena {
    /// Room for the slots, every byte `fill`.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub fn new(stream: &Stream, program: &Program, fill: u8) -> Result<Self, BackendError> {
        let (offsets, bytes) = layout(&program.slots.slots);
        let memory = Memory::new(&stream.device, bytes)?;
        stream.fill(&memory, fill)?;
        Ok(Self { memory, offsets })
    }

    pub fn region(&self, program: &Program, id: BufferId) -> Region {
        let slot = program.slots.of[id.0].unwrap_or_else(|| panic!("{} has no slot", program.buffers[id.0].name));
        let buffer = &program.buffers[id.0];
        let units = program.count(buffer.per) * buffer.item_len();
        Region { offset: self.offsets[slot], bytes: units * unit_bytes(buffer.element, FLOAT) }
    }

    pub fn address(&self, program: &Program, id: BufferId) -> u64 {
        self.memory.address() + self.region(program, id).offset as u64
    }
}

/// Where every slot begins, and the bytes of all.
fn layout(slots: &[Slot]) -> (Vec<usize>, usize) {
    let mut end = 0usize;
    let place = |slot: &Slot| {
        let start = end;
        let bytes = slot.len.saturating_mul(unit_bytes(slot.element, FLOAT));
        end = start.saturating_add(bytes.saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        start
    };
    (slots.iter().map(place).collect(), end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Element;

    #[test]
    fn slots_are_aligned_and_apart() {
        let slot = |element, len| Slot { element, len };
        let slots =
            [slot(Element::Float, 65), slot(Element::Bits, 3), slot(Element::Index, 64), slot(Element::Float, 1)];
        assert_eq!(layout(&slots), (vec![0, 512, 768, 1024], 1280));
        assert_eq!(layout(&[slot(Element::Float, usize::MAX)]).1, usize::MAX / ALIGNMENT * ALIGNMENT, "no overflow");
    }
}
