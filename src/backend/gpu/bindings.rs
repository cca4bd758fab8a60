//! Steps that bind more buffers than a kernel may on some device, in two or more.

use super::launch::launch;
use crate::program::{Kernel, Program, Split, Step, partial};

/// The program whose [packed](super::Launch::packed) launches bind at most `most` buffers each, where some bind more: the last
/// stages of such a step become an elementwise step of their own. WebGPU promises eight buffers, which suffice for every
/// kernel and for every stage.
pub fn within_bindings(program: &Program, most: usize) -> Option<Split> {
    let is_split = program.steps.iter().any(|step| exceeds(program, step, most));
    is_split.then(|| Split::of(program, |whole, step| cut(whole, step.clone(), most)))
}

/// What cannot be launched is left to whoever launches it.
fn exceeds(program: &Program, step: &Step, most: usize) -> bool {
    launch(program, step).is_ok_and(|launch| launch.packed().pointers.len() > most)
}

/// Adds a step, in as many parts as it takes.
fn cut(program: &mut Program, mut step: Step, most: usize) {
    while exceeds(program, &step, most) {
        let fits = |count: &usize| {
            let head = Step { stages: step.stages[..*count].to_vec(), ..step.clone() };
            !exceeds(program, &head, most)
        };
        let count = (0..step.stages.len()).take_while(fits).last().unwrap_or(0);
        let is_elementwise = matches!(step.kernel, Kernel::ActivationBackward);
        if step.stages.is_empty() || count == 0 && is_elementwise {
            break; // There is no smaller part.
        }
        let stages = step.stages.split_off(count);
        let output = partial(program, &step);
        let rest = Step {
            label: step.label.clone(),
            kernel: Kernel::ActivationBackward,
            inputs: vec![output],
            weights: Vec::new(),
            output: step.output,
            prologue: None,
            stages,
        };
        program.steps.push(Step { output, ..step });
        step = rest;
    }
    program.steps.push(step);
}
