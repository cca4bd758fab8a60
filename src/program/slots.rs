//! Lifetimes to slots: buffers whose lifetimes do not overlap share storage.
//!
//! A buffer lives from the first step that writes it to the last step that touches it, both included, so a step never
//! reads and writes one slot. Sizes scale with the counts of their kind, so a slot holds buffers of one kind.

use super::{Buffer, Element, Per, Step};

/// First and last step (inclusive) that touch a buffer; `None` for a buffer that no step touches.
pub type Lifetime = Option<(usize, usize)>;

/// Storage of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub element: Element,
    /// Storage units: floats, bytes of bits, indices, or bytes.
    pub len: usize,
}

/// Where every buffer lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Slot of every buffer; `None` where nothing touches it.
    pub of: Vec<Option<usize>>,
    pub slots: Vec<Slot>,
}

impl Slots {
    /// Bytes of all slots; an index takes one byte up to 256 cells a window, which every common pool satisfies.
    pub fn bytes(&self, float_bytes: usize) -> usize {
        self.slots.iter().map(|slot| slot.len * unit_bytes(slot.element, float_bytes)).sum()
    }
}

/// Bytes of one storage unit.
pub fn unit_bytes(element: Element, float_bytes: usize) -> usize {
    match element {
        Element::Float => float_bytes,
        Element::F16 | Element::Bf16 => 2,
        Element::Bits | Element::Byte => 1,
        Element::Index => 4,
    }
}

/// Lifetimes over `steps`; buffers in `pinned` live through the whole program.
pub fn lifetimes(buffers: usize, steps: &[Step], pinned: &[usize]) -> Vec<Lifetime> {
    let mut lives: Vec<Lifetime> = vec![None; buffers];
    for (at, step) in steps.iter().enumerate() {
        for view in step.reads().into_iter().chain(step.writes()) {
            let life = lives[view.buffer.0].get_or_insert((at, at));
            life.1 = at;
        }
    }
    for &buffer in pinned {
        lives[buffer] = Some((0, steps.len()));
    }
    lives
}

/// Assigns slots, largest buffer first, each into the smallest slot of its element type that is free for its lifetime
/// and large enough, else a new one.
pub fn assign(buffers: &[Buffer], lives: &[Lifetime], count: impl Fn(Per) -> usize) -> Slots {
    let size = |i: usize| buffers[i].item_len() * count(buffers[i].per);
    let mut order: Vec<usize> = (0..buffers.len()).filter(|&i| lives[i].is_some()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(size(i)), i));
    let mut slots: Vec<(Slot, Vec<(usize, usize)>)> = Vec::new();
    let mut of = vec![None; buffers.len()];
    for i in order {
        let Some(life) = lives[i] else { continue };
        let free = |taken: &[(usize, usize)]| taken.iter().all(|t| t.1 < life.0 || life.1 < t.0);
        let fits = slots
            .iter()
            .enumerate()
            .filter(|(_, (slot, taken))| slot.element == buffers[i].element && free(taken))
            .min_by_key(|(_, (slot, _))| slot.len);
        let at = match fits {
            Some((at, _)) => at,
            None => {
                slots.push((Slot { element: buffers[i].element, len: size(i) }, Vec::new()));
                slots.len() - 1
            }
        };
        slots[at].1.push(life);
        of[i] = Some(at);
    }
    Slots { of, slots: slots.into_iter().map(|(slot, _)| slot).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buffer(len: usize, element: Element) -> Buffer {
        Buffer { name: String::new(), per: Per::Image, element, height: 1, width: len, channels: 8 }
    }

    proptest! {
        #[test]
        fn slots_never_overlap_in_time(
            raw in prop::collection::vec((1usize..50, 0usize..30, 0usize..10, prop::bool::ANY), 1..60),
        ) {
            let element = |bits| if bits { Element::Bits } else { Element::Float };
            let buffers: Vec<Buffer> = raw.iter().map(|r| buffer(r.0, element(r.3))).collect();
            let lives: Vec<Lifetime> = raw.iter().map(|r| Some((r.1, r.1 + r.2))).collect();
            let slots = assign(&buffers, &lives, |_| 2);
            for i in 0..buffers.len() {
                let at = slots.of[i].expect("every live buffer has a slot");
                prop_assert!(slots.slots[at].len >= 2 * buffers[i].item_len());
                prop_assert_eq!(slots.slots[at].element, buffers[i].element);
                for j in 0..i {
                    let (a, b) = (lives[i].unwrap(), lives[j].unwrap());
                    prop_assert!(slots.of[j] != Some(at) || a.1 < b.0 || b.1 < a.0);
                }
            }
            let total: usize = buffers.iter().map(|b| 2 * b.item_len()).sum();
            prop_assert!(slots.slots.iter().map(|s| s.len).sum::<usize>() <= total);
        }
    }
}
