use std::fmt::{self, Display};
use std::path::PathBuf;

/// One kind of operator that has no rule here, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOp {
    pub op: String,
    /// Empty for standard ONNX.
    pub domain: String,
    /// Every such node.
    pub nodes: Vec<Place>,
}

/// A node of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub node: String,
    /// Its layer path, which may be empty.
    pub path: String,
}

/// Nodes of a kind that a short message names.
const NAMED: usize = 3;

/// Adds `op` to the operator of its kind.
pub(super) fn collect(ops: &mut Vec<UnsupportedOp>, op: UnsupportedOp) {
    match ops.iter_mut().find(|known| known.op == op.op && known.domain == op.domain) {
        Some(known) => known.nodes.extend(op.nodes),
        None => ops.push(op),
    }
}

/// `LRN x4: lrn_1 in features.norm1, lrn_2 in features.norm2, lrn_3, ..`; all nodes with `{:#}`.
impl fmt::Display for UnsupportedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}.", self.domain)?;
        }
        write!(f, "{} x{}: ", self.op, self.nodes.len())?;
        let shown = if f.alternate() { self.nodes.len() } else { NAMED };
        for (i, place) in self.nodes.iter().take(shown).enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, place.node)?;
            if !place.path.is_empty() {
                write!(f, " in {}", place.path)?;
            }
        }
        f.write_str(if self.nodes.len() > shown { ", .." } else { "" })
    }
}

/// Why a file is not a model that can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },

    #[error("{}: not an ONNX model, or damaged ({reason}); was it copied completely?", path.display())]
    Decode { path: PathBuf, reason: String },

    #[error(
        "tensor {tensor:?}: {} keeps its weights in {file:?}, but {reason}; keep both files in one folder, or export with external_data=False",
        model.display()
    )]
    External { tensor: String, model: PathBuf, file: String, reason: String },

    #[error("tensor {name:?}: {reason}")]
    Tensor { name: String, reason: String },

    /// With `{:#}`, the message names every node.
    #[error(fmt = unsupported)]
    Unsupported { ops: Vec<UnsupportedOp> },

    #[error("{}; export again with opset_version=18", match version {
        Some(version) => format!("opset {version} is outside the supported 7 to 25"),
        None => "the file does not say which opset of ONNX it uses".to_owned(),
    })]
    Opset { version: Option<i64> },

    #[error("{node}: {reason}")]
    Graph { node: String, reason: String },

    #[error("{node}: shapes do not fit: {reason}")]
    Shape { node: String, reason: String },

    #[error("input: {reason}")]
    Input { reason: String },

    #[error(
        "no value or node is called {name:?}; the outputs are {}, the nearest names {}", outputs.join(", "), nearest.join(", ")
    )]
    Output { name: String, outputs: Vec<String>, nearest: Vec<String> },
}

fn unsupported(ops: &[UnsupportedOp], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("no rule for these operators: ")?;
    for (i, op) in ops.iter().enumerate() {
        f.write_str(if i > 0 { ", " } else { "" })?;
        op.fmt(f)?;
    }
    f.write_str("; where they come after the logits, name those with --logits, or export the model without the rest")
}
