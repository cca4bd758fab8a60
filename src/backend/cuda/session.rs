use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::CudaBackend;
use super::arena::Arena;
use super::device::Device;
use super::memory::{Memory, Pinned};
use super::modules::Function;
use super::stream::{Event, Graph, Stream};
use super::uploads::upload;
use crate::backend::gpu::{Launch, Pointer, Upload, launch_on, number, type_of};
use crate::backend::items::{Units, UnitsMut};
use crate::backend::{BackendError, Phase, Session, Values};
use crate::program::{BufferId, Element, Port, Program, Step};

/// A program with its slots and weights on the device.
pub struct CudaSession {
    // The first field is dropped first, and waits for all work on the others.
    stream: Stream,
    program: Arc<Program>,
    steps: Vec<Bound>,
    arena: Arena,
    /// Of each part, by its [`Phase`].
    replays: [Replay; Phase::ALL.len()],
    marks: Vec<Event>,
    /// Of every buffer that was written: one copy does not wait for another.
    sent: HashMap<BufferId, Sent>,
    received: RefCell<Option<Pinned>>,
    fetched: HashMap<BufferId, Fetched>,
}

/// A step, ready to be launched.
struct Bound {
    function: Arc<Function>,
    pointers: Vec<u64>,
    launch: Launch,
    uploads: Vec<Arc<Upload<Memory>>>,
}

/// How a part of the program is run.
enum Replay {
    /// Not yet.
    New,
    Recorded(Graph),
    /// The driver records nothing.
    Plain,
}

/// The buffer that items are sent from, and when its last copy ends.
struct Sent {
    buffer: Pinned,
    copied: Event,
}

/// A copy of a buffer on the host, and when it ends.
struct Fetched {
    into: Pinned,
    copied: Event,
    /// Nothing has replaced what was copied.
    is_current: bool,
}

impl CudaSession {
    /// # Errors
    /// [`BackendError::OutOfMemory`], or a kernel that cannot be loaded.
    pub fn new(backend: &CudaBackend, program: Arc<Program>) -> Result<Self, BackendError> {
        let stream = Stream::new(&backend.device)?;
        let arena = Arena::new(&stream, &program, if backend.poison { 0xFF } else { 0 })?;
        let steps = program.steps.iter().map(|step| bind(backend, &stream, &arena, &program, step));
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        stream.wait()?;
        let (replays, marks) = (Phase::ALL.map(|_| Replay::New), Vec::new());
        let (sent, received, fetched) = (HashMap::new(), RefCell::new(None), HashMap::new());
        Ok(Self { stream, program, steps, arena, replays, marks, sent, received, fetched })
    }

    /// Records the steps of a phase on its first run, then replays them.
    fn replay(&mut self, phase: Phase) -> Result<(), BackendError> {
        let steps = &self.steps[self.program.part(phase)];
        if steps.is_empty() {
            return Ok(());
        }
        let all = || steps.iter().try_for_each(|step| step.launch(&self.stream));
        let replay = &mut self.replays[phase as usize];
        if matches!(replay, Replay::New) {
            *replay = self.stream.record(all)?.map_or(Replay::Plain, Replay::Recorded);
        }
        match replay {
            Replay::Recorded(graph) => self.stream.replay(graph),
            Replay::New | Replay::Plain => all(),
        }
    }

    /// Starts the way back of a buffer, if there is room for it on the host.
    fn fetch(&mut self, id: BufferId) -> Result<(), BackendError> {
        let region = self.arena.region(&self.program, id);
        let fetched = match self.fetched.entry(id) {
            Entry::Occupied(entry) => {
                entry.get().copied.wait()?;
                entry.into_mut()
            }
            Entry::Vacant(entry) => {
                let device = &self.stream.device;
                let into = match Pinned::new(device, region.bytes) {
                    Err(BackendError::OutOfMemory { .. }) => return Ok(()),
                    made => made?,
                };
                entry.insert(Fetched { into, copied: Event::new(device)?, is_current: false })
            }
        };
        if !fetched.is_current {
            let into = &mut fetched.into[..region.bytes];
            // SAFETY: the buffer is pinned, and is not touched before `copied` is passed.
            unsafe { self.stream.start_download(&self.arena.memory, region.offset, into)? };
            self.stream.mark(&fetched.copied)?;
            fetched.is_current = true;
        }
        Ok(())
    }

    /// The items of a port, of the bytes of its buffer.
    fn gather(&self, port: &Port, bytes: &[u8]) -> Vec<Values<'static>> {
        let buffer = self.program.buffer(port.view);
        let gather = |units: Units<f32>| units.gather(port, buffer, Values::from);
        match buffer.element {
            Element::Float => gather(Units::Float(bytemuck::cast_slice(bytes))),
            Element::F16 | Element::Bf16 => gather(Units::Float(&number::floats(bytes, type_of(buffer.element)))),
            Element::Bits => gather(Units::Bits(bytes)),
            Element::Byte => gather(Units::Byte(bytes)),
            Element::Index => gather(Units::Index(bytemuck::cast_slice(bytes))),
        }
    }

    /// Launches the steps of a phase with a mark around each.
    fn timed(&mut self, phase: Phase, times: &mut Vec<Duration>) -> Result<(), BackendError> {
        let range = self.program.part(phase);
        while self.marks.len() <= range.len() {
            self.marks.push(Event::new(&self.stream.device)?);
        }
        let marks = &self.marks[..=range.len()];
        self.stream.mark(&marks[0])?;
        for (step, after) in self.steps[range].iter().zip(&marks[1..]) {
            step.launch(&self.stream)?;
            self.stream.mark(after)?;
        }
        self.stream.wait()?;
        for pair in marks.windows(2) {
            times.push(pair[0].until(&pair[1])?);
        }
        Ok(())
    }
}

/// Where the `bytes` of a buffer are sent from; the last copy has ended.
fn sender<'a>(
    sent: &'a mut HashMap<BufferId, Sent>,
    device: &Arc<Device>,
    id: BufferId,
    bytes: usize,
) -> Result<&'a mut Sent, BackendError> {
    match sent.entry(id) {
        Entry::Occupied(entry) => {
            entry.get().copied.wait()?;
            Ok(entry.into_mut())
        }
        Entry::Vacant(entry) => {
            Ok(entry.insert(Sent { buffer: Pinned::new(device, bytes)?, copied: Event::new(device)? }))
        }
    }
}

/// A buffer of so many bytes to receive into: the one there is, if it is large enough.
fn receiver<'a>(
    received: &'a mut Option<Pinned>,
    device: &Arc<Device>,
    bytes: usize,
) -> Result<&'a mut Pinned, BackendError> {
    let large_enough = received.take().filter(|buffer| buffer.len() >= bytes);
    Ok(received.insert(match large_enough {
        Some(buffer) => buffer,
        None => Pinned::new(device, bytes)?,
    }))
}

/// A step with its kernel loaded and its constants uploaded.
fn bind(
    backend: &CudaBackend,
    stream: &Stream,
    arena: &Arena,
    program: &Program,
    step: &Step,
) -> Result<Bound, BackendError> {
    let launch = launch_on(backend.chip, program, step);
    let launch = launch.map_err(|error| BackendError::TooMany { backend: super::NAME, error })?;
    let function = backend.modules.get(&backend.device, launch.stem, &launch.fused)?;
    let (mut pointers, mut uploads) = (Vec::new(), Vec::new());
    for pointer in &launch.pointers {
        if let Pointer::Buffer(id) = pointer {
            pointers.push(arena.address(program, *id));
            continue;
        }
        let upload = upload(&backend.uploads, stream, pointer)?;
        pointers.push(upload.memory.address());
        uploads.push(upload);
    }
    Ok(Bound { function, pointers, launch, uploads })
}

impl Bound {
    fn launch(&self, stream: &Stream) -> Result<(), BackendError> {
        let Launch { blocks, params, .. } = &self.launch;
        // SAFETY: the launch was written for this kernel and these buffers; slots and uploads live as long as the session.
        unsafe { stream.launch(&self.function, *blocks, &self.pointers, params) }
    }
}

impl Session for CudaSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        port.check(&self.program, pieces)?;
        let buffer = self.program.buffer(port.view);
        let id = port.view.buffer;
        self.fetched.entry(id).and_modify(|fetched| fetched.is_current = false);
        let region = self.arena.region(&self.program, id);
        let Sent { buffer: pinned, copied } = sender(&mut self.sent, &self.stream.device, id, region.bytes)?;
        let bytes = &mut pinned[..region.bytes];
        if port.view.channels != buffer.channels {
            // The port's neighbours in the buffer stay as they are.
            self.stream.download(&self.arena.memory, region.offset, bytes)?;
        }
        let scatter = |units: UnitsMut<f32>| units.scatter(port, buffer, pieces, |v| v as f32);
        match buffer.element {
            Element::Float => scatter(UnitsMut::Float(bytemuck::cast_slice_mut::<u8, f32>(bytes))),
            Element::Bits => scatter(UnitsMut::Bits(bytes)),
            Element::Byte => scatter(UnitsMut::Byte(bytes)),
            Element::Index => scatter(UnitsMut::Index(bytemuck::cast_slice_mut(bytes))),
            Element::F16 | Element::Bf16 => {
                let mut floats = number::floats(bytes, type_of(buffer.element));
                scatter(UnitsMut::Float(&mut floats));
                bytes.copy_from_slice(&number::stored(floats, type_of(buffer.element)));
            }
        }
        // SAFETY: the buffer is pinned, and is not touched before `copied` is passed.
        unsafe { self.stream.upload(&pinned[..region.bytes], &self.arena.memory, region.offset)? };
        self.stream.mark(copied)
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let written = |id: &BufferId| self.program.is_written_by(phase, *id);
        self.fetched.iter_mut().filter(|(id, _)| written(id)).for_each(|(_, fetched)| fetched.is_current = false);
        match times {
            Some(times) => self.timed(phase, times),
            None => self.replay(phase),
        }
    }

    /// What there is no room for is read when it is asked for.
    fn prefetch(&mut self, ports: &[Port]) -> Result<(), BackendError> {
        ports.iter().try_for_each(|port| self.fetch(port.view.buffer))
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        let id = port.view.buffer;
        let region = self.arena.region(&self.program, id);
        if let Some(Fetched { into, copied, .. }) = self.fetched.get(&id).filter(|fetched| fetched.is_current) {
            copied.wait()?;
            return Ok(self.gather(port, &into[..region.bytes]));
        }
        let mut received = self.received.borrow_mut();
        let pinned = receiver(&mut received, &self.stream.device, region.bytes)?;
        let bytes = &mut pinned[..region.bytes];
        self.stream.download(&self.arena.memory, region.offset, bytes)?;
        Ok(self.gather(port, bytes))
    }

    fn slot_bytes(&self) -> usize {
        self.arena.memory.bytes()
    }

    fn constant_bytes(&self) -> usize {
        Upload::total(self.steps.iter().flat_map(|step| &step.uploads), Memory::bytes)
    }
}
