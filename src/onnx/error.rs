use std::path::PathBuf;

/// One kind of operator that has no rule here, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOp {
    pub op: String,
    /// Empty for standard ONNX.
    pub domain: String,
    pub count: usize,
    /// Name of the first such node.
    pub node: String,
    /// Its layer path, which may be empty.
    pub path: String,
}

impl std::fmt::Display for UnsupportedOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}.", self.domain)?;
        }
        write!(f, "{} x{} (first: {}", self.op, self.count, self.node)?;
        if !self.path.is_empty() {
            write!(f, " in {}", self.path)?;
        }
        f.write_str(")")
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

    #[error("no rule for these operators: {}; if they come after the logits, export the model without them", list(ops))]
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

fn list(ops: &[UnsupportedOp]) -> String {
    ops.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
