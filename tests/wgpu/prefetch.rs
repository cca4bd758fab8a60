//! What is read is what was there when its way back began, and never what a later run or write has replaced.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fluoroscope::backend::wgpu::WgpuOptions;
use fluoroscope::backend::{Phase, Session};
use fluoroscope::method::MethodChoice;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::rule::RuleOptions;

use super::prefetched::{check, run};
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

#[test]
fn what_is_prefetched_is_what_would_be_read() {
    check(&golden("plain"), &opened(WgpuOptions::default()));
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
