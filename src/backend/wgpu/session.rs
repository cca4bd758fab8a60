use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bound::{Bound, bind};
use super::clock::{Clock, Timed, passes};
use super::memory::{Memory, RECEIVES};
use super::opened::Opened;
use super::slots::{self, Slots};
use super::{edge, items};
use crate::backend::gpu::{launch, within_bindings};
use crate::backend::{BackendError, Pending, Phase, Session, Values};
use crate::program::{Buffer, BufferId, Element, Port, Program, Split, split};

/// What memory for reading is called.
const READ: &str = "a buffer to read from";
/// Bytes of a float.
const FLOAT: usize = 4;

/// A program with its slots and weights on the device.
pub struct WgpuSession {
    opened: Arc<Opened>,
    program: Arc<Program>,
    /// The same, with numbers as the device stores them, with filters and as many buffers as a kernel takes.
    replayed: Program,
    /// Its steps for each of the program's.
    parts: Vec<usize>,
    slots: Slots,
    bound: Bound,
    clock: Option<Clock>,
    received: RefCell<Option<Memory>>,
    fetched: RefCell<BTreeMap<BufferId, Fetched>>,
}

/// Bytes of the largest buffer that is read after a run: room for it is taken with the slots, so that a program which is loaded has it.
fn most_read(program: &Program) -> usize {
    let audits = program.audits.iter().flatten();
    let ports = [&program.logits].into_iter().chain(&program.reference_logits).chain(&program.outputs).chain(audits);
    ports.map(|port| slots::bytes(program, port.view.buffer)).max().unwrap_or(0)
}

/// Where a port goes before it is asked for.
struct Fetched {
    into: Memory,
    /// The copy that is under way, or there.
    sent: Option<wgpu::SubmissionIndex>,
}

/// How a program is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loading {
    /// Slots are full of not-a-number.
    pub poisoned: bool,
    /// Kernels are those for hardware.
    pub as_hardware: bool,
    /// No kernel loads from textures, which take memory.
    pub without_textures: bool,
}

impl WgpuSession {
    /// Slots, weights and kernels of a program.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`], [`BackendError::TooLarge`], [`BackendError::TooMany`], or a kernel that the driver refuses.
    pub async fn new(opened: &Arc<Opened>, program: Arc<Program>, loading: Loading) -> Result<Self, BackendError> {
        let device = &opened.device;
        device.check()?;
        let (most, buffers) = (slots::most(device) / FLOAT, device.limits.max_storage_buffers_per_shader_stage);
        let stored = Program::clone(&program).storing(|element| element == Element::F16 && device.info.stores_f16);
        let split = Split::none(stored).then(|program| split(program, most));
        let split = split.then(|program| within_bindings(program, buffers as usize));
        let Split { program: replayed, steps: parts } = split;
        let slots = Slots::new(device, &replayed, loading.poisoned).await?;
        let launches = replayed.steps.iter().map(|step| {
            let launch = launch(&replayed, step);
            let launch = launch.map_err(|error| BackendError::TooMany { backend: super::NAME, error })?.packed();
            let launch = if loading.as_hardware { launch } else { device.suited(launch) };
            let textured = !loading.as_hardware && !loading.without_textures;
            let launch = if textured { device.textured(&replayed, launch) } else { launch };
            device.ends(&step.label, launch)
        });
        let launches = launches.collect::<Result<Vec<_>, BackendError>>()?;
        let bound = bind(opened, &replayed, &slots, &launches).await?;
        let received = Memory::new(device, READ, most_read(&replayed), RECEIVES, false).await?;
        let (clock, received, fetched) = (None, RefCell::new(Some(received)), RefCell::default());
        Ok(Self { opened: Arc::clone(opened), program, replayed, parts, slots, bound, clock, received, fetched })
    }

    /// Sends one part of the program to the device; nothing waits for it.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn submit(&self, phase: Phase) -> Result<(), BackendError> {
        self.forget_results(phase);
        let steps = &self.bound.steps[self.replayed.part(phase)];
        if steps.is_empty() {
            return Ok(());
        }
        let device = &self.opened.device;
        let sent = device.attempt("run a program", 0, |raw| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for steps in passes(steps) {
                steps[0].copy(&mut encoder);
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                steps.iter().for_each(|step| step.dispatch(&mut pass));
            }
            device.submit([encoder.finish()]);
        });
        sent.await
    }

    /// Runs one part of the program and adds the time of every step to `times`.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn timed(&mut self, phase: Phase, times: &mut Vec<Duration>) -> Result<(), BackendError> {
        self.forget_results(phase);
        let range = self.replayed.part(phase);
        let device = &self.opened.device;
        if self.clock.is_none() {
            self.clock = Some(Clock::new(device, self.bound.steps.len()).await?);
        }
        let Some(clock) = &self.clock else { return Ok(()) };
        let steps = &self.bound.steps[range];
        let mut found = clock.time(device, steps).await?.into_iter();
        times.extend(
            self.parts[self.program.part(phase)].iter().map(|parts| found.by_ref().take(*parts).sum::<Duration>()),
        );
        Ok(())
    }

    /// As [`Session::write_items`].
    ///
    /// # Errors
    /// [`BackendError::Length`], or whatever the device reports.
    pub async fn send(&self, port: &Port, pieces: &[Values<'_>]) -> Result<(), BackendError> {
        port.check(&self.program, pieces)?;
        self.fetched.borrow_mut().remove(&port.view.buffer);
        let buffer = self.program.buffer(port.view);
        let mut words = if port.view.channels == buffer.channels {
            vec![0u32; slots::bytes(&self.replayed, port.view.buffer) / 4]
        } else {
            // The port's neighbours in the buffer stay as they are.
            self.words(port).await?
        };
        items::scatter(&mut words, port, self.items(port), pieces);
        let device = &self.opened.device;
        let to = self.slots.of(&self.replayed, port.view.buffer);
        let sent = device.attempt("copy to the device", 4 * words.len(), |_| {
            device.queue.write_buffer(to, 0, bytemuck::cast_slice(&words));
        });
        sent.await
    }

    /// As [`Session::prefetch`]. What there is no room for is read when it is asked for.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn fetch(&self, ports: &[Port]) -> Result<(), BackendError> {
        let device = &self.opened.device;
        for port in ports.iter().filter(|port| !self.is_fetched(port)) {
            let id = port.view.buffer;
            let bytes = slots::bytes(&self.replayed, id);
            let known = self.fetched.borrow_mut().remove(&id);
            let into = match known {
                Some(fetched) => fetched.into,
                None => match Memory::new(device, READ, bytes, RECEIVES, false).await {
                    Err(error) if error.is_size() => continue,
                    made => made?,
                },
            };
            let sent = Some(into.copy(device, self.slots.of(&self.replayed, id), 0, bytes).await?);
            self.fetched.borrow_mut().insert(id, Fetched { into, sent });
        }
        Ok(())
    }

    /// A copy of what is in the port is under way, or there.
    pub fn is_fetched(&self, port: &Port) -> bool {
        self.sent(port).is_some()
    }

    fn sent(&self, port: &Port) -> Option<wgpu::SubmissionIndex> {
        self.fetched.borrow().get(&port.view.buffer).and_then(|fetched| fetched.sent.clone())
    }

    /// Copies of what a part of the program is about to write are void.
    fn forget_results(&self, phase: Phase) {
        let is_written = |id: &BufferId| self.program.is_written_by(phase, *id);
        let mut fetched = self.fetched.borrow_mut();
        fetched.iter_mut().filter(|(id, _)| is_written(id)).for_each(|(_, fetched)| fetched.sent = None);
    }

    /// As [`Session::read_items`].
    ///
    /// # Errors
    /// Whatever the device reports.
    pub async fn receive(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        let words = self.words(port).await?;
        Ok(items::gather(&words, port, self.items(port)))
    }

    /// The buffer of a port, and how many items it has.
    fn items(&self, port: &Port) -> (&Buffer, usize) {
        let buffer = self.replayed.buffer(port.view);
        (buffer, self.replayed.count(buffer.per))
    }

    /// The words of all items of a port's buffer.
    async fn words(&self, port: &Port) -> Result<Vec<u32>, BackendError> {
        let device = &self.opened.device;
        let id = port.view.buffer;
        let bytes = slots::bytes(&self.replayed, id);
        let fetched = self.fetched.borrow_mut().remove(&id);
        if let Some(Fetched { into, sent: Some(sent) }) = fetched {
            let words = into.read(device, bytes).await?;
            self.fetched.borrow_mut().insert(id, Fetched { into, sent: Some(sent) });
            return Ok(words);
        }
        let from = self.slots.of(&self.replayed, id);
        let own = fetched.map(|fetched| fetched.into).or_else(|| self.received.borrow_mut().take());
        let into = match own.filter(|kept| kept.bytes() >= bytes as u64) {
            Some(kept) => kept,
            None => self.room(bytes).await?,
        };
        let words = into.receive(device, from, 0, bytes).await?;
        *self.received.borrow_mut() = Some(into);
        Ok(words)
    }

    /// A buffer to read from; where there is no room, what earlier copies hold is given up.
    async fn room(&self, bytes: usize) -> Result<Memory, BackendError> {
        let device = &self.opened.device;
        let make = || Memory::new(device, READ, bytes, RECEIVES, false);
        match make().await {
            Err(error) if error.is_size() && !self.fetched.borrow().is_empty() => {
                self.fetched.borrow_mut().clear();
                make().await
            }
            made => made,
        }
    }
}

impl Session for WgpuSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        edge::block_on(&self.opened.device, self.send(port, pieces))
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let opened = Arc::clone(&self.opened);
        match times {
            Some(times) => edge::block_on(&opened.device, self.timed(phase, times)),
            None => edge::block_on(&opened.device, self.submit(phase)),
        }
    }

    fn prefetch(&mut self, ports: &[Port]) -> Result<(), BackendError> {
        edge::block_on(&self.opened.device, self.fetch(ports))
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        edge::block_until(&self.opened.device, self.sent(port), self.receive(port))
    }

    fn write_items_async<'a>(
        &'a mut self,
        port: &'a Port,
        pieces: &'a [Values<'a>],
    ) -> Pending<'a, Result<(), BackendError>> {
        edge::pending(&self.opened.device, None, self.send(port, pieces))
    }

    fn run_async(&mut self, phase: Phase) -> Pending<'_, Result<(), BackendError>> {
        edge::pending(&self.opened.device, None, self.submit(phase))
    }

    fn prefetch_async<'a>(&'a mut self, ports: &'a [Port]) -> Pending<'a, Result<(), BackendError>> {
        edge::pending(&self.opened.device, None, self.fetch(ports))
    }

    fn read_items_async<'a>(&'a self, port: &'a Port) -> Pending<'a, Result<Vec<Values<'static>>, BackendError>> {
        edge::pending(&self.opened.device, self.sent(port), self.receive(port))
    }

    fn slot_bytes(&self) -> usize {
        self.slots.bytes() + self.bound.mirrored()
    }

    fn constant_bytes(&self) -> usize {
        self.bound.constants()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::WgpuOptions;
    use crate::method::MethodChoice;
    use crate::model::Model;
    use crate::plan::{Batch, Pass, plan};
    use crate::rule::RuleOptions;

    /// Where one pass ends and another begins, hardware waits for all that is under way.
    #[test]
    fn a_part_of_a_program_is_one_pass_on_hardware() {
        let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/golden/resnet.onnx")).expect("a network");
        let maps = ["saliency", "grad-cam", "lrp-zplus", "deeplift"].map(|name| {
            let choice: MethodChoice = name.parse().expect("a method");
            Pass::of(choice.method, None)
        });
        let program = plan(&model.graph, &maps, &RuleOptions::default(), Batch::of(2)).expect("a program");
        let opened = edge::ready(Opened::new(&WgpuOptions::default())).expect("an adapter");
        let loading = Loading { as_hardware: true, ..Loading::default() };
        let session = edge::block_on(&opened.device, WgpuSession::new(&opened, Arc::new(program), loading));
        let session = session.expect("a session");
        let counts = Phase::ALL.map(|phase| passes(&session.bound.steps[session.replayed.part(phase)]).count());
        assert_eq!(counts, [1; Phase::ALL.len()]);
    }
}
