//! One-step programs with inputs and expected outputs, for any backend.

use std::sync::Arc;

use fluoroscope::backend::{Backend, BackendError, Phase};
use fluoroscope::graph::{Constant, Precision};
use fluoroscope::program::{
    Arrangement, Buffer, BufferId, Element, Kernel, Layout, Part, Per, Port, Program, Prologue, Segment, Stage, Step,
    View, Weight, slots,
};

use half::{bf16, f16};

use crate::oracle::Array;

/// How a case is run: counts, and whether every view lies inside a bigger buffer and has holes among its channels.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub images: usize,
    pub references: usize,
    pub messages: usize,
    pub nested: bool,
}

/// What f32 may differ by, relative to one more than the peak of a case.
pub const TOLERANCE: f64 = 2e-5;

pub const SETTINGS: [Setting; 4] = [
    Setting { images: 1, references: 1, messages: 1, nested: false },
    Setting { images: 2, references: 1, messages: 3, nested: true },
    Setting { images: 3, references: 3, messages: 1, nested: true },
    Setting { images: 2, references: 2, messages: 3, nested: false },
];

/// A tensor of the case: its place in the program and its values.
#[derive(Clone)]
pub struct Entry {
    pub port: Port,
    pub values: Array,
}

/// A one-step program under construction.
pub struct Bench {
    pub setting: Setting,
    /// Layouts have no holes, whatever the setting.
    pub dense: bool,
    /// The first four channels are those of an image, without padding; dense for the rest.
    pub image_first: bool,
    /// A word of bits is of one pixel.
    pub whole_words: bool,
    pub inputs: Vec<Entry>,
    pub expected: Vec<Entry>,
    /// How much the formula may amplify rounding: a factor on tolerances.
    pub condition: f64,
    /// How the tensors are stored.
    pub precision: Precision,
    /// What an f16 beyond it is stored as; no bound where f32 takes its place.
    pub largest: f64,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    streams: u64,
}

/// A number in [-1, 1) that f32 represents, from a stream's name and a counter.
fn noise(stream: u64, counter: u64) -> f64 {
    let mut v = (stream << 40 | counter).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    v = (v ^ v >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    v = (v ^ v >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((v ^ v >> 31) >> 41) as f64 / f64::from(1 << 22) - 1.0
}

impl Bench {
    pub fn new(setting: Setting) -> Self {
        let (inputs, expected, buffers, steps) = Default::default();
        let (dense, condition, precision, largest) = (false, 1.0, Precision::F32, f16::MAX.to_f64());
        Self {
            setting,
            dense,
            image_first: false,
            whole_words: false,
            inputs,
            expected,
            condition,
            precision,
            largest,
            buffers,
            steps,
            streams: 0,
        }
    }

    /// What results may differ by, relative to one more than their peak: f32 sums, and their rounding.
    pub fn tolerance(&self) -> f64 {
        TOLERANCE
            + match self.precision {
                Precision::F16 => f64::exp2(-11.0),
                Precision::Bf16 => f64::exp2(-8.0),
                Precision::F32 | Precision::F64 => 0.0,
            }
    }

    pub fn count(&self, per: Per) -> usize {
        match per {
            Per::Image => self.setting.images,
            Per::Reference => self.setting.references,
            Per::Message => self.setting.images * self.setting.messages,
        }
    }

    /// The item of a `per` tensor that serves item `n` of a tensor per `of`.
    pub fn item(&self, per: Per, of: Per, n: usize) -> usize {
        match (per, of) {
            (Per::Message, _) => n,
            (Per::Reference, _) if self.setting.references == 1 => 0,
            (_, Per::Message) => n / self.setting.messages,
            _ => n,
        }
    }

    pub fn layout(&self, channels: usize) -> Layout {
        if self.image_first && channels > 4 {
            Layout::concat([&Layout::dense(4), &Layout::dense(channels - 4)])
        } else if self.setting.nested && !self.dense && channels > 1 {
            Layout::concat([&Layout::dense(channels / 2), &Layout::dense(channels - channels / 2)])
        } else {
            Layout::dense(channels)
        }
    }

    /// Numbers in (-1, 1), odd multiples of 1 / 128 where a half has to hold them.
    pub fn random(&mut self, count: usize) -> Vec<f64> {
        self.streams += 1;
        let bits = |v: f64| if self.precision.is_half() { ((v * 64.0).floor() + 0.5) / 64.0 } else { v };
        (0..count as u64).map(|i| bits(noise(self.streams, i))).collect()
    }

    pub fn constant(&mut self, count: usize) -> Constant {
        Constant::new(self.random(count), Precision::F32)
    }

    /// Tensors that are made here are in f32, as images and maps are where others are in halves.
    pub fn in_f32<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let stored = std::mem::replace(&mut self.precision, Precision::F32);
        let made = make(self);
        self.precision = stored;
        made
    }

    /// A tensor of the program, `[c, h, w]` an item.
    fn place(&mut self, per: Per, element: Element, [c, h, w]: [usize; 3]) -> Port {
        let layout = self.layout(c);
        let (before, after) = if self.setting.nested { (8, 16) } else { (0, 0) };
        let (before, after, run) = match element {
            Element::Bits if self.whole_words => (4 * before, 0, 32),
            _ => (before, after, if self.setting.nested { 8 } else { 1 }),
        };
        let channels = before + layout.physical().next_multiple_of(run) + after;
        let name = format!("tensor {}", self.buffers.len());
        let element = if element == Element::Float { self.precision.into() } else { element };
        self.buffers.push(Buffer { name, per, element, height: h, width: w, channels });
        let view = View { buffer: BufferId(self.buffers.len() - 1), offset: before, channels: layout.physical() };
        Port { view, layout, height: h, width: w }
    }

    /// An input with these values.
    pub fn given(&mut self, per: Per, element: Element, values: Array) -> View {
        assert_eq!(values.n, self.count(per));
        let port = self.place(per, element, [values.c, values.h, values.w]);
        let is_stored = |v: &f64| bf16::from_f64(*v).to_f64() == *v;
        assert!(!self.precision.is_half() || values.data.iter().all(is_stored), "an input that a half does not hold");
        self.inputs.push(Entry { port: port.clone(), values });
        port.view
    }

    /// An input of noise in [-spread, spread).
    pub fn noise(&mut self, per: Per, [c, h, w]: [usize; 3], spread: f64) -> (View, Array) {
        let n = self.count(per);
        let data = self.random(n * c * h * w).into_iter().map(|v| v * spread).collect();
        let values = Array { n, c, h, w, data };
        (self.given(per, Element::Float, values.clone()), values)
    }

    /// An output that shall have these values.
    pub fn expect(&mut self, per: Per, element: Element, values: Array) -> View {
        assert_eq!(values.n, self.count(per));
        let port = self.place(per, element, [values.c, values.h, values.w]);
        self.expected.push(Entry { port: port.clone(), values });
        port.view
    }

    pub fn channel_weight(&self, source: &Constant, channels: usize) -> Weight {
        Weight::channel(source, Part::All, &self.layout(channels))
    }

    pub fn weight(source: &Constant, arrangement: Arrangement) -> Weight {
        Weight { source: source.clone(), part: Part::All, arrangement, first: 0 }
    }

    pub fn step(&mut self, kernel: Kernel, inputs: Vec<View>, weights: Vec<Weight>, output: View, stages: Vec<Stage>) {
        let label = "case".to_owned();
        self.steps.push(Step { label, kernel, inputs, weights, output, prologue: None, stages });
    }

    /// Gives the step a prologue.
    pub fn enter(&mut self, prologue: Prologue) {
        let step = self.steps.last_mut().expect("a step");
        assert!(
            (0..step.inputs.len()).any(|i| step.kernel.loads_through(i)),
            "{} takes no prologue",
            step.kernel.stem()
        );
        step.prologue = Some(prologue);
    }

    pub fn program(&self) -> Arc<Program> {
        let all: Vec<usize> = (0..self.buffers.len()).collect();
        let lives = slots::lifetimes(self.buffers.len(), &self.steps, &all);
        let port = self.expected[0].port.clone();
        Arc::new(Program {
            images: self.setting.images,
            references: self.setting.references,
            messages_per_image: self.setting.messages,
            buffers: self.buffers.clone(),
            steps: self.steps.clone(),
            forward_from: 0,
            backward_from: self.steps.len(),
            input: port.clone(),
            reference: None,
            logits: port,
            reference_logits: None,
            seeds: None,
            outputs: self.expected.iter().map(|entry| entry.port.clone()).collect(),
            audits: vec![],
            slots: slots::assign(&self.buffers, &lives, |per| self.count(per)),
        })
    }

    /// Whole buffers of the expected outputs, every lane, after a run with `inputs`.
    pub fn run(&self, backend: &dyn Backend, inputs: &[Entry]) -> Vec<Vec<f64>> {
        self.try_run(backend, inputs).expect("a small program runs")
    }

    /// As [`Bench::run`], for a backend that may fail.
    pub fn try_run(&self, backend: &dyn Backend, inputs: &[Entry]) -> Result<Vec<Vec<f64>>, BackendError> {
        let mut session = backend.load(self.program())?;
        for entry in inputs {
            session.write(&entry.port, &entry.values.data)?;
        }
        session.run(Phase::Forward, None)?;
        self.expected.iter().map(|entry| session.read(&self.every_lane(&entry.port))).collect()
    }

    /// The inputs with every ninth float replaced by what is not a number, infinite, zero, or far from one. The least has a square
    /// in the normal range, below which WGSL leaves open whether a number is 0.
    pub fn specials(&self) -> Vec<Entry> {
        const SPECIAL: [f64; 8] = [f64::NAN, 0.0, f64::INFINITY, -0.0, f64::NEG_INFINITY, 80.0, -80.0, 1e-18];
        let mut inputs = self.inputs.clone();
        let floats = inputs.iter_mut().filter(|entry| self.buffers[entry.port.view.buffer.0].element.is_float());
        for (number, entry) in floats.enumerate() {
            for (i, v) in entry.values.data.iter_mut().enumerate().filter(|(i, _)| i % 9 == number % 9) {
                *v = SPECIAL[i / 9 % 8];
            }
        }
        inputs
    }

    pub fn stem(&self) -> &'static str {
        self.steps[0].kernel.stem()
    }

    /// The whole buffer of a port.
    fn every_lane(&self, port: &Port) -> Port {
        let channels = self.buffers[port.view.buffer.0].channels;
        Port {
            view: View { offset: 0, channels, ..port.view },
            layout: Layout { segments: vec![Segment { real: channels, padded: channels }] },
            ..port.clone()
        }
    }

    /// Complaints about a run's outputs.
    pub fn check(&self, outputs: &[Vec<f64>], tolerance: f64, poisoned: bool) -> Vec<String> {
        self.expected
            .iter()
            .zip(outputs)
            .filter_map(|(entry, got)| self.complaint(entry, got, tolerance, poisoned))
            .collect()
    }

    fn complaint(&self, entry: &Entry, got: &[f64], tolerance: f64, poisoned: bool) -> Option<String> {
        let want = &entry.values;
        let buffer = &self.buffers[entry.port.view.buffer.0];
        let (area, first, lanes) = (buffer.area(), entry.port.view.offset, entry.port.view.channels);
        let mut channels = vec![None; buffer.channels];
        for (channel, place) in entry.port.layout.places().into_iter().enumerate() {
            channels[first + place] = Some(channel);
        }
        let peak = want.data.iter().fold(0.0f64, |peak, v| peak.max(v.abs()));
        let allowed = match buffer.element {
            Element::Float | Element::F16 | Element::Bf16 => tolerance * self.condition * (1.0 + peak),
            // A level that is rounded falls on either side.
            Element::Byte => 1.0,
            Element::Bits | Element::Index => 0.0,
        };
        let (float, byte) = (buffer.element.is_float(), buffer.element == Element::Byte);
        let largest = if buffer.element == Element::F16 { self.largest } else { f64::MAX };
        // Words without a bit of the view: what they held before is the same at every pixel that begins with a word.
        let of_others = buffer.element == Element::Bits && buffer.channels.is_multiple_of(32);
        let is_word_of_others =
            |lane: usize| of_others && !(first / 32..(first + lanes).div_ceil(32)).contains(&(lane / 32));
        for (at, &value) in got.iter().enumerate() {
            let (n, lane, pixel) = (at / area / buffer.channels, at / area % buffer.channels, at % area);
            let what = || format!("{} item {n} lane {lane} pixel {pixel}", buffer.name);
            if lane < first || lane >= first + lanes {
                if poisoned && float && !value.is_nan() {
                    return Some(format!("{}: written outside of the view", what()));
                }
                if poisoned && is_word_of_others(lane) && value != got[lane * area] {
                    return Some(format!("{}: a word outside of the view is written", what()));
                }
            } else if let Some(channel) = channels[lane] {
                let want = want.data[(n * want.c + channel) * area + pixel].clamp(-largest, largest);
                if (value - want).abs() > allowed || value.is_nan() != want.is_nan() {
                    return Some(format!("{}: {value:e}, want {want:e}", what()));
                }
            } else if value != 0.0 && (float || byte) {
                return Some(format!("{}: padding is {value:e}", what()));
            }
        }
        None
    }
}
