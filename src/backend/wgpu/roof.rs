//! What the device can do at most, measured with the kernels of `shaders/probes/`. Each is checked before it is timed.

use std::collections::BTreeMap;

use super::NAME;
use super::bound::{bytes_of, grid, group};
use super::clock::{Clock, Timed};
use super::edge::block_on;
use super::memory::{Memory, RECEIVES};
use super::opened::Opened;
use super::pipelines::Pipeline;
use super::slots::most;
use crate::backend::gpu::PARAM_BYTES;
use crate::backend::gpu::roof::{COPIED, Chains, FMA, check, gbytes};
use crate::backend::{BackendError, Roof};
use crate::kernel::THREADS;

/// A launch of a probe.
struct Probe<'a> {
    kernel: &'a Pipeline,
    group: &'a wgpu::BindGroup,
    grid: [u32; 2],
}

impl Timed for Probe<'_> {
    fn dispatch(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.kernel.raw);
        pass.set_bind_group(0, self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}

/// Blocks that fill a device of any size.
const FULL: u32 = 1 << 12;
/// What a side of the copy begins with.
const MARK: u32 = 0x5a5a_5a5a;

const TENSOR: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);
const PARAMETERS: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

/// # Errors
/// Whatever the device reports, and a probe whose result is wrong.
pub fn measure(opened: &Opened) -> Result<Roof, BackendError> {
    let clock = block_on(&opened.device, Clock::new(&opened.device, 1))?;
    let parameters =
        block_on(&opened.device, Memory::new(&opened.device, "parameters", PARAM_BYTES, PARAMETERS, false))?;
    let probes = Probes { opened, clock, parameters };
    Ok(Roof { gbytes: probes.copy()?, gflops: probes.compute(&FMA)?, matrix_gflops: BTreeMap::new() })
}

/// What the probes run on.
struct Probes<'a> {
    opened: &'a Opened,
    clock: Clock,
    parameters: Memory,
}

impl Probes<'_> {
    /// Gigabytes a second, read and written, by sides no larger than a kernel binds.
    fn copy(&self) -> Result<f64, BackendError> {
        let device = &self.opened.device;
        let copy = self.kernel("probes/copy", &[false, true])?;
        gbytes(most(device) / 2, |blocks| {
            let bytes = blocks as usize * COPIED;
            let (x, y) = (self.tensor(bytes)?, self.tensor(bytes)?);
            block_on(device, x.fill(device, bytemuck::cast_slice(&vec![MARK; bytes / 4])))?;
            let group = self.bind(&copy, &[&x, &y])?;
            self.launch(&copy, &group, blocks)?;
            let last = self.words(&y, bytes - COPIED, COPIED)?;
            check(NAME, "probes/copy", last.iter().all(|word| *word == MARK))?;
            let copy = &copy;
            Ok(move || self.launch(copy, &group, blocks))
        })
    }

    /// Gigaflops a second.
    fn compute(&self, chains: &Chains) -> Result<f64, BackendError> {
        let device = &self.opened.device;
        let kernel = self.kernel(chains.stem, &[true])?;
        let y = self.tensor(4 * (FULL * THREADS) as usize)?;
        let group = self.bind(&kernel, &[&y])?;
        let launch = |blocks, rounds| {
            block_on(device, self.parameters.fill(device, &chains.params(rounds)))?;
            self.launch(&kernel, &group, blocks)
        };
        launch(1, 2)?;
        let got = self.words(&y, 0, 4 * THREADS as usize)?;
        // WGSL leaves it to the device whether a sum is fused with its product.
        let is_right = |(got, thread): (&u32, u32)| {
            let want = (chains.expected)(thread, 2);
            (f32::from_bits(*got) - want).abs() <= 1e-5 * want
        };
        check(NAME, chains.stem, got.iter().zip(0..).all(is_right))?;
        chains.gflops(FULL, launch)
    }

    fn kernel(&self, stem: &'static str, written: &[bool]) -> Result<Pipeline, BackendError> {
        let device = &self.opened.device;
        block_on(device, self.opened.pipelines.bare(device, stem, written))
    }

    fn tensor(&self, bytes: usize) -> Result<Memory, BackendError> {
        let device = &self.opened.device;
        block_on(device, Memory::new(device, "a tensor", bytes, TENSOR, false))
    }

    fn bind(&self, kernel: &Pipeline, tensors: &[&Memory]) -> Result<wgpu::BindGroup, BackendError> {
        let memories = tensors.iter().copied().chain([&self.parameters]);
        let resources = memories.map(|memory| bytes_of(&memory.buffer, 0, memory.bytes())).collect();
        block_on(&self.opened.device, group(&self.opened.device, kernel, resources))
    }

    /// Seconds of one launch.
    fn launch(&self, kernel: &Pipeline, group: &wgpu::BindGroup, blocks: u32) -> Result<f64, BackendError> {
        let device = &self.opened.device;
        let times = block_on(device, self.clock.time(device, &[Probe { kernel, group, grid: grid(device, blocks) }]))?;
        // The clock is coarse; no time is zero.
        Ok(times.iter().map(std::time::Duration::as_secs_f64).sum::<f64>().max(1e-7))
    }

    /// Words from the byte `at` on.
    fn words(&self, from: &Memory, at: usize, bytes: usize) -> Result<Vec<u32>, BackendError> {
        let device = &self.opened.device;
        let read = async {
            let into = Memory::new(device, "a buffer to read from", bytes, RECEIVES, false).await?;
            into.receive(device, &from.buffer, at, bytes).await
        };
        block_on(device, read)
    }
}
