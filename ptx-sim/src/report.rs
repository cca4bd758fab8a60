//! What a launch did, line by line.

use std::collections::BTreeMap;

/// What the instructions of a line did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineReport {
    /// Warp instructions.
    pub executed: u64,
    /// Accesses of warps to global memory.
    pub requests: u64,
    /// Sectors of 32 bytes that they touched.
    pub sectors: u64,
    /// Sectors that hold the bytes of all lanes, were they neighbours.
    pub ideal_sectors: u64,
    /// Accesses of warps to shared memory.
    pub shared_accesses: u64,
    /// Cycles that the 32 banks need for them.
    pub shared_waves: u64,
    /// Cycles without a conflict between lanes.
    pub ideal_shared_waves: u64,
}

impl LineReport {
    fn add(&mut self, other: &LineReport) {
        self.executed += other.executed;
        self.requests += other.requests;
        self.sectors += other.sectors;
        self.ideal_sectors += other.ideal_sectors;
        self.shared_accesses += other.shared_accesses;
        self.shared_waves += other.shared_waves;
        self.ideal_shared_waves += other.ideal_shared_waves;
    }
}

/// What a launch did. Reports of several launches of one text can be merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each line that holds an instruction, executed or not; from 1.
    pub lines: BTreeMap<u32, LineReport>,
    /// Warp instructions.
    pub warp_instructions: u64,
    /// Instructions of threads.
    pub thread_instructions: u64,
}

impl Report {
    /// Adds another report of the same text.
    pub fn merge(&mut self, other: &Report) {
        for (line, report) in &other.lines {
            self.lines.entry(*line).or_default().add(report);
        }
        self.warp_instructions += other.warp_instructions;
        self.thread_instructions += other.thread_instructions;
    }

    /// The sum of all lines.
    pub fn total(&self) -> LineReport {
        self.lines.values().fold(LineReport::default(), |mut total, line| {
            total.add(line);
            total
        })
    }

    /// Executed lines per line with an instruction; 1 of a kernel without any.
    pub fn coverage(&self) -> f64 {
        if self.lines.is_empty() {
            return 1.0;
        }
        1.0 - self.unexecuted().count() as f64 / self.lines.len() as f64
    }

    /// Lines whose instructions were never executed.
    pub fn unexecuted(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().filter(|(_, report)| report.executed == 0).map(|(line, _)| *line)
    }

    /// Adds a line's report, and its instructions to the sum.
    pub(crate) fn record(&mut self, line: u32, report: &LineReport) {
        self.lines.entry(line).or_default().add(report);
        self.warp_instructions += report.executed;
    }
}
