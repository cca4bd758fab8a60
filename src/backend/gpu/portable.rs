//! Launches for WGSL: with fewer pointers, for WebGPU binds eight storage buffers to a kernel, and those that suit a driver which
//! computes on a CPU: by kernels of their own, by pairs and from textures.

use super::launch::{Launch, OnCpu, PARAM_BYTES, PLACES, Place, Pointer};
use crate::kernel::Operand;
use crate::program::{Program, Weight};

/// What a kernel calls the pointer to the packed weights.
const CONSTANTS: &str = "constants";

/// Which pointer of a packed launch a tensor has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Own,
    /// That of an earlier tensor, another view of the same buffer.
    With(usize),
    /// The last one, with the other weights.
    Weights,
}

impl Launch {
    /// The launch with few pointers: the weights of its prologue and its stages, which have a value per channel, lie one after
    /// another behind the last one, and views of a buffer that stages read are reached by one. Every tensor has a place of
    /// its own; the first are those of the pointers, in order.
    #[must_use]
    pub fn packed(mut self) -> Self {
        let homes = self.homes();
        let (own, others): (Vec<usize>, Vec<usize>) = (0..homes.len()).partition(|slot| homes[*slot] == Home::Own);
        let order: Vec<usize> = own.iter().chain(&others).copied().collect();
        let place_of = |old: usize| order.iter().position(|slot| *slot == old).unwrap_or(old);
        let name = |old: usize| match homes[old] {
            Home::Own => format!("operand{}", place_of(old)),
            Home::With(first) => format!("operand{}", place_of(first)),
            Home::Weights => CONSTANTS.to_owned(),
        };
        for operand in
            self.fused.prologue.iter_mut().chain(&mut self.fused.stages).flat_map(|stage| &mut stage.operands)
        {
            rename(operand, &|slot| (place_of(slot), name(slot)));
        }

        let old = self.params.clone();
        let mut weights: Vec<Weight> = Vec::new();
        for (number, &slot) in order.iter().enumerate() {
            let place = match &self.pointers[slot] {
                Pointer::Weight(weight, _) if homes[slot] == Home::Weights => {
                    let offset = weights.iter().map(Weight::physical).sum::<usize>() as u32;
                    weights.push(weight.clone());
                    Place { offset, ..Place::default() }.bytes()
                }
                _ => place(&old, slot),
            };
            self.params[PLACES + 16 * number..][..16].copy_from_slice(&place);
        }
        let types = std::mem::take(&mut self.fused.types);
        self.fused.types.iter_mut().zip(&order).for_each(|(stored, slot)| *stored = types[*slot]);
        self.pointers = own.iter().map(|slot| self.pointers[*slot].clone()).collect();
        self.written = own.iter().map(|slot| self.written[*slot]).collect();
        if !weights.is_empty() {
            self.pointers.push(Pointer::Weights(weights));
            self.written.push(false);
        }
        self
    }

    /// The launch by a kernel for drivers that compute on a CPU, where there is one: it shares what it loads or sums within subgroups,
    /// many times faster than by way of shared memory, or loads what many products need. Subgroups must have eight lanes.
    #[must_use]
    pub fn on_cpu(mut self) -> Self {
        if let Some(OnCpu { stem, blocks, iterations, window, whole_words }) = self.on_cpu {
            (self.fused.window, self.fused.whole_words) = (window, whole_words);
            (self.stem, self.blocks, self.iterations) = (stem, blocks, iterations);
        }
        self
    }

    /// The launch by a kernel that reads its parameters once.
    #[must_use]
    pub fn by_locals(mut self) -> Self {
        self.locals = true;
        self
    }

    /// The launch by a kernel that loads and stores two numbers at a time.
    #[must_use]
    pub fn by_pairs(mut self) -> Self {
        self.pairs = true;
        self
    }

    /// The launch by a kernel that loads from at most so many textures what it only reads, if those are numbers in f32, and at most
    /// so many.
    #[must_use]
    pub fn by_texels(mut self, program: &Program, textures: usize, most: usize) -> Self {
        let fits = |pointer: &Pointer| pointer.floats(program).is_some_and(|count| count <= most);
        let read = (0..self.pointers.len()).filter(|&number| !self.written[number] && fits(&self.pointers[number]));
        for number in read.take(textures).collect::<Vec<_>>() {
            self.texels[number] = true;
        }
        self
    }

    fn homes(&self) -> Vec<Home> {
        let stages = self.fused.prologue.iter().chain(&self.fused.stages);
        let operands = stages.flat_map(|stage| &stage.operands).flat_map(|o| std::iter::once(o).chain(&o.scale_shift));
        let fused: Vec<usize> = operands.map(|operand| operand.slot).collect();
        let reads = |slot: usize| fused.contains(&slot) && !self.written[slot];
        let home = |slot: usize| match &self.pointers[slot] {
            Pointer::Weight(..) if reads(slot) => Home::Weights,
            Pointer::Buffer(id) if reads(slot) => {
                let is_twin = |first: &usize| {
                    reads(*first) && matches!(&self.pointers[*first], Pointer::Buffer(other) if other == id)
                };
                (0..slot).find(is_twin).map_or(Home::Own, Home::With)
            }
            _ => Home::Own,
        };
        (0..self.pointers.len()).map(home).collect()
    }
}

/// Gives an operand and what belongs to it new places and pointers.
fn rename(operand: &mut Operand, new: &impl Fn(usize) -> (usize, String)) {
    (operand.slot, operand.pointer) = new(operand.slot);
    operand.scale_shift.iter_mut().for_each(|weight| rename(weight, new));
}

fn place(params: &[u8; PARAM_BYTES], slot: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&params[PLACES + 16 * slot..][..16]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, Precision};
    use crate::kernel::{Fused, MOST_TENSORS, StageText, Type};
    use crate::program::{BufferId, Layout, Part};

    fn weight(channels: usize) -> Pointer {
        let source = Constant::new(vec![1.0; channels], Precision::F32);
        Pointer::Weight(Weight::channel(&source, Part::All, &Layout::dense(channels)), Type::F32)
    }

    fn operand(slot: usize, scale_shift: Vec<Operand>) -> Operand {
        Operand { pointer: format!("operand{slot}"), slot, spread: false, scale_shift }
    }

    /// x, a filter and y; a stage that reads a buffer scaled and shifted, one that writes another, one that reads the first again.
    fn launch() -> Launch {
        let buffer = |number| Pointer::Buffer(BufferId(number));
        let pointers =
            vec![buffer(0), weight(9), buffer(1), buffer(2), weight(9), weight(24), buffer(3), buffer(2), buffer(0)];
        let scale_shift = vec![operand(4, vec![]), operand(5, vec![])];
        let stage = |word, operands| StageText { word, operands, ..StageText::default() };
        let stages = vec![
            stage("add", vec![operand(3, scale_shift)]),
            stage("keep", vec![operand(6, vec![])]),
            stage("times", vec![operand(7, vec![])]),
            stage("times", vec![operand(8, vec![])]),
        ];
        let mut params = Box::new([0; PARAM_BYTES]);
        for slot in 0..pointers.len() {
            let place = Place { offset: 100 + slot as u32, ..Place::default() };
            params[PLACES + 16 * slot..][..16].copy_from_slice(&place.bytes());
        }
        let written = (0..pointers.len()).map(|slot| [2, 6].contains(&slot)).collect();
        let mut fused = Fused { stages, ..Fused::default() };
        for (slot, pointer) in pointers.iter().enumerate() {
            if matches!(pointer, Pointer::Buffer(BufferId(0 | 3))) {
                fused.types[slot] = Type::F16;
            }
        }
        Launch {
            stem: "conv2d_forward",
            fused,
            pointers,
            written,
            params,
            blocks: 1,
            iterations: 0,
            on_cpu: None,
            locals: false,
            pairs: false,
            texels: [false; MOST_TENSORS],
        }
    }

    #[test]
    fn weights_and_views_of_a_buffer_share_a_pointer() {
        let packed = launch().packed();
        let buffers: Vec<Option<usize>> = packed
            .pointers
            .iter()
            .map(|pointer| if let Pointer::Buffer(id) = pointer { Some(id.0) } else { None })
            .collect();
        assert_eq!(buffers, [Some(0), None, Some(1), Some(2), Some(3), Some(0), None]);
        let lengths = packed.pointers.iter().map(|pointer| pointer.words().len()).collect::<Vec<_>>();
        assert_eq!(lengths, [0, 16, 0, 0, 0, 0, 16 + 24], "a filter of its own, then the others together");
        assert_eq!(packed.written, [false, false, true, false, true, false, false]);

        let operands = packed.fused.stages.iter().flat_map(|stage| &stage.operands);
        let operands = operands.flat_map(|operand| std::iter::once(operand).chain(&operand.scale_shift));
        let found: Vec<_> = operands.map(|operand| (operand.pointer.as_str(), operand.slot)).collect();
        let want =
            [("operand3", 3), ("constants", 6), ("constants", 7), ("operand4", 4), ("operand3", 8), ("operand5", 5)];
        assert_eq!(found, want);
        let offset = |slot: usize| place(&packed.params, slot)[8];
        assert_eq!([3, 6, 7, 4, 8, 5].map(offset), [103, 0, 16, 106, 107, 108]);
        let halves = (0..9).filter(|slot| packed.fused.types[*slot] == Type::F16).collect::<Vec<_>>();
        assert_eq!(halves, [0, 4, 5], "types go with the places");
    }
}
