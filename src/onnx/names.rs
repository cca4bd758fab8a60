//! Module paths: both exporters of PyTorch say which layer a node came from, in two spellings.

use std::collections::HashMap;

use super::proto::NodeProto;

const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// The dotted path of the layer that made a node, empty where the file does not say.
pub(super) fn path(node: &NodeProto) -> String {
    match node.metadata_props.iter().find(|entry| entry.key() == SCOPES) {
        Some(entry) => from_scopes(entry.value()),
        None => from_name(node.name()),
    }
}

/// `['', 'layer4', 'layer4.1', 'layer4.1.relu', 'relu_16']`: the last entry is the tensor, the one before it the layer.
fn from_scopes(list: &str) -> String {
    let inner = list.trim().trim_start_matches('[').trim_end_matches(']');
    let mut scopes: Vec<&str> = inner.split(',').map(|s| s.trim().trim_matches(['\'', '"'])).collect();
    scopes.pop();
    scopes.pop().unwrap_or_default().to_owned()
}

/// `/layer4/layer4.1/conv2/Conv`: a part that repeats the one before it (`layer4.1`) is an entry of a `Sequential`.
fn from_name(name: &str) -> String {
    let Some(rest) = name.strip_prefix('/') else { return String::new() };
    let mut parts: Vec<&str> = rest.split('/').collect();
    parts.pop();
    let mut path = String::new();
    let mut before = "";
    for part in parts {
        let entry = part.strip_prefix(before).and_then(|rest| rest.strip_prefix('.')).filter(|_| !before.is_empty());
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(entry.unwrap_or(part));
        before = part;
    }
    path
}

/// The path without the `_2` that TorchScript appends at a layer's third call, given the operator of every path of the file.
pub(super) fn without_call_number<'a>(path: &'a str, op: &str, known: &HashMap<String, String>) -> &'a str {
    let Some((base, digits)) = path.rsplit_once('_') else { return path };
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if number && known.get(base).is_some_and(|other| other == op) { base } else { path }
}

/// The layer that a weight `layer1.0.conv1.weight` belongs to, where it stands beside the node's own scope: exporters that fold
/// batch normalisation leave the node in the scope of `layer1.0.bn1`.
pub(super) fn of_weight<'a>(weight: &'a str, path: &str) -> Option<&'a str> {
    let layer = weight.strip_suffix(".weight")?;
    let parent = |path: &str| path.rfind('.').map_or(0, |end| end);
    let (own, other) = (layer.get(..parent(layer))?, path.get(..parent(path))?);
    (own == other && layer != path && !path.is_empty()).then_some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_give_one_path() {
        assert_eq!(from_scopes("['', 'layer4', 'layer4.1', 'layer4.1.relu', 'relu_16']"), "layer4.1.relu");
        assert_eq!(from_scopes("['', 'layer4', 'layer4.1', 'add_7']"), "layer4.1");
        assert_eq!(from_scopes("['', 'relu']"), "");
        assert_eq!(from_scopes(""), "");
        assert_eq!(from_name("/layer4/layer4.1/conv2/Conv"), "layer4.1.conv2");
        assert_eq!(from_name("/layer1/layer1.0/downsample/downsample.0/Conv"), "layer1.0.downsample.0");
        assert_eq!(from_name("/features/denseblock1/denselayer1/norm1/Relu"), "features.denseblock1.denselayer1.norm1");
        assert_eq!(from_name("/features/features.0/features.0.1/Relu"), "features.0.1");
        assert_eq!(from_name("/Add"), "");
        assert_eq!(from_name("node_Conv_12"), "");
    }

    #[test]
    fn a_folded_convolution_keeps_its_own_name() {
        assert_eq!(of_weight("layer1.0.conv1.weight", "layer1.0.bn1"), Some("layer1.0.conv1"));
        assert_eq!(of_weight("conv1.weight", "bn1"), Some("conv1"));
        assert_eq!(of_weight("shared.weight", "layer1.conv1"), None);
        assert_eq!(of_weight("onnx::Conv_193", "layer1.conv1"), None);
    }

    #[test]
    fn call_numbers_go_only_where_the_first_call_is_known() {
        let known = HashMap::from([("a.relu".to_owned(), "Relu".to_owned()), ("conv".to_owned(), "Conv".to_owned())]);
        assert_eq!(without_call_number("a.relu_2", "Relu", &known), "a.relu");
        assert_eq!(without_call_number("conv_2", "Relu", &known), "conv_2");
        assert_eq!(without_call_number("bn_2", "BatchNormalization", &known), "bn_2");
    }
}
