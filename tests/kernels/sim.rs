//! A backend that runs the PTX in a checking interpreter: a fault is an error that shows the line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fluoroscope::backend::gpu::{Chip, Pointer, launch_on, number, type_of};
use fluoroscope::backend::{Backend, BackendError, Phase, Session, Values};
use fluoroscope::kernel::{self, Fused, Type};
use fluoroscope::program::slots::unit_bytes;
use fluoroscope::program::{Buffer, BufferId, Element, Port, Program, Step, Weight, WeightKey};
use ptx_sim::{Fault, Launch, LineReport, Memory, Module, Options, Report, run, run_seeds};

/// Launches of at most so many blocks over so many bytes are run with three schedules, others with one that is shuffled.
const FEW_BLOCKS: u32 = 64;
const FEW_BYTES: u64 = 8 << 20;

/// Texts by stem and what is fused into them.
type Texts = HashMap<(&'static str, Fused), Arc<Text>>;

/// Texts rendered so far, with what ran of them.
#[derive(Clone, Default)]
pub struct Simulator {
    texts: Arc<Mutex<Texts>>,
    options: Options,
    chip: Chip,
}

/// A kernel with its prologue and stages.
struct Text {
    stem: &'static str,
    text: String,
    /// Without the spaces around them.
    lines: Vec<String>,
    module: Module,
    report: Mutex<Report>,
}

impl Text {
    fn new(stem: &'static str, text: String) -> Result<Self, BackendError> {
        let module = Module::parse(&text).map_err(|e| failed(stem, e))?;
        let lints: Vec<String> = ptx_sim::lint(&module).iter().map(ToString::to_string).collect();
        if !lints.is_empty() {
            return Err(failed(stem, lints.join("\n")));
        }
        let lines = text.lines().map(|line| line.trim().to_owned()).collect();
        Ok(Self { stem, text, lines, module, report: Mutex::default() })
    }

    fn kernel(&self) -> &ptx_sim::Kernel {
        let name = kernel::entry(self.stem);
        self.module.kernel(name).unwrap_or_else(|| panic!("{} has no entry {name}", self.stem))
    }

    fn line(&self, line: u32) -> &str {
        self.lines.get(line as usize - 1).map_or("", String::as_str)
    }
}

/// How many lines with instructions the texts of a stem have, and those never executed.
#[derive(Default)]
pub struct Coverage {
    pub lines: usize,
    pub unexecuted: Vec<String>,
}

fn failed(what: &str, reason: impl ToString) -> BackendError {
    BackendError::Failed { backend: "simulator", what: what.to_owned(), reason: reason.to_string() }
}

impl Simulator {
    /// Runs these texts in place of what the kernels render to, for so many warp instructions a launch at most.
    pub fn replacing(
        texts: impl IntoIterator<Item = ((&'static str, Fused), String)>,
        max_instructions: u64,
    ) -> Result<Self, BackendError> {
        let checked = |((stem, fused), text)| Ok(((stem, fused), Arc::new(Text::new(stem, text)?)));
        let texts = texts.into_iter().map(checked).collect::<Result<_, BackendError>>()?;
        let options = Options { max_instructions, ..Options::default() };
        Ok(Self { texts: Arc::new(Mutex::new(texts)), options, chip: Chip::default() })
    }

    /// Of a chip that may have more than the least one.
    pub fn of(chip: Chip) -> Self {
        Self::default().on(chip)
    }

    /// Without looking for races, uninitialised reads and traffic.
    pub fn quick() -> Self {
        Self { options: Options { checks: false, ..Options::default() }, ..Self::default() }
    }

    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// The same texts on this chip.
    pub fn on(&self, chip: Chip) -> Self {
        Self { chip, ..self.clone() }
    }

    /// Per stem, over all its texts.
    pub fn coverage(&self) -> Vec<(&'static str, Coverage)> {
        let mut stems: Vec<(&'static str, Coverage)> = Vec::new();
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut texts: Vec<_> = texts.iter().collect();
        texts.sort_by_key(|((stem, fused), _)| (*stem, fused.stages.len()));
        for ((stem, fused), text) in texts {
            if stems.last().is_none_or(|(last, _)| last != stem) {
                stems.push((stem, Coverage::default()));
            }
            let Some((_, coverage)) = stems.last_mut() else { continue };
            let report = text.report.lock().unwrap_or_else(PoisonError::into_inner);
            let words: Vec<&str> = fused.prologue.iter().chain(&fused.stages).map(|stage| stage.word).collect();
            coverage.lines += report.lines.len();
            let unexecuted = report.unexecuted().map(|line| format!("{words:?} line {line}: {}", text.line(line)));
            coverage.unexecuted.extend(unexecuted);
        }
        stems
    }

    /// Per stem, over the different lines of the texts of these sets; a line has run where one that reads the same has, in any text
    /// of the stem.
    pub fn coverage_of(&self, sets: &HashSet<(&'static str, Fused)>) -> Vec<(&'static str, Coverage)> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: BTreeMap<&'static str, BTreeMap<&str, [bool; 2]>> = BTreeMap::new();
        for (key, text) in texts.iter().filter(|((stem, _), _)| sets.iter().any(|(of, _)| of == stem)) {
            let report = text.report.lock().unwrap_or_else(PoisonError::into_inner);
            for (line, report) in &report.lines {
                let [wanted, run] = lines.entry(key.0).or_default().entry(text.line(*line)).or_default();
                *wanted |= sets.contains(key);
                *run |= report.executed > 0;
            }
        }
        let of_stem = |(stem, lines): (_, BTreeMap<&str, [bool; 2]>)| {
            let wanted = lines.into_iter().filter(|(_, [wanted, _])| *wanted).collect::<Vec<_>>();
            let unexecuted = wanted.iter().filter(|(_, [_, run])| !run).map(|(line, _)| (*line).to_owned()).collect();
            (stem, Coverage { lines: wanted.len(), unexecuted })
        };
        lines.into_iter().map(of_stem).collect()
    }

    /// Per stem, what its launches did, and how many of their instructions were products.
    pub fn traffic(&self) -> Vec<(&'static str, LineReport, u64)> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_text = texts.values().map(|text| {
            let report = text.report.lock().unwrap_or_else(PoisonError::into_inner);
            let products = report.lines.iter().filter(|(line, _)| text.line(**line).starts_with("fma.rn"));
            (text.stem, report.total(), products.map(|(_, line)| line.executed).sum())
        });
        of_text.collect()
    }

    fn text(&self, stem: &'static str, fused: Fused) -> Result<Arc<Text>, BackendError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stem, fused);
        if let Some(text) = texts.get(&key) {
            return Ok(Arc::clone(text));
        }
        let rendered = kernel::ptx(stem, &key.1).map_err(|e| failed("render", e))?;
        let text = Arc::new(Text::new(stem, rendered)?);
        texts.insert(key, Arc::clone(&text));
        Ok(text)
    }
}

impl Backend for Simulator {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn device(&self) -> String {
        "a PTX interpreter".to_owned()
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        let mut memory = Memory::new();
        let slots = program.slots.slots.iter();
        let slots: Vec<u64> =
            slots.map(|slot| memory.alloc((slot.len * unit_bytes(slot.element, 4)).max(16))).collect();
        let slot_bytes = memory.allocated_bytes();
        let mut constants = Constants { memory, weights: HashMap::new() };
        let steps = program.steps.iter().map(|step| {
            let launch = launch_on(self.chip, &program, step).map_err(|e| failed("launch", e))?;
            let text = self.text(launch.stem, launch.fused)?;
            let pointers = launch.pointers.iter().map(|pointer| match pointer {
                Pointer::Buffer(id) => slot(&program, &slots, *id),
                constant => constants.address(constant),
            });
            let mut params: Vec<u8> = pointers.flat_map(u64::to_le_bytes).collect();
            params.extend_from_slice(&*launch.params);
            let launch = Launch {
                grid: [launch.blocks, 1, 1],
                block: [kernel::THREADS, 1, 1],
                shared_bytes: kernel::added_shared(&text.text),
                params,
            };
            let writes = step.writes().iter().map(|view| slot(&program, &slots, view.buffer)).collect();
            Ok(Prepared { text, launch, options: self.options.clone(), writes })
        });
        let steps = steps.collect::<Result<_, BackendError>>()?;
        let mut memory = constants.memory;
        let constant_bytes = memory.allocated_bytes() - slot_bytes;
        for &slot in &slots {
            memory.set_read_only(slot, true).map_err(|e| failed("load", e))?;
        }
        Ok(Box::new(SimulatorSession { program, memory, slots, constant_bytes, steps }))
    }
}

fn slot(program: &Program, slots: &[u64], buffer: BufferId) -> u64 {
    slots[program.slots.of[buffer.0].unwrap_or_else(|| panic!("{} has no slot", program.buffers[buffer.0].name))]
}

/// Read-only memory beside the slots.
struct Constants {
    memory: Memory,
    weights: HashMap<(WeightKey, Type), u64>,
}

impl Constants {
    fn address(&mut self, pointer: &Pointer) -> u64 {
        match pointer {
            Pointer::Buffer(_) => unreachable!("a buffer lies in a slot"),
            Pointer::Weight(weight, stored) => match self.weights.get(&(weight.key(), *stored)) {
                Some(address) => *address,
                None => self.add_weight(weight, *stored),
            },
            constant => self.upload(constant.words().into_iter().flat_map(u32::to_le_bytes).collect()),
        }
    }

    fn add_weight(&mut self, weight: &Weight, stored: Type) -> u64 {
        let address = self.upload(number::stored(weight.materialise_f32(), stored));
        self.weights.insert((weight.key(), stored), address);
        address
    }

    fn upload(&mut self, bytes: Vec<u8>) -> u64 {
        let address = self.memory.alloc(bytes.len());
        self.memory.write(address, &bytes).expect("the allocation is as long");
        self.memory.set_read_only(address, true).expect("an allocation");
        address
    }
}

/// A step, ready to run.
struct Prepared {
    text: Arc<Text>,
    launch: Launch,
    options: Options,
    /// Slots that it may write.
    writes: Vec<u64>,
}

impl Prepared {
    fn run(&self, memory: &mut Memory) -> Result<Report, Fault> {
        let (kernel, options) = (self.text.kernel(), &self.options);
        if self.launch.grid[0] <= FEW_BLOCKS && memory.allocated_bytes() <= FEW_BYTES {
            run_seeds(kernel, &self.launch, memory, options, [0, 1, 2])
        } else {
            run(kernel, &self.launch, memory, &Options { seed: 1, ..options.clone() })
        }
    }
}

struct SimulatorSession {
    program: Arc<Program>,
    memory: Memory,
    slots: Vec<u64>,
    constant_bytes: u64,
    steps: Vec<Prepared>,
}

impl SimulatorSession {
    fn protect(&mut self, slots: &[u64], read_only: bool) {
        for slot in slots {
            self.memory.set_read_only(*slot, read_only).expect("slots are allocations");
        }
    }

    fn step(&mut self, at: usize, step: &Step) -> Result<(), BackendError> {
        let writes = self.steps[at].writes.clone();
        self.protect(&writes, false);
        let prepared = &self.steps[at];
        let report = prepared.run(&mut self.memory).map_err(|fault| {
            let line = prepared.text.line(fault.line);
            failed(&format!("run {} of {}", prepared.text.stem, step.label), format!("{fault}\n    {line}"))
        })?;
        prepared.text.report.lock().unwrap_or_else(PoisonError::into_inner).merge(&report);
        self.protect(&writes, true);
        Ok(())
    }
}

/// Bytes of a pixel of a buffer, and of one storage unit.
fn pixel_bytes(buffer: &Buffer) -> (usize, usize) {
    let unit = unit_bytes(buffer.element, 4);
    (buffer.item_len() / buffer.area() * unit, unit)
}

impl Session for SimulatorSession {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        let items: Vec<f64> = pieces.iter().cloned().flat_map(Values::into_f64).collect();
        let program = Arc::clone(&self.program);
        let buffer = program.buffer(port.view);
        let want = program.count(buffer.per) * port.len();
        if items.len() != want {
            return Err(BackendError::Length { what: buffer.name.clone(), want, got: items.len() });
        }
        let lanes: Vec<f64> = port.layout.pack(&items, buffer.area());
        let (pitch, unit) = pixel_bytes(buffer);
        let first = if buffer.element == Element::Bits { port.view.offset / 8 } else { port.view.offset } * unit;
        let mut at = slot(&program, &self.slots, port.view.buffer) + first as u64;
        for pixel in lanes.chunks_exact(port.layout.physical()) {
            let bytes: Vec<u8> = match buffer.element {
                Element::Float | Element::F16 | Element::Bf16 => {
                    number::stored(pixel.iter().map(|v| *v as f32).collect(), type_of(buffer.element))
                }
                Element::Index => pixel.iter().flat_map(|v| (*v as u32).to_le_bytes()).collect(),
                Element::Bits => pixel.chunks(8).map(byte_of).collect(),
                Element::Byte => pixel.iter().map(|v| *v as u8).collect(),
            };
            self.memory.write(at, &bytes).map_err(|e| failed("write", e))?;
            at += pitch as u64;
        }
        Ok(())
    }

    fn run(&mut self, phase: Phase, mut times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let program = Arc::clone(&self.program);
        for at in program.part(phase) {
            let start = Instant::now();
            self.step(at, &program.steps[at])?;
            if let Some(times) = &mut times {
                times.push(start.elapsed());
            }
        }
        Ok(())
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        let buffer = self.program.buffer(port.view);
        let (pitch, _) = pixel_bytes(buffer);
        let pixels = self.program.count(buffer.per) * buffer.area();
        let address = slot(&self.program, &self.slots, port.view.buffer);
        let bytes = self.memory.read(address, pixels * pitch).map_err(|e| failed("read", e))?;
        let words = || bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
        let values: Vec<f64> = match buffer.element {
            Element::Float | Element::F16 | Element::Bf16 => {
                number::floats(bytes, type_of(buffer.element)).into_iter().map(f64::from).collect()
            }
            Element::Index => words().map(f64::from).collect(),
            Element::Byte => bytes.iter().copied().map(f64::from).collect(),
            Element::Bits => bytes
                .chunks_exact(pitch)
                .flat_map(|pixel| (0..buffer.channels).map(|c| f64::from(pixel[c / 8] >> (c % 8) & 1)))
                .collect(),
        };
        let items = port.layout.unpack(&values, buffer.area(), buffer.channels, port.view.offset);
        Ok(items.chunks_exact(port.len()).map(|item| Values::from(item.to_vec())).collect())
    }

    fn slot_bytes(&self) -> usize {
        self.program.slot_bytes(4)
    }

    fn constant_bytes(&self) -> usize {
        self.constant_bytes as usize
    }
}

/// Eight lanes' bits, lowest first.
fn byte_of(lanes: &[f64]) -> u8 {
    lanes.iter().rev().fold(0, |byte, v| byte << 1 | u8::from(*v != 0.0))
}
