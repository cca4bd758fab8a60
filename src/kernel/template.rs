//! The PTX and WGSL templates: loops and constants, rendered for what a step fuses into its kernel.
//!
//! Shared by `build.rs`, which renders every kernel bare, and by the crate.

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    #[default]
    F32,
    F16,
    Bf16,
}

/// Tensors of a kernel at most.
pub const MOST_TENSORS: usize = 16;

/// A tensor that a stage reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Operand {
    /// Name of its pointer among the kernel's arguments.
    pub pointer: String,
    /// Number of its place in the parameters.
    pub slot: usize,
    /// One channel serves all.
    pub spread: bool,
    /// Scale and shift per channel, by which it is read, or nothing.
    pub scale_shift: Vec<Self>,
}

/// A stage as text: a file of `stages/` and what it is told. A prologue is told the same things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct StageText {
    /// The file's name.
    pub word: &'static str,
    /// The file of `curves/` with the stage's activation.
    pub curve: Option<&'static str>,
    pub operands: Vec<Operand>,
    /// Number of the first of its constants in the parameters; those of the curve come first.
    pub constants: usize,
    /// How many of them are the curve's.
    pub curve_constants: usize,
    /// Number of the first of two words among the constants, where the stage is for some channels: the first and how many.
    pub channels: Option<usize>,
    /// Which variant of the file: `subtract`, `pos`, `over_z`, ...
    pub variant: &'static str,
}

/// The window that `depthwise_*.subgroup.wgsl` is rendered for, along the height and along the width; by default a single cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// At the top and left.
    pub pad: [usize; 2],
}

impl Default for Window {
    fn default() -> Self {
        Self { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] }
    }
}

/// What a step fuses into its kernel: its prologue, with a scale and a shift or no operands, and its stages; how the tensor at
/// each place is stored; the window, where its text is for one; and whether its bits are written word by word, by a thread or a subgroup
/// alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Fused {
    pub prologue: Option<StageText>,
    pub stages: Vec<StageText>,
    pub types: [Type; MOST_TENSORS],
    pub window: Window,
    pub whole_words: bool,
}

/// Templates that may include one another, parsed once.
#[derive(Debug)]
pub struct Templates<'a>(Environment<'a>);

impl<'a> Templates<'a> {
    /// Of files: their paths below their folder, and their texts.
    ///
    /// # Errors
    /// Where a template is wrong.
    pub fn new(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, text) in files {
            environment.add_template(name, text)?;
        }
        Ok(Self(environment))
    }

    /// The text of the kernel in `file`.
    ///
    /// # Errors
    /// Where it names a file that is not there, or something that it is not told.
    pub fn render(&self, file: &str, fused: &Fused) -> Result<String, minijinja::Error> {
        self.0.get_template(file)?.render(Value::from(Serde(fused)))
    }
}

/// What went wrong, through all files that include one another.
pub fn reason(error: &minijinja::Error) -> String {
    let first: &dyn std::error::Error = error;
    let chain = std::iter::successors(Some(first), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
