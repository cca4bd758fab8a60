//! The kernels as programs have them: every set of stages in use is run, from the values of a real program, against f64.

use std::collections::{BTreeSet, HashSet};

use fluoroscope::backend::gpu::{Chip, Launch, launch_on};
use fluoroscope::backend::step_check::{check_alone, run_kept};
use fluoroscope::graph::Precision;
use fluoroscope::kernel::Fused;
use fluoroscope::program::{Program, Step};
use rayon::prelude::*;

use crate::cpu;
use crate::fused::{programs_up_to, set};
use crate::sim::{Coverage, Simulator};

/// Images that the interpreter has gone through in seconds. What larger networks fuse in addition are the same stages after other
/// tiles.
const MOST_PIXELS: usize = 1 << 14;

/// Steps by program, each with its chip, and their sets of stages: the first step with each set that the programs use on some of
/// these chips.
#[allow(clippy::type_complexity, reason = "named by the words above")]
fn first_steps<'a>(
    programs: &'a [Program],
    chips: &[Chip],
) -> (Vec<Vec<(Chip, &'a Step)>>, HashSet<(&'static str, Fused)>) {
    let (mut seen, mut sets) = (BTreeSet::new(), HashSet::new());
    let mut is_new =
        |launch: Launch| seen.insert(set(launch.stem, &launch.fused)) && sets.insert((launch.stem, launch.fused));
    let mut of_program = |program: &'a Program| {
        let steps = chips.iter().flat_map(|chip| program.steps.iter().map(move |step| (*chip, step)));
        steps.filter(|(chip, step)| is_new(launch_on(*chip, program, step).expect("a launch"))).collect()
    };
    let steps = programs.iter().map(&mut of_program).collect();
    (steps, sets)
}

/// The programs whose sets [`run_every_set`] runs.
pub fn small(precision: Precision) -> Vec<Program> {
    programs_up_to(MOST_PIXELS, &[precision])
}

/// The sets of these programs on a chip.
pub fn sets_in_use(programs: &[Program], chip: Chip) -> BTreeSet<(&'static str, String)> {
    let (_, sets) = first_steps(programs, &[chip]);
    sets.iter().map(|(stem, fused)| set(stem, fused)).collect()
}

/// Runs every set of stages in use on some of these chips, and says what of their lines has run.
pub fn run_every_set(simulator: &Simulator, chips: &[Chip], precision: Precision) -> Vec<(&'static str, Coverage)> {
    let programs = small(precision);
    let (steps, sets) = first_steps(&programs, chips);
    let complaints = |at: usize| match steps[at].as_slice() {
        [] => vec![],
        steps => run_steps(&programs[at], steps, simulator),
    };
    let complaints: Vec<String> = (0..programs.len()).into_par_iter().flat_map_iter(complaints).collect();
    let shown = complaints[..complaints.len().min(20)].join("\n");
    assert!(complaints.is_empty(), "{} complaints\n{shown}", complaints.len());
    println!("{} sets in use", sets.len());
    simulator.coverage_of(&sets)
}

/// Complaints about steps of a program, each from the values that the program has there in f64.
fn run_steps(program: &Program, steps: &[(Chip, &Step)], simulator: &Simulator) -> Vec<String> {
    let exact = cpu(Precision::F64, 1);
    let inputs = run_kept(program, &exact).expect("a small program runs");
    let complaint = |(chip, step): &(Chip, &Step)| {
        let said = match check_alone(program, step, inputs.as_ref(), &simulator.on(*chip), &exact) {
            Ok(error) if error.passes() => return None,
            Ok(error) => format!("{error:?}"),
            Err(error) => error.to_string(),
        };
        Some(format!("{} ({} on {chip:?}): {said}", step.label, step.kernel.stem()))
    };
    steps.iter().filter_map(complaint).collect()
}
