//! Every step of a program against the same step in f64, from the same inputs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use half::{bf16, f16};
use rayon::prelude::*;

use super::cpu::CpuBackend;
use super::{Backend, BackendError, Phase, Session};
use crate::graph::{Constant, Precision};
use crate::program::{Element, Kernel, Part, Port, Program, Stage, Step, View, slots};

/// Largest difference, relative to the peak of the step's result, that is taken for rounding.
const BOUND: f64 = 1e-4;
/// The same where DeepLIFT divides differences, which may have lost digits to cancellation.
const RESCALE_BOUND: f64 = 1e-3;
/// Share of bits and places of winners that may differ: values next to a threshold fall on either side. Of a step that
/// computes the threshold's value itself, by a scale and a shift, or divides by a difference, which may be next to the least
/// that it divides by, so many results may differ by any amount.
const SHARE: f64 = 1e-3;
/// What halves add to the first two, in units of the rounding of a result.
const ROUNDINGS_OF_RESULTS: f64 = 2.0;
/// What they add to all of these, in units of the rounding of operands which a prologue makes.
const ROUNDINGS_OF_OPERANDS: f64 = 4.0;

/// Bytes that steps which are checked at a time read and write, unless one alone has more.
const TOGETHER: usize = 1 << 30;

/// How one step compares.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepError {
    /// Relative to the peak of the reference.
    pub values: f64,
    /// Share of bits or indices that differ.
    pub marks: f64,
    /// What the values may differ by, in the result that comes nearest to that.
    pub bound: f64,
    /// What share of bits or indices may.
    pub share: f64,
}

impl StepError {
    /// Keeps the difference that is larger beside its bound.
    fn see(&mut self, values: f64, bound: f64) {
        if values / bound >= self.values / self.bound {
            (self.values, self.bound) = (values, bound);
        }
    }

    /// Within the stated bounds.
    pub fn passes(self) -> bool {
        self.values <= self.bound && self.marks <= self.share
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

/// `program` with filters as they are stored, in halves where they are: what is left is a step's own rounding, which a sum of
/// terms that cancel does not make larger.
fn stored(program: &Program) -> Program {
    let mut stored = program.clone();
    let mut made: HashMap<(usize, Part, Element), Constant> = HashMap::new();
    for (step, of) in stored.steps.iter_mut().zip(&program.steps) {
        for weight in &mut step.weights {
            let element = program.weight_element(of, weight);
            if element == Element::Float {
                continue;
            }
            let part = std::mem::replace(&mut weight.part, Part::All);
            let key = (weight.source.identity(), part, element);
            let make = || Constant::new(weight.source.iter().map(|v| rounded(part.of(v), element)), Precision::F32);
            weight.source = made.entry(key).or_insert_with(make).clone();
        }
    }
    stored
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

/// Runs `program` on `fast` with the inputs of [`fill`], then every step again in f64 on the CPU, from the values and filters
/// that `fast` stores; `done` is told how many are.
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
    let session = run_kept(program, fast)?;
    let program = &stored(program);
    let mut errors = Vec::with_capacity(program.steps.len());
    let mut rest = &program.steps[..];
    while !rest.is_empty() {
        let steps;
        (steps, rest) = rest.split_at(together(program, rest, exact.threads()));
        let ran = steps.iter().map(|step| Ran::read(program, step, session.as_ref()));
        let ran: Vec<Ran> = ran.collect::<Result<_, _>>()?;
        let check = || ran.par_iter().map(|ran| ran.check(program, &exact)).collect::<Result<Vec<_>, _>>();
        errors.extend(exact.install(check)?);
        done(errors.len());
    }
    Ok(errors)
}

/// How many of some steps are checked at a time: one for each thread, and no more than hold [`TOGETHER`] bytes in f64.
fn together(program: &Program, steps: &[Step], threads: usize) -> usize {
    let values = |view: View| program.count(program.buffer(view).per) * program.buffer(view).item_len();
    let bytes = |step: &Step| 8 * step.reads().into_iter().chain(step.writes()).map(values).sum::<usize>();
    let mut held = 0;
    let fit = steps.iter().take(threads).take_while(|step| {
        held += bytes(step);
        held <= TOGETHER
    });
    fit.count().max(1)
}

/// Runs `program` with the inputs of [`fill`]; all its buffers can be read from the session.
///
/// # Errors
/// Whatever the backend reports.
pub fn run_kept(program: &Program, backend: &dyn Backend) -> Result<Box<dyn Session>, BackendError> {
    let mut session = backend.load(Arc::new(kept(program)))?;
    fill(session.as_mut())?;
    for phase in Phase::ALL {
        session.run(phase, None)?;
    }
    Ok(session)
}

/// Runs one step of `program` on `fast`, from what the session of [`run_kept`] has of its inputs, and again in f64 on the CPU.
///
/// # Errors
/// Whatever a backend reports.
pub fn check_alone(
    program: &Program,
    step: &Step,
    inputs: &dyn Session,
    fast: &dyn Backend,
    exact: &CpuBackend,
) -> Result<StepError, BackendError> {
    let only = program.only(step);
    let mut session = fast.load(Arc::new(only.clone()))?;
    for view in step.reads() {
        let port = Port::whole(only.buffer(view), view.buffer);
        session.write(&port, &inputs.read(&port)?)?;
    }
    session.run(Phase::Forward, None)?;
    let only = stored(&only);
    Ran::read(&only, &only.steps[0], session.as_ref())?.check(&only, exact)
}

/// What a step read and wrote where it ran.
struct Ran<'a> {
    step: &'a Step,
    inputs: Vec<(Port, Vec<f64>)>,
    outputs: Vec<(View, Port, Vec<f64>)>,
}

impl<'a> Ran<'a> {
    fn read(program: &Program, step: &'a Step, session: &dyn Session) -> Result<Self, BackendError> {
        let whole = |view: View| Port::whole(program.buffer(view), view.buffer);
        let input = |view: View| Ok((whole(view), session.read(&whole(view))?));
        let output = |view: View| Ok((view, whole(view), session.read(&whole(view))?));
        let written: BTreeMap<usize, View> = step.writes().into_iter().map(|view| (view.buffer.0, view)).collect();
        let inputs = step.reads().into_iter().map(input).collect::<Result<_, BackendError>>()?;
        let outputs = written.into_values().map(output).collect::<Result<_, BackendError>>()?;
        Ok(Self { step, inputs, outputs })
    }

    /// The same step in f64.
    fn check(&self, program: &Program, exact: &CpuBackend) -> Result<StepError, BackendError> {
        let step = self.step;
        let mut reference = exact.load(Arc::new(program.only(step)))?;
        self.inputs.iter().try_for_each(|(port, values)| reference.write(port, values))?;
        reference.run(Phase::Forward, None)?;
        let operands = ROUNDINGS_OF_OPERANDS * rounding_of_operands(program, step);
        let mut error = StepError { bound: bound(step) + operands, share: SHARE + operands, ..StepError::default() };
        let share_apart = if scales(step) || divides(step) { SHARE } else { 0.0 };
        for (view, port, got) in &self.outputs {
            let lanes = view.offset..view.offset + view.channels;
            let (got, want) = (select(got, port, lanes.clone()), select(&reference.read(port)?, port, lanes));
            let element = program.buffer(*view).element;
            match element {
                Element::Float | Element::F16 | Element::Bf16 => {
                    let bound = bound(step) + operands.max(ROUNDINGS_OF_RESULTS * rounding(element));
                    error.see(difference(&got, &want, element, share_apart), bound);
                }
                Element::Bits | Element::Index | Element::Byte => error.marks = error.marks.max(share(&got, &want)),
            }
        }
        Ok(error)
    }
}

fn bound(step: &Step) -> f64 {
    if divides(step) || matches!(step.kernel, Kernel::PoolMaxRescale { .. }) { RESCALE_BOUND } else { BOUND }
}

/// By differences of activations.
fn divides(step: &Step) -> bool {
    step.stages.iter().any(|stage| matches!(stage.inner(), Stage::Rescale { .. }))
}

/// The largest relative rounding to an element; none in f32, for which the other bounds are.
fn rounding(element: Element) -> f64 {
    match element {
        Element::F16 => f16::EPSILON.to_f64() / 2.0,
        Element::Bf16 => bf16::EPSILON.to_f64() / 2.0,
        Element::Float | Element::Bits | Element::Index | Element::Byte => 0.0,
    }
}

/// That of operands which a prologue makes: they are multiplied in the type of the filters.
fn rounding_of_operands(program: &Program, step: &Step) -> f64 {
    let made = step.weights.iter().filter(|_| step.prologue.is_some());
    made.map(|weight| rounding(program.weight_element(step, weight))).fold(0.0, f64::max)
}

/// The least normal and the largest number of an element.
fn range(element: Element) -> [f64; 2] {
    match element {
        Element::F16 => [f16::MIN_POSITIVE, f16::MAX].map(f16::to_f64),
        Element::Bf16 => [bf16::MIN_POSITIVE, bf16::MAX].map(bf16::to_f64),
        Element::Float | Element::Bits | Element::Index | Element::Byte => [0.0, f64::INFINITY],
    }
}

/// What is stored of a number; a half saturates.
fn rounded(v: f64, element: Element) -> f64 {
    let [_, most] = range(element);
    match element {
        Element::F16 => f16::from_f64(v.clamp(-most, most)).to_f64(),
        Element::Bf16 => bf16::from_f64(v.clamp(-most, most)).to_f64(),
        Element::Float | Element::Bits | Element::Index | Element::Byte => v,
    }
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

/// Largest difference relative to the finite peak, leaving out the worst `share_apart` of all, among which none may be
/// infinite. A half saturates, and is no finer below its least normal number than there.
fn difference(got: &[f64], want: &[f64], element: Element, share_apart: f64) -> f64 {
    let [least, most] = range(element);
    let want: Vec<f64> = want.iter().map(|v| v.clamp(-most, most)).collect();
    let peak = want.iter().filter(|v| v.is_finite()).fold(least, |peak, v| peak.max(v.abs()));
    let mut differences: Vec<f64> = got.iter().zip(&want).map(|(a, b)| apart(*a, *b)).collect();
    if differences.contains(&f64::INFINITY) {
        return f64::INFINITY;
    }
    let left_out = (share_apart * differences.len() as f64).ceil() as usize;
    let Some(at) = differences.len().checked_sub(1 + left_out) else { return 0.0 };
    let worst = *differences.select_nth_unstable_by(at, f64::total_cmp).1;
    if worst == 0.0 { 0.0 } else { worst / peak }
}

/// Infinite where only one is not a number, or not the same infinity.
fn apart(a: f64, b: f64) -> f64 {
    if a == b || a.is_nan() && b.is_nan() {
        return 0.0;
    }
    let difference = (a - b).abs();
    if difference.is_nan() { f64::INFINITY } else { difference }
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
        assert_eq!(difference(&got, &want, Element::Float, 0.0), 1.0);
        assert_eq!(difference(&got, &want, Element::Float, SHARE), 0.25);
        got[5] = f64::NAN;
        assert_eq!(difference(&got, &want, Element::Float, 0.0), f64::INFINITY);
        assert_eq!(difference(&got, &want, Element::Float, SHARE), f64::INFINITY);
        assert_eq!(difference(&[], &[], Element::Float, SHARE), 0.0);
    }

    #[test]
    fn what_is_not_a_number_agrees_with_itself_alone() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let cases = [
            ("both not a number", nan, nan, 0.0),
            ("infinities", inf, inf, 0.0),
            ("infinities below zero", -inf, -inf, 0.0),
            ("the result is none", nan, 1.0, inf),
            ("the reference is none", 1.0, nan, inf),
            ("infinities of two signs", inf, -inf, inf),
            ("the result is infinite", inf, 1.0, inf),
            ("the reference is infinite", 1.0, inf, inf),
            ("none is infinite", nan, inf, inf),
        ];
        for (name, got, want, error) in cases {
            assert_eq!(difference(&[2.0, got], &[2.0, want], Element::Float, 0.0), error, "{name}");
        }
        // An infinite peak hides no other difference.
        assert_eq!(difference(&[inf, 3.0], &[inf, 2.0], Element::Float, 0.0), 0.5);
    }

    #[test]
    fn a_half_saturates_and_has_a_least_step() {
        assert_eq!(difference(&[65504.0, 1.0], &[1e6, 1.0], Element::F16, 0.0), 0.0);
        assert_eq!(difference(&[65504.0, 1.0], &[f64::INFINITY, 1.0], Element::F16, 0.0), 0.0);
        let lost = f64::exp2(-25.0);
        assert_eq!(difference(&[0.0], &[lost], Element::F16, 0.0), f64::exp2(-11.0));
        assert_eq!(difference(&[0.0], &[lost], Element::Bf16, 0.0), 1.0);
        assert_eq!(difference(&[0.0], &[lost], Element::Float, 0.0), 1.0);
    }
}
