//! Files of several exporters become the graphs that they should.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::explain::{ExplainOptions, Explainer};
use fluoroscope::graph::{Activation, Constant, ConvKind, Graph, Op, Precision, Shape};
use fluoroscope::model::Model;
use fluoroscope::onnx::{ImportError, ImportOptions, load, parse};
use fluoroscope::tensor::Tensor;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Graph {
    read_with(path, &ImportOptions::default())
}

fn read_with(path: &str, options: &ImportOptions) -> Graph {
    load(&root().join(path), options).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn counts(graph: &Graph) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for node in &graph.nodes {
        *counts.entry(node.op.name()).or_insert(0) += 1;
    }
    counts
}

fn listed(graph: &Graph) -> String {
    counts(graph).iter().map(|(op, n)| format!("{op} {n}")).collect::<Vec<_>>().join(", ")
}

/// Every graph keeps these promises.
fn check_invariants(graph: &Graph) {
    let mut made = vec![false; graph.values.len()];
    made[graph.input.0] = true;
    for node in &graph.nodes {
        assert!(node.inputs.iter().all(|id| made[id.0]), "{}: not in topological order", node.name);
        assert!(!std::mem::replace(&mut made[node.output.0], true), "{}: made twice", node.name);
        check_node(graph, node);
    }
    assert!(made.iter().all(|made| *made));
    let users = graph.users();
    for (i, users) in users.iter().enumerate() {
        assert!(!users.is_empty() || i == graph.output.0, "{} is not read", graph.values[i].name);
    }
}

fn check_node(graph: &Graph, node: &fluoroscope::graph::Node) {
    let (input, output) = (graph.shape(node.inputs[0]), graph.shape(node.output));
    match &node.op {
        Op::Conv2d(conv) => {
            let [kh, kw] = conv.kernel;
            assert_eq!(conv.weight.len() * conv.groups, input.channels * conv.out_channels * kh * kw, "{}", node.name);
            assert_eq!(output.channels, conv.out_channels);
            assert!(conv.bias.as_ref().is_none_or(|bias| bias.len() == conv.out_channels));
            assert_eq!(conv.weight.precision(), graph.precision);
            if conv.kind == ConvKind::Dense {
                assert_eq!((conv.kernel, output.area()), ([input.height, input.width], 1));
            }
        }
        Op::Affine(affine) => assert_eq!((affine.scale.len(), affine.shift.len()), (input.channels, input.channels)),
        Op::Activation(Activation::PRelu { slope }) => assert_eq!(slope.len(), input.channels),
        Op::Activation(_) => assert_eq!(input, output),
        Op::Pool(pool) => assert_eq!(pool.windows(input), Some([output.height, output.width])),
        Op::Concat => {
            assert_eq!(node.inputs.iter().map(|id| graph.shape(*id).channels).sum::<usize>(), output.channels);
            assert!(node.inputs.len() > 1);
        }
        Op::Rearrange(table) => {
            assert_eq!(table.table.len(), output.len());
            assert!(table.table.iter().all(|&i| i == u32::MAX || (i as usize) < input.len()));
        }
        Op::LayerNorm { epsilon } => assert!(input == output && *epsilon > 0.0),
        Op::Add { .. } | Op::Mul | Op::Resize(_) => {}
    }
}

#[test]
fn golden_networks_have_the_operators_of_their_cards() {
    let same =
        ["Relu", "MaxPool", "Clip", "Elu", "LeakyRelu", "PRelu", "Softplus", "Tanh", "Resize", "ConvTranspose", "Conv"];
    let mut read_some = 0;
    for entry in std::fs::read_dir(root().join("data/golden")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let card = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let card: serde_json::Value = serde_json::from_str(&card).unwrap();
        let graph = load(&path, &ImportOptions::default()).unwrap();
        check_invariants(&graph);
        let in_file = |op: &str| card["ops"][op].as_u64().unwrap_or(0);
        let here = counts(&graph);
        let name = path.display();
        for op in same {
            assert_eq!(here.get(op).copied().unwrap_or(0), in_file(op), "{name}: {op}");
        }
        let pools = in_file("AveragePool") + in_file("GlobalAveragePool");
        assert_eq!(here.get("AveragePool").copied().unwrap_or(0), pools, "{name}");
        assert_eq!(here.get("Dense").copied().unwrap_or(0), in_file("Gemm"), "{name}");
        let size: Vec<usize> = card["input"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
        assert_eq!(graph.shape(graph.input), Shape::new(size[1], size[2], size[3]), "{name}");
        assert_eq!(graph.shape(graph.output), Shape::new(5, 1, 1), "{name}");
        let layer = graph.find(card["cam_value"].as_str().unwrap()).unwrap();
        assert!(graph.shape(layer).is_spatial(), "{name}");
        read_some += 1;
    }
    assert_eq!(read_some, 12);
}

#[test]
fn models_become_the_graphs_they_should() {
    let wide = ImportOptions { input_size: Some([48, 192]), ..Default::default() };
    let cases = [
        ("golden/resnet", "Add 3, AveragePool 1, Conv 8, Dense 1, MaxPool 1, Relu 7", 5),
        ("golden/vgg", "AveragePool 1, Conv 6, Dense 2, MaxPool 3, Relu 7", 5),
        ("golden/densenet", "AveragePool 2, BatchNorm 8, Concat 6, Conv 14, Dense 1, MaxPool 1, Relu 15", 5),
        ("golden/gated", "AveragePool 3, Conv 7, Dense 1, HardSigmoid 1, Mul 2, Relu 5, Sigmoid 1", 5),
        ("golden/smooth-gates", "AveragePool 1, Conv 4, Dense 1, Gelu 1, HardSwish 1, Silu 2", 5),
        ("golden/odd-convs", "AveragePool 1, Conv 4, Dense 1, Relu 4", 5),
        ("chest/chest-densenet", "AveragePool 3, BatchNorm 21, Concat 18, Conv 39, Dense 1, MaxPool 1, Relu 40", 3),
        ("models/efficientnet-lite0", "Add 9, AveragePool 1, Clip 33, Conv 49, Dense 1", 1000),
        ("models/rnet", "Conv 3, Dense 2, MaxPool 2, PRelu 4", 2),
        ("models/onet", "Conv 4, Dense 2, MaxPool 3, PRelu 5", 2),
        (
            "models/text-direction",
            "Add 7, AveragePool 10, Conv 53, Dense 1, HardSigmoid 9, HardSwish 18, MaxPool 1, Mul 9, Relu 15",
            2,
        ),
    ];
    for (name, ops, classes) in cases {
        let graph = read_with(&format!("data/{name}.onnx"), &wide);
        check_invariants(&graph);
        assert_eq!(listed(&graph), ops, "{name}");
        assert_eq!(graph.shape(graph.output), Shape::new(classes, 1, 1), "{name}");
    }
}

#[test]
fn a_final_softmax_is_cut_and_said() {
    let graph = read("data/models/onet.onnx");
    assert!(graph.notes.iter().any(|note| note.contains("Softmax")), "{:?}", graph.notes);
    let open = read("data/models/text-direction.onnx");
    assert_eq!(open.shape(open.input), Shape::new(3, 224, 224));
    assert!(open.notes.iter().any(|note| note.contains("224 x 224")), "{:?}", open.notes);
}

/// O-Net turns its last map to W, H, C... before it flattens it: the columns of the dense layer are permuted instead.
#[test]
fn a_transpose_before_a_dense_layer_moves_its_columns() {
    let graph = read("data/models/onet.onnx");
    let dense = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Conv2d(conv) if conv.kind == ConvKind::Dense => Some((conv, graph.shape(node.inputs[0]))),
        _ => None,
    });
    let (conv, input) = dense.unwrap();
    assert_eq!(input, Shape::new(128, 3, 3));
    assert_eq!(conv.kernel, [3, 3]);
}

fn assert_same_weights(a: &Constant, b: &Constant, name: &str) {
    assert_eq!(a.len(), b.len(), "{name}");
    let largest = a.iter().fold(0.0, |largest: f64, w| largest.max(w.abs()));
    for (a, b) in a.iter().zip(b.iter()) {
        assert!((a - b).abs() <= 1e-6 * largest.max(1.0), "{name}: {a} and {b}");
    }
}

#[test]
fn four_encodings_of_one_network_are_one_graph() {
    let read = |name: &str| read(&format!("tests/fixtures/onnx/resnet.{name}.onnx"));
    let first = read("dynamo");
    assert_eq!(listed(&first), "Add 8, AveragePool 1, Conv 20, Dense 1, MaxPool 1, Relu 17");
    for name in ["torchscript", "unfolded", "unoptimised"] {
        let other = read(name);
        check_invariants(&other);
        assert_eq!(first.nodes.len(), other.nodes.len(), "{name}");
        assert_eq!(first.layer_paths(), other.layer_paths(), "{name}");
        for (a, b) in first.nodes.iter().zip(&other.nodes) {
            assert_eq!(
                (a.op.name(), &a.inputs, a.output, &a.path),
                (b.op.name(), &b.inputs, b.output, &b.path),
                "{name}"
            );
            assert_eq!(first.shape(a.output), other.shape(b.output), "{name}: {}", b.name);
            match (&a.op, &b.op) {
                (Op::Conv2d(x), Op::Conv2d(y)) => {
                    let geometry =
                        |c: &fluoroscope::graph::Conv2d| (c.kind, c.kernel, c.stride, c.dilation, c.pads, c.groups);
                    assert_eq!(geometry(x), geometry(y), "{name}: {}", b.name);
                    assert_same_weights(&x.weight, &y.weight, &b.name);
                    assert_same_weights(x.bias.as_ref().unwrap(), y.bias.as_ref().unwrap(), &b.name);
                }
                (Op::Pool(x), Op::Pool(y)) => assert_eq!(x, y, "{name}"),
                _ => {}
            }
        }
    }
}

#[test]
fn layers_are_found_under_every_name_they_had() {
    let unfolded = read("tests/fixtures/onnx/resnet.unfolded.onnx");
    let same = |a: &str, b: &str| assert_eq!(unfolded.find(a).unwrap(), unfolded.find(b).unwrap(), "{a} and {b}");
    same("layer1.0.conv1", "layer1.0.bn1");
    same("/layer1/layer1.0/conv1/Conv_output_0", "/layer1/layer1.0/bn1/BatchNormalization_output_0");
    same("/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/bn1/BatchNormalization");
    same("layer4", "layer4.1.relu_1");
    same("avgpool", "/Flatten_output_0");
    let dynamo = read("tests/fixtures/onnx/resnet.dynamo.onnx");
    assert_eq!(dynamo.find("layer1.0.bn1").unwrap(), dynamo.find("layer1.0.conv1").unwrap());
    assert!(dynamo.find("layer9").is_err());
}

#[test]
fn weights_in_a_second_file_and_inline_are_the_same() {
    let (external, inline) =
        (read("tests/fixtures/onnx/external.onnx"), read("tests/fixtures/onnx/shuffle.opset13.onnx"));
    for graph in [&external, &inline] {
        check_invariants(graph);
        assert_eq!(listed(graph), "Conv 2, Dense 1, Gelu 1, HardSwish 1, MaxPool 1, Silu 1");
    }
    for (a, b) in external.nodes.iter().zip(&inline.nodes) {
        if let (Op::Conv2d(x), Op::Conv2d(y)) = (&a.op, &b.op) {
            assert_same_weights(&x.weight, &y.weight, &a.name);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let lonely = folder.path().join("external.onnx");
    std::fs::copy(root().join("tests/fixtures/onnx/external.onnx"), &lonely).unwrap();
    let error = load(&lonely, &ImportOptions::default()).unwrap_err();
    assert!(matches!(error, ImportError::External { .. }));
    let text = error.to_string();
    assert!(text.contains("external.onnx.data") && text.contains("external_data=False"), "{text}");
    let bytes = std::fs::read(&lonely).unwrap();
    let text = parse(Path::new("sent.onnx"), bytes, &ImportOptions::default()).unwrap_err().to_string();
    assert!(text.contains("sent.onnx") && text.contains("without a folder"), "{text}");
}

#[test]
fn in_f64_nothing_is_rounded_to_f32() {
    let options = ImportOptions { precision: Precision::F64, ..Default::default() };
    let (wide, narrow) = (read_with("data/golden/resnet.onnx", &options), read("data/golden/resnet.onnx"));
    check_invariants(&wide);
    for (a, b) in wide.nodes.iter().zip(&narrow.nodes) {
        if let (Op::Conv2d(x), Op::Conv2d(y)) = (&a.op, &b.op) {
            assert!(x.weight.iter().zip(y.weight.iter()).all(|(x, y)| x as f32 == y as f32), "{}", a.name);
        }
    }
}

#[test]
fn any_value_can_be_the_output() {
    let options = |name: &str| ImportOptions { output: Some(name.to_owned()), ..Default::default() };
    let graph = read_with("data/golden/vgg.onnx", &options("/relu_5/Relu_output_0"));
    check_invariants(&graph);
    assert!(graph.shape(graph.output).is_spatial());
    let error = load(&root().join("data/golden/vgg.onnx"), &options("/relu_55/Relu_output_0")).unwrap_err();
    assert!(error.to_string().contains("/relu_5/Relu"), "{error}");

    // A declared output ends in the logits, whether it is named or not.
    let [by_default, by_name] = [None, Some("probability".to_owned())].map(|output| {
        let graph = read_with("data/models/rnet.onnx", &ImportOptions { output, ..Default::default() });
        graph.value(graph.output).name.clone()
    });
    assert_eq!(by_default, by_name);
    let error = load(&root().join("data/models/rnet.onnx"), &options("probable")).unwrap_err();
    assert!(error.to_string().contains("the outputs are probability"), "{error}");
}

#[test]
fn every_file_of_the_repository_loads() {
    for folder in ["data/chest", "data/models", "data/golden", "tests/fixtures/onnx"] {
        let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "onnx")) {
            check_invariants(
                &load(&path, &ImportOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            );
        }
    }
}

/// Single operators and short chains (weights random, values checked against onnxruntime when they were made).
#[rustfmt::skip]
const CHAINS: &[(&str, [usize; 3], &str)] = &[
    ("act0", [4, 9, 11], "HardSwish 1"),
    ("act1", [4, 9, 11], "HardSwish 1"),
    ("act2", [4, 9, 11], "HardSwish 1"),
    ("act3", [4, 9, 11], "HardSwish 1"),
    ("act4", [4, 9, 11], "Silu 1"),
    ("act5", [4, 9, 11], "Gelu 1"),
    ("act6", [4, 9, 11], "Gelu 1"),
    ("as_strided", [4, 1, 1], "AveragePool 1, Conv 1, Dense 1, Gather 1, Relu 1"),
    ("avg_ceil1", [4, 5, 4], "AveragePool 1"),
    ("bn1d", [5, 1, 1], "Dense 1"),
    ("bnconv", [6, 7, 9], "Conv 1"),
    ("bnconvpad", [6, 9, 11], "BatchNorm 1, Conv 1"),
    ("cbam", [4, 9, 11], "AveragePool 1, Conv 1, Mul 2, Sigmoid 1"),
    ("channels_last", [4, 1, 1], "Add 1, AveragePool 1, Conv 5, Dense 1, Gelu 1, LayerNorm 1, Relu 1, Scale 1, Tanh 1"),
    ("clip6", [4, 9, 11], "Clip 1"),
    ("conv_SAME_LOWER", [6, 5, 4], "Conv 1"),
    ("conv_dil", [6, 6, 13], "Conv 1"),
    ("ct1", [6, 19, 33], "ConvTranspose 1"),
    ("ct2", [6, 18, 22], "ConvTranspose 1"),
    ("ct3", [6, 18, 22], "ConvTranspose 1"),
    ("ctbn", [6, 19, 23], "ConvTranspose 1"),
    ("d2s_crd", [2, 6, 10], "DepthToSpace 1"),
    ("divdata", [4, 9, 11], "Mul 1, Reciprocal 1, Softplus 1"),
    ("divl", [4, 9, 11], "Reciprocal 1, Scale 1, Softplus 1"),
    ("divr", [4, 9, 11], "Scale 1"),
    ("flattwo", [5, 1, 1], "Add 1, Dense 2, Relu 1"),
    ("gather", [3, 9, 11], "Gather 1"),
    ("gmax", [4, 1, 1], "MaxPool 1"),
    ("grey", [2, 7, 9], "Conv 1, Expand 1, Shift 1"),
    ("layer_norm", [4, 1, 1], "Add 1, AveragePool 1, Conv 4, Dense 1, LayerNorm 2, Relu 2, ScaleShift 1"),
    ("max_ceil", [4, 4, 6], "MaxPool 1"),
    ("mean0", [4, 1, 1], "AveragePool 1"),
    ("mean1", [4, 1, 1], "AveragePool 1"),
    ("minmax", [4, 9, 11], "Clip 1"),
    ("nhwcdense", [5, 1, 1], "Dense 1, Relu 1"),
    ("pad", [5, 9, 13], "Pad 1"),
    ("pad10", [4, 13, 15], "Pad 1"),
    ("padconv", [5, 9, 15], "Conv 1"),
    ("padmax", [4, 8, 14], "MaxPool 1, Pad 1"),
    ("relu6", [4, 9, 11], "Clip 1"),
    ("s2d", [12, 2, 3], "SpaceToDepth 1"),
    ("slice", [4, 3, 3], "Slice 1"),
    ("slopes", [4, 1, 1], "AveragePool 1, Conv 1, Dense 1, DepthToSpace 1, PRelu 1, SpaceToDepth 1"),
    ("spatial", [4, 1, 1], "AveragePool 1, Conv 1, Dense 1, Relu 1, Reshape 3, ScaleShift 1, Shift 2, Transpose 2"),
    ("split", [4, 9, 11], "Concat 1, Relu 1, Split 2"),
    ("subdiv", [6, 7, 9], "Conv 1"),
    ("subl", [4, 9, 11], "Shift 1"),
    ("sum", [4, 9, 11], "Add 2, Relu 1, Shift 1, Tanh 1"),
    ("transform_input", [3, 5, 7], "Concat 1, Gather 3, Scale 1, ScaleShift 2"),
    ("upsample9", [4, 18, 33], "Resize 1"),
];

#[test]
fn short_chains_become_the_operations_they_should() {
    let mut wrong = Vec::new();
    for (name, [channels, height, width], ops) in CHAINS {
        let graph = read(&format!("tests/fixtures/onnx/ops/{name}.onnx"));
        check_invariants(&graph);
        let shape = graph.shape(graph.output);
        if listed(&graph) != *ops || shape != Shape::new(*channels, *height, *width) {
            wrong.push(format!("{name}: {} {shape}", listed(&graph)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A Pad node of [1, 2, 0, 3] before a convolution with pads [1, 0, 0, 1].
#[test]
fn pads_go_into_the_convolution() {
    let graph = read("tests/fixtures/onnx/ops/padconv.onnx");
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0].op.name()) };
    assert_eq!(conv.pads, [2, 2, 0, 4]);
}

/// The logits are onnxruntime's; `tests/fixtures/onnx/NAME.py` makes both.
fn assert_logits(name: &str, want: [f64; 4]) {
    let model = Model::open(root().join(format!("tests/fixtures/onnx/ops/{name}.onnx"))).unwrap();
    let backend = CpuBackend::new(Precision::F32, Some(1)).unwrap();
    let mut explainer = Explainer::new(&model, Box::new(backend), ExplainOptions::default()).unwrap();
    let image = Tensor::new(&[3, 8, 9], (0..3 * 8 * 9).map(|i| (0.37 * i as f32).sin()).collect());
    let logits = explainer.logits(&image).unwrap().remove(0);
    for (got, want) in logits.iter().zip(want) {
        assert!((got - want).abs() < 1e-5, "{name}: {logits:?}");
    }
}

/// The logits of a network that segments are the means of its map's channels.
#[test]
fn a_map_is_explained_by_class() {
    let path = root().join("data/golden/decoder.onnx");
    let options =
        ImportOptions { precision: Precision::F64, output: Some("conv14".to_owned()), ..ImportOptions::default() };
    let by_class = Model::import(&path, options.clone()).unwrap();
    let by_pixel = Model { graph: load(&path, &options).unwrap(), ..by_class.clone() };
    let map = by_pixel.graph.shape(by_pixel.graph.output);
    assert_eq!((map, by_class.graph.shape(by_class.graph.output)), (Shape::new(8, 24, 28), Shape::new(8, 1, 1)));
    let note = "the output is a map of 24x28 pixels: a class's logit is its mean over all of them";
    assert!(by_class.graph.notes.iter().any(|told| told == note), "{:?}", by_class.graph.notes);
    check_invariants(&by_class.graph);
    let shape = by_class.input();
    let image = (0..shape.len()).map(|i| (0.37 * i as f32).sin()).collect();
    let image = Tensor::new(&[shape.channels, shape.height, shape.width], image);
    let logits = |model: &Model| {
        let backend = Box::new(CpuBackend::new(Precision::F64, Some(1)).unwrap());
        Explainer::new(model, backend, ExplainOptions::default()).unwrap().logits(&image).unwrap().remove(0)
    };
    let (classes, pixels) = (logits(&by_class), logits(&by_pixel));
    assert_eq!(classes.len(), 8);
    for (class, pixels) in classes.iter().zip(pixels.chunks(map.area())) {
        let mean = pixels.iter().sum::<f64>() / map.area() as f64;
        assert!((class - mean).abs() < 1e-12, "{class} is not {mean}");
    }
}

/// A row of boxes or a column of scores is no map.
#[test]
fn what_has_one_row_or_column_is_not_averaged() {
    let graph = read("data/golden/plain.onnx");
    for (shape, nodes) in [([5, 1, 1], 0), ([1, 9, 1], 0), ([1, 1, 9], 0), ([5, 7, 2], 2)] {
        let [channels, height, width] = shape;
        let mut changed = graph.clone();
        changed.values[graph.output.0].shape = Shape::new(channels, height, width);
        changed.average_output();
        assert_eq!(changed.nodes.len(), graph.nodes.len() + nodes, "{shape:?}");
        assert_eq!(changed.notes.len(), graph.notes.len() + nodes / 2, "{shape:?}");
        assert_eq!(changed.output == graph.output, nodes == 0, "{shape:?}");
    }
}

#[test]
fn constants_may_vary_in_space() {
    assert_logits("spatial", [2.582_652_57, -0.484_787_79, 8.393_797_87, 0.188_492_67]);
}

/// PyTorch's newer exporter reads the mean of torchvision's ConvNeXt so.
#[test]
fn a_batch_of_one_may_be_gathered_as_a_row() {
    assert_logits("as_strided", [0.187_988_43, -3.746_439_46, -3.270_931_96, 3.023_590_09]);
}

#[test]
fn slopes_stay_with_their_channels() {
    assert_logits("slopes", [0.784_845_29, 1.648_258_33, 4.496_096_13, -4.553_693_77]);
}

#[test]
fn linear_layers_with_channels_last_are_convolutions() {
    assert_logits("channels_last", [2.475_889_44, -5.182_839_87, -2.844_550_61, -6.035_317_9]);
    let graph = read("tests/fixtures/onnx/ops/channels_last.onnx");
    for name in ["wide", "narrow", "out", "gate", "relu"] {
        let layer = graph.find(name).unwrap();
        assert_eq!([graph.shape(layer).height, graph.shape(layer).width], [4, 4], "{name} has channels first");
        assert!(graph.nodes.iter().any(|node| node.label() == name), "{name} is in the listing");
    }
    // Values before and after what lay between transposes are themselves.
    let [hidden, gelu, narrowed, rectified] =
        ["hidden", "gelu", "narrowed", "rectified"].map(|v| graph.find(v).unwrap());
    assert!(hidden != gelu && narrowed != rectified && graph.shape(hidden) == Shape::new(12, 4, 4));
    let made_by = |value: fluoroscope::graph::ValueId| &graph.nodes[graph.producers()[value.0].unwrap()].op;
    assert!(matches!(made_by(hidden), Op::Conv2d(_)) && matches!(made_by(gelu), Op::Activation(Activation::Gelu)));
}

#[test]
fn layer_norms_between_transposes_are_of_channels() {
    assert_logits("layer_norm", [4.360_203_74, 2.647_575_62, -1.735_652_21, -1.763_499_14]);
}
