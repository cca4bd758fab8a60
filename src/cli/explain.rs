//! `fluoroscope explain`: a stream of images in batches, each source's files written as soon as it is complete.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::args::{ExplainArgs, Format};
use super::console::Console;
use super::failure::{DONE, Failure, INPUT};
use super::inputs::{self, Image, Loaded};
use super::options::ExplainSettings;
use super::outputs::{Explained, Writer, Written};
use super::table::{Align, Table, error, number, shortened};
use super::{engine, interrupt, names};
use crate::backend::Backend;
use crate::explain::{ExplainError, Explainer, Heatmap};
use crate::model::Model;
use crate::onnx::ImportOptions;
use crate::picture::{Card, npy_size};
use crate::plan::Batch;
use crate::tensor::Tensor;

/// Carries out `explain`: usage, model, backend and inputs are checked in this order.
pub fn run(args: ExplainArgs, console: &mut Console) -> Result<u8, Failure> {
    let settings = ExplainSettings::new(args)?;
    let (files, failures) = inputs::list(&settings.inputs);
    let model = engine::model(&settings.model, import(&settings, &files), console)?;
    engine::check_target(&model, &settings.target)?;
    check_baseline(&settings, &model)?;
    let layer = engine::layer(&model, settings.explain.layer.as_deref())?;
    engine::plan(&model, &settings.methods, layer, &settings.explain.rules, Batch::of(1))?;
    let preprocess = match inputs::any_picture(&files) {
        true => Some(engine::preprocess(&model, settings.preprocess.as_ref(), console)?),
        false => None,
    };
    let backend = engine::backend(&settings.engine)?;
    console.detail(&format!("{}: {}", backend.name(), backend.device()));
    introduce(&settings, &model, console);

    interrupt::listen(settings.output.display().to_string());
    let mut run = Run::new(&settings, &model, backend, files, console)?;
    for failure in failures {
        run.fail(&failure);
    }
    let ahead = run.batch;
    let images = inputs::load(run.files.clone(), model.input(), preprocess.map(Arc::new), ahead);
    let mut queue = Vec::new();
    for loaded in images {
        if interrupt::asked() {
            break;
        }
        match loaded {
            Loaded::Failed { source, failure } => run.give_up(source, &failure),
            Loaded::Image(image) => queue.push(*image),
        }
        if queue.len() == run.batch {
            run.explain(std::mem::take(&mut queue))?;
        }
    }
    if !interrupt::asked() {
        run.explain(queue)?;
    }
    run.end()
}

/// A model that takes any size gets that of a file given with `--preprocess`, else its card's, else the first array's.
fn import(settings: &ExplainSettings, files: &[PathBuf]) -> ImportOptions {
    let of_flag = settings.preprocess.as_ref().and_then(|(_, preprocess)| preprocess.fixed_size());
    let card = Card::beside(&settings.model).ok().flatten();
    let of_card = card.and_then(|card| card.preprocess).map(|preprocess| preprocess.size);
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

/// Characters of a file name in the table, and of the place in an array behind it: `[9999]`.
const NAME: usize = 30;
const INDEX: usize = 6;

/// A source of which not all images are explained yet.
struct Pending {
    done: Vec<Explained>,
    left: usize,
    failed: bool,
}

/// Everything between the first image and the last.
struct Run<'a> {
    settings: &'a ExplainSettings,
    model: &'a Model,
    explainer: Explainer<'a>,
    batch: usize,
    /// The smallest batch so far that a lack of memory led to.
    halved: Option<usize>,
    writer: Writer<'a>,
    console: &'a mut Console,
    table: Table,
    files: Vec<PathBuf>,
    stems: Vec<PathBuf>,
    pending: HashMap<usize, Pending>,
    /// Images before the current batch.
    before: usize,
    /// Sources that are dealt with, with parts of those that are not.
    progress: f64,
    maps: usize,
    failed: bool,
}

impl<'a> Run<'a> {
    fn new(
        settings: &'a ExplainSettings,
        model: &'a Model,
        backend: Box<dyn Backend>,
        files: Vec<PathBuf>,
        console: &'a mut Console,
    ) -> Result<Self, Failure> {
        let explain = |e: ExplainError| Failure::explain(&e);
        let mut explainer = Explainer::new(model, backend, settings.explain.clone()).map_err(explain)?;
        let batch = explainer.batch(&settings.methods).map_err(explain)?;
        console.detail(&format!("{} inputs, {batch} images run together", files.len()));
        let index = |file: &PathBuf| if inputs::is_array(file) { INDEX } else { 0 };
        let name = |file: &PathBuf| file.file_name().map_or(0, |name| name.to_string_lossy().chars().count());
        let input = files.iter().map(|file| name(file).min(NAME) + index(file)).max().unwrap_or(NAME);
        let class = model.classes.iter().map(|class| class.chars().count()).max().unwrap_or(10);
        let table = Table::new(&[
            ("input", Align::Left, input),
            ("target", Align::Right, 6),
            ("class", Align::Left, class.min(24)),
            ("method", Align::Left, settings.methods.iter().map(|m| m.to_string().len()).max().unwrap_or(6)),
            ("logit", Align::Right, 9),
            ("prob", Align::Right, 6),
            ("sum", Align::Right, 9),
            ("error", Align::Right, 7),
        ]);
        let stems = names::stems(&files);
        let writer = Writer::new(settings, model)?;
        console.start(files.len());
        let (pending, before, progress, maps, failed) = (HashMap::new(), 0, 0.0, 0, false);
        Ok(Self {
            settings,
            model,
            explainer,
            batch,
            halved: None,
            writer,
            console,
            table,
            files,
            stems,
            pending,
            before,
            progress,
            maps,
            failed,
        })
    }

    /// Explains a batch; where that fails, image by image, so that only the image at fault is lost.
    fn explain(&mut self, images: Vec<Image>) -> Result<(), Failure> {
        if images.is_empty() {
            return Ok(());
        }
        let shape = self.model.input();
        let start = Instant::now();
        let data = images.iter().flat_map(|image| image.values.iter().copied()).collect();
        let tensor = Tensor::new(&[images.len(), shape.channels, shape.height, shape.width], data);
        let weight = self.announce(&images);
        let found = self.explainer.explain_from(self.before, &tensor, &self.settings.methods, &self.settings.target);
        match found {
            Ok(lists) => {
                self.say_halved();
                self.before += images.len();
                self.progress += weight;
                let seconds = start.elapsed().as_secs_f64() / images.len() as f64;
                for (image, maps) in images.into_iter().zip(lists) {
                    self.take(image, maps, seconds);
                }
                Ok(())
            }
            Err(ExplainError::Backend(error)) => Err(Failure::explain(&ExplainError::Backend(error))),
            Err(error) if images.len() == 1 => {
                self.before += 1;
                let failure = Failure::explain(&error).about(self.name(&images[0]));
                self.give_up(images[0].source, &failure);
                Ok(())
            }
            Err(_) => images.into_iter().try_for_each(|image| self.explain(vec![image])),
        }
    }

    /// Says on the bar what is explained now, and moves it while that goes on; returns the batch's part of all sources.
    fn announce(&mut self, images: &[Image]) -> f64 {
        let weight: f64 = images.iter().map(|image| 1.0 / image.of as f64).sum();
        let (bar, before) = (self.console.bar(), self.progress);
        let names = images.first().map_or_else(String::new, |image| self.name(image));
        bar.say(&if images.len() > 1 { format!("{names} and {} more", images.len() - 1) } else { names });
        let hook = move |done: usize, total: usize| bar.set(before + weight * done as f64 / total as f64);
        self.explainer.on_progress(Box::new(hook));
        weight
    }

    /// Tells whoever asked for a batch that it was too large; an automatic one is nobody's business.
    fn say_halved(&mut self) {
        let halved = self.explainer.halved();
        if halved == self.halved {
            return;
        }
        self.halved = halved;
        let Some(fit) = halved else { return };
        let text = format!("the device's memory does not hold {} images; {fit} run together", self.batch);
        match self.settings.explain.batch {
            Some(_) => self.console.note(&text),
            None => self.console.detail(&text),
        }
    }

    /// The file of an image, and its place in it.
    fn name(&self, image: &Image) -> String {
        image.called(self.files[image.source].display())
    }

    fn take(&mut self, mut image: Image, maps: Vec<Heatmap>, seconds: f64) {
        let (source, of) = (image.source, image.of);
        let new = || Pending { done: Vec::new(), left: of, failed: false };
        let pending = self.pending.entry(source).or_insert_with(new);
        pending.left = pending.left.saturating_sub(1);
        image.release(self.settings.formats.contains(&Format::Png));
        pending.done.push(Explained { image, maps, seconds });
        if pending.left == 0 && !pending.failed {
            let pending = self.pending.remove(&source).unwrap_or_else(new);
            self.write(source, &pending.done);
        }
    }

    /// One image of a source failed, or all of them: nothing is written of it.
    fn give_up(&mut self, source: usize, failure: &Failure) {
        self.fail(failure);
        let pending = self.pending.entry(source).or_insert(Pending { done: Vec::new(), left: 1, failed: false });
        pending.failed = true;
        pending.done.clear();
    }

    fn fail(&mut self, failure: &Failure) {
        self.failed = true;
        self.console.failure(failure);
    }

    fn write(&mut self, source: usize, images: &[Explained]) {
        let _whole = interrupt::writing();
        let written = match self.writer.write(&self.files[source], &self.stems[source], images) {
            Ok(written) => written,
            Err(failure) => return self.fail(&failure),
        };
        for (image, written) in images.iter().zip(&written) {
            for (heatmap, written) in image.maps.iter().zip(written) {
                self.report(source, image, heatmap, written);
            }
        }
        let files: std::collections::HashSet<&PathBuf> = written.iter().flatten().flat_map(|w| &w.files).collect();
        interrupt::count(files.len());
    }

    fn report(&mut self, source: usize, image: &Explained, heatmap: &Heatmap, written: &Written) {
        if self.settings.json {
            self.console.line(&written.record.to_string());
        } else {
            if self.maps == 0 {
                self.console.row(&self.table.header());
            }
            self.console.row(&self.table.row(&self.cells(source, image, heatmap)));
            written.files.iter().for_each(|file| self.console.detail(&format!("wrote {}", file.display())));
        }
        self.maps += 1;
        self.check(&self.name(&image.image), heatmap);
    }

    fn cells(&self, source: usize, image: &Explained, heatmap: &Heatmap) -> Vec<String> {
        let file = &self.files[source];
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let report = &heatmap.report;
        vec![
            shortened(&name, NAME) + &image.image.index.map_or_else(String::new, |index| format!("[{index}]")),
            heatmap.target.to_string(),
            heatmap.class.clone(),
            heatmap.method.to_string(),
            number(report.logit),
            format!("{:.3}", report.probability),
            number(report.sum),
            error(report.completeness_error),
        ]
    }

    /// Holds a map to `--max-error`, and says where it is not finite.
    fn check(&mut self, name: &str, heatmap: &Heatmap) {
        let report = &heatmap.report;
        let map = format!("{} of {name}, class {}", heatmap.method, heatmap.class);
        if report.non_finite > 0 {
            self.console.note(&format!("{map}: {} values are not finite; try --precision f64", report.non_finite));
        }
        let Some((limit, error)) = self.settings.max_error.zip(report.completeness_error) else { return };
        if error.is_nan() || error > limit {
            let message = format!("{map}: completeness error {error:.2e} exceeds --max-error {limit:e}");
            self.fail(&Failure { code: INPUT, message, hint: None });
        }
    }

    fn end(self) -> Result<u8, Failure> {
        self.console.finish();
        let folder = self.settings.output.display();
        if interrupt::asked() {
            return Err(interrupt::failure(&folder.to_string()));
        }
        if !self.settings.json {
            self.console.row(&format!("{} files in {folder}", interrupt::written()));
        }
        Ok(if self.failed { INPUT } else { DONE })
    }
}
