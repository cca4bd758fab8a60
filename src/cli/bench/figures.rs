//! What is told of a run: a row for every step, sums over kernels and phases.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::table::{Align, Table};
use crate::backend::step_check::StepError;
use crate::backend::{Rate, Roof};
use crate::graph::Precision;
use crate::program::{Phase, Program};

/// One step's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub step: usize,
    phase: &'static str,
    pub kernel: &'static str,
    pub label: String,
    /// Height, width and physical channels of the result.
    shape: [usize; 3],
    /// Shapes of input and result, and the window.
    pub what: String,
    pub error: f64,
    /// What the error may be, and in what share of marks.
    pub bound: f64,
    pub share: f64,
    pub passed: bool,
    #[serde(flatten)]
    pub rate: Rate,
}

/// Sums over the steps of one kernel or one phase.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Total {
    steps: usize,
    microseconds: f64,
    /// Of the time of all steps of a batch.
    share: f64,
    gflops: f64,
    gbytes: f64,
}

pub type Totals = BTreeMap<&'static str, Total>;

/// The rows of a program whose values are stored so, and whose steps were checked and took so many seconds.
pub fn rows(
    program: &Program,
    stored: Precision,
    errors: &[StepError],
    seconds: &[f64],
    roof: Option<&Roof>,
) -> Vec<Row> {
    let row = |(at, (error, seconds)): (usize, (&StepError, &f64))| {
        let step = &program.steps[at];
        let buffer = program.buffer(step.output);
        Row {
            step: at,
            phase: program.phase_of(at).name(),
            kernel: step.kernel.stem(),
            label: step.label.clone(),
            shape: [buffer.height, buffer.width, step.output.channels],
            what: program.shape(step),
            error: error.values.max(if error.marks > error.share { error.marks } else { 0.0 }),
            bound: error.bound,
            share: error.share,
            passed: error.passes(),
            rate: Rate::of(program, step, stored, *seconds, roof),
        }
    };
    errors.iter().zip(seconds).enumerate().map(row).collect()
}

/// Sums by kernel over what a batch takes, and by phase, of which the baselines' is no part of a batch.
pub fn totals(rows: &[Row]) -> [Totals; 2] {
    let before = rows.iter().take_while(|row| row.phase == Phase::Reference.name()).count();
    let of_batch = &rows[before..];
    let all = of_batch.iter().map(|row| row.rate.microseconds).sum();
    [sums(of_batch, all, |row| row.kernel), sums(rows, all, |row| row.phase)]
}

fn sums(rows: &[Row], all: f64, key: impl Fn(&Row) -> &'static str) -> Totals {
    let mut totals = Totals::new();
    for row in rows {
        let total = totals.entry(key(row)).or_default();
        total.steps += 1;
        let Rate { microseconds, gflops, gbytes, .. } = row.rate;
        total.microseconds += microseconds;
        total.gflops += gflops * microseconds;
        total.gbytes += gbytes * microseconds;
    }
    for total in totals.values_mut() {
        total.share = total.microseconds / all;
        total.gflops /= total.microseconds;
        total.gbytes /= total.microseconds;
    }
    totals
}

pub fn steps_table(rows: &[Row]) -> Vec<String> {
    let cells = |row: &Row| {
        let Rate { microseconds, gflops, gbytes, percent_of_roof } = row.rate;
        vec![
            row.step.to_string(),
            row.kernel.to_owned(),
            row.shape.map(|n| n.to_string()).join("x"),
            format!("{microseconds:.1}"),
            if gflops > 0.0 { format!("{gflops:.2}") } else { String::new() },
            format!("{gbytes:.2}"),
            percent_of_roof.map(|percent| format!("{percent:.0}%")).unwrap_or_default(),
            if row.passed { format!("{:.0e}", row.error) } else { "FAILED".to_owned() },
            row.label.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let right = |name| (name, Align::Right, 6);
    let numbers = [right("us"), right("GFLOP/s"), right("GB/s"), right("roof"), right("error")];
    let first = [("", Align::Right, 3), ("kernel", Align::Left, 6), ("result", Align::Left, 6)];
    let columns: Vec<_> = first.into_iter().chain(numbers).chain([("node", Align::Left, 4)]).collect();
    lines(&columns, &rows)
}

pub fn totals_table([kernels, phases]: &[Totals; 2]) -> Vec<String> {
    let cells = |(name, total): (&&str, &Total)| {
        vec![
            (*name).to_owned(),
            total.steps.to_string(),
            format!("{:.1}", total.microseconds),
            format!("{:.0}%", 100.0 * total.share),
            if total.gflops > 0.0 { format!("{:.1}", total.gflops) } else { String::new() },
            format!("{:.1}", total.gbytes),
        ]
    };
    let rows: Vec<Vec<String>> = kernels.iter().chain(phases).map(cells).collect();
    let right = |name| (name, Align::Right, 7);
    let numbers = [right("steps"), right("us"), right("share"), right("GFLOP/s"), right("GB/s")];
    let columns: Vec<_> = [("total", Align::Left, 5)].into_iter().chain(numbers).collect();
    lines(&columns, &rows)
}

fn lines(columns: &[(&'static str, Align, usize)], rows: &[Vec<String>]) -> Vec<String> {
    let table = Table::new(columns).fit(rows, 40);
    std::iter::once(table.header()).chain(rows.iter().map(|row| table.row(row))).collect()
}
