//! A part of a work through a session: forward, the targets, back.

use std::ops::Range;
use std::sync::Arc;

use super::ExplainError;
use super::work::{Evaluation, RawMap, Work};
use crate::backend::{BackendError, Phase, Session, Values};
use crate::program::{Port, Program};

/// A session and what it runs.
pub struct Loaded {
    pub program: Arc<Program>,
    pub session: Box<dyn Session>,
    /// The one that its images share, which went through the network.
    baseline: Option<Arc<[Vec<f64>]>>,
}

impl Loaded {
    pub fn new(program: Arc<Program>, session: Box<dyn Session>) -> Self {
        Self { program, session, baseline: None }
    }

    /// Sends baselines through the network, where they are not those of the last time.
    async fn refer(&mut self, work: &Work<'_>, part: &Range<usize>) -> Result<(), BackendError> {
        let Some(port) = &self.program.reference else { return Ok(()) };
        let shared = (!work.has_own_baselines()).then(|| Arc::clone(&work.baselines));
        if shared.is_some() && self.baseline == shared {
            return Ok(());
        }
        self.baseline = None;
        self.session.write_items_async(port, &work.baselines(part)).await?;
        self.session.run_async(Phase::Reference).await?;
        debug_assert!(shared.is_none() || self.program.references == 1, "the program keeps what one baseline left");
        self.baseline = shared;
        Ok(())
    }
}

/// What a session is at work on: everything is submitted, the last maps are not read.
pub struct Flight {
    /// Number of the first image.
    first: usize,
    /// Read already, where the host chose the targets by them.
    logits: Option<Vec<Vec<f64>>>,
    /// Not known yet where the program ranks the logits.
    targets: Vec<Vec<usize>>,
    /// Of earlier rounds.
    maps: Vec<Vec<Vec<RawMap>>>,
    /// The round whose maps are not read.
    last: Option<usize>,
}

impl Flight {
    /// Sends images through a session. The host waits for logits by which it chooses the targets, and for the maps of all
    /// rounds but the last: a round takes as many targets as the program has messages.
    ///
    /// # Errors
    /// Those of the session and of the targets.
    pub async fn start(loaded: &mut Loaded, work: &Work<'_>, part: &Range<usize>) -> Result<Self, ExplainError> {
        loaded.refer(work, part).await?;
        let Loaded { program, session, .. } = &mut *loaded;
        session.write_items_async(&program.input, &work.images(part)).await?;
        session.run_async(Phase::Forward).await?;
        if program.ranks_logits() {
            session.run_async(Phase::Backward).await?;
            let (logits, targets, maps) = (None, vec![Vec::new(); part.len()], vec![Vec::new(); part.len()]);
            return Ok(Self { first: part.start, logits, targets, maps, last: Some(0) });
        }
        let (logits, targets) = match work.targets.known(program.logits.len()) {
            Some(targets) => (None, vec![targets?; part.len()]),
            None => {
                let logits = logits(loaded, part.start).await?;
                let targets = chosen(&logits, work)?;
                (Some(logits), targets)
            }
        };
        let maps = vec![Vec::new(); part.len()];
        let mut flight = Self { first: part.start, logits, targets, maps, last: None };
        for round in 0..flight.rounds(&loaded.program) {
            flight.read_last(loaded).await?;
            flight.send(loaded, round).await?;
        }
        Ok(flight)
    }

    /// Reads what is not read yet.
    ///
    /// # Errors
    /// Those of the session, and [`ExplainError::NonFiniteLogit`].
    pub async fn finish(mut self, loaded: &Loaded, work: &Work<'_>) -> Result<Evaluation, ExplainError> {
        let logits = match self.logits.take() {
            Some(logits) => logits,
            None => logits(loaded, self.first).await?,
        };
        if loaded.program.ranks_logits() {
            self.targets = chosen(&logits, work)?;
        }
        let reference_logits = match &loaded.program.reference_logits {
            Some(port) => rows(&loaded.session.read_async(port).await?, port.len()),
            None => Vec::new(),
        };
        self.read_last(loaded).await?;
        Ok(Evaluation { logits, reference_logits, targets: self.targets, maps: self.maps })
    }

    fn rounds(&self, program: &Program) -> usize {
        let most = self.targets.iter().map(Vec::len).max().unwrap_or(0);
        if program.seeds.is_some() { most.div_ceil(program.messages_per_image) } else { 0 }
    }

    /// The targets of an image in one round.
    fn turn(&self, image: usize, round: usize, together: usize) -> impl Iterator<Item = usize> {
        self.targets[image].iter().copied().skip(round * together).take(together)
    }

    /// Sends a round back.
    async fn send(&mut self, Loaded { program, session, .. }: &mut Loaded, round: usize) -> Result<(), BackendError> {
        let Some(seeds) = &program.seeds else { return Ok(()) };
        let (together, classes) = (program.messages_per_image, program.logits.len());
        let mut rows = vec![0.0f32; self.targets.len() * together * classes];
        for image in 0..self.targets.len() {
            for (message, class) in self.turn(image, round, together).enumerate() {
                rows[(image * together + message) * classes + class] = 1.0;
            }
        }
        session.write_items_async(seeds, &[Values::from(rows)]).await?;
        session.run_async(Phase::Backward).await?;
        self.last = Some(round);
        Ok(())
    }

    /// Starts the way back of all that [`Self::finish`] reads.
    ///
    /// # Errors
    /// Those of the session.
    pub async fn fetch(&self, Loaded { program, session, .. }: &mut Loaded) -> Result<(), BackendError> {
        let logits = self.logits.is_none().then_some(&program.logits);
        let maps = self.last.map(|_| program.outputs.iter().chain(program.audits.iter().flatten()));
        let ports = logits.into_iter().chain(&program.reference_logits).chain(maps.into_iter().flatten());
        let ports: Vec<Port> = ports.cloned().collect();
        session.prefetch_async(&ports).await
    }

    /// Reads the maps of the last round sent.
    async fn read_last(&mut self, Loaded { program, session, .. }: &Loaded) -> Result<(), BackendError> {
        let Some(round) = self.last.take() else { return Ok(()) };
        let together = program.messages_per_image;
        let (mut outputs, mut audits) = (Vec::new(), Vec::new());
        for port in &program.outputs {
            outputs.push(session.read_items_async(port).await?);
        }
        for port in &program.audits {
            audits.push(match port {
                Some(port) => Some(session.read_async(port).await?),
                None => None,
            });
        }
        for image in 0..self.targets.len() {
            let taken = self.turn(image, round, together).count();
            for item in image * together..image * together + taken {
                let of_pass = |(items, audit): (&mut Vec<Values<'static>>, &Option<Vec<f64>>)| {
                    let audit = audit.as_ref().map(|sums| [sums[2 * item], sums[2 * item + 1]]);
                    RawMap { values: std::mem::take(&mut items[item]), audit }
                };
                self.maps[image].push(outputs.iter_mut().zip(&audits).map(of_pass).collect());
            }
        }
        Ok(())
    }
}

/// The targets of images with these logits.
fn chosen(logits: &[Vec<f64>], work: &Work<'_>) -> Result<Vec<Vec<usize>>, ExplainError> {
    logits.iter().map(|row| work.targets.of(row)).collect()
}

/// The logits of the images in a session, the first of which has the number `first`.
async fn logits(Loaded { program, session, .. }: &Loaded, first: usize) -> Result<Vec<Vec<f64>>, ExplainError> {
    let logits = rows(&session.read_async(&program.logits).await?, program.logits.len());
    for (image, row) in logits.iter().enumerate() {
        if let Some((class, &logit)) = row.iter().enumerate().find(|(_, logit)| !logit.is_finite()) {
            return Err(ExplainError::NonFiniteLogit { image: first + image, class, logit });
        }
    }
    Ok(logits)
}

fn rows(data: &[f64], len: usize) -> Vec<Vec<f64>> {
    data.chunks_exact(len).map(<[f64]>::to_vec).collect()
}
