//! How long a program takes: step by step, and as a whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::step_check::fill;
use crate::backend::{Backend, BackendError, Phase, Session};
use crate::program::Program;

/// What was measured of a program.
pub struct Times {
    /// Median seconds of every step.
    pub steps: Vec<f64>,
    /// Median seconds of the forward and the backward part, from their start until the device has finished; the baseline went
    /// through the network before.
    pub whole: f64,
    /// Bytes of all slots.
    pub slot_bytes: usize,
    /// Bytes of its weights and tables on the device.
    pub constant_bytes: usize,
    /// The maps, image by image.
    pub maps: Vec<Vec<f64>>,
}

impl Times {
    /// Runs a program `2 repeats` times, and some more that count for nothing; `done` is told how often it ran.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn measure(
        program: &Program,
        backend: &dyn Backend,
        repeats: usize,
        done: impl Fn(usize),
    ) -> Result<Self, BackendError> {
        let mut session = backend.load(Arc::new(program.clone()))?;
        let session = session.as_mut();
        let mut wholes = Vec::with_capacity(repeats);
        run(session)?;
        let maps = read_maps(session)?;
        let start = Instant::now();
        while start.elapsed() < backend.warm_up() {
            run(session)?;
        }
        for ran in 1..=repeats {
            wholes.push(run(session)?.as_secs_f64());
            done(ran);
        }
        let mut steps: Vec<Vec<f64>> = vec![Vec::with_capacity(repeats); program.steps.len()];
        run_timed(session)?;
        for ran in 1..=repeats {
            let times = run_timed(session)?;
            steps.iter_mut().zip(times).for_each(|(of_step, time)| of_step.push(time.as_secs_f64()));
            done(repeats + ran);
        }
        Ok(Self {
            steps: steps.into_iter().map(median).collect(),
            whole: median(wholes),
            slot_bytes: session.slot_bytes(),
            constant_bytes: session.constant_bytes(),
            maps,
        })
    }
}

/// The middle one. A clock may be too coarse for a step; no time is zero.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2].max(1e-9)
}

/// Writes the inputs and runs the program; the time is that of a batch that finds its baseline there.
/// Reading the logits waits for the device.
fn run(session: &mut dyn Session) -> Result<Duration, BackendError> {
    let logits = session.program().logits.clone();
    // Slots are shared: what a run read may be overwritten at its end.
    fill(session)?;
    session.run(Phase::Reference, None)?;
    session.read(&logits)?;
    let start = Instant::now();
    session.run(Phase::Forward, None)?;
    session.run(Phase::Backward, None)?;
    session.read(&logits)?;
    Ok(start.elapsed())
}

fn run_timed(session: &mut dyn Session) -> Result<Vec<Duration>, BackendError> {
    fill(session)?;
    let mut times = Vec::new();
    for phase in Phase::ALL {
        session.run(phase, Some(&mut times))?;
    }
    Ok(times)
}

/// Every image's maps of one run.
///
/// # Errors
/// Whatever the device reports.
pub fn maps(program: &Program, backend: &dyn Backend) -> Result<Vec<Vec<f64>>, BackendError> {
    let mut session = backend.load(Arc::new(program.clone()))?;
    run(session.as_mut())?;
    read_maps(session.as_ref())
}

/// Every image's maps, one after another.
fn read_maps(session: &dyn Session) -> Result<Vec<Vec<f64>>, BackendError> {
    let program = session.program();
    let mut maps = vec![Vec::new(); program.images];
    for port in &program.outputs {
        let values = session.read(port)?;
        let of_image = values.len() / program.images;
        maps.iter_mut().zip(values.chunks_exact(of_image)).for_each(|(map, values)| map.extend_from_slice(values));
    }
    Ok(maps)
}
