//! Images through the explainer: as many batches at a time as keep the device busy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::dim::Dim;
use super::encode::Job;
use super::existing::Todo;
use super::results::Results;
use crate::cli::failure::Failure;
use crate::cli::inputs::Image;
use crate::cli::interrupt;
use crate::cli::loader::{Loaded, Loader};
use crate::cli::names::Taken;
use crate::cli::options::ExplainSettings;
use crate::cli::outputs::{Explained, Writer};
use crate::explain::{ExplainError, Explainer, Heatmap};
use crate::model::Model;
use crate::tensor::Tensor;

/// A source of which not all images are dealt with.
#[derive(Default)]
struct Pending {
    done: Vec<Explained>,
    failures: Vec<Failure>,
    /// Images that were read, and those of them that were explained or failed.
    read: usize,
    dealt_with: usize,
    /// All that will be read are.
    is_read: bool,
}

/// Images that are submitted together.
struct Batch {
    images: Vec<Image>,
    /// Number of the first.
    first: usize,
    /// Its part of all sources.
    weight: f64,
    submitted: Instant,
}

/// Where the computation stood still, or not.
#[derive(Clone, Copy, Default)]
pub struct Waits {
    reading: Duration,
    computing: Duration,
    writing: Duration,
}

impl Waits {
    /// The run took so long: what came after the last batch was writing.
    pub fn end(&mut self, took: Duration) {
        self.writing = took.saturating_sub(self.reading + self.computing);
    }

    pub fn shares(&self, took: Duration) -> String {
        let percent = |part: Duration| format!("{:.0} %", 100.0 * part.as_secs_f64() / took.as_secs_f64());
        let [reading, computing, writing] = [self.reading, self.computing, self.writing].map(percent);
        format!("{computing} of the time computing, {reading} waiting for images, {writing} waiting for files")
    }
}

/// Everything between the first image and the last.
pub struct Run<'a> {
    settings: &'a ExplainSettings,
    model: &'a Model,
    explainer: Explainer<'a>,
    /// Images that were to run together, and the smallest batch so far that a lack of memory led to.
    batch: usize,
    halved: Option<usize>,
    writer: &'a Writer<'a>,
    results: &'a Results<'a>,
    jobs: SyncSender<Job>,
    todo: &'a Todo,
    taken: Taken,
    pending: HashMap<usize, Pending>,
    batches: VecDeque<Batch>,
    /// Images that were read.
    images: usize,
    /// Sources that are dealt with, with parts of those that are not.
    progress: f64,
    /// When the last batch was collected.
    collected: Instant,
    waits: Waits,
    dim: Dim,
}

impl<'a> Run<'a> {
    pub fn new(
        settings: &'a ExplainSettings,
        model: &'a Model,
        explainer: Explainer<'a>,
        batch: usize,
        (writer, results): (&'a Writer<'a>, &'a Results<'a>),
        (todo, jobs): (&'a Todo, SyncSender<Job>),
    ) -> Self {
        Self {
            settings,
            model,
            explainer,
            batch,
            halved: None,
            writer,
            results,
            jobs,
            todo,
            taken: todo.written.iter().cloned().collect(),
            pending: HashMap::new(),
            batches: VecDeque::new(),
            images: 0,
            progress: 0.0,
            collected: Instant::now(),
            waits: Waits::default(),
            dim: Dim::default(),
        }
    }

    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// What there is to say of pictures that use few of their levels.
    pub fn dim(&self) -> Option<String> {
        self.dim.text(|source| self.results.file(source).display().to_string())
    }

    /// Explains all images, or those until an interrupt.
    ///
    /// # Errors
    /// What ends the run: sources that are complete are written.
    pub fn all(&mut self, mut images: Loader) -> Result<(), Failure> {
        let (mut first, mut queue) = (0, Vec::new());
        loop {
            let start = Instant::now();
            let loaded = images.next();
            self.waits.reading += start.elapsed();
            let Some(loaded) = loaded else { break };
            if interrupt::asked() {
                break;
            }
            match loaded {
                Loaded::Failed { source, failure } => self.give_up(source, failure),
                Loaded::Image(image) => {
                    let number = self.images + self.todo.skipped[image.source];
                    self.images += 1;
                    // Numbers of a batch follow each other.
                    if first + queue.len() != number {
                        self.send(first, std::mem::take(&mut queue))?;
                        first = number;
                    }
                    let pending = self.pending.entry(image.source).or_default();
                    pending.read += 1;
                    pending.is_read = pending.read == image.of;
                    self.dim.see(&image);
                    queue.push(*image);
                }
            }
            if queue.len() >= self.explainer.halved().unwrap_or(self.batch) {
                let images = std::mem::take(&mut queue);
                let next = first + images.len();
                self.send(first, images)?;
                first = next;
            }
        }
        if !queue.is_empty() && !interrupt::asked() {
            self.submit(first, queue);
        }
        while !self.batches.is_empty() {
            self.collect()?;
        }
        Ok(())
    }

    /// Submits images, of which there may be none, and collects what makes place for the next.
    fn send(&mut self, first: usize, images: Vec<Image>) -> Result<(), Failure> {
        if images.is_empty() {
            return Ok(());
        }
        self.submit(first, images);
        while self.batches.len() >= self.explainer.in_flight() {
            self.collect()?;
        }
        Ok(())
    }

    fn submit(&mut self, first: usize, images: Vec<Image>) {
        let submitted = Instant::now();
        let values = images.iter().map(|image| Arc::clone(&image.values)).collect();
        let name = images.first().map_or_else(String::new, |image| self.results.name(image));
        let text = if images.len() > 1 { format!("{name} and {} more", images.len() - 1) } else { name };
        self.results.console().bar().say(&text);
        let weight = images.iter().map(|image| 1.0 / image.of as f64).sum();
        self.explainer.submit_each(first, values, &self.settings.methods, &self.settings.target);
        self.batches.push_back(Batch { first, weight, submitted, images });
        self.waits.computing += submitted.elapsed();
    }

    /// Ends with the first batch; where it fails, image by image, so that only the image at fault is lost.
    fn collect(&mut self) -> Result<(), Failure> {
        let Some(Batch { images, first, weight, submitted }) = self.batches.pop_front() else { return Ok(()) };
        let start = Instant::now();
        let (bar, before) = (self.results.console().bar(), self.progress);
        let hook = move |done: usize, total: usize| bar.set(before + weight * done as f64 / total as f64);
        self.explainer.on_progress(Box::new(hook));
        let found = match self.explainer.collect() {
            Some(Err(ExplainError::Backend(error))) => return Err(Failure::explain(&error.into())),
            Some(Ok(lists)) => lists.into_iter().map(Ok).collect(),
            Some(Err(error)) if images.len() == 1 => vec![Err(error)],
            _ => self.one_by_one(first, &images)?,
        };
        self.progress += weight;
        self.say_halved();
        // The device began with it when it was submitted, or when it had ended with the one before.
        let seconds = submitted.max(self.collected).elapsed().as_secs_f64() / images.len() as f64;
        self.collected = Instant::now();
        self.waits.computing += start.elapsed();
        for (image, maps) in images.into_iter().zip(found) {
            self.settle(image, maps, seconds);
        }
        Ok(())
    }

    fn one_by_one(
        &mut self,
        first: usize,
        images: &[Image],
    ) -> Result<Vec<Result<Vec<Heatmap>, ExplainError>>, Failure> {
        let shape = self.model.input();
        let (methods, target) = (&self.settings.methods, &self.settings.target);
        let mut found = Vec::new();
        for (i, image) in images.iter().enumerate() {
            let tensor = Tensor::new(&[shape.channels, shape.height, shape.width], image.values.to_vec());
            match self.explainer.explain_from(first + i, &tensor, methods, target) {
                Err(ExplainError::Backend(error)) => return Err(Failure::explain(&error.into())),
                maps => found.push(maps.map(|mut lists| lists.swap_remove(0))),
            }
        }
        Ok(found)
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
            Some(_) => self.results.console().note(&text),
            None => self.results.console().detail(&text),
        }
    }

    fn settle(&mut self, mut image: Image, maps: Result<Vec<Heatmap>, ExplainError>, seconds: f64) {
        let source = image.source;
        let pending = self.pending.entry(source).or_default();
        pending.dealt_with += 1;
        match maps {
            Ok(maps) => {
                image.release(self.settings.formats.iter().any(|format| format.is_drawn()));
                pending.done.push(Explained { image, maps, seconds });
            }
            Err(error) => pending.failures.push(Failure::explain(&error).about(self.results.name(&image))),
        }
        self.close(source);
    }

    /// No more comes of a source, and nothing is written of it.
    fn give_up(&mut self, source: usize, failure: Failure) {
        let pending = self.pending.entry(source).or_default();
        pending.failures.push(failure);
        pending.is_read = true;
        self.close(source);
    }

    /// Has a source written, if it is complete; one image at fault spoils it.
    fn close(&mut self, source: usize) {
        let Some(pending) = self.pending.get_mut(&source) else { return };
        if !pending.failures.is_empty() {
            pending.done.clear();
        }
        if !pending.is_read || pending.dealt_with < pending.read {
            return;
        }
        let Pending { done: images, failures, .. } = std::mem::take(pending);
        self.pending.remove(&source);
        if !failures.is_empty() {
            return self.results.failed(source, failures);
        }
        let names = self.writer.names(&mut self.taken, &self.todo.stems[source], &images);
        // The threads are there until the last sender is gone.
        _ = self.jobs.send(Job { source, images, names });
    }
}

impl Drop for Run<'_> {
    /// What is wrong with a source is said even where the run ends before the source does.
    fn drop(&mut self) {
        for (source, pending) in self.pending.drain().filter(|(_, pending)| !pending.failures.is_empty()) {
            self.results.failed(source, pending.failures);
        }
    }
}
