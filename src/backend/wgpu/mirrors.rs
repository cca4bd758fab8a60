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
pub struct Copy {
    from: wgpu::Buffer,
    bytes: usize,
    to: Arc<Texels>,
}

impl Copy {
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

    /// What to copy before each step: a part of the program begins with no texture that is up to date, for the host may have
    /// written to slots, and a texture is until its slot is written.
    pub fn copies(&self, program: &Program, slots: &Slots, launches: &[Launch]) -> Vec<Vec<Copy>> {
        let mut all: Vec<Vec<Copy>> = Vec::new();
        for phase in [Phase::Reference, Phase::Forward, Phase::Backward] {
            let mut current: HashMap<usize, BufferId> = HashMap::new();
            for launch in &launches[program.part(phase)] {
                let mut copies = Vec::new();
                for id in read(launch) {
                    let slot = slots::number(program, id);
                    if current.insert(slot, id) != Some(id) {
                        copies.push(self.copy(program, slots, id));
                    }
                }
                all.push(copies);
                written(launch).for_each(|id| _ = current.remove(&slots::number(program, id)));
            }
        }
        all
    }

    fn copy(&self, program: &Program, slots: &Slots, id: BufferId) -> Copy {
        let bytes = slots::bytes(program, id).next_multiple_of(GRAIN);
        Copy { from: slots.of(program, id).clone(), bytes, to: Arc::clone(self.of(program, id)) }
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
