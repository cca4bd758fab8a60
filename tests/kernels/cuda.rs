//! The CUDA backend on the stand-in driver: ports of every kind, nested in bigger buffers, slots full of not-a-number.

use std::path::Path;

use fluoroscope::backend::Backend;
use fluoroscope::backend::cuda::{CudaBackend, probe};
use fluoroscope::graph::Precision;

use crate::bench::{SETTINGS, TOLERANCE};
use crate::{cases, common, each_case, records};

pub fn backend() -> CudaBackend {
    common::load_driver();
    CudaBackend::new(0).expect("the driver has a device").poisoned()
}

#[test]
fn the_cuda_backend_agrees_with_the_formulas_and_leaves_no_poison() {
    let backend = backend();
    each_case(&SETTINGS, |bench| bench.check(&bench.run(&backend, &bench.inputs), TOLERANCE, true));
    if let Some(folder) = std::env::var_os("FLUOROSCOPE_TEST_RECORDS") {
        let driver = probe().expect("a driver");
        println!("{}", records::write(Path::new(&folder), &cases::all(), self::backend, &driver).display());
    }

    // With times, steps are launched one by one, and a port takes as many values as it says.
    let bench = cases::all()[0].bench(SETTINGS[0]);
    let mut session = backend.load(bench.program()).expect("loads");
    for entry in &bench.inputs {
        session.write(&entry.port, &entry.values.data).expect("as many values as the port takes");
    }
    let mut times = Vec::new();
    session.run(fluoroscope::backend::Phase::Forward, Some(&mut times)).expect("runs");
    session.run(fluoroscope::backend::Phase::Backward, Some(&mut times)).expect("runs nothing");
    assert_eq!(times.len(), 1);
    assert!(session.slot_bytes() >= session.program().slot_bytes(4));
    let port = bench.expected[0].port.clone();
    let error = session.write(&port, &[1.0; 3]).expect_err("one value is wanted").to_string();
    assert!(error.contains("takes 1 values, got 3"), "{error}");
}

#[test]
fn the_cuda_backend_stores_halves() {
    let backend = backend();
    for precision in [Precision::F16, Precision::Bf16] {
        for case in cases::all().iter().step_by(5) {
            let bench = case.bench_in(SETTINGS[1], precision);
            let found = bench.check(&bench.run(&backend, &bench.inputs), bench.tolerance(), true);
            assert!(found.is_empty(), "{} in {precision}: {found:?}", case.name);
        }
    }
}

#[test]
fn the_probes_are_right_and_every_roof_is_found() {
    let roof = backend().roof().expect("no probe is wrong").expect("the backend has probes");
    assert!(roof.gflops > 0.0 && roof.gbytes > 0.0, "{roof:?}");
    let has_matrix_units = probe().expect("a driver").devices[0].capability >= [8, 0];
    let matrix: &[&str] = if has_matrix_units { &["bf16", "f16", "tf32"] } else { &[] };
    assert_eq!(roof.matrix_gflops.keys().copied().collect::<Vec<_>>(), matrix);
    assert!(roof.matrix_gflops.values().all(|gflops| *gflops > 0.0), "{roof:?}");
}
