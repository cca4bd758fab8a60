//! `fluoroscope bench`: every step of a method's program, checked, then timed, against the roof of the device; every
//! batch as a whole.

mod agreement;
mod figures;
mod roofline;
mod times;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::agreement::Agreement;
use self::figures::{Row, Totals, rows, steps_table, totals, totals_table};
use self::times::Times;
use super::args::BenchArgs;
use super::console::Console;
use super::engine;
use super::failure::{BACKEND, DONE, Failure, INPUT};
use super::options::{self, methods};
use super::table::{Align, Table, bytes};
use crate::backend::cpu::CpuBackend;
use crate::backend::step_check::{self, DIFFERENT, StepError};
use crate::backend::{Backend, Roof};
use crate::explain::ExplainOptions;
use crate::graph::{Graph, Precision, ValueId};
use crate::method::{MethodChoice, Sampling};
use crate::model::Model;
use crate::onnx::ImportOptions;
use crate::plan::Batch;
use crate::program::Program;
use crate::rule::RuleOptions;

/// One method with one batch.
struct Run {
    method: MethodChoice,
    batch: usize,
    rows: Vec<Row>,
    totals: [Totals; 2],
    /// Of the whole program.
    seconds: f64,
    heatmaps_per_second: f64,
    slot_bytes: usize,
    constant_bytes: usize,
    agreement: Agreement,
    /// An image whose maps differ from those of its copy among the images that were checked.
    differs: Option<usize>,
}

impl Run {
    fn milliseconds(&self) -> f64 {
        1e3 * self.seconds
    }

    fn memory(&self) -> usize {
        self.slot_bytes + self.constant_bytes
    }
}

/// What a method's images that were checked gave.
struct Checked {
    errors: Vec<StepError>,
    /// The maps on the backend, where a larger batch has to give the same.
    maps: Option<Vec<Vec<f64>>>,
    /// The maps in f64 on the CPU.
    exact: Vec<Vec<f64>>,
}

/// Plans, checks and times.
pub fn run(args: &BenchArgs, console: &mut Console) -> Result<u8, Failure> {
    let choices = methods(&args.method)?;
    let engine = options::engine(&args.engine)?;
    if let Some(path) = &args.roofline {
        writable(path)?;
    }
    let import = ImportOptions { precision: engine.precision, ..ImportOptions::default() };
    let model = engine::model(&args.model, import, console)?;
    let mut bench = Bench {
        args,
        layer: engine::layer(&model, None)?,
        model: &model,
        backend: engine::backend(&engine, console)?,
        engine: &engine,
        roof: None,
        single: choices.len() * args.batch.len() == 1,
    };
    // A method without a rule for some node is reported before anything runs.
    choices.iter().try_for_each(|choice| bench.plan(*choice, 1).map(drop))?;
    console.start(1 + choices.len() * args.batch.len());
    console.bar().say("roof");
    bench.roof = bench.backend.roof().map_err(|error| Failure::new(BACKEND, error))?;
    let mut runs = Vec::new();
    for (number, choice) in choices.into_iter().enumerate() {
        runs.extend(bench.method(choice, 1 + number * args.batch.len(), console)?);
    }
    console.finish();
    if !args.json && !bench.single {
        summary_table(&runs).iter().for_each(|line| console.line(line));
    }
    Ok(if runs.iter().filter(|run| complain(run, console)).count() == 0 { DONE } else { INPUT })
}

/// What all runs share.
struct Bench<'a> {
    args: &'a BenchArgs,
    model: &'a Model,
    layer: Option<ValueId>,
    backend: Box<dyn Backend>,
    engine: &'a options::Engine,
    roof: Option<Roof>,
    single: bool,
}

impl Bench<'_> {
    fn plan(&self, choice: MethodChoice, images: usize) -> Result<Program, Failure> {
        engine::plan(self.model, &[choice], self.layer, &RuleOptions::default(), Batch::of(images))
    }

    /// The same without halves, and without the larger epsilon that LRP needs in them.
    fn exact(&self, choice: MethodChoice, images: usize) -> Result<Program, Failure> {
        let graph = &self.model.graph;
        let graph = Graph { precision: graph.precision.arithmetic(), ..graph.clone() };
        let model = Model { graph, ..self.model.clone() };
        engine::plan(&model, &[choice], self.layer, &RuleOptions::default(), Batch::of(images))
    }

    /// Every batch of a method. The steps are checked with so few images that f64 keeps up; a larger batch consists of
    /// copies of these, and has to give the same maps, bit by bit.
    fn method(&self, choice: MethodChoice, before: usize, console: &Console) -> Result<Vec<Run>, Failure> {
        let failure = |error| Failure::new(BACKEND, error);
        let bar = console.bar();
        let checked = self.check(choice, before, console)?;
        let mut runs = Vec::new();
        for (number, &batch) in self.args.batch.iter().enumerate() {
            bar.say("time");
            let repeats = self.args.repeats;
            let before = (before + number) as f64 + if number == 0 { 0.5 } else { 0.0 };
            let told = |done: usize| bar.set(before + 0.5 * done as f64 / (2 * repeats) as f64);
            let program = self.plan(choice, batch)?;
            match Times::measure(&program, &*self.backend, repeats, told) {
                Ok(times) => {
                    let run = self.run(choice, &program, &checked, &times);
                    self.tell(&run, console)?;
                    runs.push(run);
                }
                Err(error) if error.is_size() && !runs.is_empty() => {
                    console.note(&format!("{choice}, batch {batch}, is left out: {error}"));
                }
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(runs)
    }

    /// Checks every step, and runs the whole on the backend and in f64.
    fn check(&self, choice: MethodChoice, before: usize, console: &Console) -> Result<Checked, Failure> {
        let failure = |error| Failure::new(BACKEND, error);
        let few = self.args.batch.iter().copied().max().unwrap_or(1).min(DIFFERENT);
        let program = self.plan(choice, few)?;
        let bar = console.bar();
        bar.say("check");
        let told = |done: usize| bar.set(before as f64 + 0.5 * done as f64 / program.steps.len() as f64);
        let threads = self.engine.threads;
        let errors = step_check::check(&program, &*self.backend, threads, told).map_err(failure)?;
        let copies = self.args.batch.iter().any(|batch| *batch > few);
        let maps = copies.then(|| times::maps(&program, &*self.backend)).transpose().map_err(failure)?;
        let exact = self.exact(choice, few)?;
        let exact = CpuBackend::new(Precision::F64, threads).and_then(|backend| times::maps(&exact, &backend));
        Ok(Checked { errors, maps, exact: exact.map_err(failure)? })
    }

    fn run(&self, method: MethodChoice, program: &Program, checked: &Checked, times: &Times) -> Run {
        let stored = self.engine.precision;
        let rows = rows(program, stored, &checked.errors, &times.steps, self.roof.as_ref());
        let batch = program.images;
        Run {
            method,
            batch,
            totals: totals(&rows),
            rows,
            seconds: times.whole,
            heatmaps_per_second: batch as f64 / times.whole / evaluations(method) as f64,
            slot_bytes: times.slot_bytes,
            constant_bytes: times.constant_bytes,
            agreement: Agreement::worst(&times.maps, &checked.exact),
            differs: checked.maps.as_ref().and_then(|maps| different(&times.maps, maps)),
        }
    }

    fn tell(&self, run: &Run, console: &Console) -> Result<(), Failure> {
        if self.args.json {
            console.line(&self.json(run).to_string());
        } else {
            console.line(&self.title(run));
            if self.single {
                steps_table(&run.rows).iter().for_each(|line| console.line(line));
            }
            console.line("");
            totals_table(&run.totals).iter().for_each(|line| console.line(line));
            let (milliseconds, rate, memory) = (run.milliseconds(), run.heatmaps_per_second, bytes(run.memory()));
            let weights = bytes(run.constant_bytes);
            let line =
                format!("{milliseconds:.2} ms a batch, {rate:.2} heatmaps/s, {memory}, of which weights {weights}");
            let [cosine, relative_l2] = run.agreement.texts();
            let agreement = format!("maps against f64: cosine {cosine}, relative L2 error {relative_l2}");
            console.line(&format!("\n{line}\n{agreement}{}", if self.single { "" } else { "\n" }));
        }
        match (&self.args.roofline, &self.roof) {
            (Some(path), Some(roof)) => {
                let path = if self.single { path.clone() } else { beside(path, run) };
                let drawn = roofline::draw(&self.title(run), self.engine.precision, roof, &run.rows);
                std::fs::write(&path, drawn).map_err(|e| Failure::input(e).about(path.display()))
            }
            (Some(path), None) => {
                let message = format!("{}: the {} backend has no roof", path.display(), self.backend.name());
                Err(Failure::usage(message))
            }
            (None, _) => Ok(()),
        }
    }

    fn title(&self, run: &Run) -> String {
        let (name, device) = (self.backend.name(), self.backend.device());
        let Run { method, batch, .. } = run;
        let roof = self.roof.as_ref().map(|roof| format!("; {roof}")).unwrap_or_default();
        let (model, stored) = (self.args.model.display(), self.engine.precision);
        format!("{method} of {model}, batch {batch}, {stored}, {name} ({device}){roof}")
    }

    fn json(&self, run: &Run) -> Value {
        let [kernels, phases] = &run.totals;
        json!({
            "model": self.args.model, "method": run.method.to_string(), "batch": run.batch, "repeats": self.args.repeats,
            "precision": self.engine.precision.to_string(), "backend": self.backend.name(),
            "device": self.backend.device(), "threads": self.engine.cores(),
            "roof": self.roof, "steps": run.rows, "kernels": kernels, "phases": phases,
            "milliseconds": run.milliseconds(), "heatmaps_per_second": run.heatmaps_per_second,
            "memory": { "slots": run.slot_bytes, "weights": run.constant_bytes, "total": run.memory() },
            "agreement": run.agreement, "batch_agrees": run.differs.is_none(),
        })
    }
}

/// How often the program runs for one map, with the samples that `explain` takes by itself.
fn evaluations(choice: MethodChoice) -> usize {
    let options = ExplainOptions::default();
    let path = if choice.method.sampling == Sampling::Path { options.steps } else { 1 };
    path * if choice.smooth { options.samples } else { 1 }
}

/// The first image whose maps are not those of the image that it is a copy of.
fn different(maps: &[Vec<f64>], checked: &[Vec<f64>]) -> Option<usize> {
    let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    maps.iter().zip(checked.iter().cycle()).position(|(map, checked)| !same(map, checked))
}

/// `plot-deeplift-8.svg` for `plot.svg`.
fn beside(path: &Path, run: &Run) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{}-{}{extension}", run.method, run.batch))
}

/// A plot that cannot be written shall not cost a measurement.
fn writable(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!("--roofline {}: there is no folder {}", path.display(), folder.display())))
}

fn summary_table(runs: &[Run]) -> Vec<String> {
    let cells = |run: &Run| {
        let (batch, milliseconds) = (run.batch.to_string(), format!("{:.2}", run.milliseconds()));
        let (rate, memory) = (format!("{:.2}", run.heatmaps_per_second), bytes(run.memory()));
        let [cosine, relative_l2] = run.agreement.texts();
        vec![run.method.to_string(), batch, milliseconds, rate, memory, cosine, relative_l2]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(cells).collect();
    let right = |name| (name, Align::Right, 5);
    let figures =
        [right("batch"), right("ms"), right("heatmaps/s"), right("memory"), right("cosine"), right("L2 error")];
    let columns: Vec<_> = [("method", Align::Left, 6)].into_iter().chain(figures).collect();
    let table = Table::new(&columns).fit(&rows, 40);
    std::iter::once(table.header()).chain(rows.iter().map(|row| table.row(row))).collect()
}

/// Says what is wrong with a run; true where something is.
fn complain(run: &Run, console: &Console) -> bool {
    let failed: Vec<&Row> = run.rows.iter().filter(|row| !row.passed).collect();
    for row in &failed {
        let Row { step, kernel, label, error, bound, share, .. } = row;
        let message = format!("step {step} ({kernel}, {label}): wrong by {error:.1e} of the peak");
        let hint = format!("values may differ by {bound:e} of the peak, bits and winners in a share of {share:e}");
        console.failure(&Failure { code: INPUT, message, hint: Some(hint) });
    }
    if let Some(image) = run.differs {
        let message = format!("{}, batch {}: the maps of image {image} depend on the batch", run.method, run.batch);
        console.failure(&Failure { code: INPUT, message, hint: None });
    }
    !failed.is_empty() || run.differs.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_not_that_of_its_copy_is_found() {
        let checked = [vec![1.0, -0.0], vec![2.0, f64::NAN]];
        let mut maps = [checked.to_vec(), checked.to_vec()].concat();
        assert_eq!(different(&maps, &checked), None);
        maps[2][1] = 0.0;
        assert_eq!(different(&maps, &checked), Some(2));
    }
}
