//! Steps with their kernels, pointers and parameters.

use std::sync::Arc;

use super::device::Device;
use super::memory::{GRAIN, Memory};
use super::opened::Opened;
use super::pipelines::Pipeline;
use super::slots::{self, Slots};
use crate::backend::BackendError;
use crate::backend::gpu::{Launch, PARAM_BYTES, Pointer, Upload};
use crate::program::{BufferId, Program};

/// What a constant is for.
const CONSTANT: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST);
const PARAMETERS: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

/// The steps of a program.
pub struct Bound {
    pub steps: Vec<Dispatch>,
    _parameters: Memory,
}

/// A step, ready to be dispatched.
pub struct Dispatch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    /// Workgroups along x and y.
    grid: [u32; 2],
    _sources: Vec<Source>,
}

/// What a pointer of a step is bound to.
enum Source {
    Slot(BufferId),
    Constant(Arc<Upload<Memory>>),
}

impl Dispatch {
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass) {
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
    let mut steps = Vec::new();
    for (number, (launch, pipeline)) in launches.iter().zip(pipelines).enumerate() {
        let at = (number * PARAM_BYTES) as u64;
        steps.push(step(opened, program, slots, (&parameters, at), launch, pipeline).await?);
    }
    Ok(Bound { steps, _parameters: parameters })
}

/// The parameters of all launches, one after another.
async fn parameters(opened: &Opened, launches: &[Launch]) -> Result<Memory, BackendError> {
    let device = &opened.device;
    let bytes: Vec<u8> = launches.iter().flat_map(|launch| launch.params.iter().copied()).collect();
    let memory = Memory::new(device, "the parameters", bytes.len(), PARAMETERS, false).await?;
    memory.fill(device, &bytes).await?;
    Ok(memory)
}

async fn step(
    opened: &Opened,
    program: &Program,
    slots: &Slots,
    (parameters, at): (&Memory, u64),
    launch: &Launch,
    pipeline: Arc<Pipeline>,
) -> Result<Dispatch, BackendError> {
    let device = &opened.device;
    let mut sources = Vec::new();
    for pointer in &launch.pointers {
        sources.push(match pointer {
            Pointer::Buffer(id) => Source::Slot(*id),
            constant => Source::Constant(upload(opened, constant).await?),
        });
    }
    let mut entries = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let (buffer, bytes) = match source {
            Source::Slot(id) => (slots.of(program, *id), slots::bytes(program, *id).next_multiple_of(GRAIN) as u64),
            Source::Constant(upload) => (&upload.memory.buffer, upload.memory.bytes()),
        };
        entries.push(entry(number, buffer, 0, bytes));
    }
    entries.push(entry(entries.len(), &parameters.buffer, at, PARAM_BYTES as u64));
    let bound = group(device, &pipeline, &entries).await?;
    let grid = grid(device, launch.blocks);
    Ok(Dispatch { pipeline, group: bound, grid, _sources: sources })
}

/// The buffers of a kernel.
///
/// # Errors
/// [`BackendError::Failed`] where they are not what it takes.
pub async fn group(
    device: &Arc<Device>,
    pipeline: &Pipeline,
    entries: &[wgpu::BindGroupEntry<'_>],
) -> Result<wgpu::BindGroup, BackendError> {
    let layout = &pipeline.bindings;
    let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries };
    device.attempt("bind a kernel", 0, |raw| raw.create_bind_group(&descriptor)).await
}

/// So many bytes of a buffer.
pub fn entry(binding: usize, buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindGroupEntry<'_> {
    let buffer = wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) };
    wgpu::BindGroupEntry { binding: binding as u32, resource: wgpu::BindingResource::Buffer(buffer) }
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
