//! What the device can do at most, measured with the kernels of `kernels/probes/`. Each is checked before it is timed.

use std::sync::Arc;

use super::NAME;
use super::device::Device;
use super::memory::Memory;
use super::modules::{Function, Modules};
use super::stream::{Event, Stream};
use crate::backend::gpu::PARAM_BYTES;
use crate::backend::gpu::roof::{COPIED, Chains, FMA, check, gbytes};
use crate::backend::{BackendError, Roof};
use crate::kernel::{Fused, THREADS};

/// Blocks that fill a multiprocessor.
const BLOCKS: u32 = 8;
/// Most of the device's memory that one side of the copy takes.
const SHARE: usize = 4;

/// By the type of the factors, all of which are 1: products of 16 by k and k by 8 numbers, k that of a warp's instruction.
const MATRIX: [(&str, Chains); 3] = [
    ("tf32", matrix("probes/mma_tf32", 8, 1f32.to_bits(), |thread, rounds| matrix_sum(thread, 8 * rounds))),
    ("f16", matrix("probes/mma_f16", 16, 0x3c00_3c00, |thread, rounds| matrix_sum(thread, 16 * rounds))),
    ("bf16", matrix("probes/mma_bf16", 16, 0x3f80_3f80, |thread, rounds| matrix_sum(thread, 16 * rounds))),
];

const fn matrix(stem: &'static str, k: u32, one: u32, expected: fn(u32, u32) -> f32) -> Chains {
    Chains { stem, links: 8, flops: (2 * 16 * 8 * k) as f64 / 32.0, a: one, b: one, expected }
}

/// 32 sums of which number v starts at thread + v, and to which 8 links add `k` each.
fn matrix_sum(thread: u32, k: u32) -> f32 {
    (0..32).map(|v| (thread + v + 8 * k) as f32).sum()
}

/// The least compute capability of the probes of the matrix units.
const HAS_MATRIX: [i32; 2] = [8, 0];

/// # Errors
/// Whatever the device reports, and a probe whose result is wrong.
pub fn measure(device: &Arc<Device>, modules: &Modules) -> Result<Roof, BackendError> {
    let stream = Stream::new(device)?;
    let probes = Probes { modules, start: Event::new(device)?, end: Event::new(device)?, stream };
    let units = MATRIX.iter().filter(|_| device.info.capability >= HAS_MATRIX);
    Ok(Roof {
        gbytes: probes.copy()?,
        gflops: probes.compute(&FMA)?,
        matrix_gflops: units
            .map(|(of, chains)| Ok((*of, probes.compute(chains)?)))
            .collect::<Result<_, BackendError>>()?,
    })
}

/// What the probes run on.
struct Probes<'a> {
    stream: Stream,
    modules: &'a Modules,
    start: Event,
    end: Event,
}

impl Probes<'_> {
    /// Gigabytes a second, read and written.
    fn copy(&self) -> Result<f64, BackendError> {
        let device = &self.stream.device;
        let copy = self.modules.get(device, "probes/copy", &Fused::default())?;
        gbytes(device.info.memory / SHARE, |blocks| {
            let bytes = blocks as usize * COPIED;
            let (x, y) = (Memory::new(device, bytes)?, Memory::new(device, bytes)?);
            self.stream.fill(&x, 0x5a)?;
            self.stream.fill(&y, 0)?;
            self.launch(&copy, blocks, &[x.address(), y.address()], &[0; PARAM_BYTES])?;
            let mut last = vec![0; COPIED];
            self.stream.download(&y, bytes - COPIED, &mut last)?;
            check(NAME, "probes/copy", last.iter().all(|byte| *byte == 0x5a))?;
            let copy = Arc::clone(&copy);
            Ok(move || self.launch(&copy, blocks, &[x.address(), y.address()], &[0; PARAM_BYTES]))
        })
    }

    /// Gigaflops a second.
    fn compute(&self, chains: &Chains) -> Result<f64, BackendError> {
        let function = self.modules.get(&self.stream.device, chains.stem, &Fused::default())?;
        let full = BLOCKS * self.stream.device.info.multiprocessors.max(1);
        let y = Memory::new(&self.stream.device, 4 * (full * THREADS) as usize)?;
        let launch = |blocks, rounds| self.launch(&function, blocks, &[y.address()], &chains.params(rounds));

        launch(1, 2)?;
        let mut got = vec![0; 4 * THREADS as usize];
        self.stream.download(&y, 0, &mut got)?;
        let got = got.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        check(NAME, chains.stem, got.zip(0..).all(|(got, thread)| got == (chains.expected)(thread, 2)))?;
        chains.gflops(full, launch)
    }

    /// Seconds of one launch.
    fn launch(
        &self,
        function: &Function,
        blocks: u32,
        pointers: &[u64],
        params: &[u8; PARAM_BYTES],
    ) -> Result<f64, BackendError> {
        self.stream.mark(&self.start)?;
        // SAFETY: the probes take these pointers; a block stays inside its part of the memory that they name.
        unsafe { self.stream.launch(function, blocks, pointers, params)? };
        self.stream.mark(&self.end)?;
        self.stream.wait()?;
        // The clock of events is coarse; no time is zero.
        Ok(self.start.until(&self.end)?.as_secs_f64().max(1e-7))
    }
}
