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

/// Some steps of a program.
type Steps<'p> = (&'p Program, Vec<&'p Step>);

/// The first step with each set of stages that the programs use on a chip, by program.
fn first_steps(programs: &[Program], chip: Chip) -> (Vec<Steps<'_>>, HashSet<(&'static str, Fused)>) {
    let (mut seen, mut sets) = (BTreeSet::new(), HashSet::new());
    let mut is_new =
        |launch: Launch| seen.insert(set(launch.stem, &launch.fused)) && sets.insert((launch.stem, launch.fused));
    let mut of_program = |program: &'_ Program| -> Vec<usize> {
        let launch = |step: &usize| launch_on(chip, program, &program.steps[*step]).expect("a launch");
        (0..program.steps.len()).filter(|step| is_new(launch(step))).collect()
    };
    let steps = programs.iter().map(|program| (program, of_program(program)));
    let steps = steps.filter(|(_, steps)| !steps.is_empty());
    let steps =
        steps.map(|(program, steps)| (program, steps.into_iter().map(|at| &program.steps[at]).collect())).collect();
    (steps, sets)
}

/// The sets that [`run_every_set`] runs.
pub fn sets_in_use(chip: Chip, precision: Precision) -> BTreeSet<(&'static str, String)> {
    let (_, sets) = first_steps(&programs_up_to(MOST_PIXELS, &[precision]), chip);
    sets.iter().map(|(stem, fused)| set(stem, fused)).collect()
}

/// Runs every set of stages in use, and says what of their lines has run on the simulator.
pub fn run_every_set(simulator: &Simulator, chip: Chip, precision: Precision) -> Vec<(&'static str, Coverage)> {
    let programs = programs_up_to(MOST_PIXELS, &[precision]);
    let (steps, sets) = first_steps(&programs, chip);
    let simulator = simulator.on(chip);
    let complaints = |(program, steps): &Steps<'_>| {
        let exact = cpu(Precision::F64, 1);
        let inputs = run_kept(program, &exact).expect("a small program runs");
        let complaint = |step: &&Step| {
            let said = match check_alone(program, step, inputs.as_ref(), &simulator, &exact) {
                Ok(error) if error.passes() => return None,
                Ok(error) => format!("{error:?}"),
                Err(error) => error.to_string(),
            };
            Some(format!("{} ({}): {said}", step.label, step.kernel.stem()))
        };
        steps.iter().filter_map(complaint).collect::<Vec<_>>()
    };
    let complaints: Vec<String> = steps.par_iter().flat_map_iter(complaints).collect();
    let shown = complaints[..complaints.len().min(20)].join("\n");
    assert!(complaints.is_empty(), "{} complaints\n{shown}", complaints.len());
    println!("{} sets in use", sets.len());
    simulator.coverage_of(&sets)
}
