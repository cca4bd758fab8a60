//! Steps with their kernels, pointers and parameters.

use std::sync::Arc;

use super::clock::Timed;
use super::device::Device;
use super::memory::{GRAIN, Memory};
use super::mirrors::{Mirrors, Refresh};
use super::opened::Opened;
use super::pipelines::Pipeline;
use super::slots::{self, Slots};
use super::texels::Texels;
use crate::backend::BackendError;
use crate::backend::gpu::{Launch, PARAM_BYTES, Pointer, Upload};
use crate::program::{BufferId, Program};

/// What a constant is for.
const CONSTANT: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST);
const PARAMETERS: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

/// The steps of a program.
pub struct Bound {
    pub steps: Vec<Dispatch>,
    mirrors: Mirrors,
    _parameters: Memory,
}

impl Bound {
    /// Bytes of the textures that slots are copied to.
    pub fn mirrored(&self) -> usize {
        self.mirrors.bytes()
    }

    /// Bytes of the constants, in buffers and in textures.
    pub fn constants(&self) -> usize {
        let sources = || self.steps.iter().flat_map(|step| &step.sources);
        let buffers = sources().filter_map(|source| match source {
            Source::Constant(upload) => Some(upload),
            _ => None,
        });
        let textures = sources().filter_map(|source| match source {
            Source::Texels(upload) => Some(upload),
            _ => None,
        });
        Upload::total(buffers, |memory| memory.bytes() as usize)
            + Upload::total(textures, |texels| texels.bytes() as usize)
    }
}

/// A step, ready to be dispatched.
pub struct Dispatch {
    /// What it loads from textures and is not there yet.
    refreshes: Vec<Refresh>,
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    /// Workgroups along x and y.
    grid: [u32; 2],
    sources: Vec<Source>,
}

/// What a pointer of a step is bound to.
enum Source {
    Slot(BufferId),
    Mirror(BufferId),
    Constant(Arc<Upload<Memory>>),
    Texels(Arc<Upload<Texels>>),
}

impl Timed for Dispatch {
    fn has_copies(&self) -> bool {
        !self.refreshes.is_empty()
    }

    fn copy(&self, encoder: &mut wgpu::CommandEncoder) {
        self.refreshes.iter().for_each(|refresh| refresh.encode(encoder));
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}

/// The steps that are launched so: kernels compiled, constants uploaded.
///
/// # Errors
/// [`BackendError::OutOfMemory`], [`BackendError::TooLarge`] for a constant, or a kernel that the driver refuses.
pub async fn bind(
    opened: &Opened,
    program: &Program,
    slots: &Slots,
    launches: &[Launch],
) -> Result<Bound, BackendError> {
    let pipelines = opened.pipelines.of(&opened.device, &launches.iter().collect::<Vec<_>>()).await?;
    let parameters = parameters(opened, launches).await?;
    let mirrors = Mirrors::new(&opened.device, program, launches).await?;
    let refreshes = mirrors.refreshes(program, slots, launches);
    let mut steps = Vec::new();
    for (number, ((launch, pipeline), refreshes)) in launches.iter().zip(pipelines).zip(refreshes).enumerate() {
        let sources = sources(opened, launch).await?;
        let mut entries: Vec<_> = sources.iter().map(|source| source.resource(program, slots, &mirrors)).collect();
        entries.push(bytes_of(&parameters.buffer, (number * PARAM_BYTES) as u64, PARAM_BYTES as u64));
        let group = group(&opened.device, &pipeline, entries).await?;
        let grid = grid(&opened.device, launch.blocks);
        steps.push(Dispatch { refreshes, pipeline, group, grid, sources });
    }
    Ok(Bound { steps, mirrors, _parameters: parameters })
}

/// The parameters of all launches, one after another.
async fn parameters(opened: &Opened, launches: &[Launch]) -> Result<Memory, BackendError> {
    let device = &opened.device;
    let bytes: Vec<u8> = launches.iter().flat_map(|launch| launch.params.iter().copied()).collect();
    let memory = Memory::new(device, "the parameters", bytes.len(), PARAMETERS, false).await?;
    memory.fill(device, &bytes).await?;
    Ok(memory)
}

/// What the pointers of a launch are bound to, constants uploaded.
async fn sources(opened: &Opened, launch: &Launch) -> Result<Vec<Source>, BackendError> {
    let mut sources = Vec::new();
    for (pointer, is_texture) in launch.pointers.iter().zip(launch.texels) {
        sources.push(match (pointer, is_texture) {
            (Pointer::Buffer(id), false) => Source::Slot(*id),
            (Pointer::Buffer(id), true) => Source::Mirror(*id),
            (constant, false) => Source::Constant(upload(opened, constant).await?),
            (constant, true) => Source::Texels(upload_texels(opened, constant).await?),
        });
    }
    Ok(sources)
}

impl Source {
    fn resource<'a>(&'a self, program: &Program, slots: &'a Slots, mirrors: &'a Mirrors) -> wgpu::BindingResource<'a> {
        match self {
            Self::Slot(id) => {
                let bytes = slots::bytes(program, *id).next_multiple_of(GRAIN) as u64;
                bytes_of(slots.of(program, *id), 0, bytes)
            }
            Self::Constant(upload) => bytes_of(&upload.memory.buffer, 0, upload.memory.bytes()),
            Self::Mirror(id) => wgpu::BindingResource::TextureView(&mirrors.of(program, *id).view),
            Self::Texels(upload) => wgpu::BindingResource::TextureView(&upload.memory.view),
        }
    }
}

/// What a kernel binds, in order.
///
/// # Errors
/// [`BackendError::Failed`] where it is not what the kernel takes.
pub async fn group(
    device: &Arc<Device>,
    pipeline: &Pipeline,
    resources: Vec<wgpu::BindingResource<'_>>,
) -> Result<wgpu::BindGroup, BackendError> {
    let entry = |(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource };
    let entries: Vec<_> = resources.into_iter().enumerate().map(entry).collect();
    let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &pipeline.bindings, entries: &entries };
    device.attempt("bind a kernel", 0, |raw| raw.create_bind_group(&descriptor)).await
}

/// So many bytes of a buffer.
pub fn bytes_of(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
}

/// A constant, copied where it is not there.
async fn upload(opened: &Opened, pointer: &Pointer) -> Result<Arc<Upload<Memory>>, BackendError> {
    let (device, uploads) = (&opened.device, &opened.uploads);
    if let Some(upload) = uploads.find(pointer) {
        return Ok(upload);
    }
    let words = pointer.words();
    slots::check(device, "a weight", 4 * words.len())?;
    let memory = Memory::new(device, "a constant", 4 * words.len(), CONSTANT, false).await?;
    memory.fill(device, bytemuck::cast_slice(&words)).await?;
    Ok(uploads.keep(pointer, memory))
}

/// The same in a texture.
async fn upload_texels(opened: &Opened, pointer: &Pointer) -> Result<Arc<Upload<Texels>>, BackendError> {
    let (device, uploads) = (&opened.device, &opened.textures);
    if let Some(upload) = uploads.find(pointer) {
        return Ok(upload);
    }
    let mut words = pointer.words();
    slots::check(device, "a weight", 4 * words.len())?;
    words.resize(words.len().next_multiple_of(GRAIN / 4), 0);
    let texels = Texels::new(device, "a constant", 4 * words.len()).await?;
    texels.fill(device, bytemuck::cast_slice(&words)).await?;
    Ok(uploads.keep(pointer, texels))
}

/// So many workgroups along x and y.
pub fn grid(device: &Device, blocks: u32) -> [u32; 2] {
    rows(blocks, device.limits.max_compute_workgroups_per_dimension)
}

/// So many workgroups as rows of at most `most`, and few more.
fn rows(blocks: u32, most: u32) -> [u32; 2] {
    let rows = blocks.div_ceil(most).max(1);
    [blocks.div_ceil(rows), rows]
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn a_tall_grid_has_few_blocks_too_many() {
        assert_eq!([rows(1, 65_535), rows(65_535, 65_535), rows(65_536, 65_535)], [[1, 1], [65_535, 1], [32_768, 2]]);
        assert_eq!(rows(200_001, 65_535), [50_001, 4]);
    }
}
