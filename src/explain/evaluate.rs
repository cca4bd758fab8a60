//! Batches through a backend: sessions kept, targets chosen once the logits are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::progress::Progress;
use super::{ExplainError, Target};
use crate::backend::{Backend, BackendError, Phase, Session};
use crate::graph::{Graph, Precision};
use crate::plan::{Batch, Pass, plan};
use crate::program::Program;
use crate::rule::RuleOptions;

/// Which classes each image is explained for.
pub enum TargetsOf<'a> {
    /// The same for every image.
    Fixed(&'a [usize]),
    /// By each image's logits and the class names.
    Chosen(&'a Target, &'a [String]),
}

impl TargetsOf<'_> {
    /// The most targets an image can have.
    fn most(&self, classes: usize) -> usize {
        match self {
            Self::Fixed(targets) => targets.len(),
            Self::Chosen(Target::All, _) => classes,
            Self::Chosen(Target::Top(count), _) => (*count).min(classes),
            Self::Chosen(Target::Index(_) | Target::Name(_), _) => 1,
        }
    }

    fn of(&self, logits: &[f64]) -> Result<Vec<usize>, ExplainError> {
        match self {
            Self::Fixed(targets) => Ok(targets.to_vec()),
            Self::Chosen(target, classes) => target.resolve(logits, classes),
        }
    }
}

/// Logits, targets and raw maps of some images.
#[derive(Default)]
pub struct Evaluation {
    pub logits: Vec<Vec<f64>>,
    /// The baselines' logits, where a pass forwarded them: one row for all, or one an image.
    pub reference_logits: Vec<Vec<f64>>,
    pub targets: Vec<Vec<usize>>,
    /// Of every image, every target, every pass.
    pub maps: Vec<Vec<Vec<RawMap>>>,
}

impl Evaluation {
    /// Adds the images of another chunk; with `own`, each has a baseline of its own.
    fn append(&mut self, chunk: Self, own: bool) {
        if own || self.reference_logits.is_empty() {
            self.reference_logits.extend(chunk.reference_logits);
        }
        self.logits.extend(chunk.logits);
        self.targets.extend(chunk.targets);
        self.maps.extend(chunk.maps);
    }
}

/// A map as the program leaves it.
#[derive(Clone, Debug, Default)]
pub struct RawMap {
    pub values: Vec<f64>,
    /// The sums of [`crate::program::Program::audits`].
    pub audit: Option<[f64; 2]>,
}

type Key = (Vec<PassKey>, Batch);
type PassKey = (&'static str, crate::method::Readout, Option<crate::graph::ValueId>, bool, bool);

/// A session and what it runs.
struct Loaded {
    program: Arc<Program>,
    session: Box<dyn Session>,
}

fn key_of(pass: &Pass) -> PassKey {
    (pass.composite.name, pass.readout, pass.layer, pass.upsample, pass.audit)
}

/// Runs batches of images through programs of one graph.
pub struct Evaluator<'m> {
    graph: &'m Graph,
    backend: Box<dyn Backend>,
    rules: RuleOptions,
    batch: Option<usize>,
    sessions: HashMap<Key, Loaded>,
    /// Batch sizes by passes.
    batches: HashMap<Vec<PassKey>, usize>,
    /// The smallest batch size that a lack of memory led to.
    halved: Option<usize>,
    slot_bytes: usize,
    pub progress: Progress<'m>,
}

/// Messages that travel back together through one image.
const MOST_MESSAGES: usize = 8;
/// Sessions kept for reuse; a run needs one or two for every kind of method.
const MOST_SESSIONS: usize = 6;
/// Slot bytes that an automatic batch fills at most, and its largest size.
const AUTO_BYTES: usize = 1 << 30;
const AUTO_IMAGES: usize = 16;

impl<'m> Evaluator<'m> {
    pub fn new(graph: &'m Graph, backend: Box<dyn Backend>, rules: RuleOptions, batch: Option<usize>) -> Self {
        let (sessions, batches, progress) = (HashMap::new(), HashMap::new(), Progress::default());
        Self { graph, backend, rules, batch, sessions, batches, halved: None, slot_bytes: 0, progress }
    }

    pub fn backend_name(&self) -> &'static str {
        self.backend.name()
    }

    /// Bytes that the last batch held for slots; weights are not counted.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// The smallest batch size that a lack of memory led to.
    pub fn halved(&self) -> Option<usize> {
        self.halved
    }

    /// Images that run together for these passes.
    pub fn batch(&mut self, passes: &[Pass]) -> Result<usize, ExplainError> {
        let key: Vec<PassKey> = passes.iter().map(key_of).collect();
        if let Some(batch) = self.batches.get(&key) {
            return Ok(*batch);
        }
        let one = plan(self.graph, passes, &self.rules, Batch::of(1))?;
        let float = if self.graph.precision == Precision::F64 { 8 } else { 4 };
        let fits = AUTO_BYTES / one.slot_bytes(float).max(1);
        let batch = self.batch.unwrap_or(fits.clamp(1, AUTO_IMAGES));
        self.batches.insert(key, batch);
        Ok(batch)
    }

    /// `images` in the network's input space, with one baseline for all or one each, through `passes`. Where the device's
    /// memory does not hold a batch, the batch is halved: no map depends on it.
    pub fn run(
        &mut self,
        images: &[Vec<f64>],
        baselines: &[Vec<f64>],
        passes: &[Pass],
        targets: &TargetsOf,
    ) -> Result<Evaluation, ExplainError> {
        let mut found = Evaluation::default();
        let (mut first, mut alone) = (0, false);
        while first < images.len() {
            let end = images.len().min(first + self.batch(passes)?);
            let own = baselines.len() > 1;
            let baselines = if own { &baselines[first..end] } else { baselines };
            match self.chunk(first, &images[first..end], baselines, passes, targets) {
                Ok(chunk) => {
                    found.append(chunk, own);
                    (first, alone) = (end, false);
                }
                Err(ExplainError::Backend(error @ BackendError::OutOfMemory { .. })) => {
                    // Without other sessions it may fit, else half of it may.
                    if alone {
                        self.halve(passes, end - first).ok_or(error)?;
                    }
                    self.sessions.clear();
                    alone = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Half of `images`, which did not fit, is the batch from now on; `None` where there is no half.
    fn halve(&mut self, passes: &[Pass], images: usize) -> Option<usize> {
        let batch = images / 2;
        if batch == 0 {
            return None;
        }
        self.batches.insert(passes.iter().map(key_of).collect(), batch);
        self.halved = Some(self.halved.map_or(batch, |halved| halved.min(batch)));
        self.halved
    }

    fn chunk(
        &mut self,
        first: usize,
        images: &[Vec<f64>],
        baselines: &[Vec<f64>],
        passes: &[Pass],
        targets: &TargetsOf,
    ) -> Result<Evaluation, ExplainError> {
        let most = targets.most(self.graph.shape(self.graph.output).len());
        let messages = most.clamp(1, MOST_MESSAGES);
        let batch = Batch {
            images: images.len(),
            references: baselines.len().max(1),
            messages_per_image: messages,
            repeat: most > messages,
        };
        let Loaded { program, session } = self.session(passes, batch)?;
        session.write(&program.input, &images.concat())?;
        if let Some(port) = &program.reference {
            session.write(port, &baselines.concat())?;
        }
        session.run(Phase::Forward, None)?;
        let logits = rows(&session.read(&program.logits)?, program.logits.len());
        for (image, row) in logits.iter().enumerate() {
            if let Some((class, &logit)) = row.iter().enumerate().find(|(_, logit)| !logit.is_finite()) {
                return Err(ExplainError::NonFiniteLogit { image: first + image, class, logit });
            }
        }
        let reference_logits = match &program.reference_logits {
            Some(port) => rows(&session.read(port)?, port.len()),
            None => Vec::new(),
        };
        let targets = logits.iter().map(|row| targets.of(row)).collect::<Result<Vec<_>, _>>()?;
        let maps = backward(session.as_mut(), program, &targets)?;
        if !passes.is_empty() {
            self.progress.advance(images.len());
        }
        Ok(Evaluation { logits, reference_logits, targets, maps })
    }

    fn session(&mut self, passes: &[Pass], batch: Batch) -> Result<&mut Loaded, ExplainError> {
        let key: Key = (passes.iter().map(key_of).collect(), batch);
        if !self.sessions.contains_key(&key) {
            if self.sessions.len() >= MOST_SESSIONS {
                self.sessions.clear();
            }
            let program = Arc::new(plan(self.graph, passes, &self.rules, batch)?);
            let session = self.backend.load(Arc::clone(&program))?;
            self.sessions.insert(key.clone(), Loaded { program, session });
        }
        let loaded = self.sessions.get_mut(&key).unwrap_or_else(|| unreachable!("the session was just inserted"));
        self.slot_bytes = loaded.session.slot_bytes();
        Ok(loaded)
    }
}

/// The maps of every image, target and pass, as many targets at a time as the program has messages.
fn backward(
    session: &mut dyn Session,
    program: &Program,
    chosen: &[Vec<usize>],
) -> Result<Vec<Vec<Vec<RawMap>>>, ExplainError> {
    let mut maps: Vec<Vec<Vec<RawMap>>> = vec![Vec::new(); chosen.len()];
    let Some(seeds) = &program.seeds else { return Ok(maps) };
    let (together, classes) = (program.messages_per_image, program.logits.len());
    let items = chosen.len() * together;
    let rounds = chosen.iter().map(Vec::len).max().unwrap_or(0).div_ceil(together);
    for round in 0..rounds {
        let mut rows = vec![0.0; chosen.len() * together * classes];
        let turn =
            |targets: &[usize]| targets.iter().copied().skip(round * together).take(together).collect::<Vec<_>>();
        for (image, targets) in chosen.iter().enumerate() {
            for (message, class) in turn(targets).into_iter().enumerate() {
                rows[(image * together + message) * classes + class] = 1.0;
            }
        }
        session.write(seeds, &rows)?;
        session.run(Phase::Backward, None)?;
        let outputs = program.outputs.iter().map(|port| session.read(port)).collect::<Result<Vec<_>, _>>()?;
        let audits = program.audits.iter().map(|port| port.as_ref().map(|port| session.read(port)).transpose());
        let audits = audits.collect::<Result<Vec<_>, _>>()?;
        for (image, targets) in chosen.iter().enumerate() {
            for message in 0..turn(targets).len() {
                let item = image * together + message;
                let of_pass = |(data, audit): (&Vec<f64>, &Option<Vec<f64>>)| {
                    let len = data.len() / items;
                    let audit = audit.as_ref().map(|sums| [sums[2 * item], sums[2 * item + 1]]);
                    RawMap { values: data[item * len..(item + 1) * len].to_vec(), audit }
                };
                maps[image].push(outputs.iter().zip(&audits).map(of_pass).collect());
            }
        }
    }
    Ok(maps)
}

fn rows(data: &[f64], len: usize) -> Vec<Vec<f64>> {
    data.chunks_exact(len).map(<[f64]>::to_vec).collect()
}
