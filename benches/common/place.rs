//! What the benchmarks run on.

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::cuda::{self, CudaBackend};
use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::backend::{Backend, BackendError};
use fluoroscope::graph::Precision;

/// `FLUOROSCOPE_BACKEND`: cpu, with so many threads, or the first device of cuda or wgpu; without it, cpu.
pub fn backend(threads: Option<usize>) -> Box<dyn Backend> {
    let name = std::env::var("FLUOROSCOPE_BACKEND").unwrap_or_else(|_| "cpu".to_owned());
    let started: Result<Box<dyn Backend>, BackendError> = match name.as_str() {
        "cpu" => CpuBackend::new(Precision::F32, threads).map(|backend| Box::new(backend) as _),
        "cuda" => {
            cuda::first().map_err(BackendError::from).and_then(CudaBackend::new).map(|backend| Box::new(backend) as _)
        }
        "wgpu" => WgpuBackend::new(WgpuOptions::default()).map(|backend| Box::new(backend) as _),
        other => fail(&format!("FLUOROSCOPE_BACKEND={other}: give cpu, cuda or wgpu")),
    };
    started.unwrap_or_else(|error| fail(&error.to_string()))
}

pub fn fail(reason: &str) -> ! {
    eprintln!("error: {reason}");
    std::process::exit(2);
}
