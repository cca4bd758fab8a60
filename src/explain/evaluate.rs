//! Batches through a backend: sessions kept, targets chosen once the logits are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::progress::Progress;
use super::{ExplainError, Target};
use crate::backend::{Backend, Phase, Session};
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
    /// Automatic batch sizes by passes.
    batches: HashMap<Vec<PassKey>, usize>,
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
        Self { graph, backend, rules, batch, sessions, batches, slot_bytes: 0, progress }
    }

    pub fn backend_name(&self) -> &'static str {
        self.backend.name()
    }

    /// Bytes that the last batch held for slots; weights are not counted.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
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

    /// `images` in the network's input space, with one baseline for all or one each, through `passes`.
    pub fn run(
        &mut self,
        images: &[Vec<f64>],
        baselines: &[Vec<f64>],
        passes: &[Pass],
        targets: &TargetsOf,
    ) -> Result<Evaluation, ExplainError> {
        let mut found = Evaluation::default();
        let batch = self.batch(passes)?;
        for (chunk, images) in images.chunks(batch).enumerate() {
            let first = chunk * batch;
            let own = baselines.len() > 1;
            let baselines = if own { &baselines[first..first + images.len()] } else { baselines };
            self.chunk(first, images, baselines, passes, targets, &mut found)?;
        }
        Ok(found)
    }

    fn chunk(
        &mut self,
        first: usize,
        images: &[Vec<f64>],
        baselines: &[Vec<f64>],
        passes: &[Pass],
        targets: &TargetsOf,
        found: &mut Evaluation,
    ) -> Result<(), ExplainError> {
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
        if let Some(port) = &program.reference_logits {
            let rows = rows(&session.read(port)?, port.len());
            if baselines.len() > 1 || found.reference_logits.is_empty() {
                found.reference_logits.extend(rows);
            }
        }
        let chosen = logits.iter().map(|row| targets.of(row)).collect::<Result<Vec<_>, _>>()?;
        found.maps.extend(backward(session.as_mut(), program, &chosen)?);
        found.logits.extend(logits);
        found.targets.extend(chosen);
        if !passes.is_empty() {
            self.progress.advance(images.len());
        }
        Ok(())
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
