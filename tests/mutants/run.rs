//! Would the case table notice? Changes a line of a kernel at a time and runs the cases that use it.
//!
//! `cargo run --example mutants [COUNT]` before a release; `tests/mutants/README.md` has the figures.

#[path = "../kernels/bench.rs"]
#[allow(dead_code, reason = "shared with tests/kernels")]
mod bench;
#[path = "../kernels/cases.rs"]
#[allow(dead_code, reason = "shared with tests/kernels")]
mod cases;
#[path = "../kernels/convolutions.rs"]
#[allow(dead_code, reason = "shared with tests/kernels")]
mod convolutions;
mod mutate;
#[path = "../kernels/oracle.rs"]
#[allow(dead_code, reason = "shared with tests/kernels")]
mod oracle;
#[path = "../kernels/overlays.rs"]
mod overlays;
#[path = "../kernels/prologues.rs"]
mod prologues;
#[path = "../kernels/ranks.rs"]
mod ranks;
#[path = "../kernels/sim.rs"]
#[allow(dead_code, reason = "shared with tests/kernels")]
mod sim;
#[path = "../kernels/stabilised.rs"]
mod stabilised;
#[path = "../kernels/stages.rs"]
mod stages;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::process::ExitCode;

use fluoroscope::backend::gpu::{Chip, MatrixUnits, launch_on};
use fluoroscope::graph::Precision;
use fluoroscope::kernel::{self, Fused};
use ptx_sim::Module;
use rayon::prelude::*;

use bench::{Bench, SETTINGS, Setting};
use cases::Case;
use mutate::{Change, Kind, changes};
use sim::Simulator;

const COUNT: usize = 200;
/// Share of the mutants that must be caught, those that change nothing aside.
const WANTED: f64 = 0.95;
/// Warp instructions of a launch; a mutant may loop for ever. The table's largest launch has a tenth of that.
const MOST_INSTRUCTIONS: u64 = 1 << 24;
/// Mutants that compute the same, each with the reason.
const EQUIVALENT: &str = include_str!("equivalent.txt");

type Key = (&'static str, Fused);

/// How a case is run.
#[derive(Clone, Copy)]
struct Way {
    setting: Setting,
    precision: Precision,
    chip: Chip,
}

impl Way {
    /// In f32, and by matrix units in f32, in large tiles and in small ones, in halves, and by those of warpgroups.
    fn all() -> Vec<Self> {
        let units = |processors| Chip { matrix_units: MatrixUnits::Warp, processors };
        let groups = |processors| Chip { matrix_units: MatrixUnits::Warpgroup, processors };
        let by = |chip, precision| move |setting| Self { setting, precision, chip };
        let plain = SETTINGS.into_iter().map(by(Chip::default(), Precision::F32));
        let large = SETTINGS[1..2].iter().copied().map(by(units(0), Precision::F32));
        let small = SETTINGS[2..3].iter().copied().map(by(units(1 << 20), Precision::F32));
        let halves = SETTINGS[1..3].iter().copied().map(by(units(0), Precision::F16));
        let large_of_groups = SETTINGS[1..2].iter().copied().map(by(groups(0), Precision::F32));
        let small_of_groups = SETTINGS[2..3].iter().copied().map(by(groups(1 << 20), Precision::F32));
        let of_groups = large_of_groups.chain(small_of_groups);
        plain.chain(large).chain(small).chain(halves).chain(of_groups).collect()
    }

    fn bench(&self, case: &Case) -> Bench {
        case.bench_in(self.setting, self.precision)
    }
}

/// A case in a way, and the blocks it launches.
#[derive(Clone, Copy)]
struct Use {
    case: usize,
    way: Way,
    blocks: u32,
}

/// A rendering of a kernel, with the cases that run it.
struct Rendered {
    key: Key,
    text: String,
    uses: Vec<Use>,
}

/// A change of a kernel, in all its renderings.
struct Mutant<'a> {
    stem: &'static str,
    change: Change,
    /// Renderings that have the line, changed.
    texts: Vec<(&'a Rendered, String)>,
}

impl<'a> Mutant<'a> {
    /// The change of one rendering, and of the others where they have that line as often.
    fn new(change: Change, of: &Rendered, stem: &[&'a Rendered]) -> Self {
        let nth = of.text.lines().take(change.line).filter(|line| change.is_of(line)).count();
        let changed = |rendered: &&'a Rendered| {
            let (line, _) = rendered.text.lines().enumerate().filter(|(_, line)| change.is_of(line)).nth(nth)?;
            Some((*rendered, Change { line, ..change.clone() }.apply(&rendered.text)))
        };
        let texts = stem.iter().filter_map(changed).collect();
        Self { stem: of.key.0, change, texts }
    }

    fn parses(&self) -> bool {
        self.texts.iter().all(|(_, text)| Module::parse(text).is_ok())
    }

    /// The cases that run it, small ones first.
    fn uses(&self) -> Vec<Use> {
        let mut uses: Vec<Use> = self.texts.iter().flat_map(|(rendered, _)| &rendered.uses).copied().collect();
        uses.sort_by_key(|it| it.blocks);
        uses
    }

    /// As a line of `equivalent.txt` begins.
    fn name(&self) -> String {
        let change = &self.change;
        let to = if change.to.is_empty() { "nothing" } else { &change.to };
        format!("{} | {} | {} | {to}", self.stem, change.kind, change.from)
    }
}

/// Changes of a kind to a kernel, each with the rendering it was found in, and a number to sort them by.
type Candidates<'a> = Vec<(u64, Change, &'a Rendered)>;

/// What becomes of a mutant.
enum Fate {
    /// The interpreter's checks, or the lints of the text, stop it.
    Stopped,
    /// It computes something else.
    Wrong,
    Survives,
}

/// The renderings that the table uses.
fn renderings(cases: &[Case]) -> Vec<Rendered> {
    let mut found: HashMap<Key, Rendered> = HashMap::new();
    for (case, built) in cases.iter().enumerate() {
        for way in Way::all() {
            let program = way.bench(built).program();
            let [step] = program.steps.as_slice() else { panic!("{} has one step", built.name) };
            let launch = launch_on(way.chip, &program, step).unwrap_or_else(|error| panic!("{}: {error}", built.name));
            let key = (launch.stem, launch.fused);
            let rendered = found.entry(key.clone()).or_insert_with(|| {
                let text = kernel::ptx(key.0, &key.1).unwrap_or_else(|error| panic!("{}: {error}", built.name));
                Rendered { key, text, uses: Vec::new() }
            });
            rendered.uses.push(Use { case, way, blocks: launch.blocks });
        }
    }
    let mut found: Vec<Rendered> = found.into_values().collect();
    found.sort_by(|a, b| (a.key.0, &a.text).cmp(&(b.key.0, &b.text)));
    found
}

/// A number that is the same in every run.
fn shuffled(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// So many mutants that parse, none twice: a kind's in turn with the other kinds', a kernel's with those of the kernels that
/// the kind is found in.
fn choose(renderings: &[Rendered], count: usize) -> Vec<Mutant<'_>> {
    let mut stems: BTreeMap<&str, Vec<&Rendered>> = BTreeMap::new();
    renderings.iter().for_each(|rendered| stems.entry(rendered.key.0).or_default().push(rendered));
    let mut kinds: BTreeMap<Kind, BTreeMap<(u64, &str), Candidates>> = BTreeMap::new();
    for rendered in renderings {
        for change in changes(&rendered.text) {
            let kernel = (shuffled(&(change.kind, rendered.key.0)), rendered.key.0);
            let order = shuffled(&(&rendered.text, change.kind, change.line, &change.to));
            kinds.entry(change.kind).or_default().entry(kernel).or_default().push((order, change, rendered));
        }
    }
    kinds.values_mut().flat_map(BTreeMap::values_mut).for_each(|found| found.sort_by_key(|(order, ..)| *order));
    let mut turns: Vec<(Kind, VecDeque<(&str, Candidates)>)> = Vec::new();
    for (kind, kernels) in kinds {
        turns.push((kind, kernels.into_iter().map(|((_, stem), found)| (stem, found)).collect()));
    }
    let (mut chosen, mut seen) = (Vec::new(), HashSet::new());
    while chosen.len() < count && turns.iter().any(|(_, kernels)| !kernels.is_empty()) {
        for (kind, kernels) in &mut turns {
            // Barriers differ by their place alone.
            let place = |change: &Change| (*kind == Kind::Barrier).then_some(change.line);
            let mut is_new =
                |stem, change: &Change| seen.insert((stem, change.from.clone(), change.to.clone(), place(change)));
            while let Some((stem, mut found)) = kernels.pop_front() {
                let next = std::iter::from_fn(|| found.pop()).find_map(|(_, change, rendered)| {
                    let mutant = is_new(stem, &change).then(|| Mutant::new(change, rendered, &stems[stem]))?;
                    mutant.parses().then_some(mutant)
                });
                if let Some(mutant) = next {
                    chosen.push(mutant);
                    kernels.push_back((stem, found));
                    break;
                }
            }
        }
    }
    chosen.truncate(count);
    chosen
}

fn judge(mutant: &Mutant, cases: &[Case]) -> Fate {
    let texts = mutant.texts.iter().map(|(rendered, text)| (rendered.key.clone(), text.clone()));
    let Ok(simulator) = Simulator::replacing(texts, MOST_INSTRUCTIONS) else { return Fate::Stopped };
    for Use { case, way, .. } in mutant.uses() {
        let bench = way.bench(&cases[case]);
        match bench.try_run(&simulator.on(way.chip), &bench.inputs) {
            Err(_) => return Fate::Stopped,
            Ok(outputs) if !bench.check(&outputs, bench.tolerance(), true).is_empty() => return Fate::Wrong,
            Ok(_) => {}
        }
    }
    Fate::Survives
}

/// How many of a kind were stopped, wrong, equivalent, missed.
#[derive(Default)]
struct Tally {
    stopped: usize,
    wrong: usize,
    equivalent: usize,
    missed: usize,
}

fn main() -> ExitCode {
    let count = match std::env::args().nth(1).map(|count| count.parse()) {
        None => COUNT,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            eprintln!("usage: mutants [COUNT]");
            return ExitCode::from(2);
        }
    };
    let renderings = renderings(&cases::all());
    let mutants = choose(&renderings, count);
    let one = |cases: &mut Vec<Case>, mutant: &Mutant| judge(mutant, cases);
    let fates: Vec<Fate> = mutants.par_iter().map_init(cases::all, one).collect();

    let reasons: HashSet<&str> = EQUIVALENT.lines().filter_map(|line| Some(line.rsplit_once(" | ")?.0)).collect();
    let mut tallies: BTreeMap<Kind, Tally> = BTreeMap::new();
    for (mutant, fate) in mutants.iter().zip(&fates) {
        let tally = tallies.entry(mutant.change.kind).or_default();
        match fate {
            Fate::Stopped => tally.stopped += 1,
            Fate::Wrong => tally.wrong += 1,
            Fate::Survives if reasons.contains(mutant.name().as_str()) => tally.equivalent += 1,
            Fate::Survives => {
                tally.missed += 1;
                println!("missed: {}", mutant.name());
            }
        }
    }
    report(&tallies)
}

fn report(tallies: &BTreeMap<Kind, Tally>) -> ExitCode {
    println!("{:<20} {:>7} {:>7} {:>7} {:>10} {:>6}", "change", "mutants", "stopped", "wrong", "equivalent", "missed");
    let row = |name: &str, all: [usize; 4]| {
        let [stopped, wrong, equivalent, missed] = all;
        println!("{name:<20} {:>7} {stopped:>7} {wrong:>7} {equivalent:>10} {missed:>6}", all.iter().sum::<usize>());
    };
    let mut sums = [0; 4];
    for (kind, tally) in tallies {
        let all = [tally.stopped, tally.wrong, tally.equivalent, tally.missed];
        row(&kind.to_string(), all);
        sums.iter_mut().zip(all).for_each(|(sum, n)| *sum += n);
    }
    row("all", sums);
    let [stopped, wrong, _, missed] = sums;
    let share = (stopped + wrong) as f64 / (stopped + wrong + missed).max(1) as f64;
    println!("{:.1} % of those that are not equivalent are caught; wanted: {:.0} %", 100.0 * share, 100.0 * WANTED);
    if share >= WANTED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
