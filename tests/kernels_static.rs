//! What can be said of the kernels without a GPU: they validate and assemble for every override and every chip, follow
//! the rules of the house, and take the registers that `kernels/resources.txt` records.

#[path = "../build/sources.rs"]
mod sources;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use fluoroscope::kernel::{self, KERNELS, PARAM_BYTES, SIGNATURES, Signature, THREADS};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use rayon::prelude::*;

const TARGETS: [&str; 5] = ["sm_75", "sm_80", "sm_86", "sm_90a", "sm_120"];

/// The lowest PTX version that knows a target: a driver refuses text of a version newer than itself.
const LOWEST_VERSION: [(&str, &str); 3] = [("sm_75", "6.3"), ("sm_80", "7.0"), ("sm_90a", "8.0")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every combination of the values that the overrides may have.
fn override_sets(signature: &Signature) -> Vec<Vec<(&'static str, u32)>> {
    signature.overrides.iter().fold(vec![Vec::new()], |sets, o| {
        let with = |set: &Vec<_>, value| set.iter().copied().chain([(o.name, value)]).collect();
        sets.iter().flat_map(|set| o.values.iter().map(move |&value| with(set, value))).collect()
    })
}

#[test]
fn sources_agree_and_the_table_is_theirs() {
    let kernels = sources::check(root(), sources::COMPLETE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let stems: Vec<&str> =
        kernels.iter().filter(|k| !k.interface.outputs.is_empty()).map(|k| k.stem.as_str()).collect();
    assert_eq!(stems, KERNELS.iter().map(|kernel| kernel.stem).collect::<Vec<_>>());
    assert!(sources::table(root(), &kernels).starts_with("pub const KERNELS"));
    assert_eq!((sources::THREADS, sources::PARAM_BYTES as usize), (THREADS, PARAM_BYTES));
}

#[test]
fn wgsl_validates_for_every_override() {
    for signature in SIGNATURES {
        let Some(text) = kernel::source(signature.stem).and_then(|source| source.wgsl) else { continue };
        let module = naga::front::wgsl::parse_str(text)
            .unwrap_or_else(|e| panic!("{}: {}", signature.stem, e.emit_to_string(text)));
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info =
            validator.validate(&module).unwrap_or_else(|e| panic!("{}: {}", signature.stem, e.emit_to_string(text)));
        for set in override_sets(signature) {
            let constants = set.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
            let entry = Some((naga::ShaderStage::Compute, signature.stem));
            let fixed = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants);
            assert!(fixed.is_ok(), "{} {set:?}: {fixed:?}", signature.stem);
        }
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
        if arithmetic && (has("f32") || has("f16") || has("bf16")) && !rounds {
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
    for kernel in KERNELS {
        let found = lint(kernel.ptx.unwrap_or_default());
        assert!(kernel.ptx.is_none() || found.is_empty(), "kernels/{}.ptx: {found:#?}", kernel.stem);
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

#[test]
fn every_kernel_assembles_with_the_recorded_resources() {
    let ptxas = ptxas();
    let mut jobs = Vec::new();
    for signature in SIGNATURES.iter().filter(|s| kernel::source(s.stem).is_some_and(|source| source.ptx.is_some())) {
        for set in override_sets(signature) {
            let text = kernel::ptx_with(signature.stem, &set).expect("a kernel with these overrides");
            let shown: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let shown = if shown.is_empty() { "-".to_owned() } else { shown.join(",") };
            jobs.extend(TARGETS.map(|target| (signature.stem, shown.clone(), text.clone(), target)));
        }
    }
    let rows: Vec<_> = jobs.par_iter().map(|(.., text, target)| assemble(&ptxas, text, target)).collect();

    let mut table = format!(
        "{:<28} {:<12} {:<8} {:>9} {:>6} {:>6}\n",
        "# kernel", "overrides", "target", "registers", "shared", "spills"
    );
    let mut failures = Vec::new();
    for ((stem, set, _, target), row) in jobs.iter().zip(rows) {
        match row {
            Ok([registers, shared, spills]) => {
                writeln!(table, "{stem:<28} {set:<12} {target:<8} {registers:>9} {shared:>6} {spills:>6}")
                    .expect("a string");
                if spills != 0 {
                    failures.push(format!("{stem} {set} {target}: {spills} bytes of spills"));
                }
            }
            Err(said) => failures.push(format!("{stem} {set} {target}: {said}")),
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
