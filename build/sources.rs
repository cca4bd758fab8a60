//! The kernel sources: which stems exist in which language, what each file declares, and whether the twins agree.
//!
//! GPU sources are templates; what they declare is read from their bare text, and lines are those of that text.
//! Shared by `build.rs`, which stops the build at any problem, and by the tests.

mod ptx;
#[path = "../src/kernel/template.rs"]
#[allow(dead_code, reason = "the build renders without stages")]
mod template;
mod wgsl;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};

use template::Templates;

/// Threads of a workgroup, literal in every source.
pub const THREADS: u32 = 256;

/// Bytes of every kernel's parameters.
pub const PARAM_BYTES: u32 = 512;

/// Bytes of a kernel's own words, which come first; places of tensors and constants of stages follow.
const OWN_BYTES: u32 = 64;

/// Text that follows every WGSL kernel.
pub const PRELUDE: &str = "shaders/prelude.wgsl";

/// Backends in the order of messages, and whether each must have every kernel.
pub const COMPLETE: &[(Language, bool)] = &[(Language::Cpu, true), (Language::Wgsl, true), (Language::Ptx, true)];

/// What a kernel is written in; each language has a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    Cpu,
    Wgsl,
    Ptx,
}

impl Language {
    pub fn folder(self) -> &'static str {
        match self {
            Self::Cpu => "src/backend/cpu",
            Self::Wgsl => "shaders",
            Self::Ptx => "kernels",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Cpu => "rs",
            Self::Wgsl => "wgsl",
            Self::Ptx => "ptx",
        }
    }

    fn path(self, stem: &str) -> String {
        format!("{}/{stem}.{}", self.folder(), self.extension())
    }
}

impl Display for Language {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgsl => "wgsl",
            Self::Ptx => "ptx",
        })
    }
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub reason: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// A field of a kernel's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// `u32` or `f32`.
    pub scalar: String,
    pub offset: u32,
}

/// What one source declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub params: Vec<Field>,
}

/// A stem with its GPU sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub stem: String,
    pub interface: Interface,
    pub languages: Vec<Language>,
}

/// Reads and checks all sources under `root`: the kernels with a GPU source, or every problem there is.
pub fn check(root: &Path, complete: &[(Language, bool)]) -> Result<Vec<Kernel>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut stems: BTreeMap<String, Vec<Language>> = BTreeMap::new();
    let mut variants = Vec::new();
    for &(language, _) in complete {
        match stems_of(root, language) {
            Ok(found) => {
                for stem in found {
                    if stem.contains('.') {
                        variants.push((language, stem));
                    } else {
                        stems.entry(stem).or_default().push(language);
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(missing_twins(&stems, complete));
    for (language, variant) in &variants {
        let stem = variant.split('.').next().unwrap_or_default();
        if !stems.get(stem).is_some_and(|languages| languages.contains(language)) {
            let reason = format!("a variant of {}, which is not there", language.path(stem));
            problems.push(problem(&language.path(variant), 1, reason));
        }
    }
    let files = match Files::read(root) {
        Ok(files) => files,
        Err(found) => return Err(problems.into_iter().chain(found).collect()),
    };
    let texts = files.parse();
    let mut kernels = Vec::new();
    for (stem, languages) in stems {
        let own = languages.iter().filter(|language| **language != Language::Cpu).map(|language| (*language, &stem));
        let of_stem = |variant: &&(Language, String)| variant.1.split('.').next() == Some(&stem);
        let of_variants = variants.iter().filter(of_stem).map(|(language, variant)| (*language, variant));
        let mut first: Option<(Language, Interface)> = None;
        for (language, name) in own.chain(of_variants) {
            match (texts.interface(language, &stem, name), &first) {
                (Ok((text, interface)), Some((twin, declared))) => {
                    problems.extend(differences((language, name), &text, (*twin, declared), &interface));
                }
                (Ok((_, interface)), None) => first = Some((language, interface)),
                (Err(found), _) => problems.extend(found),
            }
        }
        if let Some((_, interface)) = first {
            kernels.push(Kernel { stem, interface, languages });
        }
    }
    if problems.is_empty() { Ok(kernels) } else { Err(problems) }
}

/// All templates, and what follows those in WGSL.
struct Files {
    ptx: Vec<(String, String)>,
    wgsl: Vec<(String, String)>,
    prelude: String,
}

impl Files {
    fn read(root: &Path) -> Result<Self, Vec<Problem>> {
        let (ptx, wgsl) = (templates_of(root, Language::Ptx), templates_of(root, Language::Wgsl));
        match (ptx, wgsl, read(root, PRELUDE)) {
            (Ok(ptx), Ok(wgsl), Ok(prelude)) => Ok(Self { ptx, wgsl, prelude }),
            (ptx, wgsl, prelude) => Err(ptx.err().into_iter().chain(wgsl.err()).chain(prelude.err()).collect()),
        }
    }

    fn parse(&self) -> Texts<'_> {
        let (ptx, wgsl) = (parsed(Language::Ptx, &self.ptx), parsed(Language::Wgsl, &self.wgsl));
        Texts { ptx, wgsl, prelude: &self.prelude }
    }
}

/// The same, parsed; a template that is wrong spoils all of its language.
struct Texts<'a> {
    ptx: Result<Templates<'a>, Problem>,
    wgsl: Result<Templates<'a>, Problem>,
    prelude: &'a str,
}

impl Texts<'_> {
    /// The bare text of a kernel or of a variant, and what it declares.
    fn interface(&self, language: Language, stem: &str, name: &str) -> Result<(String, Interface), Vec<Problem>> {
        let file = language.path(name);
        let (text, interface) = if language == Language::Wgsl {
            let text = rendered(&self.wgsl, language, name)?;
            let interface = wgsl::interface(&file, &text, self.prelude)?;
            (text, interface)
        } else {
            let text = rendered(&self.ptx, language, name)?;
            let interface = ptx::interface(&file, stem, &text)?;
            (text, interface)
        };
        Ok((text, interface))
    }
}

/// The Rust source of `KERNELS`, `TEMPLATES`, `SHADERS` and `PRELUDE`; texts are included from where the package lies when it is
/// compiled, for cargo does not run the build script again where its folder moved.
///
/// # Errors
/// Where a folder of templates cannot be read.
pub fn table(root: &Path, kernels: &[Kernel]) -> Result<String, Problem> {
    let path = |file: &str| format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))", format!("/{file}"));
    let rows = kernels.iter().map(|kernel| {
        let interface = &kernel.interface;
        let params: Vec<_> = interface.params.iter().map(|f| (&f.name, &f.scalar)).collect();
        format!(
            "    KernelSource {{\n        stem: {:?},\n        wgsl: {},\n        ptx: {},\n        inputs: &{:?},\n        \
             outputs: &{:?},\n        params: &{params:?},\n    }},\n",
            kernel.stem,
            kernel.languages.contains(&Language::Wgsl),
            kernel.languages.contains(&Language::Ptx),
            interface.inputs,
            interface.outputs,
        )
    });
    let rows: String = rows.collect();
    let listed = |language: Language| -> Result<String, Problem> {
        let row = |(name, _): (String, String)| {
            format!("    ({name:?}, {}),\n", path(&format!("{}/{name}", language.folder())))
        };
        Ok(templates_of(root, language)?.into_iter().map(row).collect())
    };
    let (templates, shaders) = (listed(Language::Ptx)?, listed(Language::Wgsl)?);
    Ok(format!(
        "/// Every kernel with a GPU source.\npub const KERNELS: &[KernelSource] = &[\n{rows}];\n\n\
         /// Every file of `kernels/`, by its path below it.\npub const TEMPLATES: &[(&str, &str)] = &[\n{templates}];\n\n\
         /// Every file of `shaders/` but the prelude, by its path below it.\npub const SHADERS: &[(&str, &str)] = &[\n\
         {shaders}];\n\n/// Text that follows every WGSL kernel.\nconst PRELUDE: &str = {};\n",
        path(PRELUDE)
    ))
}

/// Paths below a language's folder and texts of all templates there; the prelude is none.
fn templates_of(root: &Path, language: Language) -> Result<Vec<(String, String)>, Problem> {
    let folder = root.join(language.folder());
    let ending = format!(".{}", language.extension());
    let mut templates = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let failed = |e: std::io::Error| problem(&format!("{}/{below}", language.folder()), 1, e.to_string());
        for entry in fs::read_dir(folder.join(&below)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(name + "/");
            } else if name.ends_with(&ending) && format!("{}/{name}", language.folder()) != PRELUDE {
                templates.push((name, fs::read_to_string(entry.path()).map_err(failed)?));
            }
        }
    }
    templates.sort();
    Ok(templates)
}

fn parsed(language: Language, files: &[(String, String)]) -> Result<Templates<'_>, Problem> {
    let files = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    Templates::new(files).map_err(|e| wrong(language, &e, language.folder().to_owned()))
}

/// A kernel's text with nothing fused into it.
fn rendered(templates: &Result<Templates, Problem>, language: Language, name: &str) -> Result<String, Vec<Problem>> {
    let templates = templates.as_ref().map_err(|problem| vec![problem.clone()])?;
    let file = format!("{name}.{}", language.extension());
    let text = templates.render(&file, &template::Fused::default());
    text.map_err(|e| vec![wrong(language, &e, language.path(name))])
}

/// A template's error, in the file that it names, else in this one.
fn wrong(language: Language, error: &minijinja::Error, file: String) -> Problem {
    let file = error.name().map_or(file, |name| format!("{}/{name}", language.folder()));
    problem(&file, error.line().unwrap_or(1), template::reason(error))
}

fn read(root: &Path, file: &str) -> Result<String, Problem> {
    fs::read_to_string(root.join(file)).map_err(|e| problem(file, 1, e.to_string()))
}

fn problem(file: &str, line: usize, reason: impl Into<String>) -> Problem {
    Problem { file: file.to_owned(), line, reason: reason.into() }
}

/// The stems of a folder. A Rust file is a kernel's where it defines a function of its own name; others are helpers.
fn stems_of(root: &Path, language: Language) -> Result<Vec<String>, Problem> {
    let folder = language.folder();
    let entries = fs::read_dir(root.join(folder)).map_err(|e| problem(folder, 1, e.to_string()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    let mut stems = Vec::new();
    for path in paths {
        let is_source = path.extension().is_some_and(|e| e == language.extension());
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()).filter(|_| is_source) else { continue };
        let file = language.path(stem);
        let is_kernel = match language {
            Language::Cpu => {
                let text = read(root, &file)?;
                let heads = [format!("pub fn {stem}("), format!("pub fn {stem}<")];
                text.lines().any(|line| heads.iter().any(|head| line.starts_with(head)))
            }
            _ => file != PRELUDE,
        };
        if is_kernel {
            stems.push(stem.to_owned());
        }
    }
    Ok(stems)
}

fn missing_twins(stems: &BTreeMap<String, Vec<Language>>, complete: &[(Language, bool)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (stem, languages) in stems {
        for (language, _) in
            complete.iter().filter(|(language, is_complete)| *is_complete && !languages.contains(language))
        {
            let twins: Vec<String> = languages.iter().map(|twin| twin.path(stem)).collect();
            let reason =
                format!("the file is missing: {language} is marked complete, and there is {}", twins.join(" and "));
            problems.push(problem(&language.path(stem), 1, reason));
        }
    }
    problems
}

/// How `other`, which the kernel `name` declares in this text, differs from its twin.
///
/// A kernel names the parameters that it reads; a WGSL struct has to name those before them, too.
fn differences(
    (own, name): (Language, &str),
    text: &str,
    (language, twin): (Language, &Interface),
    other: &Interface,
) -> Vec<Problem> {
    let file = &own.path(name);
    let whose = if language == own { "the file without a variant" } else { "the WGSL twin" };
    let line = |tensor: String, param: String| match own {
        Language::Wgsl => line_of(text, &format!(" {tensor}:")),
        _ => line_of(text, &param),
    };
    let mut problems = Vec::new();
    for (what, want, got) in [("inputs", &twin.inputs, &other.inputs), ("outputs", &twin.outputs, &other.outputs)] {
        if want != got {
            let first = want.iter().zip(got).take_while(|(want, got)| want == got).count();
            let show = |list: &[String]| list.get(first).map_or("no more".to_owned(), |entry| format!("`{entry}`"));
            let name = got.get(first).map_or("", String::as_str);
            let reason = format!("{what}, number {}: {}, but {whose} has {}", first + 1, show(got), show(want));
            problems.push(problem(file, line(name.to_owned(), format!("align 16 {name}")), reason));
        }
    }
    let show = |f: &Field| format!("`{}: {} at {}`", f.name, f.scalar, f.offset);
    for field in &other.params {
        let same_place = twin.params.iter().find(|f| f.offset == field.offset || f.name == field.name);
        let has = match same_place {
            Some(same) if same == field => continue,
            Some(other) => show(other),
            None if language == Language::Wgsl => "none".to_owned(),
            None => continue,
        };
        let reason = format!("params: {}, but {whose} has {has}", show(field));
        problems.push(problem(file, line(field.name.clone(), format!("%{}, [params", field.name)), reason));
    }
    problems
}

/// Number of the first line with `word` in it, or 1.
fn line_of(text: &str, word: &str) -> usize {
    text.lines().position(|line| line.contains(word)).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WGSL: &str = "
struct Params { count: u32, high: f32, @align(64) places: array<vec4<u32>, 16>, constants: array<vec4<u32>, 12> }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x < params.count { y[at.x] = x[at.x] * params.high; }
}
";
    const PTX: &str = "
.visible .entry k(
    .param .u64 .ptr .global .align 16 x,   // inputs
    .param .u64 .ptr .global .align 16 y,   // outputs
    .param .align 4 .b8 params[512]         // params
) .maxntid 256, 1, 1
{
    ld.param.u32    %count, [params+0];
    ld.param.f32    %high, [params+4];
    ld.param.u32    %stride, [params+64];
}
";

    /// No language has to have every kernel.
    const NONE: &[(Language, bool)] = &[(Language::Cpu, false), (Language::Wgsl, false), (Language::Ptx, false)];

    /// A source tree of these files, with an empty prelude.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (file, text) in [(PRELUDE, ""), ("kernels/.keep", ""), ("src/backend/cpu/mod.rs", "")].iter().chain(files) {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn problems(files: &[(&str, &str)], complete: &[(Language, bool)]) -> Vec<String> {
        let found = check(tree(files).path(), complete).expect_err("a problem");
        found.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn twins_that_agree_become_a_row() {
        let files = [("shaders/k.wgsl", WGSL), ("kernels/k.ptx", PTX), ("src/backend/cpu/k.rs", "pub fn k() {}")];
        let root = tree(&files);
        let kernels = check(root.path(), COMPLETE).expect("no problem");
        let text = table(root.path(), &kernels).expect("a table");
        for part in [
            "stem: \"k\"",
            "inputs: &[\"x\"]",
            "outputs: &[\"y\"]",
            "(\"high\", \"f32\")]",
            "(\"k.ptx\", ",
            "(\"k.wgsl\", ",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn templates_are_read_without_stages_and_variants_belong_to_their_stem() {
        let words = PTX.replace("    ld.param.u32    %count, [params+0];", "    {%- include \"parts/which.ptx\" %}");
        let which = "\n    ld.param.u32    %count, [params+0];";
        let files = [
            ("shaders/k.wgsl", WGSL),
            ("kernels/k.ptx", &words),
            ("kernels/k.narrow.ptx", PTX),
            ("kernels/parts/which.ptx", which),
        ];
        let root = tree(&files);
        let kernels = check(root.path(), NONE).expect("no problem");
        assert_eq!(kernels.iter().map(|kernel| kernel.stem.as_str()).collect::<Vec<_>>(), ["k"]);
        let text = table(root.path(), &kernels).expect("a table");
        assert!(text.contains("(\"k.narrow.ptx\", ") && text.contains("(\"parts/which.ptx\", "), "{text}");

        let wrong = PTX.replace("16 x,", "16 z,");
        assert_eq!(
            problems(&[("kernels/k.ptx", PTX), ("kernels/k.narrow.ptx", &wrong)], NONE),
            ["kernels/k.narrow.ptx:3: inputs, number 1: `z`, but the file without a variant has `x`"]
        );
        let wrong = WGSL.replace("high", "low");
        assert_eq!(
            problems(&[("shaders/k.wgsl", WGSL), ("shaders/k.tile.wgsl", &wrong)], NONE),
            ["shaders/k.tile.wgsl:2: params: `low: f32 at 4`, but the file without a variant has `high: f32 at 4`"]
        );
        let found = problems(&[("kernels/l.narrow.ptx", PTX)], NONE);
        assert_eq!(found, ["kernels/l.narrow.ptx:1: a variant of kernels/l.ptx, which is not there"]);
        let found = problems(&[("kernels/k.ptx", &words.replace("which", "where"))], NONE);
        assert!(found.len() == 1 && found[0].contains("parts/where.ptx"), "{found:?}");
    }

    #[test]
    fn a_complete_backend_lacks_no_twin() {
        let complete = [(Language::Cpu, true), (Language::Wgsl, false), (Language::Ptx, true)];
        let helper = ("src/backend/cpu/gemm.rs", "pub fn multiply() {}");
        assert_eq!(
            problems(&[("shaders/k.wgsl", WGSL), helper], &complete),
            [
                "src/backend/cpu/k.rs:1: the file is missing: cpu is marked complete, and there is shaders/k.wgsl",
                "kernels/k.ptx:1: the file is missing: ptx is marked complete, and there is shaders/k.wgsl",
            ]
        );
        let method = ("src/backend/cpu/window.rs", "impl Axis {\n    pub fn window(&self) {}\n}\n");
        assert!(check(tree(&[("shaders/k.wgsl", WGSL), helper, method]).path(), NONE).is_ok());
        assert_eq!(problems(&[("shaders/k.wgsl", WGSL), helper, method], COMPLETE).len(), 2);
    }

    #[test]
    fn twins_that_differ_are_told_apart() {
        let cases = [
            ("16 x,", "16 z,", "3: inputs, number 1: `z`, but the WGSL twin has `x`"),
            ("16 y,", "16 z,", "4: outputs, number 1: `z`, but the WGSL twin has `y`"),
            ("f32    %high", "u32    %high", "9: params: `high: u32 at 4`, but the WGSL twin has `high: f32 at 4`"),
            ("+4", "+8", "9: params: `high: f32 at 8`, but the WGSL twin has `high: f32 at 4`"),
            (
                "%stride, [params+64]",
                "%stride, [params+8]",
                "10: params: `stride: u32 at 8`, but the WGSL twin has none",
            ),
        ];
        for (from, to, want) in cases {
            let ptx = PTX.replace(from, to);
            let found = problems(&[("shaders/k.wgsl", WGSL), ("kernels/k.ptx", &ptx)], NONE);
            assert!(found.len() == 1 && found[0].starts_with("kernels/k.ptx:"), "{found:?}");
            assert!(found[0].contains(want), "{want} in {found:?}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_line() {
        let wgsl_cases = [
            ("fn main(", "fn other(", "shaders/k.wgsl:6: the entry point is `other`, it must be `main`"),
            ("(256)", "(64)", "shaders/k.wgsl:6: the workgroup size must be the literal 256"),
            ("binding(1)", "binding(3)", "shaders/k.wgsl:5: `params` must be @group(0) @binding(1)"),
            (
                "@align(64) ",
                "",
                "shaders/k.wgsl:2: `places: array<vec4<u32>, 16>` and `constants: array<vec4<u32>, 12>` at byte 64 end \
                 the parameters",
            ),
            ("f32, @", "f32, at: vec2<u32>, @", "shaders/k.wgsl:2: field `at` must be u32 or f32"),
            ("x[at.x]", "z[at.x]", "shaders/k.wgsl:8: error: no definition in scope for identifier: `z`"),
        ];
        let ptx_cases = [
            ("entry k(", "entry other(", "kernels/l.ptx:2: the entry is `other`, the file `l`"),
            ("256, 1", "128, 1", "kernels/l.ptx:6: `) .maxntid 256, 1, 1` is wanted"),
            (".ptr .global .align 16 y", "y", "kernels/l.ptx:4: `.param .u64 y`"),
            ("params[512]", "params[64]", "kernels/l.ptx:5: `.param .align 4 .b8 params[64]`"),
            ("[params+4]", "[params]", "kernels/l.ptx:9: a parameter is loaded as"),
            ("entry k(", "entry k(\n{% if %}", "kernels/l.ptx:3: syntax error"),
        ];
        for ((from, to, wgsl_want), (ptx_from, ptx_to, ptx_want)) in wgsl_cases.into_iter().zip(ptx_cases) {
            let ptx = PTX.replace("entry k(", "entry l(").replace(&ptx_from.replace('k', "l"), ptx_to);
            let found = problems(&[("shaders/k.wgsl", &WGSL.replace(from, to)), ("kernels/l.ptx", &ptx)], NONE);
            for want in [wgsl_want, ptx_want] {
                assert!(found.iter().any(|problem| problem.starts_with(want)), "{want} in {found:#?}");
            }
        }
    }

    #[test]
    fn problems_of_the_prelude_are_its_own() {
        let found = wgsl::interface("shaders/k.wgsl", WGSL, "\nfn wrong( {}").expect_err("a problem");
        assert_eq!((found[0].file.as_str(), found[0].line), (PRELUDE, 2));
    }
}
