//! `fluoroscope bench`: every step of a method's program, checked, then timed; on the CPU against the roof
//! of this machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::args::BenchArgs;
use super::console::Console;
use super::engine;
use super::failure::{BACKEND, DONE, Failure, INPUT};
use super::options::{method, place};
use super::roof::Roof;
use super::step_check::{self, SHARE, StepError};
use super::table::{Align, Table};
use crate::backend::{Backend, BackendError, Phase, Session};
use crate::onnx::ImportOptions;
use crate::plan::Batch;
use crate::program::{Arrangement, Kernel, Program, Step, View, Weight, slots};
use crate::rule::RuleOptions;

/// One step's figures.
#[derive(Clone, Debug, Serialize)]
struct Row {
    step: usize,
    phase: &'static str,
    kernel: &'static str,
    label: String,
    /// Height, width and physical channels of the result.
    shape: [usize; 3],
    error: f64,
    /// What the error may be.
    bound: f64,
    passed: bool,
    microseconds: f64,
    gflops: f64,
    gbytes: f64,
    /// Where the roof is known.
    percent_of_roof: Option<f64>,
}

/// Sums over the steps of one kernel or one phase.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Total {
    steps: usize,
    microseconds: f64,
    gflops: f64,
    gbytes: f64,
}

/// Plans, checks and times.
pub fn run(args: &BenchArgs, console: &mut Console) -> Result<u8, Failure> {
    let choice = method(&args.method)?;
    let BenchArgs { batch, repeats, .. } = *args;
    let place = place(&args.place)?;
    let model = engine::model(&args.model, ImportOptions::default(), console)?;
    let (layer, rules) = (engine::layer(&model, None)?, RuleOptions::default());
    let program = engine::plan(&model, &[choice], layer, &rules, Batch::of(batch))?;

    let failure = |error| Failure::new(BACKEND, error);
    let backend = engine::backend(&place)?;
    let steps = program.steps.len();
    console.start(steps + repeats + 1);
    let bar = console.bar();
    bar.say("check");
    let told = |done| bar.set(done as f64);
    let errors = step_check::check(&program, &*backend, place.threads, |session| fill(session), told);
    let errors = errors.map_err(failure)?;
    bar.say("time");
    let told = |done| bar.set((steps + done) as f64);
    let times = times(&program, &*backend, repeats, told).map_err(failure)?;
    bar.say("roof");
    let roof = (backend.name() == "cpu").then(|| Roof::measure(place.cores()));
    console.finish();
    let rows: Vec<Row> = (0..program.steps.len()).map(|i| row(&program, i, errors[i], times[i], roof)).collect();

    let work = |row: &Row| (row.gflops * row.microseconds / 1e6, row.gbytes * row.microseconds / 1e6);
    let (kernels, phases) = (totals(&rows, |row| row.kernel, work), totals(&rows, |row| row.phase, work));
    let seconds = rows.iter().map(|row| row.microseconds).sum::<f64>() / 1e6;
    let images = batch as f64 / seconds;
    if args.json {
        let object = json!({
            "model": args.model, "method": choice.to_string(), "batch": batch, "repeats": repeats,
            "backend": backend.name(), "device": backend.device(), "threads": place.cores(), "roof": roof,
            "steps": rows, "kernels": kernels, "phases": phases, "images_per_second": images,
        });
        console.line(&format!("{object:#}"));
    } else {
        let (name, device) = (backend.name(), backend.device());
        let roof = roof.map(|Roof { gflops, gbytes }| format!("; roof {gflops:.0} GFLOP/s, {gbytes:.1} GB/s"));
        let (model, roof) = (args.model.display(), roof.unwrap_or_default());
        console.line(&format!("{choice} of {model}, batch {batch}, {name} ({device}){roof}"));
        steps_table(&rows).iter().for_each(|line| console.line(line));
        totals_table(&kernels, &phases).iter().for_each(|line| console.line(line));
        console.line(&format!("\n{:.2} ms a batch, {images:.2} images/s", 1e3 * seconds));
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| !row.passed).collect();
    for row in &failed {
        let message =
            format!("step {} ({}, {}): wrong by {:.1e} of the peak", row.step, row.kernel, row.label, row.error);
        let bound = row.bound;
        let hint = format!("values may differ by {bound:e} of the peak, bits and winners in a share of {SHARE:e}");
        console.failure(&Failure { code: INPUT, message, hint: Some(hint) });
    }
    Ok(if failed.is_empty() { DONE } else { INPUT })
}

/// Writes an image of noise, a baseline of zeros and seeds of the first class.
fn fill(session: &mut dyn Session) -> Result<(), BackendError> {
    let program = session.program().clone();
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1u32 << 23) - 1.0
    };
    let count = |port: &crate::program::Port| program.count(program.buffer(port.view).per) * port.len();
    let image: Vec<f64> = (0..count(&program.input)).map(|_| noise()).collect();
    session.write(&program.input, &image)?;
    if let Some(port) = &program.reference {
        session.write(port, &vec![0.0; count(port)])?;
    }
    if let Some(port) = &program.seeds {
        let seeds: Vec<f64> = (0..count(port)).map(|i| f64::from(u8::from(i % port.len() == 0))).collect();
        session.write(port, &seeds)?;
    }
    Ok(())
}

/// Median seconds of every step, after one run that counts for nothing.
fn times(
    program: &Program,
    backend: &dyn Backend,
    repeats: usize,
    done: impl Fn(usize),
) -> Result<Vec<f64>, BackendError> {
    let mut session = backend.load(Arc::new(program.clone()))?;
    let mut runs: Vec<Vec<Duration>> = Vec::new();
    for _ in 0..=repeats {
        // Slots are shared: what a run read may be overwritten at its end.
        fill(session.as_mut())?;
        let mut times = Vec::with_capacity(program.steps.len());
        session.run(Phase::Forward, Some(&mut times))?;
        session.run(Phase::Backward, Some(&mut times))?;
        runs.push(times);
        done(runs.len());
    }
    let median = |step: usize| {
        let mut times: Vec<f64> = runs[1..].iter().map(|times| times[step].as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        // A clock may be too coarse for a step; no time is zero.
        times[times.len() / 2].max(1e-9)
    };
    Ok((0..program.steps.len()).map(median).collect())
}

fn row(program: &Program, at: usize, error: StepError, seconds: f64, roof: Option<Roof>) -> Row {
    let step = &program.steps[at];
    let (flops, bytes) = (flops(program, step) as f64, traffic(program, step) as f64);
    let buffer = program.buffer(step.output);
    Row {
        step: at,
        phase: if at < program.backward_from { "forward" } else { "backward" },
        kernel: step.kernel.stem(),
        label: step.label.clone(),
        shape: [buffer.height, buffer.width, step.output.channels],
        error: error.values.max(if error.marks > SHARE { error.marks } else { 0.0 }),
        bound: error.bound,
        passed: error.passes(),
        microseconds: 1e6 * seconds,
        gflops: flops / seconds / 1e9,
        gbytes: bytes / seconds / 1e9,
        percent_of_roof: roof.map(|roof| 100.0 * roof.seconds(flops, bytes) / seconds),
    }
}

/// Two for each multiply-add of a convolution's real channels; zero for other kernels.
fn flops(program: &Program, step: &Step) -> usize {
    let cells = match &step.kernel {
        Kernel::Conv2dForward(_) | Kernel::DepthwiseForward(_) => step.output,
        Kernel::Conv2dBackward(_) | Kernel::DepthwiseBackward(_) => step.inputs[0],
        _ => return 0,
    };
    let weights = step.weights.first().map_or(0, |weight| weight.source.len());
    let per = program.buffer(step.output).per;
    2 * weights * program.buffer(cells).area() * program.count(per)
}

/// Bytes of everything that the step reads and writes, each once.
fn traffic(program: &Program, step: &Step) -> usize {
    let of_view = |view: &View| {
        let buffer = program.buffer(*view);
        let items = program.count(buffer.per);
        items * buffer.item_len() * view.channels / buffer.channels * slots::unit_bytes(buffer.element, 4)
    };
    let views: usize = step.reads().iter().chain(&step.writes()).map(of_view).sum();
    views + 4 * step.weights.iter().map(weight_len).sum::<usize>()
}

/// Values of a weight as a kernel reads it.
fn weight_len(weight: &Weight) -> usize {
    match &weight.arrangement {
        Arrangement::Conv { kernel: [h, w], groups, input, output } => {
            h * w * output.physical() * if *groups == 1 { input.physical() } else { input.real() / groups }
        }
        Arrangement::Depthwise { kernel: [h, w], layout } => h * w * layout.physical(),
        Arrangement::Channel { layout } => layout.physical(),
    }
}

fn totals(
    rows: &[Row],
    key: impl Fn(&Row) -> &'static str,
    work: impl Fn(&Row) -> (f64, f64),
) -> BTreeMap<&'static str, Total> {
    let mut totals: BTreeMap<&'static str, Total> = BTreeMap::new();
    for row in rows {
        let total = totals.entry(key(row)).or_default();
        let (gflop, gbyte) = work(row);
        total.steps += 1;
        total.microseconds += row.microseconds;
        total.gflops += gflop;
        total.gbytes += gbyte;
    }
    for total in totals.values_mut() {
        total.gflops /= total.microseconds / 1e6;
        total.gbytes /= total.microseconds / 1e6;
    }
    totals
}

fn steps_table(rows: &[Row]) -> Vec<String> {
    let cells = |row: &Row| {
        vec![
            row.step.to_string(),
            row.kernel.to_owned(),
            row.shape.map(|n| n.to_string()).join("x"),
            format!("{:.1}", row.microseconds),
            if row.gflops > 0.0 { format!("{:.2}", row.gflops) } else { String::new() },
            format!("{:.2}", row.gbytes),
            row.percent_of_roof.map(|percent| format!("{percent:.0}%")).unwrap_or_default(),
            if row.passed { format!("{:.0e}", row.error) } else { "FAILED".to_owned() },
            row.label.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let right = |name| (name, Align::Right, 6);
    let numbers = [right("us"), right("GFLOP/s"), right("GB/s"), right("roof"), right("error")];
    let first = [("", Align::Right, 3), ("kernel", Align::Left, 6), ("result", Align::Left, 6)];
    let columns: Vec<_> = first.into_iter().chain(numbers).chain([("node", Align::Left, 4)]).collect();
    let table = Table::new(&columns).fit(&rows, 40);
    std::iter::once(table.header()).chain(rows.iter().map(|row| table.row(row))).collect()
}

fn totals_table(kernels: &BTreeMap<&str, Total>, phases: &BTreeMap<&str, Total>) -> Vec<String> {
    let all: f64 = phases.values().map(|total| total.microseconds).sum();
    let cells = |(name, total): (&&str, &Total)| {
        vec![
            (*name).to_owned(),
            total.steps.to_string(),
            format!("{:.1}", total.microseconds),
            format!("{:.0}%", 100.0 * total.microseconds / all),
            if total.gflops > 0.0 { format!("{:.1}", total.gflops) } else { String::new() },
            format!("{:.1}", total.gbytes),
        ]
    };
    let rows: Vec<Vec<String>> = kernels.iter().chain(phases).map(cells).collect();
    let right = |name| (name, Align::Right, 7);
    let numbers = [right("steps"), right("us"), right("share"), right("GFLOP/s"), right("GB/s")];
    let columns: Vec<_> = [("total", Align::Left, 5)].into_iter().chain(numbers).collect();
    let table = Table::new(&columns).fit(&rows, 40);
    [String::new(), table.header()].into_iter().chain(rows.iter().map(|row| table.row(row))).collect()
}
