//! Threads that draw and write the maps of sources that are complete.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use super::results::Results;
use crate::cli::interrupt;
use crate::cli::outputs::{Explained, Names, Writer};
use crate::cli::priority::give_way;

/// A source of which all maps are there.
pub struct Job {
    pub source: usize,
    pub images: Vec<Explained>,
    pub names: Names,
}

/// Starts so many threads, which end after the last job; as many jobs as there are threads wait for one.
pub fn start<'s>(
    scope: &'s Scope<'s, '_>,
    threads: usize,
    writer: &'s Writer,
    results: &'s Results,
) -> SyncSender<Job> {
    let (jobs, todo) = sync_channel(threads);
    let todo = Arc::new(Mutex::new(todo));
    for _ in 0..threads {
        let todo = Arc::clone(&todo);
        scope.spawn(move || {
            give_way();
            let take = || todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(job) = take() {
                encode(writer, results, &job);
            }
        });
    }
    jobs
}

fn encode(writer: &Writer, results: &Results, Job { source, images, names }: &Job) {
    let _whole = interrupt::writing();
    match writer.write(results.file(*source), images, names) {
        Ok(written) => {
            let files: HashSet<&PathBuf> = names.iter().flatten().flatten().collect();
            interrupt::count(files.len());
            results.written(*source, images, &written);
        }
        Err(failure) => results.failed(*source, vec![failure]),
    }
}
