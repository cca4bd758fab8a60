//! What this machine can do at most: arithmetic and memory traffic, measured.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use super::simd::widest;
use crate::backend::Roof;

/// Attempts of which the best counts.
const ATTEMPTS: usize = 5;
/// Accumulators of one thread: enough to hide the latency of the widest vectors.
const LANES: usize = 16;
const CHAINS: usize = 12;
const ROUNDS: usize = 1_000_000;
/// Floats that one thread copies: beyond every cache.
const COPIED: usize = 8 << 20;

/// Measures with so many threads.
pub fn measure(threads: usize) -> Roof {
    let operations = (2 * LANES * CHAINS * ROUNDS * threads) as f64;
    let bytes = (2 * 4 * COPIED * threads) as f64;
    let fused = best(threads, || (), |()| _ = black_box(multiply_adds(black_box(1.000_000_1))));
    let copied = best(
        threads,
        || (vec![1f32; COPIED], vec![0f32; COPIED]),
        |(from, to)| {
            to.copy_from_slice(from);
            black_box(to);
        },
    );
    Roof { gflops: operations / fused / 1e9, gbytes: bytes / copied / 1e9, matrix_gflops: BTreeMap::new() }
}

/// Seconds of the fastest attempt of all threads together.
fn best<S: Send>(threads: usize, make: impl Fn() -> S + Sync, work: impl Fn(&mut S) + Sync) -> f64 {
    let mut states: Vec<S> = (0..threads).map(|_| make()).collect();
    let mut attempt = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for state in &mut states {
                scope.spawn(|| work(state));
            }
        });
        start.elapsed().as_secs_f64()
    };
    (0..ATTEMPTS).map(|_| attempt()).fold(f64::INFINITY, f64::min)
}

/// `CHAINS` times `LANES` accumulators, each multiplied and added to `ROUNDS` times.
fn multiply_adds(factor: f32) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just detected.
        return unsafe { multiply_adds_avx512(factor) };
    }
    widest(
        #[inline(always)]
        || {
            let mut sums = [[1.0f32; LANES]; CHAINS];
            for _ in 0..ROUNDS {
                for chain in &mut sums {
                    for value in chain {
                        *value = value.mul_add(factor, 1e-9);
                    }
                }
            }
            sums.iter().flatten().sum()
        },
    )
}

/// The same with the accumulators in registers for certain.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_adds_avx512(factor: f32) -> f32 {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};
    let (factor, term) = (_mm512_set1_ps(factor), _mm512_set1_ps(1e-9));
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    let total = sums.into_iter().fold(_mm512_set1_ps(0.0), |total, sum| _mm512_add_ps(total, sum));
    _mm512_reduce_add_ps(total)
}
