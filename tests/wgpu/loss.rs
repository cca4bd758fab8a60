//! A device that is lost: it is opened anew once, and the batch computed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::backend::{Backend, BackendError, Session};
use fluoroscope::explain::ExplainError;
use fluoroscope::program::Program;

use crate::{golden, maps, maps_by, opened};

/// A backend whose device is destroyed after each of its first loads.
struct Doomed {
    backend: Arc<WgpuBackend>,
    losses: AtomicUsize,
}

impl Backend for Doomed {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn device(&self) -> String {
        Backend::device(&*self.backend)
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        let session = self.backend.load(program)?;
        let less = |losses: usize| losses.checked_sub(1);
        if self.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            self.backend.destroy();
        }
        Ok(session)
    }

    fn reopen(&self) -> bool {
        self.backend.reopen()
    }
}

#[test]
fn a_lost_device_is_opened_anew_once_for_a_batch() {
    let model = golden("plain");
    let backend = opened(WgpuOptions::default());
    let whole = maps(&model, &backend, 4, 2).expect("maps");
    let doomed = |losses: usize| {
        let backend = Box::new(Doomed { backend: opened(WgpuOptions::default()), losses: losses.into() });
        maps_by(&model, backend, &crate::METHODS, 4, 2)
    };
    assert!(doomed(1).expect("maps after a loss") == whole);
    match doomed(2) {
        Err(ExplainError::Backend(error @ BackendError::DeviceLost { .. })) => {
            assert!(error.to_string().contains("run again, and where it stops again use --backend cpu"), "{error}");
        }
        other => panic!("two losses end a batch, not {:?}", other.map(|maps| maps.len())),
    }
}

#[test]
fn a_device_destroyed_at_any_moment_costs_no_map() {
    let model = golden("plain");
    let backend = opened(WgpuOptions::default());
    let whole = maps(&model, &backend, 8, 1).expect("maps");
    for moment in 0..25 {
        // A fast device was destroyed when the maps were there already.
        assert!(maps(&model, &backend, 8, 1).expect("maps of a device opened anew") == whole);
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(3 * moment));
                backend.destroy();
            });
            maps(&model, &backend, 8, 1)
        });
        assert!(found.expect("maps in spite of a loss") == whole, "destroyed after {} ms", 3 * moment);
    }
}
