//! What can be said of the kernels without a GPU: they validate and assemble with the stages that programs give them for
//! every chip, follow the rules of the house, and take the registers that `kernels/resources.txt` records.

#[path = "../build/sources.rs"]
mod sources;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use fluoroscope::backend::gpu::{Chip, launch_on};
use fluoroscope::graph::Precision;
use fluoroscope::kernel::{
    self, Fused, KERNELS, KernelSource, MOST_TENSORS, Operand, PARAM_BYTES, StageText, TEMPLATES, THREADS, Type,
};
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::plan::{Batch, Pass, plan};
use fluoroscope::rule::RuleOptions;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use rayon::prelude::*;

const TARGETS: [&str; 5] = ["sm_75", "sm_80", "sm_86", "sm_90a", "sm_120"];

/// The lowest PTX version that knows a target: a driver refuses text of a version newer than itself.
const LOWEST_VERSION: [(&str, &str); 3] = [("sm_75", "6.3"), ("sm_80", "7.0"), ("sm_90a", "8.0")];

/// Methods whose programs name the stages that kernels are assembled with: one of each family of rules.
const METHODS: [&str; 7] =
    ["gradient", "guided-backprop", "deconvnet", "lrp-epsilon", "lrp-zplus", "deeplift", "grad-cam"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Kernels of `kernels/` by name, with their variants.
fn templates() -> impl Iterator<Item = (&'static str, &'static KernelSource)> {
    let stems = TEMPLATES.iter().filter_map(|(path, _)| path.strip_suffix(".ptx")).filter(|stem| !stem.contains('/'));
    stems.map(|stem| {
        let base = stem.split('.').next().unwrap_or_default();
        (stem, kernel::source(base).unwrap_or_else(|| panic!("{stem} is a variant of nothing")))
    })
}

/// Stems of the probes, which take no stages.
fn probes() -> impl Iterator<Item = &'static str> {
    let stems = TEMPLATES.iter().filter_map(|(path, _)| path.strip_suffix(".ptx"));
    stems.filter(|stem| stem.starts_with("probes/"))
}

/// Files of a folder below `kernels/`.
fn words(folder: &str) -> Vec<&'static str> {
    let in_folder = |(path, _): &(&'static str, &str)| path.strip_prefix(folder)?.strip_suffix(".ptx");
    TEMPLATES.iter().filter_map(in_folder).collect()
}

/// Kernels that take a prologue, with their variants.
fn takes_prologue(stem: &str) -> bool {
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
fn every_word(source: &KernelSource) -> Fused {
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

#[test]
fn sources_agree_and_the_table_is_theirs() {
    let kernels = sources::check(root(), sources::COMPLETE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let stems: Vec<&str> =
        kernels.iter().filter(|k| !k.interface.outputs.is_empty()).map(|k| k.stem.as_str()).collect();
    assert_eq!(stems, KERNELS.iter().map(|kernel| kernel.stem).collect::<Vec<_>>());
    let table = sources::table(root(), &kernels).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(table.contains("pub const KERNELS") && table.contains("pub const TEMPLATES"));
    assert_eq!((sources::THREADS, sources::PARAM_BYTES as usize), (THREADS, PARAM_BYTES));
}

#[test]
fn wgsl_validates() {
    for kernel in KERNELS {
        let Some(text) = kernel.wgsl else { continue };
        let module = naga::front::wgsl::parse_str(text)
            .unwrap_or_else(|e| panic!("{}: {}", kernel.stem, e.emit_to_string(text)));
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        validator.validate(&module).unwrap_or_else(|e| panic!("{}: {}", kernel.stem, e.emit_to_string(text)));
    }
}

/// What a PTX text does against the rules, with line numbers.
fn lint(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let word = |directive: &str| text.lines().find_map(|line| line.strip_prefix(directive)).unwrap_or_default().trim();
    let lowest = LOWEST_VERSION.iter().find(|(target, _)| *target == word(".target"));
    match lowest {
        Some((_, version)) if *version == word(".version") => {}
        Some((target, version)) => found.push(format!(".version {version} is the lowest for {target}")),
        None => found.push(format!(".target {} is not among {LOWEST_VERSION:?}", word(".target"))),
    }
    if !text.contains(".maxntid 256, 1, 1") {
        found.push("no .maxntid".to_owned());
    }
    for (at, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        let mut tell = |what: &str| found.push(format!("line {}: {what}: {code}", at + 1));
        let instruction = code.trim_start_matches('@').split_whitespace().find(|w| w.contains('.'));
        let parts: Vec<&str> = instruction.unwrap_or_default().trim_end_matches(';').split('.').collect();
        let has = |part: &str| parts.contains(&part);
        let rounds = ["rn", "rz", "rni", "rzi", "rmi", "rpi"].iter().any(|r| has(r));
        let arithmetic = ["add", "sub", "mul", "mad", "fma", "div", "rcp", "sqrt", "cvt"].contains(&parts[0]);
        let approximates = has("approx") && ["rcp", "sqrt"].contains(&parts[0]);
        let widens = parts[0] == "cvt" && parts.ends_with(&["f32", "f16"]);
        if arithmetic && !widens && (has("f32") || has("f16") || has("bf16")) && !rounds && !approximates {
            tell("the rounding is not named, so ptxas may fuse it");
        }
        if ["ex2", "lg2", "rsqrt", "tanh", "sin", "cos"].contains(&parts[0]) && !has("approx") {
            tell("an approximation is named so");
        }
        if code.contains(".local") {
            tell("local memory");
        }
        if ["ld", "st"].contains(&parts[0]) && !["global", "shared", "param"].iter().any(|space| has(space)) {
            tell("the state space is not named");
        }
        if ["atom", "red"].contains(&parts[0]) {
            tell("an atomic; a thread owns its results");
        }
        for pointer in code.split(',').filter(|p| p.contains(".param .u64") && !p.contains(".ptr .global .align 16")) {
            tell(&format!("`{}` lacks .ptr .global .align 16", pointer.trim()));
        }
    }
    found
}

#[test]
fn ptx_keeps_the_rules() {
    let kernels = templates().flat_map(|(stem, source)| {
        let stored = [Type::F32, Type::F16, Type::Bf16].map(|stored| [stored; MOST_TENSORS]);
        let full = stored.map(|types| (stem, Fused { types, ..every_word(source) }));
        full.into_iter().chain([(stem, Fused::default())])
    });
    for (stem, fused) in kernels.chain(probes().map(|stem| (stem, Fused::default()))) {
        let text = kernel::ptx(stem, &fused).unwrap_or_else(|e| panic!("{e}"));
        let found = lint(&text);
        assert!(found.is_empty(), "kernels/{stem}.ptx with {} stages: {found:#?}", fused.stages.len());
        let module = ptx_sim::Module::parse(&text).unwrap_or_else(|e| panic!("kernels/{stem}.ptx: {e}"));
        assert_eq!(ptx_sim::lint(&module), [], "kernels/{stem}.ptx");
        assert!(module.kernel(kernel::entry(stem)).is_some(), "kernels/{stem}.ptx: the entry has another name");
    }
}

#[test]
fn the_lint_finds_what_it_should() {
    let good = ".version 6.3\n.target sm_75\n.param .u64 .ptr .global .align 16 x\n) .maxntid 256, 1, 1\n";
    assert_eq!(lint(good), [""; 0]);
    let cases = [
        ("version 6.3", "version 7.8", ".version 6.3 is the lowest"),
        ("sm_75", "sm_70", ".target sm_70 is not among"),
        (".maxntid", ".minnctapersm", "no .maxntid"),
        (" .ptr .global .align 16", "", "lacks .ptr"),
    ];
    for (from, to, want) in cases {
        let found = lint(&good.replace(from, to));
        assert!(found.len() == 1 && found[0].contains(want), "{want} in {found:?}");
    }
    let bad = [
        ("add.f32 %a, %b, %c;", "rounding"),
        ("@%p fma.f32 %a, %b, %c, %d;", "rounding"),
        ("cvt.f32.u32 %a, %i;", "rounding"),
        ("ex2.f32 %a, %b;", "approximation"),
        (".local .align 4 .b8 spill[4];", "local memory"),
        ("ld.f32 %a, [%x];", "state space"),
        ("red.global.add.f32 [%x], %a;", "atomic"),
    ];
    for (line, want) in bad {
        let found = lint(&format!("{good}    {line}\n"));
        assert!(found.len() == 1 && found[0].contains(want) && found[0].contains("line 5"), "{want} in {found:?}");
    }
    let fine = "    add.rn.f32 %a, %b, %c;\n    max.f32 %a, %b, %c;\n    add.u32 %i, %i, 1;\n    @%p bra store;\n";
    assert_eq!(lint(&format!("{good}{fine}")), [""; 0]);
}

/// NVIDIA's assembler: `$PTXAS`, or the one that `./test` installs.
fn ptxas() -> PathBuf {
    let path = env::var_os("PTXAS").map_or_else(|| root().join(".tools/ptxas"), PathBuf::from);
    assert!(path.is_file(), "{} is missing: run ./test, which installs it, or set PTXAS", path.display());
    path
}

/// Assembles a text for one target: registers, bytes of shared memory, bytes of spills, or what ptxas says.
fn assemble(ptxas: &Path, text: &str, target: &str) -> Result<[usize; 3], String> {
    let file = tempfile::NamedTempFile::with_suffix(".ptx").map_err(|e| e.to_string())?;
    fs::write(file.path(), text).map_err(|e| e.to_string())?;
    let mut command = Command::new(ptxas);
    command.args(["-v", "-Werror", "-warn-spills", "-warn-lmem-usage", "-arch", target, "-o", "/dev/null"]);
    let output = command.arg(file.path()).output().map_err(|e| format!("{}: {e}", ptxas.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let before =
        |unit: &str| -> Option<usize> { said.split(unit).next()?.split_whitespace().next_back()?.parse().ok() };
    let registers = before(" registers").filter(|_| output.status.success()).ok_or_else(|| said.clone())?;
    let spills = before(" bytes spill stores").unwrap_or(0) + before(" bytes spill loads").unwrap_or(0);
    Ok([registers, before(" bytes smem").unwrap_or(0), spills])
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

/// By kernel and short list, what the programs of the golden networks fuse, and every kernel's prologue.
fn used() -> BTreeMap<(&'static str, String), Fused> {
    let folder = root().join("data/golden");
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut nets: Vec<PathBuf> = files.map(|file| file.expect("a folder's entry").path()).collect();
    nets.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    let words = |fused: &Fused| fused.prologue.iter().chain(&fused.stages).map(short).collect::<Vec<_>>();
    let shown = |fused: &Fused| words(fused).into_iter().chain(halves(fused)).collect::<Vec<_>>().join(" ");
    let mut used = BTreeMap::new();
    for (stem, _) in templates().filter(|(stem, _)| takes_prologue(stem)) {
        let fused = Fused { prologue: Some(prologue("relu")), ..Fused::default() };
        used.insert((stem, shown(&fused)), fused);
    }
    let stored = [Precision::F32, Precision::F16, Precision::Bf16];
    for (net, precision) in nets.iter().flat_map(|net| stored.map(|precision| (net, precision))) {
        let model = Model::open_with(net, precision).unwrap_or_else(|e| panic!("{}: {e}", net.display()));
        for method in METHODS {
            let choice: MethodChoice = method.parse().expect("a method");
            let batch = Batch { messages_per_image: 2, ..Batch::of(2) };
            let pass = Pass::of(choice.method, None);
            let program = plan(&model.graph, &[pass], &RuleOptions::default(), batch).expect("a program");
            for (step, matrix_units) in program.steps.iter().flat_map(|step| [(step, false), (step, true)]) {
                let launch = launch_on(Chip { matrix_units }, &program, step).expect("a launch");
                used.entry((launch.stem, shown(&launch.fused))).or_insert(launch.fused);
            }
        }
    }
    used
}

/// The chips that a text is for.
fn able(stem: &str, text: &str) -> &'static [&'static str] {
    let least = TARGETS.iter().position(|target| text.contains(&format!(".target {target}\n")));
    &TARGETS[least.unwrap_or_else(|| panic!("{stem} is for none of {TARGETS:?}"))..]
}

/// Kernel, short list of what is fused, text and target of everything to assemble: all chips bare and with the longest list
/// in use, the least chip with every list in use.
fn jobs() -> Vec<(&'static str, String, String, &'static str)> {
    let used = used();
    let mut jobs = Vec::new();
    for (stem, _) in templates() {
        let lists = used.iter().filter(|((of, words), _)| *of == stem && !words.is_empty());
        let lists: Vec<_> = lists.map(|((_, words), fused)| (words.as_str(), fused)).collect();
        let longest =
            lists.iter().max_by_key(|(words, fused)| (fused.stages.len(), words.len())).map(|(words, _)| *words);
        for (words, fused) in [("", &Fused::default())].into_iter().chain(lists) {
            let text = kernel::ptx(stem, fused).unwrap_or_else(|e| panic!("{e}"));
            let able = able(stem, &text);
            let targets = if words.is_empty() || Some(words) == longest { able } else { &able[..1] };
            let shown = if words.is_empty() { "-" } else { words };
            jobs.extend(targets.iter().map(|target| (stem, shown.to_owned(), text.clone(), *target)));
        }
    }
    for stem in probes() {
        let text = kernel::ptx(stem, &Fused::default()).unwrap_or_else(|e| panic!("{e}"));
        let targets = able(stem, &text);
        jobs.extend(targets.iter().map(|target| (stem, "-".to_owned(), text.clone(), *target)));
    }
    jobs
}

#[test]
fn every_stage_assembles() {
    let ptxas = ptxas();
    let stem = "activation_forward";
    let source = kernel::source(stem).expect("a kernel");
    let text = kernel::ptx(stem, &every_word(source)).expect("a text");
    if let Err(said) = assemble(&ptxas, &text, TARGETS[0]) {
        panic!("{said}");
    }
}

#[test]
fn every_kernel_assembles_with_the_recorded_resources() {
    let ptxas = ptxas();
    let jobs = jobs();
    println!("{} texts", jobs.len());
    let rows: Vec<_> = jobs.par_iter().map(|(.., text, target)| assemble(&ptxas, text, target)).collect();

    let mut table = format!(
        "{:<28} {:<8} {:>9} {:>6} {:>6}  {}\n",
        "# kernel", "target", "registers", "shared", "spills", "stages"
    );
    let mut failures = Vec::new();
    for ((stem, words, _, target), row) in jobs.iter().zip(rows) {
        match row {
            Ok([registers, shared, spills]) => {
                writeln!(table, "{stem:<28} {target:<8} {registers:>9} {shared:>6} {spills:>6}  {words}")
                    .expect("a string");
                if spills != 0 {
                    failures.push(format!("{stem} {words} {target}: {spills} bytes of spills"));
                }
            }
            Err(said) => failures.push(format!("{stem} {words} {target}: {said}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let path = root().join("kernels/resources.txt");
    if env::var_os("UPDATE_RESOURCES").is_some() {
        fs::write(&path, &table).expect("kernels/ is writable");
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    let differing: Vec<String> = table
        .lines()
        .filter(|line| !recorded.lines().any(|r| r == *line))
        .map(|line| format!("+ {line}"))
        .chain(recorded.lines().filter(|r| !table.lines().any(|line| line == *r)).map(|r| format!("- {r}")))
        .collect();
    assert!(
        recorded == table,
        "kernels/resources.txt does not say what ptxas says (+); where that is meant, run\n  \
         UPDATE_RESOURCES=1 ./test\nand commit the change:\n{}",
        differing.join("\n")
    );
}
