//! How often the device is sent work, as it counts that.

use std::sync::Arc;

use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::backend::{Backend, Phase};

use super::{common, golden, images, maps_by, opened, prefetched};

/// Backends with the kernels of the adapter, and with those for hardware.
fn backends() -> [(&'static str, Arc<WgpuBackend>); 2] {
    let options = WgpuOptions { adapter: common::adapter(), ..WgpuOptions::default() };
    let as_hardware = WgpuBackend::new(options).expect("an adapter").as_hardware();
    [("the adapter", opened(WgpuOptions::default())), ("hardware", Arc::new(as_hardware))]
}

#[test]
fn a_part_of_a_program_and_what_is_read_are_sent_once() {
    let model = golden("plain");
    let program = prefetched::gradient(&model);
    let image: Vec<f64> = images(&model, 1).data.iter().map(|v| f64::from(*v)).collect();
    for (name, backend) in backends() {
        let mut session = backend.load(Arc::clone(&program)).expect("a session");
        let before = backend.submissions();
        prefetched::run(&mut *session, &program, &image, false);
        assert_eq!(backend.submissions() - before, 4, "{name}: forward, backward, logits, a map");
        prefetched::run(&mut *session, &program, &image, true);
        assert_eq!(backend.submissions() - before, 8, "{name}: the same, sent early");
        session.run(Phase::Reference, None).expect("nothing to run");
        assert_eq!(backend.submissions() - before, 8, "{name}: a part without steps");
    }
}

/// Of a batch: forward, backward, and what is read: logits of the images and of the baseline, two maps, the sums of one. A session's
/// baseline goes through the network once.
#[test]
fn a_batch_is_sent_by_parts_whatever_their_number() {
    let (model, methods) = (golden("plain"), ["gradient", "deeplift"]);
    for (name, backend) in backends() {
        for batches in [1, 4, 8] {
            let before = backend.submissions();
            maps_by(&model, Box::new(Arc::clone(&backend)), &methods, 2 * batches, 2).expect("maps");
            let sessions = backend.sessions_in_flight().min(batches);
            assert_eq!(backend.submissions() - before, sessions + 7 * batches, "{name}: {batches} batches");
        }
    }
}
