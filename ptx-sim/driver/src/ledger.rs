//! What kernels did in this process, and the report of it: a JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use ptx_sim::{Kernel, Report};

use crate::driver::Driver;

/// Calls of the process that did what they were to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub modules: u64,
    pub captures: u64,
    pub instantiations: u64,
    pub graph_launches: u64,
}

/// By hash of the text and name.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<(u64, String), Entry>);

#[derive(Debug, Default)]
struct Entry {
    launches: u64,
    time: Duration,
    report: Report,
    /// Those that hold instructions.
    lines: BTreeSet<u32>,
}

impl Ledger {
    /// Notes a kernel that was loaded, so that one that never runs is reported too.
    pub fn know(&mut self, hash: u64, kernel: &Kernel) {
        let entry = self.0.entry((hash, kernel.name().to_owned())).or_default();
        entry.lines.extend(kernel.instruction_lines());
    }

    pub fn add(&mut self, hash: u64, kernel: &str, report: &Report, time: Duration) {
        let entry = self.0.entry((hash, kernel.to_owned())).or_default();
        entry.launches += 1;
        entry.time += time;
        entry.report.merge(report);
    }

    fn json_lines(&self) -> String {
        let mut text = String::new();
        for ((hash, kernel), entry) in &self.0 {
            let Entry { launches, time, report, lines } = entry;
            let ran = |line: &&u32| report.lines.get(line).is_some_and(|report| report.executed > 0);
            let (executed, unexecuted): (Vec<&u32>, Vec<&u32>) = lines.iter().partition(ran);
            let total = report.total();
            // Names of kernels are identifiers, which need no escapes. Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{{\"kind\":\"kernel\",\"kernel\":\"{kernel}\",\"text\":\"{hash:016x}\",\"launches\":{launches},\
                 \"seconds\":{:.6},\"warp_instructions\":{},\"thread_instructions\":{},\"executed_lines\":{executed:?},\
                 \"unexecuted_lines\":{unexecuted:?},\"requests\":{},\"sectors\":{},\"ideal_sectors\":{},\
                 \"shared_accesses\":{},\"shared_waves\":{},\"ideal_shared_waves\":{}}}",
                time.as_secs_f64(),
                report.warp_instructions,
                report.thread_instructions,
                total.requests,
                total.sectors,
                total.ideal_sectors,
                total.shared_accesses,
                total.shared_waves,
                total.ideal_shared_waves,
            );
        }
        text
    }
}

impl Driver {
    /// Appends what happened since the last report to the file that the knob names.
    pub fn write_report(&mut self) {
        let Some(path) = &self.knobs.report else { return };
        let Counts { modules, captures, instantiations, graph_launches } = self.counts;
        let mut text = self.ledger.json_lines();
        for (device, usage) in self.memory.usage.iter().enumerate().filter(|(_, usage)| usage.allocations > 0) {
            let _ = writeln!(
                text,
                "{{\"kind\":\"device\",\"device\":{device},\"process\":{},\"allocations\":{},\"pinned_allocations\":{},\
                 \"peak_bytes\":{},\"busy_streams\":{},\"live_bytes\":{},\"launches\":{},\
                 \"modules\":{modules},\"captures\":{captures},\"instantiations\":{instantiations},\
                 \"graph_launches\":{graph_launches}}}",
                std::process::id(),
                usage.allocations,
                self.pinned.allocations,
                usage.peak,
                self.busy_streams,
                usage.used,
                self.launches,
            );
        }
        self.ledger = Ledger::default();
        if text.is_empty() {
            return;
        }
        // One write, so that processes that share the file do not mix their lines.
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())) {
            eprintln!("ptx-sim: {}: {error}", path.display());
        }
    }
}
