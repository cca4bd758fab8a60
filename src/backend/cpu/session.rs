use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::arena::{Storage, Writer};
use super::frame::{Frame, StepWeights, slot_of};
use super::launch::launch;
use super::real::Real;
use crate::backend::{BackendError, Phase, Session};
use crate::program::{Port, Program};

/// A program with its slots and weights in memory.
pub struct CpuSession<T> {
    pub(super) program: Arc<Program>,
    pub(super) pool: Arc<ThreadPool>,
    pub(super) weights: Vec<StepWeights<T>>,
    pub(super) slots: Vec<Storage<T>>,
}

impl<T: Real> CpuSession<T> {
    fn step(&mut self, at: usize) {
        let program = &self.program;
        let step = &program.steps[at];
        let mut written: Vec<usize> = step.writes().into_iter().map(|view| slot_of(program, view)).collect();
        written.sort_unstable();
        written.dedup();
        debug_assert!(
            step.reads().iter().all(|view| !written.contains(&slot_of(program, *view))),
            "{} reads a slot that it writes",
            step.label
        );
        let mut taken: Vec<(usize, Storage<T>)> =
            written.iter().map(|&slot| (slot, std::mem::replace(&mut self.slots[slot], Storage::absent()))).collect();
        let writers: Vec<(usize, Writer<T>)> =
            taken.iter_mut().map(|(slot, storage)| (*slot, Writer::new(storage))).collect();
        launch(&Frame { program, step, weights: &self.weights[at], slots: &self.slots, writers: &writers });
        for (slot, storage) in taken {
            self.slots[slot] = storage;
        }
    }

    fn steps(&mut self, phase: Phase, mut times: Option<&mut Vec<Duration>>) {
        let steps = match phase {
            Phase::Forward => 0..self.program.backward_from,
            Phase::Backward => self.program.backward_from..self.program.steps.len(),
        };
        for at in steps {
            let start = Instant::now();
            self.step(at);
            if let Some(times) = &mut times {
                times.push(start.elapsed());
            }
        }
    }
}

impl<T: Real> Session for CpuSession<T> {
    fn program(&self) -> &Program {
        &self.program
    }

    fn write(&mut self, port: &Port, items: &[f64]) -> Result<(), BackendError> {
        let buffer = self.program.buffer(port.view);
        let (count, area) = (self.program.count(buffer.per), buffer.area());
        if items.len() != count * port.len() {
            let (what, want) = (buffer.name.clone(), count * port.len());
            return Err(BackendError::Length { what, want, got: items.len() });
        }
        let (pitch, offset) = (buffer.channels, port.view.offset);
        let slot = slot_of(&self.program, port.view);
        if let Storage::Float(data) = &mut self.slots[slot] {
            scatter(port, items, area, &mut data[..count * area * pitch], pitch);
            return Ok(());
        }
        let packed: Vec<f64> = port.layout.pack(items, area);
        let pixels = packed.chunks_exact(port.layout.physical()).enumerate();
        match &mut self.slots[slot] {
            Storage::Index(data) => pixels.for_each(|(at, pixel)| {
                let lanes = &mut data[at * pitch + offset..][..pixel.len()];
                lanes.iter_mut().zip(pixel).for_each(|(lane, v)| *lane = *v as u32);
            }),
            Storage::Bits(data) => pixels.for_each(|(at, pixel)| {
                let bytes = data[at * pitch.div_ceil(8) + offset / 8..].iter_mut();
                bytes.zip(pixel.chunks(8)).for_each(|(byte, lanes)| {
                    *byte = lanes.iter().rev().fold(0, |byte, v| byte << 1 | u8::from(*v != 0.0));
                });
            }),
            Storage::Float(_) => {}
        }
        Ok(())
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let pool = Arc::clone(&self.pool);
        pool.install(|| self.steps(phase, times));
        Ok(())
    }

    fn read(&self, port: &Port) -> Result<Vec<f64>, BackendError> {
        let buffer = self.program.buffer(port.view);
        let units = self.program.count(buffer.per) * buffer.item_len();
        let values: Vec<f64> = match &self.slots[slot_of(&self.program, port.view)] {
            Storage::Float(data) => {
                let items = port.layout.unpack(&data[..units], buffer.area(), buffer.channels, port.view.offset);
                return Ok(items.into_iter().map(T::to_f64).collect());
            }
            Storage::Index(data) => data[..units].iter().map(|v| f64::from(*v)).collect(),
            Storage::Bits(data) => data[..units]
                .chunks_exact(buffer.channels.div_ceil(8))
                .flat_map(|pixel| (0..buffer.channels).map(|c| f64::from(pixel[c / 8] >> (c % 8) & 1)))
                .collect(),
        };
        Ok(port.layout.unpack(&values, buffer.area(), buffer.channels, port.view.offset))
    }

    fn slot_bytes(&self) -> usize {
        self.program.slot_bytes(T::BYTES)
    }
}

/// NCHW items to the port's lanes of NHWC pixels, zeros in its padding lanes.
fn scatter<T: Real>(port: &Port, items: &[f64], area: usize, data: &mut [T], pitch: usize) {
    let (places, real, offset) = (port.layout.places(), port.layout.real(), port.view.offset);
    if port.layout.has_padding() {
        data.chunks_exact_mut(pitch).for_each(|pixel| pixel[offset..][..port.view.channels].fill(T::ZERO));
    }
    for (item, pixels) in items.chunks_exact(real * area).zip(data.chunks_exact_mut(area * pitch)) {
        for (channel, place) in item.chunks_exact(area).zip(&places) {
            for (v, pixel) in channel.iter().zip(pixels.chunks_exact_mut(pitch)) {
                pixel[offset + place] = T::from_f64(*v);
            }
        }
    }
}
