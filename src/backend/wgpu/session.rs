use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::device::failed;
use super::memory::{GRAIN, Memory};
use super::opened::Opened;
use super::pipelines::Pipeline;
use super::slots::{self, Slots};
use super::{edge, items};
use crate::backend::gpu::{Launch, LaunchError, PARAM_BYTES, Pointer, Upload, launch};
use crate::backend::{BackendError, Phase, Session, Values};
use crate::program::{BufferId, Port, Program};

/// What a buffer is for that the host reads.
const RECEIVES: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
/// What a constant is for.
const CONSTANT: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST);
const PARAMETERS: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

/// A program with its slots and weights on the device.
pub struct WgpuSession {
    opened: Arc<Opened>,
    program: Arc<Program>,
    slots: Slots,
    steps: Vec<Bound>,
    clock: Option<Clock>,
    received: RefCell<Option<Memory>>,
    _parameters: Memory,
}

/// How a program is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loading {
    /// Slots are full of not-a-number.
    pub poisoned: bool,
    /// Kernels are those for hardware.
    pub without_subgroups: bool,
}

/// A step, ready to be dispatched.
struct Bound {
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

impl WgpuSession {
    /// Slots, weights and kernels of a program.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`], [`BackendError::TooLarge`], or a kernel that the driver refuses.
    pub async fn new(opened: &Arc<Opened>, program: Arc<Program>, loading: Loading) -> Result<Self, BackendError> {
        let device = &opened.device;
        device.check()?;
        let slots = Slots::new(device, &program, loading.poisoned).await?;
        let by_subgroups = device.by_subgroups && !loading.without_subgroups;
        let launches = program.steps.iter().map(|step| {
            let launch = launch(&program, step)?.packed();
            Ok(if by_subgroups { launch.by_subgroups() } else { launch })
        });
        let launches = launches.collect::<Result<Vec<_>, LaunchError>>();
        let launches = launches.map_err(|error| failed("launch a kernel", &error.to_string()))?;
        let pipelines = opened.pipelines.of(device, &launches.iter().collect::<Vec<_>>()).await?;
        let parameters = parameters(opened, &launches).await?;
        let mut steps = Vec::new();
        for (number, (launch, pipeline)) in launches.iter().zip(pipelines).enumerate() {
            let at = (number * PARAM_BYTES) as u64;
            steps.push(bind(opened, &program, &slots, (&parameters, at), launch, pipeline).await?);
        }
        let (clock, received) = (None, RefCell::new(None));
        Ok(Self { opened: Arc::clone(opened), program, slots, steps, clock, received, _parameters: parameters })
    }

    fn phase(&self, phase: Phase) -> Range<usize> {
        match phase {
            Phase::Forward => 0..self.program.backward_from,
            Phase::Backward => self.program.backward_from..self.steps.len(),
        }
    }

    /// Sends one part of the program to the device; nothing waits for it.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn submit(&self, phase: Phase) -> Result<(), BackendError> {
        let steps = &self.steps[self.phase(phase)];
        if steps.is_empty() {
            return Ok(());
        }
        let device = &self.opened.device;
        let sent = device.attempt("run a program", 0, |raw| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            steps.iter().for_each(|step| step.dispatch(&mut pass));
            drop(pass);
            device.queue.submit([encoder.finish()]);
        });
        sent.await
    }

    /// Runs one part of the program and adds the time of every step to `times`.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn timed(&mut self, phase: Phase, times: &mut Vec<Duration>) -> Result<(), BackendError> {
        let range = self.phase(phase);
        let device = &self.opened.device;
        if self.clock.is_none() {
            self.clock = Some(Clock::new(device, self.steps.len()).await?);
        }
        let Some(clock) = &self.clock else { return Ok(()) };
        let steps = &self.steps[range];
        clock.time(device, steps.len(), |step, pass| steps[step].dispatch(pass), times).await
    }

    /// As [`Session::write_items`].
    ///
    /// # Errors
    /// [`BackendError::Length`], or whatever the device reports.
    pub async fn send(&self, port: &Port, pieces: &[Values<'_>]) -> Result<(), BackendError> {
        port.check(&self.program, pieces)?;
        let buffer = self.program.buffer(port.view);
        let mut words = if port.view.channels == buffer.channels {
            vec![0u32; slots::bytes(&self.program, port.view.buffer) / 4]
        } else {
            // The port's neighbours in the buffer stay as they are.
            self.words(port).await?
        };
        items::scatter(&mut words, port, buffer, pieces);
        let device = &self.opened.device;
        let to = self.slots.of(&self.program, port.view.buffer);
        let sent = device.attempt("copy to the device", 4 * words.len(), |_| {
            device.queue.write_buffer(to, 0, bytemuck::cast_slice(&words));
        });
        sent.await
    }

    /// As [`Session::read_items`].
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn receive(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        let words = self.words(port).await?;
        Ok(items::gather(&words, port, self.program.buffer(port.view)))
    }

    /// The words of all items of a port's buffer.
    async fn words(&self, port: &Port) -> Result<Vec<u32>, BackendError> {
        let device = &self.opened.device;
        let from = self.slots.of(&self.program, port.view.buffer);
        let bytes = slots::bytes(&self.program, port.view.buffer);
        let kept = self.received.borrow_mut().take().filter(|kept| kept.bytes() >= bytes as u64);
        let into = match kept {
            Some(kept) => kept,
            None => Memory::new(device, "a buffer to read from", bytes, RECEIVES, false).await?,
        };
        let sent = device.attempt("copy from the device", bytes, |raw| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(from, 0, &into.buffer, 0, bytes as u64);
            device.queue.submit([encoder.finish()]);
        });
        sent.await?;
        let words = into.read(device, bytes).await?;
        *self.received.borrow_mut() = Some(into);
        Ok(words)
    }
}

/// The parameters of all launches, one after another.
async fn parameters(opened: &Opened, launches: &[Launch]) -> Result<Memory, BackendError> {
    let device = &opened.device;
    let bytes: Vec<u8> = launches.iter().flat_map(|launch| launch.params.iter().copied()).collect();
    let memory = Memory::new(device, "the parameters", bytes.len(), PARAMETERS, false).await?;
    memory.fill(device, &bytes).await?;
    Ok(memory)
}

/// A step with its pointers bound.
async fn bind(
    opened: &Opened,
    program: &Program,
    slots: &Slots,
    (parameters, at): (&Memory, u64),
    launch: &Launch,
    pipeline: Arc<Pipeline>,
) -> Result<Bound, BackendError> {
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
    let group = device.attempt(&format!("bind kernel {}", launch.stem), 0, |raw| {
        let layout = &pipeline.bindings;
        raw.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(launch.stem), layout, entries: &entries })
    });
    let group = group.await?;
    let grid = grid(launch.blocks, device.limits.max_compute_workgroups_per_dimension);
    Ok(Bound { pipeline, group, grid, _sources: sources })
}

fn entry(binding: usize, buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindGroupEntry<'_> {
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

/// So many workgroups as rows of at most `most`, and few more.
fn grid(blocks: u32, most: u32) -> [u32; 2] {
    let rows = blocks.div_ceil(most).max(1);
    [blocks.div_ceil(rows), rows]
}

impl Bound {
    fn dispatch(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}

impl Session for WgpuSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        edge::block_on(&self.opened.device, self.send(port, pieces))
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let opened = Arc::clone(&self.opened);
        match times {
            Some(times) => edge::block_on(&opened.device, self.timed(phase, times)),
            None => edge::block_on(&opened.device, self.submit(phase)),
        }
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        edge::block_on(&self.opened.device, self.receive(port))
    }

    fn slot_bytes(&self) -> usize {
        self.slots.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn a_tall_grid_has_few_blocks_too_many() {
        assert_eq!([grid(1, 65_535), grid(65_535, 65_535), grid(65_536, 65_535)], [[1, 1], [65_535, 1], [32_768, 2]]);
        assert_eq!(grid(200_001, 65_535), [50_001, 4]);
    }
}
