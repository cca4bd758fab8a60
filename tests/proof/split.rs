//! Filters in parts: the same maps, whatever fits into a kernel.

use std::sync::Arc;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::step_check::fill;
use fluoroscope::backend::{Backend, Phase};
use fluoroscope::graph::Precision;
use fluoroscope::plan::{Batch, plan};
use fluoroscope::program::{Program, Weight, split};
use fluoroscope::rule::RuleOptions;

use crate::nets::golden;
use crate::run::{distance, pass, peak};

const METHODS: [&str; 6] = ["gradient", "guided-backprop", "grad-cam", "lrp-epsilon", "lrp-zplus", "deeplift"];

/// Logits, maps and audits of a program.
fn results(program: &Program) -> Vec<Vec<f64>> {
    let backend = CpuBackend::new(Precision::F64, Some(1)).expect("a backend").poisoned();
    let mut session = backend.load(Arc::new(program.clone())).expect("a session");
    fill(session.as_mut()).expect("inputs fit");
    // A second batch finds what the baseline left.
    for phase in [Phase::Reference, Phase::Forward, Phase::Backward, Phase::Forward, Phase::Backward] {
        session.run(phase, None).expect("a pass");
    }
    let ports = std::iter::once(&program.logits).chain(&program.outputs).chain(program.audits.iter().flatten());
    ports.map(|port| session.read(port).expect("a port")).collect()
}

fn largest_filter(program: &Program) -> usize {
    let filters = program.steps.iter().filter_map(|step| step.weights.first());
    filters.map(Weight::physical).max().unwrap_or(0)
}

/// Whether a buffer has a slot of its own, so that it can be read at the end.
fn is_alone(program: &Program, buffer: usize) -> bool {
    let slots = &program.slots.of;
    slots[buffer].is_some() && slots.iter().filter(|slot| **slot == slots[buffer]).count() == 1
}

#[test]
fn filters_in_parts_give_the_same_maps() {
    let mut most_parts = 0;
    for net in ["vgg", "resnet", "densenet", "gated", "decoder", "odd-convs"] {
        let model = golden(net, Precision::F64);
        let passes = METHODS.map(pass);
        let batch = Batch { messages_per_image: 2, ..Batch::of(2) };
        let program = plan(&model.graph, &passes, &RuleOptions::default(), batch).expect("a program");
        let whole = results(&program);
        let largest = largest_filter(&program);
        assert!(split(&program, largest).is_none(), "{net}: every filter fits");
        for parts in [2, 3, 7, 50] {
            let Some(split) = split(&program, largest / parts) else { continue };
            assert_eq!(split.steps.len(), program.steps.len());
            assert_eq!(split.steps.iter().sum::<usize>(), split.program.steps.len());
            let stays = |buffer| !is_alone(&program, buffer) || is_alone(&split.program, buffer);
            assert!((0..program.buffers.len()).all(stays), "{net}: slots are shared anew");
            most_parts = most_parts.max(split.steps.iter().copied().max().unwrap_or(0));
            for (found, whole) in results(&split.program).iter().zip(&whole) {
                let apart = distance(found, whole);
                assert!(apart <= 1e-12 * peak(whole), "{net}, {parts} parts: {apart:e} of {:e}", peak(whole));
            }
        }
    }
    assert!(most_parts >= 4, "a filter is in {most_parts} parts at most");
}
