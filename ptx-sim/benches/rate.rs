//! Operations per second of processor time, with all checks and without. Results are checked before a rate is printed; rates with
//! all checks that are too low are an error.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/gemm.rs"]
mod gemm;

use std::process::ExitCode;

use common::{alloc_f32, noise, read_f32};
use ptx_sim::{Launch, Memory, Module, Options, run};

/// M, N and K.
const SIZE: usize = 512;

/// GFLOP/s of a core that a program has to reach with all checks, so that kernels are tried out in seconds.
const LEAST: [f64; 2] = [1.0, 2.0];

fn main() -> ExitCode {
    let sgemm = include_str!("../tests/compiled/sgemm.ptx");
    let rates = [
        rate("sgemm, 8 x 8 sums a thread", sgemm, 128, 256, &[SIZE as u32; 3], 1e-5),
        rate("gemm, mma.sync tf32", &gemm::gemm_tf32(), 64, 128, &[SIZE as u32; 2], 2e-3),
    ];
    let mut status = ExitCode::SUCCESS;
    for ((name, rate), least) in rates.into_iter().zip(LEAST) {
        if rate < least {
            eprintln!("error: {name}: {rate:.2} GFLOP/s with all checks, less than {least}");
            status = ExitCode::FAILURE;
        }
    }
    status
}

/// Prints how fast a program runs; gives its name and its GFLOP/s with all checks.
fn rate<'n>(name: &'n str, text: &str, tile: usize, threads: u32, sizes: &[u32], tolerance: f64) -> (&'n str, f64) {
    let module = Module::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let kernel = module.kernels().next().expect("a kernel");
    let (a, b) = (noise(SIZE * SIZE, 1), noise(SIZE * SIZE, 2));
    let rates = [true, false].map(|checks| {
        let mut memory = Memory::new();
        let buffers = [alloc_f32(&mut memory, &a), alloc_f32(&mut memory, &b), memory.alloc(SIZE * SIZE * 4)];
        let mut params: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.to_le_bytes()).collect();
        params.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        let tiles = (SIZE / tile) as u32;
        let launch = Launch { grid: [tiles, tiles, 1], block: [threads, 1, 1], shared_bytes: 0, params };
        let options = Options { checks, ..Options::default() };
        let start = processor_seconds();
        let report = run(kernel, &launch, &mut memory, &options).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let seconds = processor_seconds() - start;
        check(name, &a, &b, &read_f32(&memory, buffers[2], SIZE * SIZE), tolerance);
        let rate = 2.0 * (SIZE as f64).powi(3) / seconds / 1e9;
        println!(
            "{name:<28} checks {checks:<5} {rate:>5.2} GFLOP/s {:>5.1} M warp instructions/s",
            report.warp_instructions as f64 / seconds / 1e6
        );
        rate
    });
    (name, rates[0])
}

/// Some rows against f64; the tolerance is per product of the sum, in the worst case.
fn check(name: &str, a: &[f32], b: &[f32], c: &[f32], tolerance: f64) {
    for row in (0..SIZE).step_by(61) {
        for column in 0..SIZE {
            let products = (0..SIZE).map(|k| f64::from(a[row * SIZE + k]) * f64::from(b[k * SIZE + column]));
            let error = (products.sum::<f64>() - f64::from(c[row * SIZE + column])).abs();
            assert!(error < tolerance * (SIZE as f64).sqrt(), "{name}: {error} at {row}, {column}");
        }
    }
}

/// Processor time of this thread, or wall time where the system does not tell.
fn processor_seconds() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: Option<f64> = times.split(' ').next().and_then(|time| time.parse().ok());
    let wall = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64());
    nanoseconds.map_or_else(wall, |time| time / 1e9)
}
