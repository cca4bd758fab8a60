use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::arena::{Storage, Writer};
use super::dispatch::launch;
use super::frame::{Frame, StepWeights, slot_of};
use super::real::Real;
use crate::backend::items::{Units, UnitsMut};
use crate::backend::{BackendError, Phase, Session, Values};
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
        for at in self.program.part(phase) {
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

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        port.check(&self.program, pieces)?;
        let buffer = self.program.buffer(port.view);
        let len = self.program.count(buffer.per) * buffer.item_len();
        let slot = slot_of(&self.program, port.view);
        let units = match &mut self.slots[slot] {
            Storage::Float(data) => UnitsMut::Float(&mut data[..len]),
            Storage::Bits(data) => UnitsMut::Bits(&mut data[..len]),
            Storage::Index(data) => UnitsMut::Index(&mut data[..len]),
            Storage::Byte(data) => UnitsMut::Byte(&mut data[..len]),
        };
        units.scatter(port, buffer, pieces, T::from_f64);
        Ok(())
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        let pool = Arc::clone(&self.pool);
        pool.install(|| self.steps(phase, times));
        Ok(())
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        let buffer = self.program.buffer(port.view);
        let len = self.program.count(buffer.per) * buffer.item_len();
        let units = match &self.slots[slot_of(&self.program, port.view)] {
            Storage::Float(data) => Units::Float(&data[..len]),
            Storage::Bits(data) => Units::Bits(&data[..len]),
            Storage::Index(data) => Units::Index(&data[..len]),
            Storage::Byte(data) => Units::Byte(&data[..len]),
        };
        Ok(units.gather(port, buffer, T::values))
    }

    fn slot_bytes(&self) -> usize {
        self.program.slot_bytes(size_of::<T>())
    }

    fn constant_bytes(&self) -> usize {
        let mut constants = HashMap::new();
        self.weights
            .iter()
            .flat_map(StepWeights::constants)
            .for_each(|(address, bytes)| _ = constants.insert(address, bytes));
        constants.into_values().sum()
    }
}
