//! The GPU kernels: their signatures and their sources.
//!
//! A kernel is one stem in `shaders/`, `kernels/` and `backend/cpu/`, with arguments in the order inputs, outputs,
//! params. `build.rs` reads the sources into [`KERNELS`] and stops where twins disagree.

mod accesses;
mod locals;
mod pairs;
mod template;
mod texels;

use std::sync::LazyLock;

use template::Templates;

pub use locals::by_locals;
pub use pairs::by_pairs;
pub use template::{Fused, MOST_TENSORS, Operand, StageText, Type, Window};
pub use texels::{TEXELS_OF_A_ROW, by_texels};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Threads of a workgroup, in every kernel but those of WGSL by subgroups, which have fewer.
pub const THREADS: u32 = 256;

/// Bytes of the parameters, of every kernel.
pub const PARAM_BYTES: usize = 512;

/// A kernel as its sources declare it.
#[derive(Clone, Copy, Debug)]
pub struct KernelSource {
    pub stem: &'static str,
    /// It has a template in `shaders/`.
    pub wgsl: bool,
    /// It has a template in `kernels/`.
    pub ptx: bool,
    pub inputs: &'static [&'static str],
    pub outputs: &'static [&'static str],
    /// Names and types (`u32` or `f32`) of its own words of the parameters.
    pub params: &'static [(&'static str, &'static str)],
}

/// Two sizes below 2^16 in one parameter: height (or top) in the low half, width (or left) in the high half.
pub const fn pair(height: u16, width: u16) -> u32 {
    height as u32 | (width as u32) << 16
}

static PTX: LazyLock<Templates<'static>> = LazyLock::new(|| parsed(TEMPLATES));
static WGSL: LazyLock<Templates<'static>> = LazyLock::new(|| parsed(SHADERS));

fn parsed(files: &'static [(&'static str, &'static str)]) -> Templates<'static> {
    Templates::new(files.iter().copied()).unwrap_or_else(|e| panic!("build.rs has parsed {}", template::reason(&e)))
}

/// A text that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("there is no {language} kernel `{stem}`; there are {known:?}")]
    Missing { language: &'static str, stem: String, known: Vec<&'static str> },
    #[error("kernel {stem} does not render: {reason}")]
    Template { stem: String, reason: String },
}

/// The sources of a kernel.
pub fn source(stem: &str) -> Option<&'static KernelSource> {
    KERNELS.iter().find(|kernel| kernel.stem == stem)
}

/// The entry of a kernel, a variant (`stem.variant`) or a probe (`probes/name`): the name of its file up to a dot.
pub fn entry(stem: &str) -> &str {
    let file = stem.rsplit('/').next().unwrap_or(stem);
    file.split('.').next().unwrap_or(file)
}

/// Bytes of shared memory that a launch adds to those that a PTX text declares, as the text says beside what it calls external:
/// `.extern .shared .align 512 .b8 tile[]; // 65536 bytes`.
pub fn added_shared(ptx: &str) -> u32 {
    let Some(line) = ptx.lines().find(|line| line.starts_with(".extern .shared")) else { return 0 };
    let said = line.split_once("// ").and_then(|(_, said)| said.strip_suffix(" bytes")?.parse().ok());
    said.unwrap_or_else(|| panic!("`{line}` does not say how many bytes"))
}

/// The PTX text of a kernel, of a variant (`stem.variant`) or of a probe (`probes/name`), with what is fused into it.
///
/// # Errors
/// Where there is no such kernel, or a stage names no file of `kernels/stages/`, or a curve none of `kernels/curves/`.
pub fn ptx(stem: &str, fused: &Fused) -> Result<String, KernelError> {
    render("PTX", (TEMPLATES, &PTX), ".ptx", stem, fused)
}

/// The WGSL text of a kernel or of a variant (`stem.variant`), with what is fused into it and the prelude. Its entry is `main`.
///
/// Bindings of `@group(0)` are the pointers of a launch, in order, then the parameters; [`Launch::packed`] sees to it that there
/// are few. A launch of more blocks than fit along x is a grid: its rows follow one another, and what is past the end has no
/// work.
///
/// [`Launch::packed`]: crate::backend::gpu::Launch::packed
///
/// # Errors
/// Where there is no such kernel, or a stage names no file of `shaders/stages/`, or a curve none of `shaders/curves/`.
pub fn wgsl(stem: &str, fused: &Fused) -> Result<String, KernelError> {
    Ok(format!("{}\n{PRELUDE}", render("WGSL", (SHADERS, &WGSL), ".wgsl", stem, fused)?))
}

fn render(
    language: &'static str,
    (files, templates): (&[(&'static str, &'static str)], &Templates),
    ending: &str,
    stem: &str,
    fused: &Fused,
) -> Result<String, KernelError> {
    let file = format!("{stem}{ending}");
    if !files.iter().any(|(path, _)| *path == file) {
        let stems = files.iter().filter_map(|(path, _)| path.strip_suffix(ending));
        let known = stems.filter(|stem| !stem.contains('/')).collect();
        return Err(KernelError::Missing { language, stem: stem.to_owned(), known });
    }
    templates
        .render(&file, fused)
        .map_err(|e| KernelError::Template { stem: stem.to_owned(), reason: template::reason(&e) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_stages(stages: Vec<StageText>) -> Fused {
        Fused { stages, ..Fused::default() }
    }

    #[test]
    fn a_kernel_is_rendered_with_its_stages() {
        let add = |slot: usize| {
            let operand = Operand { pointer: format!("operand{slot}"), slot, ..Operand::default() };
            StageText { word: "add", variant: "add", operands: vec![operand], ..StageText::default() }
        };
        let fused = of_stages(vec![add(2), add(3)]);
        let text = ptx("activation_backward", &fused).expect("a kernel");
        assert_eq!(text.matches("add.rn.f32").count(), 8, "{text}");
        assert!(text.contains(".align 16 operand3,"), "{text}");
        let text = wgsl("activation_backward", &fused).expect("a kernel");
        assert_eq!(text.matches("v = v + operand").count(), 2, "{text}");
        assert!(text.contains("@binding(3) var<storage, read> operand3") && text.ends_with(PRELUDE), "{text}");
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let kernel = ptx("activation", &Fused::default()).expect_err("no such kernel").to_string();
        assert!(kernel.contains("`activation`") && kernel.contains("activation_forward"), "{kernel}");
        let shader = wgsl("probes/mma_f16", &Fused::default()).expect_err("WGSL has no matrix units").to_string();
        assert!(shader.contains("WGSL kernel `probes/mma_f16`"), "{shader}");
        let stage = StageText { word: "blur", ..StageText::default() };
        let stage = ptx("activation_forward", &of_stages(vec![stage])).expect_err("no such stage").to_string();
        assert!(stage.contains("activation_forward") && stage.contains("blur"), "{stage}");
    }

    #[test]
    fn a_text_says_what_shared_memory_a_launch_adds() {
        let added = |stem| added_shared(&ptx(stem, &Fused::default()).expect("a kernel"));
        let stems = ["conv2d_forward.tile.wgmma", "conv2d_backward.slim.wgmma", "conv2d_forward.tile.mma"];
        assert_eq!(stems.map(added), [4 * (8192 + 2 * 4096), 4 * (8192 + 2 * 2048), 0]);
    }

    #[test]
    fn an_entry_is_named_as_its_file() {
        let names = ["rearrange", "conv2d_forward.tile", "probes/copy"].map(entry);
        assert_eq!(names, ["rearrange", "conv2d_forward", "copy"]);
    }

    #[test]
    fn a_pair_keeps_both_sizes() {
        assert_eq!(pair(3, 65_535), 0xffff_0003);
    }
}
