//! The GPU kernels: their signatures and their sources.
//!
//! A kernel is one stem in `shaders/`, `kernels/` and `backend/cpu/`, with arguments in the order inputs, outputs,
//! params. `build.rs` reads the sources into [`KERNELS`] and stops where twins disagree.

mod template;

pub use template::{Fused, MOST_TENSORS, Operand, StageText, Type};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Threads of a workgroup, in every kernel.
pub const THREADS: u32 = 256;

/// Bytes of the parameters, of every kernel.
pub const PARAM_BYTES: usize = 512;

/// A kernel as its sources declare it.
#[derive(Clone, Copy, Debug)]
pub struct KernelSource {
    pub stem: &'static str,
    /// With the prelude.
    pub wgsl: Option<&'static str>,
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

/// PTX that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("there is no PTX kernel `{stem}`; there are {known:?}")]
    Missing { stem: String, known: Vec<&'static str> },
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

/// The PTX text of a kernel, of a variant (`stem.variant`) or of a probe (`probes/name`), with what is fused into it.
///
/// # Errors
/// Where there is no such kernel, or a stage names no file of `kernels/stages/`, or a curve none of `kernels/curves/`.
pub fn ptx(stem: &str, fused: &Fused) -> Result<String, KernelError> {
    let file = format!("{stem}.ptx");
    let known =
        || TEMPLATES.iter().filter_map(|(path, _)| path.strip_suffix(".ptx")).filter(|stem| !stem.contains('/'));
    if !TEMPLATES.iter().any(|(path, _)| *path == file) {
        let known = known().collect();
        return Err(KernelError::Missing { stem: stem.to_owned(), known });
    }
    template::render(TEMPLATES.iter().copied(), stem, fused)
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
        let text = ptx("activation_backward", &of_stages(vec![add(2), add(3)])).expect("a kernel");
        assert_eq!(text.matches("add.rn.f32").count(), 8, "{text}");
        assert!(text.contains(".align 16 operand3,"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let kernel = ptx("activation", &Fused::default()).expect_err("no such kernel").to_string();
        assert!(kernel.contains("`activation`") && kernel.contains("activation_forward"), "{kernel}");
        let stage = StageText { word: "blur", ..StageText::default() };
        let stage = ptx("activation_forward", &of_stages(vec![stage])).expect_err("no such stage").to_string();
        assert!(stage.contains("activation_forward") && stage.contains("blur"), "{stage}");
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
