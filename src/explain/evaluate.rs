//! Batches through a backend: sessions kept, several of them at work at a time where that keeps the device busy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::ExplainError;
use super::flight::{Flight, Loaded};
use super::progress::Progress;
use super::work::{Evaluation, MOST_MESSAGES, Work};
use crate::backend::{Backend, BackendError};
use crate::graph::Graph;
use crate::plan::{Batch, Pass, plan};
use crate::rule::RuleOptions;

type Key = (Vec<PassKey>, Batch);
type PassKey = (&'static str, crate::method::Readout, Option<crate::graph::ValueId>, bool, bool);

fn key_of(passes: &[Pass]) -> Vec<PassKey> {
    let key = |pass: &Pass| (pass.composite.name, pass.readout, pass.layer, pass.upsample, pass.audit);
    passes.iter().map(key).collect()
}

/// Names a part of a work until it lands.
pub type Ticket = u64;

/// A part of a work that is asked for.
struct Departed<'m> {
    work: Arc<Work<'m>>,
    part: Range<usize>,
    state: State,
    /// By [`Evaluator::stream`], which lands all that it sends unless its future is dropped.
    streamed: bool,
}

enum State {
    /// On the device.
    Flying(Key, Loaded, Flight),
    /// The device's memory does not hold it beside the others; it is computed when it is to land.
    Grounded,
    Failed(ExplainError),
}

/// Runs batches of images through programs of one graph.
///
/// Where the device's memory does not hold a batch, the batch is halved, and where it does not hold one image with all its
/// messages, they are: no map depends on either.
pub struct Evaluator<'m> {
    graph: &'m Graph,
    backend: Box<dyn Backend>,
    rules: RuleOptions,
    batch: Option<usize>,
    /// Sessions that nobody uses.
    idle: Vec<(Key, Loaded)>,
    departed: BTreeMap<Ticket, Departed<'m>>,
    tickets: Ticket,
    /// Batch sizes by passes.
    batches: HashMap<Vec<PassKey>, usize>,
    /// Messages an image by passes, where a lack of memory halved them.
    messages: HashMap<Vec<PassKey>, usize>,
    /// The smallest batch size that a lack of memory led to.
    halved: Option<usize>,
    /// The device's memory does not hold the sessions of two batches.
    cramped: bool,
    slot_bytes: usize,
    pub progress: Progress<'m>,
}

/// Idle sessions kept for each that may be at work; a run needs one or two for every kind of method.
const MOST_SESSIONS: usize = 6;
/// Slot bytes that an automatic batch fills at most, and its largest size.
const AUTO_BYTES: usize = 1 << 30;
const AUTO_IMAGES: usize = 16;

impl<'m> Evaluator<'m> {
    pub fn new(graph: &'m Graph, backend: Box<dyn Backend>, rules: RuleOptions, batch: Option<usize>) -> Self {
        Self {
            graph,
            backend,
            rules,
            batch,
            idle: Vec::new(),
            departed: BTreeMap::new(),
            tickets: 0,
            batches: HashMap::new(),
            messages: HashMap::new(),
            halved: None,
            cramped: false,
            slot_bytes: 0,
            progress: Progress::default(),
        }
    }

    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
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
        let key = key_of(passes);
        if let Some(batch) = self.batches.get(&key) {
            return Ok(*batch);
        }
        let one = plan(self.graph, passes, &self.rules, Batch::of(1))?;
        let float = self.graph.precision.arithmetic().bytes();
        let fits = AUTO_BYTES / one.slot_bytes(float).max(1);
        let batch = self.batch.unwrap_or(fits.clamp(1, AUTO_IMAGES));
        self.batches.insert(key, batch);
        Ok(batch)
    }

    /// All images of a work, batch by batch.
    pub async fn run(&mut self, work: &Arc<Work<'m>>) -> Result<Evaluation, ExplainError> {
        let (mut found, mut first) = (Evaluation::default(), 0);
        let next = |batch: usize| {
            let part = first..work.images.len().min(first + batch);
            first = part.end;
            (!part.is_empty()).then(|| (Arc::clone(work), part, ()))
        };
        self.stream(&work.passes, next, |part, ()| found.append(part, work.has_own_baselines())).await?;
        Ok(found)
    }

    /// Parts of works through `passes`: `next` makes one of as many images as it is told at most, with whatever the caller
    /// wants to see beside its evaluation. They land in order.
    pub async fn stream<T>(
        &mut self,
        passes: &[Pass],
        mut next: impl FnMut(usize) -> Option<(Arc<Work<'m>>, Range<usize>, T)>,
        mut land: impl FnMut(Evaluation, T),
    ) -> Result<(), ExplainError> {
        self.departed.retain(|_, departed| !departed.streamed);
        let mut flying: VecDeque<(Ticket, T)> = VecDeque::new();
        loop {
            while flying.len() < self.backend.sessions_in_flight() {
                let Some((work, part, beside)) = next(self.batch(passes)?) else { break };
                let ticket = self.depart(&work, part).await;
                self.departed.entry(ticket).and_modify(|departed| departed.streamed = true);
                flying.push_back((ticket, beside));
            }
            let Some((ticket, beside)) = flying.pop_front() else { return Ok(()) };
            match self.land(ticket).await {
                Ok(evaluation) => land(evaluation, beside),
                Err(error) => {
                    flying.iter().for_each(|(ticket, _)| self.forget(*ticket));
                    return Err(error);
                }
            }
        }
    }

    /// Sends images to the device; whatever goes wrong is said when they land.
    pub async fn depart(&mut self, work: &Arc<Work<'m>>, part: Range<usize>) -> Ticket {
        let state = match self.take_off(work, &part).await {
            Ok(state) => state,
            Err(error) => State::Failed(error),
        };
        self.tickets += 1;
        self.departed.insert(self.tickets, Departed { work: Arc::clone(work), part, state, streamed: false });
        self.tickets
    }

    /// Waits for images that were sent.
    pub async fn land(&mut self, ticket: Ticket) -> Result<Evaluation, ExplainError> {
        let Some(Departed { work, part, state, .. }) = self.departed.remove(&ticket) else {
            unreachable!("a ticket is good for one landing")
        };
        let landed = match state {
            State::Failed(error) => Err(error),
            State::Flying(key, loaded, flight) => self.touch_down(&work, key, loaded, flight).await,
            State::Grounded => return self.walk(&work, part).await,
        };
        match landed {
            Err(ExplainError::Backend(error)) if error.is_size() || error.is_loss() => self.walk(&work, part).await,
            landed => landed,
        }
    }

    /// Gives up images that were sent.
    pub fn forget(&mut self, ticket: Ticket) {
        self.departed.remove(&ticket);
    }

    fn flying(&self) -> usize {
        self.departed.values().filter(|departed| matches!(departed.state, State::Flying(..))).count()
    }

    async fn take_off(&mut self, work: &Work<'_>, part: &Range<usize>) -> Result<State, ExplainError> {
        if part.len() > self.batch(&work.passes)? || (self.cramped && !self.departed.is_empty()) {
            return Ok(State::Grounded);
        }
        loop {
            match self.start(work, part).await {
                Ok((key, loaded, flight)) => return Ok(State::Flying(key, loaded, flight)),
                Err(ExplainError::Backend(BackendError::TooLarge { .. } | BackendError::TooMany { .. })) => {
                    return Ok(State::Grounded);
                }
                Err(ExplainError::Backend(BackendError::OutOfMemory { .. })) if self.idle.is_empty() => {
                    self.cramped |= self.flying() > 0;
                    return Ok(State::Grounded);
                }
                Err(ExplainError::Backend(BackendError::OutOfMemory { .. })) => self.idle.clear(),
                Err(error) => return Err(error),
            }
        }
    }

    async fn start(&mut self, work: &Work<'_>, part: &Range<usize>) -> Result<(Key, Loaded, Flight), ExplainError> {
        let (key, mut loaded) = self.session(work, part).await?;
        match Flight::start(&mut loaded, work, part).await {
            Ok(flight) => {
                if self.backend.sessions_in_flight() > 1 {
                    flight.fetch(&mut loaded).await?;
                }
                Ok((key, loaded, flight))
            }
            Err(ExplainError::Backend(error)) => Err(error.into()),
            Err(error) => {
                self.idle.push((key, loaded));
                Err(error)
            }
        }
    }

    async fn touch_down(
        &mut self,
        work: &Work<'_>,
        key: Key,
        loaded: Loaded,
        flight: Flight,
    ) -> Result<Evaluation, ExplainError> {
        let found = flight.finish(&loaded, work).await;
        if !matches!(found, Err(ExplainError::Backend(_))) {
            self.idle.push((key, loaded));
        }
        let found = found?;
        if !work.passes.is_empty() {
            self.progress.advance(found.logits.len());
        }
        Ok(found)
    }

    /// Computes images a batch at a time, in as much memory as there is. A device that is lost is opened anew, once.
    async fn walk(&mut self, work: &Work<'_>, part: Range<usize>) -> Result<Evaluation, ExplainError> {
        let mut found = Evaluation::default();
        let (mut first, mut alone, mut reopened) = (part.start, false, false);
        while first < part.end {
            let step = first..part.end.min(first + self.batch(&work.passes)?);
            let done = match self.start(work, &step).await {
                Ok((key, loaded, flight)) => self.touch_down(work, key, loaded, flight).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(step_found) => {
                    found.append(step_found, work.has_own_baselines());
                    (first, alone) = (step.end, false);
                }
                Err(ExplainError::Backend(error)) if error.is_loss() && !reopened => {
                    self.free();
                    if !self.backend.reopen_async().await {
                        return Err(error.into());
                    }
                    reopened = true;
                }
                Err(ExplainError::Backend(error @ (BackendError::TooLarge { .. } | BackendError::TooMany { .. }))) => {
                    self.halve(work, &step).ok_or(error)?;
                }
                Err(ExplainError::Backend(error @ BackendError::OutOfMemory { .. })) => {
                    // Without other sessions it may fit, else half of it may.
                    if alone {
                        self.halve(work, &step).ok_or(error)?;
                    }
                    self.free();
                    alone = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Drops all sessions, those at work too: their images are computed again.
    fn free(&mut self) {
        self.idle.clear();
        self.cramped |= self.flying() > 0;
        let flying = self.departed.values_mut().filter(|departed| matches!(departed.state, State::Flying(..)));
        flying.for_each(|departed| departed.state = State::Grounded);
    }

    /// Half of these images, which did not fit, is the batch from now on; where it is one image, half of its messages travel
    /// together. `None` where there is no half.
    fn halve(&mut self, work: &Work<'_>, part: &Range<usize>) -> Option<()> {
        let batch = part.len() / 2;
        if batch == 0 {
            let messages = self.items(work, part).messages_per_image / 2;
            return (messages > 0).then(|| _ = self.messages.insert(key_of(&work.passes), messages));
        }
        self.batches.insert(key_of(&work.passes), batch);
        self.halved = Some(self.halved.map_or(batch, |halved| halved.min(batch)));
        Some(())
    }

    /// The items of a program for some images of a work.
    fn items(&self, work: &Work<'_>, part: &Range<usize>) -> Batch {
        let messages = self.messages.get(&key_of(&work.passes)).copied().unwrap_or(MOST_MESSAGES);
        work.items(part, self.graph.shape(self.graph.output), messages)
    }

    /// A session for some images of a work.
    async fn session(&mut self, work: &Work<'_>, part: &Range<usize>) -> Result<(Key, Loaded), ExplainError> {
        let batch = self.items(work, part);
        let key: Key = (key_of(&work.passes), batch);
        let (key, loaded) = match self.idle.iter().position(|(idle, _)| *idle == key) {
            Some(at) => self.idle.swap_remove(at),
            None => {
                if self.idle.len() >= MOST_SESSIONS * self.backend.sessions_in_flight() {
                    self.idle.clear();
                }
                let program = Arc::new(plan(self.graph, &work.passes, &self.rules, batch)?);
                let session = self.backend.load_async(Arc::clone(&program)).await?;
                (key, Loaded::new(program, session))
            }
        };
        self.slot_bytes = loaded.session.slot_bytes();
        Ok((key, loaded))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;
    use crate::backend::cpu::CpuBackend;
    use crate::backend::{Pending, Phase, Session, Values};
    use crate::explain::{ExplainOptions, Explainer, Heatmap, Target};
    use crate::graph::Precision;
    use crate::method::MethodChoice;
    use crate::model::Model;
    use crate::program::{Port, Program};
    use crate::tensor::Tensor;

    /// A device that answers at the second poll, as in a browser, and of which two sessions are at work.
    struct Slow(CpuBackend);

    struct SlowSession(Box<dyn Session>);

    /// What `act` gives, at the second poll.
    fn later<'a, T: 'a>(act: impl FnOnce() -> T + 'a) -> Pending<'a, T> {
        Box::pin(async {
            let mut polled = false;
            std::future::poll_fn(
                |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
            )
            .await;
            act()
        })
    }

    impl Backend for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn device(&self) -> String {
            String::new()
        }

        fn load(&self, _: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
            panic!("nobody may wait")
        }

        fn load_async(&self, program: Arc<Program>) -> Pending<'_, Result<Box<dyn Session>, BackendError>> {
            later(|| Ok(Box::new(SlowSession(self.0.load(program)?)) as Box<dyn Session>))
        }

        fn sessions_in_flight(&self) -> usize {
            2
        }
    }

    impl Session for SlowSession {
        fn program(&self) -> &Program {
            self.0.program()
        }

        fn write_items(&mut self, _: &Port, _: &[Values]) -> Result<(), BackendError> {
            panic!("nobody may wait")
        }

        fn run(&mut self, _: Phase, _: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
            panic!("nobody may wait")
        }

        fn read_items(&self, _: &Port) -> Result<Vec<Values<'static>>, BackendError> {
            panic!("nobody may wait")
        }

        fn write_items_async<'a>(
            &'a mut self,
            port: &'a Port,
            pieces: &'a [Values<'a>],
        ) -> Pending<'a, Result<(), BackendError>> {
            later(|| self.0.write_items(port, pieces))
        }

        fn run_async(&mut self, phase: Phase) -> Pending<'_, Result<(), BackendError>> {
            later(move || self.0.run(phase, None))
        }

        fn read_items_async<'a>(&'a self, port: &'a Port) -> Pending<'a, Result<Vec<Values<'static>>, BackendError>> {
            later(|| self.0.read_items(port))
        }

        fn slot_bytes(&self) -> usize {
            self.0.slot_bytes()
        }

        fn constant_bytes(&self) -> usize {
            self.0.constant_bytes()
        }
    }

    /// The future's result after as many polls as it takes, at most so many.
    fn polled<T>(future: impl Future<Output = T>, most: usize) -> Option<T> {
        let mut future = pin!(future);
        let mut poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (0..most).find_map(|_| match poll() {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    }

    fn values(lists: &[Vec<Heatmap>]) -> Vec<&[f32]> {
        lists.iter().flatten().map(|heatmap| heatmap.map.data.as_slice()).collect()
    }

    #[test]
    fn a_device_that_answers_later_gives_the_same_maps_also_after_futures_that_were_dropped() {
        let model = Model::open("data/models/rnet.onnx").expect("a network");
        let cpu = || CpuBackend::new(Precision::F32, Some(1)).expect("the host");
        let options = || ExplainOptions { batch: Some(1), steps: 3, ..ExplainOptions::default() };
        let methods =
            ["grad-cam", "deeplift", "integrated-gradients"].map(|name| name.parse::<MethodChoice>().unwrap());
        let images = Tensor::new(&[3, 3, 24, 24], (0..3 * 3 * 24 * 24).map(|i| (i as f32).sin()).collect());

        let mut explainer = Explainer::new(&model, Box::new(cpu()), options()).unwrap();
        let want = explainer.explain(&images, &methods, &Target::Top(1)).expect("maps");
        let mut slow = Explainer::new(&model, Box::new(Slow(cpu())), options()).unwrap();
        let mut all = usize::MAX;
        for most in [1, 2, 5, 9, 14, 20, usize::MAX] {
            let got = polled(slow.explain_async(&images, &methods, &Target::Top(1)), most);
            let Some(got) = got else { continue };
            assert_eq!(values(&got.expect("maps")), values(&want));
            all = all.min(most);
        }
        assert_eq!(all, usize::MAX, "the others were dropped");
        assert!(slow.evaluator.departed.is_empty() && !slow.evaluator.cramped);
    }
}
