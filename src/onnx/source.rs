//! The file as checked data: constants read, nodes in topological order, every name defined once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::array::Array;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::read::Files;
use super::{ImportError, names, opset, tensor};

pub(super) struct Source {
    pub opset: i64,
    pub inputs: Vec<ValueInfoProto>,
    pub outputs: Vec<String>,
    pub constants: HashMap<String, Array>,
    /// In topological order.
    pub nodes: Vec<SourceNode>,
}

pub(super) struct SourceNode {
    pub op: String,
    /// Empty for standard ONNX.
    pub domain: String,
    pub name: String,
    pub path: String,
    /// An input that is left out is empty.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: HashMap<String, AttributeProto>,
    /// Tensors in attributes, read.
    pub tensors: HashMap<String, Array>,
}

pub(super) fn read(model: ModelProto, files: &mut Files) -> Result<Source, ImportError> {
    let opset = opset::version(&model)?;
    let whole = |reason: &str| ImportError::Graph { node: "model".to_owned(), reason: reason.to_owned() };
    let graph = model.graph.ok_or_else(|| whole("the file holds no graph; is it an ONNX model?"))?;
    if !graph.sparse_initializer.is_empty() {
        return Err(whole("sparse weights are not read; export dense ones"));
    }
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err(whole("the graph has no nodes or no outputs"));
    }
    let constants = constants(&graph, files)?;
    let nodes = graph
        .node
        .iter()
        .enumerate()
        .map(|(i, node)| source_node(i, node, files))
        .collect::<Result<Vec<SourceNode>, _>>()?;
    let inputs: Vec<_> = graph.input.iter().filter(|i| !constants.contains_key(i.name())).cloned().collect();
    let made_by = check_names(&nodes, &inputs, &constants)?;
    let outputs: Vec<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
    let known = |name: &String| made_by.contains_key(name) || constants.contains_key(name);
    if let Some(missing) = outputs.iter().find(|name| !known(name) && !inputs.iter().any(|i| i.name() == *name)) {
        return Err(whole(&format!("nothing makes the output {missing:?}")));
    }
    let nodes = sort(nodes, &made_by)?;
    Ok(Source { opset, inputs, outputs, constants, nodes })
}

fn constants(graph: &GraphProto, files: &mut Files) -> Result<HashMap<String, Array>, ImportError> {
    let mut constants = HashMap::new();
    for initializer in &graph.initializer {
        let name = initializer.name();
        let array = tensor::read(initializer, name, files)?;
        if constants.insert(name.to_owned(), array).is_some() {
            let reason = "two initializers have this name".to_owned();
            return Err(ImportError::Tensor { name: name.to_owned(), reason });
        }
    }
    Ok(constants)
}

fn source_node(i: usize, node: &NodeProto, files: &mut Files) -> Result<SourceNode, ImportError> {
    let domain = match node.domain() {
        "ai.onnx" => "",
        domain => domain,
    };
    let name = match node.name() {
        "" => format!("{}#{i}", node.op_type()),
        name => name.to_owned(),
    };
    let mut attributes = HashMap::new();
    let mut tensors = HashMap::new();
    for attribute in &node.attribute {
        let key = attribute.name().to_owned();
        if let Some(value) = &attribute.t {
            tensors.insert(key.clone(), tensor::read(value, &format!("{name}.{key}"), files)?);
        }
        if attributes.insert(key.clone(), attribute.clone()).is_some() {
            return Err(ImportError::Graph { node: name, reason: format!("attribute {key:?} is given twice") });
        }
    }
    let source = SourceNode {
        op: node.op_type().to_owned(),
        domain: domain.to_owned(),
        path: names::path(node),
        inputs: node.input.clone(),
        outputs: node.output.clone(),
        name,
        attributes,
        tensors,
    };
    opset::check_arity(&source)?;
    Ok(source)
}

/// The node that makes each value, once it is sure that there is exactly one and that all inputs exist.
fn check_names(
    nodes: &[SourceNode],
    inputs: &[ValueInfoProto],
    constants: &HashMap<String, Array>,
) -> Result<HashMap<String, usize>, ImportError> {
    let mut outside: HashSet<&str> = constants.keys().map(String::as_str).collect();
    for input in inputs {
        if !outside.insert(input.name()) {
            return Err(ImportError::Input { reason: format!("two inputs are called {:?}", input.name()) });
        }
    }
    let mut made_by = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if outside.contains(output.as_str()) || made_by.insert(output.clone(), i).is_some() {
                return Err(node.error(format!("its output {output:?} is defined twice")));
            }
        }
    }
    for node in nodes {
        let known = |name: &str| name.is_empty() || outside.contains(name) || made_by.contains_key(name);
        if let Some(missing) = node.inputs.iter().find(|name| !known(name)) {
            return Err(node.error(format!("its input {missing:?} is defined nowhere")));
        }
    }
    Ok(made_by)
}

/// Kahn's algorithm; among nodes that are ready the first in the file goes first.
fn sort(nodes: Vec<SourceNode>, made_by: &HashMap<String, usize>) -> Result<Vec<SourceNode>, ImportError> {
    let mut waits = vec![0usize; nodes.len()];
    let mut users = vec![Vec::new(); nodes.len()];
    for ((i, node), waits) in nodes.iter().enumerate().zip(&mut waits) {
        for &maker in node.inputs.iter().filter_map(|name| made_by.get(name)) {
            *waits += 1;
            if let Some(users) = users.get_mut(maker) {
                users.push(i);
            }
        }
    }
    let mut ready: BinaryHeap<_> =
        waits.iter().enumerate().filter(|(_, w)| **w == 0).map(|(i, _)| Reverse(i)).collect();
    let mut nodes: Vec<Option<SourceNode>> = nodes.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        sorted.extend(nodes.get_mut(i).and_then(Option::take));
        for &user in users.get(i).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(user) {
                *waits -= 1;
                if *waits == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
    }
    match nodes.into_iter().flatten().next() {
        None => Ok(sorted),
        Some(node) => Err(node.error("it waits for its own output: the graph has a cycle".to_owned())),
    }
}
