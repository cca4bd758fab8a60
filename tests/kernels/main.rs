//! Every kernel and stage of every backend against formulas in f64.

mod bench;
mod cases;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "no test here starts the binary")]
mod common;
mod convolutions;
mod cuda;
#[path = "../kernels_static/fused.rs"]
#[allow(dead_code, reason = "nothing is assembled here")]
mod fused;
mod identities;
mod oracle;
mod overlays;
mod programs;
mod prologues;
mod ranks;
mod records;
#[allow(dead_code, reason = "no test here runs a text that is changed")]
mod sim;
mod stabilised;
mod stages;
mod traffic;
mod wgpu;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bench::{Bench, Entry, SETTINGS, Setting, TOLERANCE};
use fluoroscope::backend::Backend;
use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::gpu::{Chip, MatrixUnits, Pointer, launch_on};
use fluoroscope::graph::Precision;
use fluoroscope::kernel;
use fluoroscope::program::{ConvParams, Element, Kernel, Per, Stage};
use half::{bf16, f16};
use rayon::prelude::*;
use sim::{Coverage, Simulator};

/// The least chip.
const NO_UNITS: Chip = fused::CHIPS[0];
/// Matrix units on which blocks fill large tiles, and so many of them that none does.
const UNITS: Chip = fused::CHIPS[1];
const MANY_UNITS: Chip = Chip { matrix_units: MatrixUnits::Warp, processors: 1 << 20 };
/// The same of warpgroups.
const GROUPS: Chip = fused::CHIPS[3];
const MANY_GROUPS: Chip = Chip { matrix_units: MatrixUnits::Warpgroup, processors: 1 << 20 };

fn cpu(precision: Precision, threads: usize) -> CpuBackend {
    CpuBackend::new(precision, Some(threads)).expect("threads start")
}

/// Runs `check` on every case in these settings and fails with all complaints.
fn each_case(settings: &[Setting], check: impl Fn(&Bench) -> Vec<String>) {
    let (mut complaints, mut count) = (Vec::new(), 0);
    for case in cases::all().into_iter().step_by(common::every()) {
        for &setting in settings {
            count += 1;
            let found =
                check(&case.bench(setting)).into_iter().map(|text| format!("{} ({setting:?}): {text}", case.name));
            complaints.extend(found);
        }
    }
    let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(complaints.is_empty(), "{} complaints in {count} runs\n{shown}", complaints.len());
    println!("{count} runs");
}

#[test]
fn the_cpu_agrees_with_the_formulas_whatever_its_threads_and_leaves_no_poison() {
    let doubles = cpu(Precision::F64, 2).poisoned();
    let (one, two) = (cpu(Precision::F32, 1).poisoned(), cpu(Precision::F32, 2).poisoned());
    each_case(&SETTINGS, |bench| {
        let mut found = bench.check(&bench.run(&doubles, &bench.inputs), 1e-12, true);
        let [one, two] = [&one, &two].map(|backend| bench.run(backend, &bench.inputs));
        found.extend(bench.check(&two, TOLERANCE, true));
        if !same(&one.concat(), &two.concat()) {
            found.push("two threads differ from one".to_owned());
        }
        found
    });
}

/// The same numbers, and none in the same places.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

fn the_batch_keeps_the_bits_of(case: &cases::Case, backend: &dyn Backend) {
    let batch = case.bench(Setting { images: 3, references: 3, messages: 1, nested: false });
    let single = case.bench(Setting { images: 1, references: 1, messages: 1, nested: false });
    let together = batch.run(backend, &batch.inputs);
    for n in 0..3 {
        let alone = single.run(backend, &item(&batch, &single, n));
        for (together, alone) in together.iter().zip(alone) {
            let together = &together[n * alone.len()..][..alone.len()];
            assert!(same(together, &alone), "{}, image {n}: {together:?}, alone {alone:?}", case.name);
        }
    }
}

#[test]
fn the_batch_does_not_change_a_bit() {
    let backend = cpu(Precision::F32, 2);
    cases::all().iter().for_each(|case| the_batch_keeps_the_bits_of(case, &backend));
}

#[test]
fn the_batch_does_not_change_a_bit_of_ptx() {
    let backend = Simulator::default();
    let cases = cases::all().len();
    (0..cases).into_par_iter().for_each_init(cases::all, |cases, i| the_batch_keeps_the_bits_of(&cases[i], &backend));
}

#[test]
fn tiles_of_every_size_give_the_same_bits() {
    let simulators = [UNITS, MANY_UNITS, GROUPS].map(Simulator::of);
    let one = |cases: &mut Vec<cases::Case>, i: usize| {
        let bench = cases[i].bench(SETTINGS[1]);
        let [large, others @ ..] = simulators.each_ref().map(|simulator| bench.run(simulator, &bench.inputs));
        let differ = |other: &Vec<Vec<f64>>| large.iter().zip(other).any(|(large, other)| !same(large, other));
        others.iter().any(differ).then(|| cases[i].name.clone())
    };
    let is_convolution = |i: &usize| cases::all()[*i].name.starts_with("conv2d");
    let convolutions: Vec<usize> = (0..cases::all().len()).filter(is_convolution).collect();
    let found: Vec<_> = convolutions.into_par_iter().map_init(cases::all, one).flatten().collect();
    assert_eq!(found, [""; 0]);
    let kernels = simulators.map(|simulator| {
        let ran = simulator.coverage();
        [".small.mma", ".wgmma"].map(|ending| ran.iter().filter(|(stem, _)| stem.ends_with(ending)).count())
    });
    assert_eq!(kernels, [[0, 0], [2, 0], [0, 4]], "kernels in small tiles, and of warpgroups");
}

/// A step's parameters hold two numbers in a word.
#[test]
fn windows_beyond_half_a_word_are_refused() {
    use fluoroscope::graph::{Pool, PoolKind};
    const MANY: usize = 70_000;
    let mut program = convolutions::convolution(convolutions::table()[0])[0].bench(SETTINGS[0]).program();
    let point = ConvParams { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0; 4], groups: 1 };
    let windows = [
        ConvParams { kernel: [MANY, 1], ..point },
        ConvParams { stride: [1, MANY], ..point },
        ConvParams { dilation: [MANY, 1], ..point },
        ConvParams { pads: [0, MANY, 0, 0], ..point },
        ConvParams { pads: [0, 0, MANY, 0], ..point },
    ];
    let of_pool = |ConvParams { kernel, stride, dilation, pads, .. }| {
        let pool = Pool { kind: PoolKind::Max, kernel, stride, dilation, pads, ceil: false };
        Kernel::PoolMaxForward { pool, index: None }
    };
    let convolutions =
        [Kernel::Conv2dForward, Kernel::Conv2dBackward, Kernel::DepthwiseForward, Kernel::DepthwiseBackward];
    for window in windows {
        for kernel in convolutions.iter().map(|kernel| kernel(window)).chain([of_pool(window)]) {
            let program = Arc::make_mut(&mut program);
            program.steps[0].kernel = kernel;
            let error = launch_on(NO_UNITS, program, &program.steps[0]).expect_err("refused");
            assert_eq!((error.count, error.limit), (MANY, 65_535), "{error}");
        }
    }
}

#[test]
fn narrow_groups_are_merged_for_tiles() {
    let cases = cases::all();
    let stems = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
        let program = case.bench(SETTINGS[0]).program();
        [NO_UNITS, UNITS].map(|chip| launch_on(chip, &program, &program.steps[0]).expect("a launch").stem)
    };
    let forward = |of: &str| stems(&format!("conv2d_forward: groups of {of}"));
    let backward = |of: &str| stems(&format!("conv2d_backward: groups of {of}"));
    assert_eq!(forward("8"), ["conv2d_forward.groups", "conv2d_forward.groups.mma"]);
    assert_eq!(backward("8"), ["conv2d_backward.groups", "conv2d_backward.groups.mma"]);
    // Two groups are a single one.
    assert_eq!(forward("12 to 20, stride 2, odd"), ["conv2d_forward.tile", "conv2d_forward.tile.mma"]);
    assert_eq!(forward("4, stride 2x1"), ["conv2d_forward.groups", "conv2d_forward.groups.mma"]);
    assert_eq!(forward("2 to 6"), ["conv2d_forward.groups", "conv2d_forward.groups.mma"]);
    assert_eq!(forward("12 to 10"), ["conv2d_forward.narrow"; 2], "a word of bits of two groups");
    assert_eq!(forward("8, 1x1"), ["conv2d_forward", "conv2d_forward.groups.mma"], "few products are for units alone");
    for padded in ["8", "16", "3 to 6"].map(|of| format!("{of} from an image on")) {
        assert!([forward(&padded), backward(&padded)].concat().iter().all(|stem| !stem.contains("groups")), "{padded}");
    }
    // Too few channels still, or none that are whole vectors.
    assert_eq!(backward("2 to 6"), ["conv2d_backward.narrow", "conv2d_backward.narrow"]);
    assert_eq!(forward("10"), ["conv2d_forward.narrow", "conv2d_forward.narrow"]);
}

/// Image `n` of the batch's inputs, in the single program's places.
fn item(batch: &Bench, single: &Bench, n: usize) -> Vec<Entry> {
    let one = |(from, to): (&Entry, &Entry)| {
        let mut entry = to.clone();
        let len = entry.values.data.len();
        entry.values.data.copy_from_slice(&from.values.data[n * len..][..len]);
        entry
    };
    batch.inputs.iter().zip(&single.inputs).map(one).collect()
}

#[test]
fn a_session_times_every_step_and_counts_values() {
    use fluoroscope::backend::Phase;
    let bench = cases::all()[0].bench(SETTINGS[0]);
    let mut session = cpu(Precision::F32, 1).load(bench.program()).expect("loads");
    let mut times = Vec::new();
    session.run(Phase::Forward, Some(&mut times)).expect("runs");
    session.run(Phase::Backward, Some(&mut times)).expect("runs nothing");
    assert_eq!(times.len(), 1);
    assert_eq!(session.slot_bytes(), session.program().slot_bytes(4));
    let port = bench.expected[0].port.clone();
    let error = session.write(&port, &[1.0; 3]).expect_err("one value is wanted").to_string();
    assert!(error.contains("takes 1 values, got 3"), "{error}");
}

/// Complaints and stems of each run, over all cases in the settings of some runs, with tensors stored so. The formulas of a case and
/// setting are worked out once for all runs, and what several chips launch alike is run on the first of them.
fn simulate(runs: &[(Simulator, Range<usize>)], precision: Precision) -> Vec<(Vec<String>, BTreeSet<&'static str>)> {
    let count = cases::all().len() * SETTINGS.len();
    let one = |cases: &mut Vec<cases::Case>, i: usize| {
        let (case, at) = (&cases[i / SETTINGS.len()], i % SETTINGS.len());
        let asked: Vec<usize> = (0..runs.len()).filter(|run| runs[*run].1.contains(&at)).collect();
        let bench = (!asked.is_empty()).then(|| case.bench_in(SETTINGS[at], precision));
        let mut launched = Vec::new();
        let of_run = |run: usize| {
            let bench = bench.as_ref().expect("some run asks");
            let program = bench.program();
            let launch = launch_on(runs[run].0.chip(), &program, &program.steps[0]).expect("a launch");
            let stem = launch.stem;
            let filters = launch.pointers.iter().filter_map(|pointer| match pointer {
                Pointer::Weight(weight, _) => Some(weight.key()),
                _ => None,
            });
            let alike = (stem, launch.fused, launch.params, launch.blocks, filters.collect::<Vec<_>>());
            if launched.contains(&alike) {
                return (run, None, stem);
            }
            launched.push(alike);
            let found = match bench.try_run(&runs[run].0, &bench.inputs) {
                Ok(outputs) => bench.check(&outputs, bench.tolerance(), true),
                Err(error) => vec![error.to_string()],
            };
            let found: Vec<String> =
                found.into_iter().map(|text| format!("{} ({:?}): {text}", case.name, SETTINGS[at])).collect();
            (run, Some(found), stem)
        };
        asked.into_iter().map(of_run).collect::<Vec<_>>()
    };
    let results: Vec<_> = (0..count).into_par_iter().map_init(cases::all, one).flatten_iter().collect();
    println!("{} runs", results.iter().filter(|(_, complaints, _)| complaints.is_some()).count());
    let mut found = vec![(vec![], BTreeSet::new()); runs.len()];
    for (run, complaints, stem) in results {
        found[run].0.extend(complaints.into_iter().flatten());
        found[run].1.insert(stem);
    }
    found
}

/// How tensors are stored, on which chip, and the settings in which the case table runs there.
const RUNS: [(Precision, Chip, Range<usize>); 11] = [
    (Precision::F32, NO_UNITS, 0..4),
    (Precision::F32, UNITS, 1..2),
    (Precision::F32, MANY_UNITS, 2..3),
    (Precision::F32, GROUPS, 1..2),
    (Precision::F32, MANY_GROUPS, 2..3),
    (Precision::F16, NO_UNITS, 2..3),
    (Precision::F16, UNITS, 1..2),
    (Precision::F16, MANY_UNITS, 2..3),
    (Precision::Bf16, NO_UNITS, 2..3),
    (Precision::Bf16, UNITS, 1..2),
    (Precision::Bf16, MANY_UNITS, 2..3),
];

#[test]
fn ptx_agrees_with_the_formulas_in_f32_and_every_line_is_run() {
    agree_with_the_formulas(Precision::F32);
}

#[test]
fn ptx_agrees_with_the_formulas_in_f16_and_every_line_is_run() {
    agree_with_the_formulas(Precision::F16);
}

#[test]
fn ptx_agrees_with_the_formulas_in_bf16_and_every_line_is_run() {
    agree_with_the_formulas(Precision::Bf16);
}

/// All [`RUNS`] with tensors stored so.
fn agree_with_the_formulas(precision: Precision) {
    let of_any_chip = Simulator::default();
    let runs = RUNS.into_iter().filter(|(stored, ..)| *stored == precision);
    let runs: Vec<_> = runs.map(|(_, chip, settings)| (of_any_chip.on(chip), settings)).collect();
    for ((simulator, _), (complaints, stems)) in runs.iter().zip(simulate(&runs, precision)) {
        let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(complaints.is_empty(), "{:?}: {} complaints\n{shown}", simulator.chip(), complaints.len());
        let on_units = stems.iter().any(|stem| stem.ends_with("mma"));
        let has_units = simulator.chip().matrix_units > MatrixUnits::None;
        assert_eq!(on_units, has_units, "the matrix units are used where there are any");
    }
    are_covered(&of_any_chip.coverage());
    let chips: Vec<Chip> = runs.iter().map(|(simulator, _)| simulator.chip()).collect();
    are_covered(&programs::run_every_set(&of_any_chip, &chips, precision));
}

/// What large networks fuse after one tile, small ones may after another: the text of the stages is the same.
#[test]
fn every_set_of_stages_that_is_assembled_is_run() {
    let of_any_tile = |(stem, stages): (&'static str, String)| (kernel::entry(stem), stages);
    let stored = [Precision::F32, Precision::F16, Precision::Bf16];
    let small = stored.map(|stored| (stored, programs::small(stored)));
    let of_programs = RUNS.iter().flat_map(|(precision, chip, _)| {
        let (_, programs) = small.iter().find(|(stored, _)| stored == precision).expect("a precision of the runs");
        programs::sets_in_use(programs, *chip)
    });
    let of_case = |case: &cases::Case| {
        stored.map(|stored| {
            let program = case.bench_in(SETTINGS[0], stored).program();
            let launch = launch_on(NO_UNITS, &program, &program.steps[0]).expect("a launch");
            fused::set(launch.stem, &launch.fused)
        })
    };
    let cases = cases::all();
    let run = of_programs.chain(cases.iter().flat_map(of_case));
    let run: BTreeSet<(&str, String)> = run.map(of_any_tile).collect();
    let assembled = fused::used(fused::launches(&stored));
    // Prologues alone are for the table of registers: no program has them.
    let bare = fused::used([]);
    let assembled = assembled.into_keys().filter(|set| !bare.contains_key(set)).map(of_any_tile);
    let missing: Vec<_> = assembled.filter(|set| !run.contains(set)).collect();
    assert!(missing.is_empty(), "{} sets: {missing:#?}", missing.len());
}

fn are_covered(stems: &[(&'static str, Coverage)]) {
    for (stem, coverage) in stems {
        let share = 1.0 - coverage.unexecuted.len() as f64 / coverage.lines as f64;
        println!("{stem:<28} {:>6} lines, {:.2} % run", coverage.lines, 100.0 * share);
        let shown = coverage.unexecuted.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(share >= 0.98, "{stem}: {:.2} % of lines are run\n{shown}", 100.0 * share);
    }
}

/// What the CPU makes of special values. Convolutions are left out, since padding that a kernel may or may not multiply by
/// zero makes a difference there.
fn by_cpu(case: &cases::Case) -> Option<(Bench, Vec<f64>)> {
    let bench = case.bench(SETTINGS[3]);
    if bench.stem().starts_with("conv2d") || bench.stem().starts_with("depthwise") {
        return None;
    }
    let wanted = bench.run(&cpu(Precision::F32, 1), &bench.specials()).concat();
    Some((bench, wanted))
}

/// Where a backend does not treat special values as wanted: what is not a number stays so, infinities and zeros go the same
/// ways, up to rounding, which a level of a picture may be apart. Only what is `promised` counts.
fn differs(bench: &Bench, wanted: &[f64], backend: &dyn Backend, promised: fn(f64) -> bool) -> Option<String> {
    let got = bench.run(backend, &bench.specials()).concat();
    let slack = |want: f64| if bench.stem() == "overlay" { 1.0 } else { 1e-3 * (1.0 + want.abs()) };
    let close = |want: f64, got: f64| want == got || (want - got).abs() <= slack(want);
    let same = |want: f64, got: f64| if want.is_nan() { got.is_nan() } else { close(want, got) };
    let differs = |(want, got): (&f64, &f64)| promised(*want) && !same(*want, *got);
    let at = wanted.iter().zip(&got).position(differs)?;
    Some(format!("element {at} is {:e}, {:e} by the CPU", got[at], wanted[at]))
}

#[test]
fn ptx_treats_special_values_as_the_cpu_does() {
    let simulator = Simulator::default();
    // Not among the interpreter's tasks: a thread that waits for the backend's would take up another.
    let wanted: Vec<Option<Vec<f64>>> = cases::all().iter().map(|case| Some(by_cpu(case)?.1)).collect();
    let one = |cases: &mut Vec<cases::Case>, i: usize| {
        let said = differs(&cases[i].bench(SETTINGS[3]), wanted[i].as_ref()?, &simulator, |_| true)?;
        Some(format!("{}: {said}", cases[i].name))
    };
    let found: Vec<_> = (0..wanted.len()).into_par_iter().map_init(cases::all, one).flatten().collect();
    assert!(found.is_empty(), "{} complaints\n{}", found.len(), found.join("\n"));
}

/// What is beyond the largest half is stored as that, so that no infinity can meet a zero later on; not a number stays so.
#[test]
fn ptx_stores_what_no_half_holds_as_the_largest() {
    let simulator = Simulator::default();
    for (precision, largest) in [(Precision::F16, f16::MAX.to_f64()), (Precision::Bf16, bf16::MAX.to_f64())] {
        // Just beyond where rounding would go to infinity, and far beyond.
        for factor in [1.003, 1e30] {
            let mut bench = Bench::new(SETTINGS[0]);
            bench.precision = precision;
            let (x, values) = bench.noise(Per::Image, [4, 1, 1], 1.0);
            let y = bench.expect(Per::Image, Element::Float, values);
            bench.step(Kernel::ActivationForward, vec![x], vec![], y, vec![Stage::Multiply { factor }]);
            bench.inputs[0].values.data = vec![largest, -largest, f64::NAN, 0.0];
            let got = bench.run(&simulator, &bench.inputs).concat();
            assert!(same(&got, &bench.inputs[0].values.data), "{precision} by {factor}: {got:?}");
        }
    }
}
