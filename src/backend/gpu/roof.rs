//! How the limits of a device are found: probes run longer and longer, until their start no longer matters.

use super::PARAM_BYTES;
use crate::backend::BackendError;
use crate::kernel::THREADS;

/// Seconds that a probe which computes takes at least; the same for the copy, which by then moves far more than a cache holds.
const LONG: f64 = 4e-3;
const LONG_COPY: f64 = 1e-3;
/// Launches of which the fastest counts; together they are long enough for the clocks to rise.
const ATTEMPTS: usize = 16;
/// Most rounds of a launch.
const MOST_ROUNDS: u32 = 1 << 24;

/// Bytes that a block of the probe `copy` moves.
pub const COPIED: usize = 64 * THREADS as usize;

/// A probe that computes: `rounds` times `links` results of each of 8 chains.
pub struct Chains {
    pub stem: &'static str,
    pub links: u32,
    /// Operations of a link that a thread has a part in.
    pub flops: f64,
    /// The factors' bits.
    pub a: u32,
    pub b: u32,
    /// What the thread of this number finds after so many rounds.
    pub expected: fn(u32, u32) -> f32,
}

/// Fused multiply-adds of f32.
pub const FMA: Chains = Chains {
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

impl Chains {
    pub fn params(&self, rounds: u32) -> [u8; PARAM_BYTES] {
        let mut params = [0; PARAM_BYTES];
        for (at, word) in [rounds, self.a, self.b].into_iter().enumerate() {
            params[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        params
    }

    /// Gigaflops a second, of a `launch` that takes blocks and rounds, and says how many seconds it took: twice the blocks until
    /// the device is `full`, then twice the rounds, until it takes long enough.
    ///
    /// # Errors
    /// Those of the launch.
    pub fn gflops(
        &self,
        full: u32,
        launch: impl Fn(u32, u32) -> Result<f64, BackendError>,
    ) -> Result<f64, BackendError> {
        let (mut blocks, mut rounds) = (1, 1);
        let mut seconds = launch(blocks, rounds)?;
        while seconds < LONG && rounds < MOST_ROUNDS {
            if blocks < full {
                blocks = (2 * blocks).min(full);
            } else {
                rounds *= 2;
            }
            seconds = launch(blocks, rounds)?;
        }
        let seconds = best(seconds, || launch(blocks, rounds))?;
        let results = f64::from(blocks * THREADS) * f64::from(rounds) * f64::from(8 * self.links);
        Ok(results * self.flops / seconds / 1e9)
    }
}

/// Gigabytes a second, read and written, of a copy that `prepare` makes for so many blocks: sides twice as large until the copy
/// takes long enough, or a side has more than `most` bytes or does not fit.
///
/// # Errors
/// Those of the copy.
pub fn gbytes<C: Fn() -> Result<f64, BackendError>>(
    most: usize,
    prepare: impl Fn(u32) -> Result<C, BackendError>,
) -> Result<f64, BackendError> {
    let (mut blocks, mut found) = (1u32, None);
    loop {
        let copy = match (prepare(blocks), found) {
            (Err(error), Some(rate)) if error.is_size() => return Ok(rate),
            (copy, _) => copy?,
        };
        let bytes = blocks as usize * COPIED;
        let rate = |seconds: f64| 2.0 * bytes as f64 / seconds / 1e9;
        let seconds = copy()?;
        found = Some(rate(seconds));
        if seconds >= LONG_COPY || 2 * bytes > most {
            return Ok(rate(best(seconds, copy)?));
        }
        blocks *= 2;
    }
}

/// Seconds of the fastest of several launches, of which one took `first`.
fn best(first: f64, launch: impl Fn() -> Result<f64, BackendError>) -> Result<f64, BackendError> {
    (1..ATTEMPTS).try_fold(first, |best, _| Ok(best.min(launch()?)))
}

/// # Errors
/// [`BackendError::Failed`] where the result of a probe is wrong.
pub fn check(backend: &'static str, stem: &str, holds: bool) -> Result<(), BackendError> {
    if holds {
        return Ok(());
    }
    let reason = "its result is wrong".to_owned();
    Err(BackendError::Failed { backend, what: format!("measure with kernel {stem}"), reason })
}
