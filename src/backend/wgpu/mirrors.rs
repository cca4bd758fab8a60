//! Slots that are also textures: a step that loads from one has it brought up to date before.

use std::collections::HashMap;
use std::sync::Arc;

use super::device::Device;
use super::memory::GRAIN;
use super::slots::{self, Slots};
use super::texels::Texels;
use crate::backend::BackendError;
use crate::backend::gpu::{Launch, Pointer};
use crate::program::{BufferId, Phase, Program};

/// Textures by the numbers of slots.
#[derive(Default)]
pub struct Mirrors {
    textures: HashMap<usize, Arc<Texels>>,
}

/// A buffer to copy to the texture of its slot.
pub struct Refresh {
    from: wgpu::Buffer,
    bytes: usize,
    to: Arc<Texels>,
}

impl Refresh {
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.to.copy(encoder, &self.from, self.bytes);
    }
}

/// The buffers of a program that a launch has as textures.
fn read<'a>(launch: &'a Launch) -> impl Iterator<Item = BufferId> + 'a {
    let pairs = launch.pointers.iter().zip(launch.texels);
    pairs.filter_map(|(pointer, is_texture)| match pointer {
        Pointer::Buffer(id) if is_texture => Some(*id),
        _ => None,
    })
}

/// Those that it writes.
fn written<'a>(launch: &'a Launch) -> impl Iterator<Item = BufferId> + 'a {
    let pairs = launch.pointers.iter().zip(&launch.written);
    pairs.filter_map(|(pointer, written)| match pointer {
        Pointer::Buffer(id) if *written => Some(*id),
        _ => None,
    })
}

/// Which buffers to copy before each step of a part, of what steps read and write: a part begins with no texture that is up to date,
/// for the host may have written to slots, and a texture is until its slot is written.
fn stale(accesses: Vec<(Vec<BufferId>, Vec<BufferId>)>, slot: impl Fn(BufferId) -> usize) -> Vec<Vec<BufferId>> {
    let mut current: HashMap<usize, BufferId> = HashMap::new();
    let mut before = |(read, written): (Vec<BufferId>, Vec<BufferId>)| {
        let stale = read.into_iter().filter(|&id| current.insert(slot(id), id) != Some(id)).collect();
        written.into_iter().for_each(|id| _ = current.remove(&slot(id)));
        stale
    };
    accesses.into_iter().map(&mut before).collect()
}

impl Mirrors {
    /// Room for all that launches load from textures.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`]
    pub async fn new(device: &Arc<Device>, program: &Program, launches: &[Launch]) -> Result<Self, BackendError> {
        let mut bytes: HashMap<usize, usize> = HashMap::new();
        for id in launches.iter().flat_map(read) {
            let most = bytes.entry(slots::number(program, id)).or_default();
            *most = (*most).max(slots::bytes(program, id));
        }
        let mut textures = HashMap::new();
        for (slot, bytes) in bytes {
            textures.insert(slot, Arc::new(Texels::new(device, "a slot's texture", bytes).await?));
        }
        Ok(Self { textures })
    }

    /// What to copy before each step.
    pub fn refreshes(&self, program: &Program, slots: &Slots, launches: &[Launch]) -> Vec<Vec<Refresh>> {
        let refresh = |id: BufferId| {
            let bytes = slots::bytes(program, id).next_multiple_of(GRAIN);
            Refresh { from: slots.of(program, id).clone(), bytes, to: Arc::clone(self.of(program, id)) }
        };
        let parts = Phase::ALL.map(|phase| program.part(phase));
        let of_slot = |id| slots::number(program, id);
        let stale = parts.into_iter().flat_map(|part| {
            let accesses = launches[part].iter().map(|launch| (read(launch).collect(), written(launch).collect()));
            stale(accesses.collect(), of_slot)
        });
        stale.map(|ids| ids.into_iter().map(refresh).collect()).collect()
    }

    /// The texture of a buffer that some launch has as one.
    pub fn of(&self, program: &Program, id: BufferId) -> &Arc<Texels> {
        &self.textures[&slots::number(program, id)]
    }

    /// Bytes of all.
    pub fn bytes(&self) -> usize {
        self.textures.values().map(|texels| texels.bytes() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_copied_when_it_was_written_or_holds_another_buffer() {
        let ids = |numbers: &[usize]| numbers.iter().copied().map(BufferId).collect::<Vec<_>>();
        // Buffers 0 and 10 share a slot.
        let of = |steps: &[(&[usize], &[usize])]| {
            let accesses = steps.iter().map(|(read, written)| (ids(read), ids(written))).collect();
            stale(accesses, |id| id.0 % 10)
                .into_iter()
                .map(|ids| ids.iter().map(|id| id.0).collect())
                .collect::<Vec<Vec<_>>>()
        };
        assert_eq!(
            of(&[(&[0, 1, 0], &[2]), (&[0, 2], &[3])]),
            [vec![0, 1], vec![2]],
            "once for as many reads as there are"
        );
        assert_eq!(
            of(&[(&[0], &[0]), (&[0], &[1, 2]), (&[0, 2], &[])]),
            [vec![0], vec![0], vec![2]],
            "anew when written"
        );
        assert_eq!(
            of(&[(&[0], &[10]), (&[10], &[]), (&[0], &[])]),
            [vec![0], vec![10], vec![0]],
            "another in its slot"
        );
    }
}
