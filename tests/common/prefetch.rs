//! What is prefetched is what would be read.

use std::sync::Arc;

use fluoroscope::backend::{Backend, Phase, Session};
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

/// The gradient of one image.
pub fn gradient(model: &Model) -> Arc<Program> {
    let choice: MethodChoice = "gradient".parse().expect("a method");
    let pass = Pass::of(choice.method, None);
    Arc::new(plan(&model.graph, &[pass], &RuleOptions::default(), Batch::of(1)).expect("a program"))
}

/// Logits and the map of an image, prefetched or not.
pub fn run(session: &mut dyn Session, program: &Program, images: &[f64], prefetches: bool) -> [Vec<f64>; 2] {
    let ports = [program.logits.clone(), program.outputs[0].clone()];
    let seeds = program.seeds.as_ref().expect("a program with a way back");
    session.write(&program.input, images).expect("an image");
    session.run(Phase::Forward, None).expect("forward");
    let one_hot: Vec<f64> = (0..program.logits.len()).map(|class| f64::from(u8::from(class == 0))).collect();
    session.write(seeds, &one_hot).expect("seeds");
    session.run(Phase::Backward, None).expect("backward");
    if prefetches {
        session.prefetch(&ports).expect("prefetched");
    }
    ports.map(|port| session.read(&port).expect("values"))
}

/// Reads from sessions of a backend, with and without.
pub fn check(model: &Model, backend: &dyn Backend) {
    let program = gradient(model);
    let mut session = backend.load(Arc::clone(&program)).expect("a session");
    let len = model.input().len();
    let image =
        |i: usize| -> Vec<f64> { (i * len..(i + 1) * len).map(|i| f64::from((i as f32 * 0.37).sin())).collect() };
    let wanted = [0, 1].map(|i| run(session.as_mut(), &program, &image(i), false));
    assert_ne!(wanted[0], wanted[1]);
    for i in [0, 1, 0] {
        assert_eq!(run(session.as_mut(), &program, &image(i), true), wanted[i]);
    }

    // Prefetched and not read: another image replaces it, and a port that is written is what was written.
    for _ in 0..2 {
        session.prefetch(&[program.logits.clone(), program.input.clone()]).expect("prefetched");
    }
    assert_eq!(run(session.as_mut(), &program, &image(1), false), wanted[1]);
    assert_eq!(session.read(&program.input).expect("the image"), image(1));

    // While one session's values are on their way, another computes.
    let mut other = backend.load(Arc::clone(&program)).expect("a second session");
    let ports = [program.logits.clone(), program.outputs[0].clone()];
    session.prefetch(&ports).expect("prefetched");
    assert_eq!(run(other.as_mut(), &program, &image(0), true), wanted[0]);
    assert_eq!(ports.map(|port| session.read(&port).expect("values")), wanted[1]);
}
