//! Ctrl-C: what is being computed gets a moment to finish, then it is dropped. Files are whole either way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use super::failure::{Failure, INTERRUPTED};

/// What batches get to finish.
const PATIENCE: Duration = Duration::from_secs(2);

static ASKED: AtomicBool = AtomicBool::new(false);
static FILES: AtomicUsize = AtomicUsize::new(0);
static WRITING: RwLock<()> = RwLock::new(());

/// Listens from now on; `folder` is where results go.
pub fn listen(folder: String) {
    let asked = move || {
        if !ASKED.swap(true, Ordering::SeqCst) {
            std::thread::sleep(PATIENCE);
        }
        let _nobody_writes = WRITING.write().unwrap_or_else(PoisonError::into_inner);
        eprintln!("\nerror: {}", failure(&folder).message);
        std::process::exit(i32::from(INTERRUPTED));
    };
    // A handler that is there already (a library's user has one) keeps its place.
    _ = ctrlc::set_handler(asked);
}

/// Stop as soon as what is computed is written.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Held by each thread while it writes files: the process does not end half-way.
pub fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Counts written files.
pub fn count(files: usize) {
    FILES.fetch_add(files, Ordering::SeqCst);
}

/// Files written so far.
pub fn written() -> usize {
    FILES.load(Ordering::SeqCst)
}

/// What is said at the end of an interrupted run.
pub fn failure(folder: &str) -> Failure {
    let files = written();
    Failure { code: INTERRUPTED, message: format!("interrupted: {files} files are written to {folder}"), hint: None }
}
