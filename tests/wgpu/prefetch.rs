//! What is read is what was there when its way back began, and never what a later run or write has replaced.

use std::sync::Arc;

use fluoroscope::backend::wgpu::WgpuOptions;
use fluoroscope::backend::{Backend, Phase, Session};
use fluoroscope::method::MethodChoice;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

use super::{golden, images, opened};

/// Logits and the map of an image, prefetched or not.
fn run(session: &mut dyn Session, program: &Program, images: &[f64], prefetches: bool) -> [Vec<f64>; 2] {
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

#[test]
fn what_is_prefetched_is_what_would_be_read() {
    let model = golden("plain");
    let choice: MethodChoice = "gradient".parse().expect("a method");
    let pass = Pass::of(choice.method, None);
    let program = plan(&model.graph, &[pass], &RuleOptions::default(), Batch::of(1)).expect("a program");
    let program = Arc::new(program);
    let backend = opened(WgpuOptions::default());
    let mut session = backend.load(Arc::clone(&program)).expect("a session");
    let (shape, pictures) = (model.input(), images(&model, 2));
    let image = |i: usize| -> Vec<f64> {
        pictures.data[i * shape.len()..(i + 1) * shape.len()].iter().map(|v| f64::from(*v)).collect()
    };
    let wanted = [0, 1].map(|i| run(session.as_mut(), &program, &image(i), false));
    assert_ne!(wanted[0], wanted[1]);
    for i in [0, 1, 0] {
        assert_eq!(run(session.as_mut(), &program, &image(i), true), wanted[i]);
    }

    // Prefetched and not read: another image replaces it, and a port that is written is what was written.
    session.prefetch(&[program.logits.clone(), program.input.clone()]).expect("prefetched");
    assert_eq!(run(session.as_mut(), &program, &image(1), false), wanted[1]);
    assert_eq!(session.read(&program.input).expect("the image"), image(1));

    // While one session's values are on their way, another computes.
    let mut other = backend.load(Arc::clone(&program)).expect("a second session");
    let ports = [program.logits.clone(), program.outputs[0].clone()];
    session.prefetch(&ports).expect("prefetched");
    assert_eq!(run(other.as_mut(), &program, &image(0), true), wanted[0]);
    assert_eq!(ports.map(|port| session.read(&port).expect("values")), wanted[1]);
}
