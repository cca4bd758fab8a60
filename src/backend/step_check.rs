//! Every step of a program against the same step in f64, from the same inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cpu::CpuBackend;
use super::{Backend, BackendError, Phase, Session};
use crate::graph::Precision;
use crate::program::{Element, Kernel, Port, Program, Stage, Step, View, slots};

/// Largest difference, relative to the peak of the step's result, that is taken for rounding.
const BOUND: f64 = 1e-4;
/// The same where DeepLIFT divides differences, which may have lost digits to cancellation.
const RESCALE_BOUND: f64 = 1e-3;
/// Share of bits and places of winners that may differ: values next to a threshold fall on either side. Of a step that
/// computes the threshold's value itself, by a scale and a shift, so many results may differ by any amount.
pub const SHARE: f64 = 1e-3;

/// How one step compares.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepError {
    /// Relative to the peak of the reference.
    pub values: f64,
    /// Share of bits or indices that differ.
    pub marks: f64,
    /// What the values may differ by.
    pub bound: f64,
}

impl StepError {
    /// Within the stated bounds.
    pub fn passes(self) -> bool {
        self.values <= self.bound && self.marks <= SHARE
    }
}

/// `program` with every buffer in a slot of its own, so that all can be read at the end.
fn kept(program: &Program) -> Program {
    let mut kept = program.clone();
    let all: Vec<usize> = (0..program.buffers.len()).collect();
    let touched = slots::lifetimes(program.buffers.len(), &program.steps, &[]);
    let pinned: Vec<usize> = all.into_iter().filter(|&i| touched[i].is_some() || is_port(program, i)).collect();
    let lives = slots::lifetimes(program.buffers.len(), &program.steps, &pinned);
    kept.slots = slots::assign(&program.buffers, &lives, |per| program.count(per));
    kept
}

fn is_port(program: &Program, buffer: usize) -> bool {
    program.ports().any(|port| port.view.buffer.0 == buffer)
}

/// Different images of a batch that [`fill`] writes: image n is a copy of image n mod 2.
pub const DIFFERENT: usize = 2;

/// Writes images of noise, a baseline of zeros and seeds of the first class.
///
/// # Errors
/// Whatever the device reports.
pub fn fill(session: &mut dyn Session) -> Result<(), BackendError> {
    let program = session.program().clone();
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1u32 << 23) - 1.0
    };
    let count = |port: &Port| program.count(program.buffer(port.view).per) * port.len();
    let different: Vec<f64> = (0..DIFFERENT * program.input.len()).map(|_| noise()).collect();
    let images: Vec<f64> = different.iter().copied().cycle().take(count(&program.input)).collect();
    session.write(&program.input, &images)?;
    if let Some(port) = &program.reference {
        session.write(port, &vec![0.0; count(port)])?;
    }
    if let Some(port) = &program.seeds {
        let seeds: Vec<f64> = (0..count(port)).map(|i| f64::from(u8::from(i % port.len() == 0))).collect();
        session.write(port, &seeds)?;
    }
    Ok(())
}

/// Runs `program` on `fast` with the inputs of [`fill`], then every step again in f64 on the CPU; `done` is told how many are.
///
/// # Errors
/// Whatever a backend reports.
pub fn check(
    program: &Program,
    fast: &dyn Backend,
    threads: Option<usize>,
    done: impl Fn(usize),
) -> Result<Vec<StepError>, BackendError> {
    let exact = CpuBackend::new(Precision::F64, threads)?;
    let mut session = fast.load(Arc::new(kept(program)))?;
    fill(session.as_mut())?;
    for phase in Phase::ALL {
        session.run(phase, None)?;
    }
    let check = |(i, step): (usize, &Step)| {
        done(i);
        check_step(program, step, session.as_ref(), &exact)
    };
    program.steps.iter().enumerate().map(check).collect()
}

fn check_step(
    program: &Program,
    step: &Step,
    fast: &dyn Session,
    exact: &CpuBackend,
) -> Result<StepError, BackendError> {
    let mut reference = exact.load(Arc::new(program.only(step)))?;
    for view in step.reads() {
        let port = Port::whole(program.buffer(view), view.buffer);
        reference.write(&port, &fast.read(&port)?)?;
    }
    reference.run(Phase::Forward, None)?;
    let mut written: BTreeMap<usize, View> = BTreeMap::new();
    step.writes().into_iter().for_each(|view| _ = written.insert(view.buffer.0, view));
    let mut error = StepError { bound: bound(step), ..StepError::default() };
    let share_apart = if scales(step) { SHARE } else { 0.0 };
    for view in written.into_values() {
        let port = Port::whole(program.buffer(view), view.buffer);
        let lanes = view.offset..view.offset + view.channels;
        let [got, want] = [fast.read(&port)?, reference.read(&port)?].map(|all| select(&all, &port, lanes.clone()));
        match program.buffer(view).element {
            Element::Float | Element::F16 | Element::Bf16 => {
                error.values = error.values.max(difference(&got, &want, share_apart))
            }
            Element::Bits | Element::Index | Element::Byte => error.marks = error.marks.max(share(&got, &want)),
        }
    }
    Ok(error)
}

fn bound(step: &Step) -> f64 {
    let divides = step.stages.iter().any(|stage| matches!(stage.inner(), Stage::Rescale { .. }));
    if divides || matches!(step.kernel, Kernel::PoolMaxRescale { .. }) { RESCALE_BOUND } else { BOUND }
}

/// An operand is scaled as it is read.
fn scales(step: &Step) -> bool {
    let scaled = |stage: &Stage| stage.operands().iter().any(|operand| operand.scale_shift.is_some());
    step.stages.iter().any(scaled)
}

/// The channels `lanes` of NCHW items.
fn select(all: &[f64], port: &Port, lanes: std::ops::Range<usize>) -> Vec<f64> {
    let area = port.height * port.width;
    let of_item = |item: &[f64]| item[lanes.start * area..lanes.end * area].to_vec();
    all.chunks_exact(port.len()).flat_map(of_item).collect()
}

/// Largest difference relative to the peak, leaving out the worst `share_apart` of all.
fn difference(got: &[f64], want: &[f64], share_apart: f64) -> f64 {
    let peak = want.iter().fold(0.0f64, |peak, v| peak.max(v.abs()));
    let apart = |(a, b): (&f64, &f64)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() };
    let mut differences: Vec<f64> = got.iter().zip(want).map(apart).collect();
    let left_out = (share_apart * differences.len() as f64).ceil() as usize;
    let Some(at) = differences.len().checked_sub(1 + left_out) else { return 0.0 };
    let worst = *differences.select_nth_unstable_by(at, f64::total_cmp).1;
    if worst == 0.0 { 0.0 } else { worst / peak }
}

fn share(got: &[f64], want: &[f64]) -> f64 {
    let differ = got.iter().zip(want).filter(|(a, b)| a != b).count();
    differ as f64 / got.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_difference_counts_but_for_the_share_that_is_left_out() {
        let want = vec![2.0; 2000];
        let mut got = want.clone();
        (got[7], got[9], got[11]) = (3.0, 0.0, 2.5);
        assert_eq!(difference(&got, &want, 0.0), 1.0);
        assert_eq!(difference(&got, &want, SHARE), 0.25);
        got[5] = f64::NAN;
        assert_eq!(difference(&got, &want, 0.0), f64::INFINITY);
        assert_eq!(difference(&got, &want, SHARE), 0.5);
        assert_eq!(difference(&[], &[], SHARE), 0.0);
    }
}
