//! Walks the file once: folds what is constant, lowers what depends on the image, and remembers what it could not do.

use std::collections::{HashMap, HashSet};

use super::args::{Args, Input};
use super::array::{Array, BATCH, elements};
use super::draft::{Draft, DraftNode, Step};
use super::lower::{Lower, rule};
use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::Dimension;
use super::proto::tensor_shape_proto::dimension::Value as Dim;
use super::proto::type_proto::Value as Type;
use super::proto::{TypeProto, ValueInfoProto};
use super::source::{Source, SourceNode};
use super::{ImportError, ImportOptions, fold, names, opset, unsupported, unsupported_as};
use crate::graph::ValueId;

/// Every value of the file, folded or lowered.
pub(super) struct Built {
    pub draft: Draft,
    pub input: ValueId,
    pub values: HashMap<String, Known>,
    /// The outputs that the file declares.
    pub outputs: Vec<String>,
}

pub(super) enum Known {
    Constant(Array),
    Data(ValueId),
}

struct Builder {
    draft: Draft,
    values: HashMap<String, Known>,
    opset: i64,
    batch: Option<i64>,
    /// What is computed from the shapes of values that are not known.
    sizes: HashSet<ValueId>,
}

pub(super) fn build(source: Source, options: &ImportOptions) -> Result<Built, ImportError> {
    let Source { opset, inputs, outputs, constants, mut nodes } = source;
    let image = only_image(&inputs)?;
    let (batch, mut dims) = image_dims(image)?;
    let mut draft = Draft::default();
    if is_channels_last(image.name(), &nodes) {
        dims.rotate_right(1);
        nodes
            .iter_mut()
            .filter(|n| n.inputs.iter().any(|i| i == image.name()))
            .for_each(|n| n.op = "Identity".to_owned());
        draft.notes.push("the file takes images with channels last; the graph takes channels first".to_owned());
    }
    let dims = known_dims(&dims, options.input_size, &mut draft.notes)?;
    let input = draft.add_value(image.name(), Some(dims));
    let mut values: HashMap<String, Known> =
        constants.into_iter().map(|(n, array)| (n, Known::Constant(array))).collect();
    values.insert(image.name().to_owned(), Known::Data(input));
    let mut builder = Builder { draft, values, opset, batch, sizes: HashSet::new() };
    shorten_paths(&mut nodes, &mut builder);
    for node in &nodes {
        builder.node(node);
    }
    builder.record_layers(&nodes);
    Ok(Built { draft: builder.draft, input, values: builder.values, outputs })
}

impl Builder {
    fn node(&mut self, node: &SourceNode) {
        let mut results = self.evaluate(node);
        if let Ok(results) = &mut results {
            let extra = node.outputs.len().saturating_sub(results.len());
            let error = || node.error("only its first output is computed, another one is read");
            results.extend((0..extra).map(|_| Err(error())));
        }
        match results {
            Ok(results) => {
                for (result, name) in results.into_iter().zip(&node.outputs) {
                    let known = match result {
                        Ok(known) => known,
                        Err(_) if name.is_empty() => continue,
                        Err(error) => Known::Data(self.fail(node, name, Step::Failed(error), Vec::new())),
                    };
                    self.values.insert(name.clone(), known);
                }
            }
            Err(error) => {
                let mut inputs = self.data_inputs(node);
                let mut step = Step::Failed(error);
                for name in &node.outputs {
                    let id = self.fail(node, name, step, inputs);
                    (step, inputs) = (Step::Blind, vec![id]);
                    self.values.insert(name.clone(), Known::Data(id));
                }
            }
        }
    }

    /// A node that is an error if, and only if, the output depends on it.
    fn fail(&mut self, node: &SourceNode, output: &str, step: Step, inputs: Vec<ValueId>) -> ValueId {
        let id = self.draft.add_value(output, None);
        let (name, path, source) = (node.name.clone(), node.path.clone(), node.op.clone());
        self.draft.nodes.push(DraftNode { step, inputs, output: id, name, path, source });
        id
    }

    fn data_inputs(&self, node: &SourceNode) -> Vec<ValueId> {
        let data = |name: &String| match self.values.get(name) {
            Some(Known::Data(id)) => Some(*id),
            _ => None,
        };
        node.inputs.iter().filter_map(data).collect()
    }

    fn evaluate(&mut self, node: &SourceNode) -> Result<Vec<Result<Known, ImportError>>, ImportError> {
        let Self { draft, values, .. } = self;
        let resolve = |name: &String| match values.get(name) {
            Some(Known::Constant(array)) => Input::Constant(array),
            Some(Known::Data(id)) => Input::Data(*id),
            None => Input::Nothing,
        };
        let inputs = node.inputs.iter().map(resolve).collect();
        let args = Args { node, inputs, opset: self.opset, batch: self.batch };
        if fold::is_foldable(&args) {
            return Ok(fold::evaluate(&args)?.into_iter().map(|array| Ok(Known::Constant(array))).collect());
        }
        if !opset::is_known(node) {
            return Err(unsupported(node));
        }
        if let ("CastLike", Input::Constant(array)) = (node.op.as_str(), args.input(0)) {
            return Ok(vec![Ok(Known::Constant(fold::convert(array, false)))]);
        }
        if args.inputs.iter().any(|input| matches!(input, Input::Data(id) if !draft.is_known(*id))) {
            return self.blind(node);
        }
        if let Some(id) = alias(&args)? {
            return Ok(vec![Ok(Known::Data(id))]);
        }
        if node.op == "Shape" {
            let mut dims = vec![BATCH];
            dims.extend(draft.dims(args.data(0)?).iter().map(|&dim| dim as i64));
            return Ok(vec![Ok(Known::Constant(fold::shape(&args, &dims)?))]);
        }
        let outputs = Lower::new(draft, args).run()?;
        Ok(outputs.into_iter().map(|id| Ok(Known::Data(id))).collect())
    }

    /// A node behind one that failed: an error of its own where it has no rule, unless it computes with sizes, which would be
    /// constants.
    fn blind(&mut self, node: &SourceNode) -> Result<Vec<Result<Known, ImportError>>, ImportError> {
        let inputs = self.data_inputs(node);
        let of_sizes = node.op == "Shape" || inputs.iter().all(|id| self.sizes.contains(id));
        if !of_sizes && !may_take_data(node) {
            return Err(unsupported(node));
        }
        let mut results = Vec::new();
        for name in &node.outputs {
            let id = self.fail(node, name, Step::Blind, inputs.clone());
            if of_sizes {
                self.sizes.insert(id);
            }
            results.push(Ok(Known::Data(id)));
        }
        Ok(results)
    }

    /// Layers whose node left no trace of its own, such as dropout, lead to the value that they pass on.
    fn record_layers(&mut self, nodes: &[SourceNode]) {
        for node in nodes.iter().filter(|node| matches!(node.op.as_str(), "Identity" | "Dropout" | "Cast" | "CastLike"))
        {
            let Some(output) = node.outputs.first() else { continue };
            if let Some(Known::Data(id)) = self.values.get(output) {
                for name in [output, &node.name, &node.path].into_iter().filter(|name| !name.is_empty()) {
                    self.draft.merged.push((name.clone(), *id));
                }
            }
        }
    }
}

/// The node's operator has a rule, or passes on what it gets.
fn may_take_data(node: &SourceNode) -> bool {
    matches!(node.op.as_str(), "Identity" | "Dropout" | "Cast" | "CastLike") || rule(&node.op).is_some()
}

/// The input of a node that passes activations on as they are.
fn alias(args: &Args<'_>) -> Result<Option<ValueId>, ImportError> {
    let node = args.node;
    let (Input::Data(id), op) = (args.input(0), node.op.as_str()) else { return Ok(None) };
    match op {
        "Identity" => Ok(Some(id)),
        "Dropout" => Ok(Some(id)),
        "Cast" if fold::is_int_type(args)? => Err(unsupported_as(node, "Cast of activations to integers".to_owned())),
        "CastLike" if matches!(args.input(1), Input::Constant(like) if like.is_int()) => {
            Err(unsupported_as(node, "CastLike of activations to integers".to_owned()))
        }
        "Cast" | "CastLike" => Ok(Some(id)),
        _ => Ok(None),
    }
}

fn only_image(inputs: &[ValueInfoProto]) -> Result<&ValueInfoProto, ImportError> {
    match inputs {
        [image] => Ok(image),
        _ => {
            let names: Vec<&str> = inputs.iter().map(ValueInfoProto::name).collect();
            let reason =
                format!("the model takes {} inputs ({}); one image is expected", names.len(), names.join(", "));
            Err(ImportError::Input { reason })
        }
    }
}

/// The batch where it is fixed, and three dimensions, `None` where they are open.
fn image_dims(image: &ValueInfoProto) -> Result<(Option<i64>, Vec<Option<usize>>), ImportError> {
    let fail = |reason: String| ImportError::Input { reason: format!("{:?} {reason}", image.name()) };
    let Some(TypeProto { value: Some(Type::TensorType(tensor)), .. }) = &image.r#type else {
        return Err(fail("is not a tensor".to_owned()));
    };
    let kind = DataType::try_from(tensor.elem_type()).unwrap_or(DataType::Undefined);
    if !matches!(kind, DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) {
        return Err(fail(format!("holds {}; images of floats are expected", kind.as_str_name())));
    }
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    // An open dimension has a name, nothing, or -1; only a batch is also written as 0.
    let is_empty = |dim: &Dimension| matches!(dim.value, Some(Dim::DimValue(0)));
    if let Some(axis) = dims.iter().skip(1).position(is_empty) {
        return Err(fail(format!("has dimension {} of size 0; export it with a fixed or a named size", axis + 1)));
    }
    let size = |value: &Option<Dim>| match value {
        Some(Dim::DimValue(size)) if *size > 0 => Some(*size),
        _ => None,
    };
    let sizes: Vec<Option<i64>> = dims.iter().map(|dim| size(&dim.value)).collect();
    match sizes.as_slice() {
        [batch, image @ ..] if image.len() == 3 => {
            Ok((*batch, image.iter().map(|size| size.and_then(|size| usize::try_from(size).ok())).collect()))
        }
        _ => Err(fail(format!("has {} dimensions; a batch of images has 4 (N, C, H, W)", sizes.len()))),
    }
}

/// Every reader of the image turns it from N, H, W, C to N, C, H, W first.
fn is_channels_last(image: &str, nodes: &[SourceNode]) -> bool {
    let mut readers = nodes.iter().filter(|node| node.inputs.iter().any(|input| input == image)).peekable();
    let turns = |node: &SourceNode| node.op == "Transpose" && matches!(node.ints("perm"), Ok(Some([0, 3, 1, 2])));
    readers.peek().is_some() && readers.all(turns)
}

fn known_dims(
    dims: &[Option<usize>],
    size: Option<[usize; 2]>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, ImportError> {
    let &[channels, height, width] = dims else { return Ok(Vec::new()) };
    let fail = |reason: &str| ImportError::Input { reason: reason.to_owned() };
    let channels = channels.ok_or_else(|| fail("the file does not say how many channels an image has"))?;
    if size.is_none() && (height.is_none() || width.is_none()) {
        notes.push(
            "the file leaves the image size open: 224 x 224 is assumed; a model card or --preprocess FILE sets it"
                .to_owned(),
        );
    }
    let [open_height, open_width] = size.unwrap_or([224, 224]);
    let dims = vec![channels, height.unwrap_or(open_height), width.unwrap_or(open_width)];
    match elements(&dims) {
        Some(1..) => Ok(dims),
        _ => Err(fail(&format!("an image of {dims:?} is too large or empty"))),
    }
}

/// One path per layer, however it is spelt; the spelling of the file remains as an alias.
///
/// A layer without weights that TorchScript called several times loses its number, a layer with weights is called after them.
fn shorten_paths(nodes: &mut [SourceNode], builder: &mut Builder) {
    let known: HashMap<String, String> = nodes.iter().rev().map(|n| (n.path.clone(), n.op.clone())).collect();
    for node in nodes {
        let path = match node.op.as_str() {
            "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => {
                node.inputs.get(1).and_then(|weight| names::of_weight(weight, &node.path))
            }
            "BatchNormalization" | "PRelu" => None,
            op => Some(names::without_call_number(&node.path, op, &known)),
        };
        if let Some(path) = path.filter(|path| *path != node.path) {
            let path = path.to_owned();
            builder.draft.long_paths.push((std::mem::replace(&mut node.path, path), node.name.clone()));
        }
    }
}
