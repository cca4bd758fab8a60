//! The wgpu backend on an adapter of this machine: ports of every kind, nested in bigger buffers, slots full of not-a-number.

use std::time::Duration;

use fluoroscope::backend::{Backend, Phase};
use fluoroscope::graph::Precision;

use crate::bench::{SETTINGS, TOLERANCE};
use crate::cases::Case;
use crate::{by_cpu, cases, common, differs, each_case, same, the_batch_keeps_the_bits_of};

#[test]
fn the_wgpu_backend_agrees_with_the_formulas_and_leaves_no_poison() {
    let backend = common::wgpu().poisoned();
    each_case(&SETTINGS, |bench| bench.check(&bench.run(&backend, &bench.inputs), TOLERANCE, true));
}

#[test]
fn wgpu_gives_the_same_bits_twice_and_in_a_batch() {
    let backend = common::wgpu();
    cases::all().iter().for_each(|case| the_batch_keeps_the_bits_of(case, &backend));
    each_case(&SETTINGS[1..2], |bench| {
        let [once, again] = [(); 2].map(|()| bench.run(&backend, &bench.inputs).concat());
        if same(&once, &again) { vec![] } else { vec!["another run differs".to_owned()] }
    });
}

/// Subgroups, strips, textures and pairs serve the processor only, what hardware runs is shown here.
#[test]
fn kernels_for_hardware_agree_with_the_formulas_and_keep_their_bits() {
    let backend = common::wgpu().as_hardware().poisoned();
    each_case(&SETTINGS[2..3], |bench| bench.check(&bench.run(&backend, &bench.inputs), TOLERANCE, true));
    let has_own = |case: &Case| {
        let stem = case.bench(SETTINGS[0]).stem();
        stem.starts_with("conv2d") || stem.starts_with("depthwise")
    };
    cases::all().iter().filter(|case| has_own(case)).for_each(|case| the_batch_keeps_the_bits_of(case, &backend));
}

/// Where the adapter has no type for it, f32 takes its place, as that of bf16 everywhere.
#[test]
fn the_wgpu_backend_stores_halves() {
    let backend = common::wgpu().poisoned();
    let stores_f16 = backend.adapter().stores_f16;
    for (precision, every) in [(Precision::F16, 3), (Precision::Bf16, 7)] {
        let check = |case: &Case| {
            let mut bench = case.bench_in(SETTINGS[1], precision);
            if !stores_f16 {
                bench.largest = f64::INFINITY;
            }
            let found = bench.check(&bench.run(&backend, &bench.inputs), bench.tolerance(), true);
            found.into_iter().map(|text| format!("{}: {text}", case.name)).collect::<Vec<_>>()
        };
        let found: Vec<String> = cases::all().iter().step_by(every).flat_map(check).collect();
        let shown = found.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(found.is_empty(), "{} complaints in {precision}\n{shown}", found.len());

        let bytes = [precision, Precision::F32].map(|stored| {
            let program = cases::all()[0].bench_in(SETTINGS[1], stored).program();
            backend.load(program).expect("loads").slot_bytes()
        });
        let is_half = precision == Precision::F16 && stores_f16;
        assert_eq!(bytes[0] < bytes[1], is_half, "{precision}: {bytes:?} bytes");
    }
}

/// WGSL lets an implementation assume that there are neither infinities nor what is not a number, and hardware's do: `max(NaN, 0)` is
/// 0 on NVIDIA's. What is finite all the same counts there.
#[test]
fn wgpu_treats_special_values_as_the_cpu_does() {
    let backend = common::wgpu();
    let promised: fn(f64) -> bool = if backend.adapter().is_software { |_| true } else { f64::is_finite };
    let one = |case: &Case| {
        let (bench, want) = by_cpu(case)?;
        let said = differs(&bench, &want, &backend, promised)?;
        Some(format!("{}: {said}", case.name))
    };
    let found: Vec<String> = cases::all().iter().filter_map(one).collect();
    assert!(found.is_empty(), "{} complaints\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_wgpu_session_times_every_step_and_counts_values() {
    let backend = common::wgpu();
    let bench = cases::all()[0].bench(SETTINGS[0]);
    let mut session = backend.load(bench.program()).expect("loads");
    for entry in &bench.inputs {
        session.write(&entry.port, &entry.values.data).expect("as many values as the port takes");
    }
    let mut times = Vec::new();
    session.run(Phase::Forward, Some(&mut times)).expect("runs");
    session.run(Phase::Backward, Some(&mut times)).expect("runs nothing");
    assert!(times.len() == 1 && times[0] > Duration::ZERO, "{times:?}");
    assert!(session.slot_bytes() >= session.program().slot_bytes(4));
    let port = bench.expected[0].port.clone();
    let error = session.write(&port, &[1.0; 3]).expect_err("one value is wanted").to_string();
    assert!(error.contains("takes 1 values, got 3"), "{error}");
}

#[test]
fn the_probes_of_wgpu_are_right_and_its_roof_is_found() {
    let roof = common::wgpu().roof().expect("no probe is wrong").expect("the backend has probes");
    assert!(roof.gflops > 0.0 && roof.gbytes > 0.0 && roof.matrix_gflops.is_empty(), "{roof:?}");
    println!("{roof:?}");
}
