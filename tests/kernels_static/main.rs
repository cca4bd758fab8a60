//! What can be said of the kernels without a GPU: they validate and assemble with the stages that programs give them for
//! every chip, follow the rules of the house, and take the registers that `kernels/resources.txt` records.

mod fused;
#[path = "../../build/sources.rs"]
mod sources;
mod wgsl;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use fluoroscope::graph::Precision;
use fluoroscope::kernel::{self, Fused, KERNELS, MOST_TENSORS, PARAM_BYTES, THREADS, Type};
use fused::{every_word, launches, probes, root, templates, used};
use rayon::prelude::*;

const TARGETS: [&str; 5] = ["sm_75", "sm_80", "sm_86", "sm_90a", "sm_120"];

/// The chip for which every text in use is assembled beside the least that it is for.
const PRINCIPAL: &str = "sm_90a";

/// The lowest PTX version that knows a target: a driver refuses text of a version newer than itself.
const LOWEST_VERSION: [(&str, &str); 3] = [("sm_75", "6.3"), ("sm_80", "7.0"), ("sm_90a", "8.0")];

#[test]
fn sources_agree_and_the_table_is_theirs() {
    let kernels = sources::check(root(), sources::COMPLETE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let stems: Vec<&str> =
        kernels.iter().filter(|k| !k.interface.outputs.is_empty()).map(|k| k.stem.as_str()).collect();
    assert_eq!(stems, KERNELS.iter().map(|kernel| kernel.stem).collect::<Vec<_>>());
    let table = sources::table(root(), &kernels).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(
        table.contains("pub const KERNELS")
            && table.contains("pub const TEMPLATES")
            && table.contains("pub const SHADERS")
    );
    assert_eq!((sources::THREADS, sources::PARAM_BYTES as usize), (THREADS, PARAM_BYTES));
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

/// Registers, bytes of shared memory, and bytes of spills.
type Resources = [usize; 3];

/// Assembles texts for one target, each with its entry: what they take, or what ptxas says.
fn assemble(ptxas: &Path, texts: &[(&str, &str)], target: &str) -> Result<Vec<Resources>, String> {
    let file = tempfile::NamedTempFile::with_suffix(".ptx").map_err(|e| e.to_string())?;
    fs::write(file.path(), module(texts)).map_err(|e| e.to_string())?;
    let mut command = Command::new(ptxas);
    command.args(["-v", "-Werror", "-warn-spills", "-warn-lmem-usage", "-arch", target, "-o", "/dev/null"]);
    let output = command.arg(file.path()).output().map_err(|e| format!("{}: {e}", ptxas.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let of_entry = |at: usize| -> Option<Resources> {
        let (_, of_entry) = said.split_once(&format!("Compiling entry function 'entry{at}'"))?;
        let of_entry = of_entry.split("Compiling entry function").next()?;
        let before =
            |unit: &str| -> Option<usize> { of_entry.split_once(unit)?.0.split_whitespace().next_back()?.parse().ok() };
        let spills = before(" bytes spill stores").unwrap_or(0) + before(" bytes spill loads").unwrap_or(0);
        Some([before(" registers")?, before(" bytes smem").unwrap_or(0), spills])
    };
    let rows: Option<Vec<Resources>> = (0..texts.len()).map(of_entry).collect();
    rows.filter(|_| output.status.success()).ok_or(said)
}

/// Texts of one version and target as one, with entries named by their place.
fn module(texts: &[(&str, &str)]) -> String {
    let mut module = String::new();
    let code = |line: &str| line.split("//").next().unwrap_or_default().trim().to_owned();
    let directives =
        |head: &str| head.lines().map(code).filter(|line| line.starts_with('.')).collect::<Vec<_>>().join("\n");
    for (at, (entry, text)) in texts.iter().enumerate() {
        let start = text.find(".visible .entry").unwrap_or_else(|| panic!("{entry} has no entry"));
        let (head, body) = text.split_at(start);
        match at {
            0 => module += head,
            _ => assert_eq!(directives(head), directives(&module[..module.find(".visible").unwrap_or(0)]), "{entry}"),
        }
        module += &body.replacen(entry, &format!("entry{at}"), 1);
    }
    module
}

/// The chips that a text is for.
fn able(stem: &str, text: &str) -> &'static [&'static str] {
    let least = TARGETS.iter().position(|target| text.contains(&format!(".target {target}\n")));
    let least = least.unwrap_or_else(|| panic!("{stem} is for none of {TARGETS:?}"));
    // What a chip has of its own, later ones lack.
    let most = if TARGETS[least].ends_with('a') { least + 1 } else { TARGETS.len() };
    &TARGETS[least..most]
}

/// Something to assemble: a kernel with a short list of what is fused.
struct Job {
    stem: &'static str,
    words: String,
    text: String,
    target: &'static str,
}

/// All chips bare and with the longest list in use, and these targets, or the least, with every list in use.
fn jobs(for_all_lists: &[&str]) -> Vec<Job> {
    let used = used(launches(&[Precision::F32, Precision::F16, Precision::Bf16]));
    let mut jobs = Vec::new();
    let mut add = |stem, words: &str, text: &str, target| {
        jobs.push(Job { stem, words: words.to_owned(), text: text.to_owned(), target });
    };
    for (stem, _) in templates() {
        let lists = used.iter().filter(|((of, words), _)| *of == stem && !words.is_empty());
        let lists: Vec<_> = lists.map(|((_, words), fused)| (words.as_str(), fused)).collect();
        let longest =
            lists.iter().max_by_key(|(words, fused)| (fused.stages.len(), words.len())).map(|(words, _)| *words);
        for (words, fused) in [("", &Fused::default())].into_iter().chain(lists) {
            let text = kernel::ptx(stem, fused).unwrap_or_else(|e| panic!("{e}"));
            let able = able(stem, &text);
            let is_assembled = |target: &&&str| {
                words.is_empty() || Some(words) == longest || able[0] == **target || for_all_lists.contains(target)
            };
            let shown = if words.is_empty() { "-" } else { words };
            able.iter().filter(is_assembled).for_each(|target| add(stem, shown, &text, target));
        }
    }
    for stem in probes() {
        let text = kernel::ptx(stem, &Fused::default()).unwrap_or_else(|e| panic!("{e}"));
        able(stem, &text).iter().for_each(|target| add(stem, "-", &text, target));
    }
    jobs
}

/// Texts that one call of ptxas assembles: starting it takes as long as a small kernel does.
const TOGETHER: usize = 12;

/// What each job takes, or what ptxas says of it.
fn assemble_all(ptxas: &Path, jobs: &[Job]) -> Vec<Result<Resources, String>> {
    let mut alike: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        let least = able(job.stem, &job.text)[0];
        alike.entry((least, job.target)).or_default().push(at);
    }
    let together: Vec<&[usize]> = alike.values().flat_map(|places| places.chunks(TOGETHER)).collect();
    let one = |places: &&[usize]| {
        let texts: Vec<_> = places.iter().map(|at| (kernel::entry(jobs[*at].stem), jobs[*at].text.as_str())).collect();
        let target = jobs[places[0]].target;
        // Where one fails, each alone says which.
        let rows = match assemble(ptxas, &texts, target) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(_) => texts.iter().map(|text| Ok(assemble(ptxas, &[*text], target)?[0])).collect::<Vec<_>>(),
        };
        places.iter().copied().zip(rows).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = together.par_iter().flat_map_iter(one).collect();
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn every_stage_assembles() {
    let ptxas = ptxas();
    let stem = "activation_forward";
    let source = kernel::source(stem).expect("a kernel");
    let text = kernel::ptx(stem, &every_word(source)).expect("a text");
    if let Err(said) = assemble(&ptxas, &[(kernel::entry(stem), &text)], TARGETS[0]) {
        panic!("{said}");
    }
}

/// What the table leaves out.
#[test]
#[ignore = "takes minutes: for a release"]
fn every_list_assembles_for_every_target() {
    let jobs = jobs(&TARGETS);
    println!("{} texts", jobs.len());
    let rows = assemble_all(&ptxas(), &jobs);
    let failures = jobs.iter().zip(rows).filter_map(|(Job { stem, words, target, .. }, row)| match row {
        Ok([_, _, 0]) => None,
        Ok([_, _, spills]) => Some(format!("{stem} {words} {target}: {spills} bytes of spills")),
        Err(said) => Some(format!("{stem} {words} {target}: {said}")),
    });
    let failures: Vec<String> = failures.collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_kernel_assembles_with_the_recorded_resources() {
    let jobs = jobs(&[PRINCIPAL]);
    println!("{} texts", jobs.len());
    let rows = assemble_all(&ptxas(), &jobs);

    let mut table = format!(
        "{:<28} {:<8} {:>9} {:>6} {:>6}  {}\n",
        "# kernel", "target", "registers", "shared", "spills", "stages"
    );
    let mut failures = Vec::new();
    for (Job { stem, words, text, target }, row) in jobs.iter().zip(rows) {
        match row {
            Ok([registers, declared, spills]) => {
                let shared = declared + kernel::added_shared(text) as usize;
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
