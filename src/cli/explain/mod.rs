//! `fluoroscope explain`: a stream of images. Files are read ahead, images run in batches, and each source's results are
//! written as soon as it is complete, all at the same time and all in order.

mod batches;
mod dim;
mod encode;
mod existing;
mod results;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batches::{Run, Waits};
use existing::Todo;
use results::{Results, Totals};

use super::args::ExplainArgs;
use super::console::Console;
use super::failure::{BACKEND, DONE, Failure, INPUT};
use super::listing::Listing;
use super::loader::{Loader, Reading};
use super::options::ExplainSettings;
use super::outputs::Writer;
use super::{engine, inputs, interrupt};
use crate::backend::Backend;
use crate::explain::{Drawn, Explainer, Painter};
use crate::model::Model;
use crate::onnx::ImportOptions;
use crate::picture::decode::WHITE;
use crate::picture::{Card, npy_size};
use crate::plan::Batch;

/// Carries out `explain`: usage, model, backend and inputs are checked in this order.
pub fn run(args: ExplainArgs, console: &mut Console) -> Result<u8, Failure> {
    let settings = ExplainSettings::new(args)?;
    let Listing { files, failures, notes } = Listing::of(&settings.inputs);
    let model = engine::model(&settings.model, import(&settings, &files), console)?;
    engine::check_target(&model, &settings.target)?;
    check_baseline(&settings, &model)?;
    let layer = engine::layer(&model, settings.explain.layer.as_deref())?;
    engine::plan(&model, &settings.methods, layer, &settings.explain.rules, Batch::of(1))?;
    let preprocess = match inputs::any_picture(&files) {
        true => Some(engine::preprocess(&model, settings.preprocess.as_ref(), console)?),
        false => None,
    };
    let painter = Arc::new(Painter::new(engine::backend(&settings.engine, console)?));
    console.detail(&format!("{}: {}", painter.name(), painter.device()));
    introduce(&settings, &model, console);
    notes.iter().for_each(|note| console.note(note));
    let all = files.len();
    let todo = Todo::of(files, &settings, &model);
    let files = &todo.files;
    if settings.skip_existing {
        let (done, folder) = (all - files.len(), settings.output.display());
        let unchecked =
            if settings.max_error.is_some() && done > 0 { "; --max-error is not checked there" } else { "" };
        let there = format!("all their files are in {folder} already{unchecked}");
        console.note(&format!("{done} of {all} inputs are passed over: {there}"));
    }

    interrupt::listen(settings.output.display().to_string());
    let explain = |e| Failure::explain(&e);
    let backend = Box::new(Arc::clone(&painter));
    let mut explainer = Explainer::new(&model, backend, settings.explain.clone()).map_err(explain)?;
    let batch = explainer.batch(&settings.methods).map_err(explain)?;
    console.detail(&format!("{} inputs, {batch} images run together", files.len()));
    let writer = Writer::new(&settings, &model, &painter)?;
    console.start(files.len());
    let results = Results::new(&settings, &model, files, console);
    for (named, failure) in failures {
        results.fail(&named, failure);
    }
    let start = Instant::now();
    let draws = settings.formats.iter().any(|format| format.is_drawn());
    let white = settings.white.unwrap_or(WHITE);
    let reading = Reading { files: files.clone(), shape: model.input(), preprocess, white, draws };
    let images = Loader::start(reading, settings.engine.cores(), batch);
    let (done, mut waits, dim) = std::thread::scope(|scope| {
        let jobs = encode::start(scope, settings.engine.cores(), &writer, &results);
        let mut run = Run::new(&settings, &model, explainer, batch, (&writer, &results), (&todo, jobs));
        let done = run.all(images);
        (done, run.waits(), run.dim())
    });
    let (totals, took) = (results.finish(), start.elapsed());
    waits.end(took);
    console.finish();
    say_drawn(&painter, console);
    if let (None, Some(text)) = (settings.white, dim) {
        console.note(&text);
    }
    done?;
    end(&settings, &totals, took, &waits, console)
}

/// Says where pictures were drawn, if that is not where they always are.
fn say_drawn(painter: &Arc<Painter>, console: &Console) {
    let Drawn { on_device, on_host, reason, gave_up } = painter.drawn();
    if painter.paints() && on_device + on_host > 0 {
        console.detail(&format!("{on_device} pictures drawn by {}, {on_host} by the CPU", painter.name()));
    }
    let Some(reason) = reason else { return };
    let text = format!("the CPU drew pictures: {}", Failure::new(BACKEND, reason).message);
    if gave_up { console.note(&text) } else { console.detail(&text) }
}

/// Says what was done; the exit code.
fn end(
    settings: &ExplainSettings,
    totals: &Totals,
    took: Duration,
    waits: &Waits,
    console: &Console,
) -> Result<u8, Failure> {
    let folder = settings.output.display().to_string();
    if interrupt::asked() {
        return Err(interrupt::failure(&folder));
    }
    let Totals { images, maps, failed } = totals;
    let seconds = took.as_secs_f64();
    let rate = *images as f64 / seconds;
    let files = format!("{} files in {folder}", interrupt::written());
    let summary = format!("{images} images, {maps} maps in {seconds:.2} s ({rate:.2} images/s); {files}");
    // Standard output is for objects then.
    if settings.json {
        console.note(&summary)
    } else {
        console.row(&summary)
    }
    console.detail(&waits.shares(took));
    Ok(if *failed { INPUT } else { DONE })
}

/// A model that takes any size gets that of a file given with `--preprocess`, else its card's, else the first array's.
fn import(settings: &ExplainSettings, files: &[PathBuf]) -> ImportOptions {
    let of_flag = settings.preprocess.as_ref().and_then(|(_, preprocess)| preprocess.fixed_size());
    let card = Card::beside(&settings.model).ok().flatten();
    let of_card = card.and_then(|card| card.preprocess).and_then(|preprocess| preprocess.fixed_size());
    let of_array = || files.iter().filter(|file| inputs::is_array(file)).find_map(|file| npy_size(file));
    let input_size = of_flag.or(of_card).or_else(of_array);
    ImportOptions { precision: settings.engine.precision, input_size, output: settings.logits.clone() }
}

/// A baseline from a file has the shape of the model's input.
fn check_baseline(settings: &ExplainSettings, model: &Model) -> Result<(), Failure> {
    let shape = model.input();
    let checked = settings.explain.baseline.of(&vec![0.0; shape.len()], shape);
    checked.map(|_| ()).map_err(|e| Failure::explain(&e))
}

/// What a reader should know before the first result.
fn introduce(settings: &ExplainSettings, model: &Model, console: &Console) {
    if let Some(warning) = model.card.as_ref().and_then(|card| card.warning.as_deref()) {
        console.note(warning);
    }
    settings.remarks.iter().for_each(|remark| console.note(remark));
    let needs_layer = settings.methods.iter().any(|choice| choice.method.readout.needs_layer());
    if let (true, None, Some(layer)) = (needs_layer, &settings.explain.layer, model.default_layer()) {
        let value = model.graph.value(layer);
        console.note(&format!("CAM methods read layer {} ({}); choose another with --layer", value.name, value.shape));
    }
    if settings.max_error.is_some() && settings.methods.iter().all(|choice| !promises(choice)) {
        console.note("--max-error has nothing to check: no method here promises a sum");
    }
    model.graph.notes.iter().for_each(|note| console.note(note));
}

fn promises(choice: &crate::method::MethodChoice) -> bool {
    !choice.smooth && choice.method.completeness != crate::method::Completeness::None
}
