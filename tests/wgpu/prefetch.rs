//! What is read is what was there when its way back began, and never what a later run or write has replaced.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fluoroscope::backend::wgpu::WgpuOptions;
use fluoroscope::backend::{Backend, Phase, Session};
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::RuleOptions;

use super::{golden, images, opened};

/// The result of a future that waits for no device.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

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

#[test]
fn what_is_prefetched_is_what_would_be_read() {
    let model = golden("plain");
    let program = gradient(&model);
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

#[test]
fn a_copy_is_void_once_what_it_was_of_is_replaced() {
    let model = golden("plain");
    // Both maps are the same messages, in one buffer.
    let passes = ["saliency", "gradient"].map(|name| {
        let choice: MethodChoice = name.parse().expect("a method");
        Pass::of(choice.method, None)
    });
    let program = plan(&model.graph, &passes, &RuleOptions::default(), Batch::of(1)).expect("a program");
    let backend = opened(WgpuOptions::default());
    let mut session = ready(backend.session(Arc::new(program.clone()))).expect("a session");
    let image: Vec<f64> = images(&model, 1).data.iter().map(|v| f64::from(*v)).collect();
    let [map, same] = [&program.outputs[0], &program.outputs[1]];
    assert_eq!(map.view, same.view);
    let want = run(&mut session, &program, &image, false);
    assert!(!session.is_fetched(map) && !session.is_fetched(&program.logits));
    session.prefetch(&[map.clone(), same.clone(), program.logits.clone()]).expect("prefetched");
    for port in [map, same, map] {
        assert!(session.is_fetched(port), "a copy may be read more than once");
        assert_eq!(session.read(port).expect("a map"), want[1]);
    }
    session.run(Phase::Backward, None).expect("backward");
    assert!(!session.is_fetched(map) && session.is_fetched(&program.logits), "logits are of the forward part");
    session.run(Phase::Forward, None).expect("forward");
    assert!(!session.is_fetched(&program.logits));
    ready(session.fetch(std::slice::from_ref(&program.input))).expect("prefetched");
    assert!(session.is_fetched(&program.input));
    session.write(&program.input, &image).expect("an image");
    assert!(!session.is_fetched(&program.input));
}
