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

/// Steps by program, and their sets of stages: the first step with each set that the programs use on a chip.
fn first_steps(programs: &[Program], chip: Chip) -> (Vec<Vec<&Step>>, HashSet<(&'static str, Fused)>) {
    let (mut seen, mut sets) = (BTreeSet::new(), HashSet::new());
    let mut is_new =
        |launch: Launch| seen.insert(set(launch.stem, &launch.fused)) && sets.insert((launch.stem, launch.fused));
    let mut of_program = |program: &'_ Program| -> Vec<usize> {
        let launch = |step: &usize| launch_on(chip, program, &program.steps[*step]).expect("a launch");
        (0..program.steps.len()).filter(|step| is_new(launch(step))).collect()
    };
    let steps = programs.iter().map(|program| of_program(program).into_iter().map(|at| &program.steps[at]).collect());
    (steps.collect(), sets)
}

/// The programs whose sets [`run_every_set`] runs.
pub fn small(precision: Precision) -> Vec<Program> {
    programs_up_to(MOST_PIXELS, &[precision])
}

/// The sets of these programs on a chip.
pub fn sets_in_use(programs: &[Program], chip: Chip) -> BTreeSet<(&'static str, String)> {
    let (_, sets) = first_steps(programs, chip);
    sets.iter().map(|(stem, fused)| set(stem, fused)).collect()
}

/// Runs every set of stages in use on the chip of each simulator, and says what of their lines has run there.
pub fn run_every_set(simulators: &[&Simulator], precision: Precision) -> Vec<Vec<(&'static str, Coverage)>> {
    let programs = small(precision);
    let (steps, sets): (Vec<_>, Vec<_>) = simulators.iter().map(|on| first_steps(&programs, on.chip())).unzip();
    let complaints = |at: usize| {
        let of_chips = simulators.iter().zip(&steps);
        let steps: Vec<_> = of_chips.flat_map(|(on, steps)| steps[at].iter().map(move |step| (*on, *step))).collect();
        if steps.is_empty() { vec![] } else { run_steps(&programs[at], &steps) }
    };
    let complaints: Vec<String> = (0..programs.len()).into_par_iter().flat_map_iter(complaints).collect();
    let shown = complaints[..complaints.len().min(20)].join("\n");
    assert!(complaints.is_empty(), "{} complaints\n{shown}", complaints.len());
    println!("{:?} sets in use", sets.iter().map(HashSet::len).collect::<Vec<_>>());
    simulators.iter().zip(&sets).map(|(simulator, sets)| simulator.coverage_of(sets)).collect()
}

/// Complaints about steps of a program, each from the values that the program has there in f64.
fn run_steps(program: &Program, steps: &[(&Simulator, &Step)]) -> Vec<String> {
    let exact = cpu(Precision::F64, 1);
    let inputs = run_kept(program, &exact).expect("a small program runs");
    let complaint = |(simulator, step): &(&Simulator, &Step)| {
        let said = match check_alone(program, step, inputs.as_ref(), *simulator, &exact) {
            Ok(error) if error.passes() => return None,
            Ok(error) => format!("{error:?}"),
            Err(error) => error.to_string(),
        };
        Some(format!("{} ({} on {:?}): {said}", step.label, step.kernel.stem(), simulator.chip()))
    };
    steps.iter().filter_map(complaint).collect()
}
