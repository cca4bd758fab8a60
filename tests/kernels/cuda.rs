//! The CUDA backend on the stand-in driver: ports of every kind, nested in bigger buffers, slots full of not-a-number.

use fluoroscope::backend::Backend;
use fluoroscope::backend::cuda::CudaBackend;

use crate::{build, cases, each_case};

#[test]
fn the_cuda_backend_agrees_with_the_formulas_and_leaves_no_poison() {
    ptx_sim_driver::preload().unwrap_or_else(|error| panic!("{error}"));
    let backend = CudaBackend::new(0).expect("the stand-in driver has a device").poisoned();
    each_case(|bench| bench.check(&bench.run(&backend, &bench.inputs), 2e-5, true));

    // With times, steps are launched one by one, and a port takes as many values as it says.
    let bench = build(&cases::all()[0], crate::SETTINGS[0]);
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
