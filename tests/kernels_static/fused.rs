//! What kernels are rendered with: the stages of real programs, and every stage there is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fluoroscope::backend::gpu::{Chip, Launch, MatrixUnits, launch_on};
use fluoroscope::graph::Precision;
use fluoroscope::kernel::{self, Fused, KernelSource, Operand, StageText, TEMPLATES, Type, Window};
use fluoroscope::method::METHODS;
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, PlanError, plan};
use fluoroscope::program::Program;
use fluoroscope::rule::{BatchNormRule, RuleOptions};

/// Those to which it matters what batch norms do.
const RELEVANCE: [&str; 3] = ["lrp-epsilon", "lrp-zplus", "epsilon-plus-flat"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Kernels of `kernels/` by name, with their variants.
pub fn templates() -> impl Iterator<Item = (&'static str, &'static KernelSource)> {
    let stems = TEMPLATES.iter().filter_map(|(path, _)| path.strip_suffix(".ptx")).filter(|stem| !stem.contains('/'));
    stems.map(|stem| {
        let base = stem.split('.').next().unwrap_or_default();
        (stem, kernel::source(base).unwrap_or_else(|| panic!("{stem} is a variant of nothing")))
    })
}

/// Stems of the probes, which take no stages.
pub fn probes() -> impl Iterator<Item = &'static str> {
    let stems = TEMPLATES.iter().filter_map(|(path, _)| path.strip_suffix(".ptx"));
    stems.filter(|stem| stem.starts_with("probes/"))
}

/// Files of a folder below `kernels/`.
pub fn words(folder: &str) -> Vec<&'static str> {
    let in_folder = |(path, _): &(&'static str, &str)| path.strip_prefix(folder)?.strip_suffix(".ptx");
    TEMPLATES.iter().filter_map(in_folder).collect()
}

/// Kernels that take a prologue, with their variants.
pub fn takes_prologue(stem: &str) -> bool {
    let base = stem.split('.').next().unwrap_or_default();
    ["conv2d_forward", "pool_average_forward", "square_rows", "audit_epsilon", "audit_rescale"].contains(&base)
}

/// A scale, a shift and a curve, in any places: nothing runs them.
fn prologue(curve: &'static str) -> StageText {
    StageText { word: "prologue", curve: Some(curve), operands: pair("prologue"), ..StageText::default() }
}

fn pair(of: &str) -> Vec<Operand> {
    ["scale", "shift"].map(|name| Operand { pointer: format!("{of}_{name}"), ..Operand::default() }).to_vec()
}

/// A prologue where the kernel takes one, and a list of stages that uses every file, with every curve that has what the word needs, every variant and
/// operands of every kind. Their places are any: nothing runs them.
pub fn every_word(source: &KernelSource) -> Fused {
    let mut slot = source.inputs.len() + source.outputs.len();
    let mut stage = |word, variant, curve| {
        let operands = (slot..slot + 3).map(|slot| {
            let pointer = format!("operand{slot}");
            let scale_shift = if slot % 4 == 1 { pair(&pointer) } else { Vec::new() };
            Operand { pointer, slot: slot % 16, spread: slot % 2 == 0, scale_shift }
        });
        let channels = slot.is_multiple_of(5).then_some(4);
        let operands = operands.collect();
        slot += 3;
        StageText { word, curve, operands, constants: 0, curve_constants: 2, channels, variant }
    };
    let mut stages = Vec::new();
    for word in words("stages/") {
        let of_curves = ["activate", "derivative", "rescale", "epsilon", "keep_bits"].contains(&word);
        let variants: &[&str] = match word {
            "add" => &["add", "sub"],
            "take" | "times" => &["all", "pos", "neg", "square", "one", "zero"],
            "gate" => &["", "slope"],
            "epsilon" => &["", "over_z", "relative", "over_z, relative"],
            _ => &[""],
        };
        stages.extend(variants.iter().filter(|_| !of_curves || word == "epsilon").map(|v| stage(word, v, None)));
        for curve in words("curves/").into_iter().filter(|_| of_curves) {
            let path = format!("curves/{curve}.ptx");
            let text = TEMPLATES.iter().find(|(name, _)| *name == path).map_or("", |(_, text)| text);
            // The derivative of a PRelu is its gate.
            let has = match word {
                "keep_bits" => text.contains("macro larger("),
                "derivative" => curve != "prelu",
                _ => true,
            };
            if has {
                stages.push(stage(word, "", Some(curve)));
            }
        }
    }
    Fused { prologue: takes_prologue(source.stem).then(|| prologue("clip")), stages, ..Fused::default() }
}

/// A stage or prologue in the table: its word with what it is told.
fn short(stage: &StageText) -> String {
    let mark = |word, of: fn(&Operand) -> bool| if stage.operands.iter().any(of) { word } else { "" };
    let spread = mark("spread", |operand| operand.spread);
    let scaled = mark("scaled", |operand| !operand.scale_shift.is_empty());
    let affine = if stage.word == "prologue" { mark("affine", |_| true) } else { "" };
    let part = if stage.channels.is_some() { "part" } else { "" };
    let told = [stage.curve.unwrap_or_default(), stage.variant, spread, scaled, affine, part];
    let told: Vec<&str> = told.into_iter().filter(|word| !word.is_empty() && *word != stage.word).collect();
    if told.is_empty() { stage.word.to_owned() } else { format!("{}({})", stage.word, told.join(",")) }
}

/// Which of a kernel's tensors are stored in halves: `f16@0,1,3`.
fn halves(fused: &Fused) -> Option<String> {
    let slots: Vec<String> =
        (0..fused.types.len()).filter(|slot| fused.types[*slot] != Type::F32).map(|slot| slot.to_string()).collect();
    let half = fused.types.iter().find(|stored| **stored != Type::F32)?;
    Some(format!("{}@{}", format!("{half:?}").to_lowercase(), slots.join(",")))
}

/// The kernel of a rendering and the short list of what is fused: renderings that share these differ in places only.
pub fn set(stem: &'static str, fused: &Fused) -> (&'static str, String) {
    let window = (fused.window != Window::default()).then(|| format!("{:?}", fused.window));
    let whole_words = fused.whole_words.then(|| "whole words".to_owned());
    let words =
        fused.prologue.iter().chain(&fused.stages).map(short).chain(halves(fused)).chain(window).chain(whole_words);
    (stem, words.collect::<Vec<_>>().join(" "))
}

/// By kernel and short list, what these launches fuse, and every kernel's prologue.
pub fn used(launches: impl IntoIterator<Item = Launch>) -> BTreeMap<(&'static str, String), Fused> {
    let mut used = BTreeMap::new();
    for (stem, _) in templates().filter(|(stem, _)| takes_prologue(stem)) {
        let fused = Fused { prologue: Some(prologue("relu")), ..Fused::default() };
        used.insert(set(stem, &fused), fused);
    }
    for launch in launches {
        used.entry(set(launch.stem, &launch.fused)).or_insert(launch.fused);
    }
    used
}

/// Chips without matrix units, with those of warps and of warpgroups: with so few processors that blocks fill large tiles, and
/// with so many that few do.
pub const CHIPS: [Chip; 5] = [
    Chip { matrix_units: MatrixUnits::None, processors: 0 },
    Chip { matrix_units: MatrixUnits::Warp, processors: 0 },
    Chip { matrix_units: MatrixUnits::Warp, processors: 132 },
    Chip { matrix_units: MatrixUnits::Warpgroup, processors: 0 },
    Chip { matrix_units: MatrixUnits::Warpgroup, processors: 132 },
];

/// Every step of [`programs`], on all [`CHIPS`].
pub fn launches(stored: &[Precision]) -> Vec<Launch> {
    let of = |program: &Program| {
        let all = program.steps.iter().flat_map(|step| CHIPS.map(|chip| launch_on(chip, program, step)));
        all.map(|launch| launch.expect("a launch")).collect::<Vec<_>>()
    };
    programs(stored).iter().flat_map(of).collect()
}

/// The networks of a folder.
fn networks(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut nets: Vec<PathBuf> = files.map(|file| file.expect("a folder's entry").path()).collect();
    nets.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    nets.sort();
    nets
}

/// The programs of all methods: of the golden networks and one with groups, whose values are stored so, and of those in use in
/// f32, if that is asked for.
pub fn programs(stored: &[Precision]) -> Vec<Program> {
    programs_up_to(usize::MAX, stored)
}

/// The same of images of at most so many pixels.
pub fn programs_up_to(pixels: usize, stored: &[Precision]) -> Vec<Program> {
    let small = networks("data/golden").into_iter().chain([root().join("tests/fixtures/onnx/resnext.onnx")]);
    let small = small.flat_map(|net| stored.iter().map(move |it| (net.clone(), *it)));
    let in_use = ["data/models", "data/chest"].into_iter().flat_map(networks).map(|net| (net, Precision::F32));
    let in_use = in_use.filter(|(_, precision)| stored.contains(precision));
    let mut programs = Vec::new();
    for (net, precision) in small.chain(in_use) {
        let model = Model::open_with(&net, precision).unwrap_or_else(|e| panic!("{}: {e}", net.display()));
        if model.input().height * model.input().width > pixels {
            continue;
        }
        let usual = METHODS.iter().map(|method| (method, RuleOptions::default()));
        let passing = RuleOptions { batch_norm: BatchNormRule::Pass, ..RuleOptions::default() };
        let relevance = METHODS.iter().filter(|method| RELEVANCE.contains(&method.name));
        for (method, rules) in usual.chain(relevance.map(|method| (method, passing))) {
            let batch = Batch { messages_per_image: 2, ranked: true, ..Batch::of(2) };
            match plan(&model.graph, &[Pass::of(method, None)], &rules, batch) {
                Ok(program) => programs.push(program),
                Err(PlanError::NoCamHead { .. }) => {}
                Err(error) => panic!("{} of {}: {error}", method.name, net.display()),
            }
        }
    }
    programs
}
