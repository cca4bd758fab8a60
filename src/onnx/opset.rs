//! What the ONNX standard says of an operator before its inputs are known: versions and arity.

use super::ImportError;
use super::proto::ModelProto;
use super::source::SourceNode;

/// The opset of the default domain.
pub(super) fn version(model: &ModelProto) -> Result<i64, ImportError> {
    let default = model.opset_import.iter().find(|entry| matches!(entry.domain(), "" | "ai.onnx"));
    match default.and_then(|entry| entry.version) {
        Some(version) if (7..=25).contains(&version) => Ok(version),
        version => Err(ImportError::Opset { version }),
    }
}

const MANY: usize = usize::MAX;

/// Fewest inputs, most inputs, most outputs.
fn arity(op: &str) -> Option<(usize, usize, usize)> {
    Some(match op {
        "Constant" => (0, 0, 1),
        "Abs" | "AveragePool" | "Cast" | "Ceil" | "ConstantOfShape" | "DepthToSpace" | "Elu" | "Erf" | "Exp"
        | "Flatten" | "Floor" | "Gelu" | "GlobalAveragePool" | "GlobalMaxPool" | "HardSigmoid" | "HardSwish"
        | "Identity" | "LeakyRelu" | "Log" | "LogSoftmax" | "Neg" | "Not" | "Reciprocal" | "Relu" | "Round"
        | "Shape" | "Sigmoid" | "Size" | "Softmax" | "Softplus" | "SpaceToDepth" | "Sqrt" | "Swish" | "Tanh"
        | "Transpose" => (1, 1, 1),
        "MaxPool" => (1, 1, 2),
        "Dropout" => (1, 3, 2),
        "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "Squeeze" | "Unsqueeze"
        | "Upsample" => (1, 2, 1),
        "Split" => (1, 2, MANY),
        "Clip" => (1, 3, 1),
        "Pad" | "Resize" => (1, 4, 1),
        "Slice" => (1, 5, 1),
        "Concat" | "Max" | "Min" | "Sum" => (1, MANY, 1),
        "Add" | "And" | "CastLike" | "Div" | "Equal" | "Expand" | "Gather" | "Greater" | "Less" | "MatMul" | "Mod"
        | "Mul" | "Or" | "PRelu" | "Pow" | "Reshape" | "Sub" => (2, 2, 1),
        "Conv" | "ConvTranspose" | "Gemm" => (2, 3, 1),
        "LayerNormalization" => (2, 3, 3),
        "Range" | "Where" => (3, 3, 1),
        "BatchNormalization" => (5, 5, 5),
        _ => return None,
    })
}

pub(super) fn is_known(node: &SourceNode) -> bool {
    node.domain.is_empty() && arity(&node.op).is_some()
}

/// Operators without a rule here are left for the list of all that are unsupported.
pub(super) fn check_arity(node: &SourceNode) -> Result<(), ImportError> {
    let Some((least, most, outputs)) = arity(&node.op).filter(|_| node.domain.is_empty()) else { return Ok(()) };
    let given = node.inputs.len();
    let required = node.inputs.iter().take(least).filter(|name| !name.is_empty()).count();
    if required < least || given > most {
        let want = if most == MANY { format!("at least {least}") } else { format!("{least} to {most}") };
        return Err(node.error(format!("{} has {given} inputs, {want} are expected", node.op)));
    }
    if node.outputs.is_empty() || node.outputs.len() > outputs || node.outputs.iter().all(String::is_empty) {
        return Err(node.error(format!("{} has {} outputs", node.op, node.outputs.len())));
    }
    Ok(())
}
