//! What the device can do at most, measured with the kernels of `kernels/probes/`. Each is checked before it is timed.

use std::sync::Arc;
use std::time::Duration;

use super::NAME;
use super::device::Device;
use super::memory::Memory;
use super::modules::{Function, Modules};
use super::stream::{Event, Stream};
use crate::backend::gpu::PARAM_BYTES;
use crate::backend::{BackendError, Roof};
use crate::kernel::{Fused, THREADS};

/// A probe that computes is timed where it takes at least so long: its start no longer matters.
const LONG: Duration = Duration::from_millis(4);
/// The same for the copy, which by then moves far more than a cache holds.
const LONG_COPY: Duration = Duration::from_millis(1);
/// Launches of which the fastest counts; together they are long enough for the clocks to rise.
const ATTEMPTS: usize = 16;
/// Blocks that fill a multiprocessor.
const BLOCKS: u32 = 8;
/// Most rounds of a launch.
const MOST_ROUNDS: u32 = 1 << 24;

/// Bytes that a block of `copy` moves.
const COPIED: usize = 64 * THREADS as usize;
/// Most of the device's memory that one side of the copy takes.
const SHARE: usize = 4;

/// A probe that computes: `rounds` times `links` results of each of 8 chains.
struct Chains {
    stem: &'static str,
    links: u32,
    /// Operations of a link that a thread has a part in.
    flops: f64,
    /// The factors' bits.
    a: u32,
    b: u32,
    /// What the thread of this number finds after so many rounds.
    expected: fn(u32, u32) -> f32,
}

const FMA: Chains = Chains {
    stem: "probes/fma",
    links: 32,
    flops: 2.0,
    a: 0.999f32.to_bits(),
    b: 0.001f32.to_bits(),
    expected: |thread, rounds| {
        let chain = |c: u32| (0..32 * rounds).fold((thread + c) as f32, |v, _| v.mul_add(0.999, 0.001));
        (1..8).fold(chain(0), |sum, c| sum + chain(c))
    },
};

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
    /// Gigabytes a second, read and written: sides twice as large until they take long enough or do not fit.
    fn copy(&self) -> Result<f64, BackendError> {
        let device = &self.stream.device;
        let copy = self.modules.get(device, "probes/copy", &Fused::default())?;
        let (mut blocks, mut found) = (1u32, None);
        loop {
            let bytes = blocks as usize * COPIED;
            let sides = || Ok((Memory::new(device, bytes)?, Memory::new(device, bytes)?));
            let (x, y) = match (sides(), found) {
                (Err(BackendError::OutOfMemory { .. }), Some(rate)) => return Ok(rate),
                (sides, _) => sides?,
            };
            self.stream.fill(&x, 0x5a)?;
            self.stream.fill(&y, 0)?;
            let (pointers, params) = ([x.address(), y.address()], [0; PARAM_BYTES]);
            let seconds = self.launch(&copy, blocks, &pointers, &params)?;
            let mut last = vec![0; COPIED];
            self.stream.download(&y, bytes - COPIED, &mut last)?;
            check("probes/copy", last.iter().all(|byte| *byte == 0x5a))?;
            let rate = |seconds: f64| 2.0 * bytes as f64 / seconds / 1e9;
            found = Some(rate(seconds));
            if seconds >= LONG_COPY.as_secs_f64() || 2 * bytes > device.info.memory / SHARE {
                let seconds = self.best(seconds, || self.launch(&copy, blocks, &pointers, &params))?;
                return Ok(rate(seconds));
            }
            blocks *= 2;
        }
    }

    /// Gigaflops a second: twice the blocks until the device is full, then twice the rounds, until it takes long enough.
    fn compute(&self, chains: &Chains) -> Result<f64, BackendError> {
        let function = self.modules.get(&self.stream.device, chains.stem, &Fused::default())?;
        let full = BLOCKS * self.stream.device.info.multiprocessors.max(1);
        let y = Memory::new(&self.stream.device, 4 * (full * THREADS) as usize)?;
        let launch = |blocks, rounds| self.launch(&function, blocks, &[y.address()], &chains.params(rounds));

        launch(1, 2)?;
        let mut got = vec![0; 4 * THREADS as usize];
        self.stream.download(&y, 0, &mut got)?;
        let got = got.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        check(chains.stem, got.zip(0..).all(|(got, thread)| got == (chains.expected)(thread, 2)))?;

        let (mut blocks, mut rounds) = (1, 1);
        let mut seconds = launch(blocks, rounds)?;
        while seconds < LONG.as_secs_f64() && rounds < MOST_ROUNDS {
            if blocks < full {
                blocks = (2 * blocks).min(full);
            } else {
                rounds *= 2;
            }
            seconds = launch(blocks, rounds)?;
        }
        let seconds = self.best(seconds, || launch(blocks, rounds))?;
        let results = f64::from(blocks * THREADS) * f64::from(rounds) * f64::from(8 * chains.links);
        Ok(results * chains.flops / seconds / 1e9)
    }

    /// Seconds of the fastest of several launches, of which one took `first`.
    fn best(&self, first: f64, launch: impl Fn() -> Result<f64, BackendError>) -> Result<f64, BackendError> {
        (1..ATTEMPTS).try_fold(first, |best, _| Ok(best.min(launch()?)))
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

impl Chains {
    fn params(&self, rounds: u32) -> [u8; PARAM_BYTES] {
        let mut params = [0; PARAM_BYTES];
        for (at, word) in [rounds, self.a, self.b].into_iter().enumerate() {
            params[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        params
    }
}

fn check(stem: &str, holds: bool) -> Result<(), BackendError> {
    if holds {
        return Ok(());
    }
    let reason = "its result is wrong".to_owned();
    Err(BackendError::Failed { backend: NAME, what: format!("measure with kernel {stem}"), reason })
}
