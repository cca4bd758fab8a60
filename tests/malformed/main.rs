//! Broken and hostile files: each is refused with an error that names what is wrong, and none brings the program down.

mod models;

use std::path::Path;

use fluoroscope::onnx::proto::attribute_proto::AttributeType;
use fluoroscope::onnx::proto::{AttributeProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use fluoroscope::onnx::{ImportError, ImportOptions, load};
use models::*;
use proptest::prelude::*;
use prost::Message;

fn load_bytes(bytes: &[u8], folder: &Path) -> Result<fluoroscope::graph::Graph, ImportError> {
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    load(&path, &ImportOptions::default())
}

fn kind(error: &ImportError) -> &'static str {
    match error {
        ImportError::Io { .. } => "Io",
        ImportError::Decode { .. } => "Decode",
        ImportError::External { .. } => "External",
        ImportError::Tensor { .. } => "Tensor",
        ImportError::Unsupported { .. } => "Unsupported",
        ImportError::Opset { .. } => "Opset",
        ImportError::Graph { .. } => "Graph",
        ImportError::Shape { .. } => "Shape",
        ImportError::Input { .. } => "Input",
        ImportError::Output { .. } => "Output",
    }
}

/// Name, model, kind of error, and a word that its message must hold.
type Case = (&'static str, ModelProto, &'static str, &'static str);

fn check(cases: Vec<Case>) {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, model, want, word) in cases {
        match load_bytes(&model.encode_to_vec(), folder.path()) {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(error) if kind(&error) != want || !error.to_string().contains(word) => {
                wrong.push(format!("{name}: {} {error}", kind(&error)));
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{name}: {error}"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sound_model_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    load_bytes(&sound().encode_to_vec(), folder.path()).unwrap();
}

#[test]
fn bytes_that_are_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = sound().encode_to_vec();
    let refused = |bytes: &[u8]| kind(&load_bytes(bytes, folder.path()).unwrap_err());
    assert_eq!(refused(&bytes[..bytes.len() / 2]), "Decode");
    assert_eq!(refused(&bytes[..bytes.len() - 1]), "Decode");
    assert_eq!(refused(b"GIF89a, not a model"), "Decode");
    assert_eq!(refused(&[0xff; 64]), "Decode");
    assert_eq!(refused(b""), "Decode");
    let empty = load_bytes(b"", folder.path()).unwrap_err().to_string();
    assert!(empty.contains("model.onnx: not an ONNX model") && empty.contains("it is empty"), "{empty}");
    assert!(matches!(load(folder.path(), &ImportOptions::default()), Err(ImportError::Io { .. })));
    assert!(matches!(load(&folder.path().join("none"), &ImportOptions::default()), Err(ImportError::Io { .. })));
    // A graph in an attribute of a node of a graph, 3000 deep: field 7, 1 and 5, 6.
    let mut nested = Vec::new();
    for depth in 0..3000u32 {
        let field = if depth % 3 == 0 {
            6
        } else if depth % 3 == 1 {
            5
        } else {
            1
        };
        let mut outer = vec![field << 3 | 2];
        prost::encode_length_delimiter(nested.len(), &mut outer).unwrap();
        outer.extend(&nested);
        nested = outer;
    }
    let mut model = vec![7 << 3 | 2];
    prost::encode_length_delimiter(nested.len(), &mut model).unwrap();
    model.extend(nested);
    assert_eq!(refused(&model), "Decode");
}

#[test]
fn versions_and_names() {
    let opset = |imports: Vec<OperatorSetIdProto>| ModelProto { opset_import: imports, ..sound() };
    let version = |version: i64| vec![OperatorSetIdProto { domain: None, version: Some(version) }];
    let other = vec![OperatorSetIdProto { domain: Some("ai.onnx.ml".to_owned()), version: Some(3) }];
    check(vec![
        ("no opset", opset(vec![]), "Opset", "opset"),
        ("only another domain", opset(other), "Opset", "opset"),
        ("opset 99", opset(version(99)), "Opset", "99"),
        ("opset 6", opset(version(6)), "Opset", "6"),
        ("negative opset", opset(version(-1)), "Opset", "-1"),
        ("no graph", ModelProto { graph: None, ..sound() }, "Graph", "graph"),
        ("no nodes", edited(|g| g.node.clear()), "Graph", "no nodes"),
        ("no outputs", edited(|g| g.output.clear()), "Graph", "outputs"),
        ("an output that nothing makes", edited(|g| g.output[0].name = Some("z".to_owned())), "Graph", "\"z\""),
        ("a height of 0", edited(|g| g.input = vec![value("x", &[1, 2, 0, 6])]), "Input", "dimension 2 of size 0"),
        ("channels of 0", edited(|g| g.input = vec![value("x", &[0, 0, 6, 6])]), "Input", "dimension 1 of size 0"),
        ("an input that nothing makes", edited(|g| g.node[1].input[0] = "q".to_owned()), "Graph", "\"q\""),
        ("a value made twice", edited(|g| g.node[2].output[0] = "r".to_owned()), "Graph", "defined twice"),
        ("a value made by a weight too", edited(|g| g.node[1].output[0] = "w".to_owned()), "Graph", "defined twice"),
        ("a weight given twice", edited(|g| g.initializer.push(floats("w", &[1], vec![1.0]))), "Tensor", "\"w\""),
        ("a cycle", edited(|g| g.node[0].input[0] = "r".to_owned()), "Graph", "cycle"),
        ("a node that reads itself", edited(|g| g.node[1].input[0] = "r".to_owned()), "Graph", "cycle"),
        (
            "an attribute twice",
            edited(|g| {
                let again = g.node[0].attribute[0].clone();
                g.node[0].attribute.push(again);
            }),
            "Graph",
            "twice",
        ),
        ("two images", edited(|g| g.input.push(value("x2", &[1, 2, 6, 6]))), "Input", "2 inputs"),
        ("no image", edited(|g| g.input.clear()), "Graph", "\"x\""),
        ("an image of rank 2", edited(|g| g.input[0] = value("x", &[1, 6])), "Input", "4 (N, C, H, W)"),
        ("an image of no type", edited(|g| g.input[0].r#type = None), "Input", "tensor"),
        ("an image too large", edited(|g| g.input[0] = value("x", &[1, 2, 1 << 40, 1 << 40])), "Input", "too large"),
        ("open channels", edited(|g| g.input[0] = value("x", &[1, -1, 6, 6])), "Input", "how many channels"),
    ]);
}

#[test]
fn arity_and_attributes() {
    let wrong_type = AttributeProto {
        name: Some("strides".to_owned()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(1.0),
        ..Default::default()
    };
    check(vec![
        ("a convolution without weights", edited(|g| g.node[0].input.truncate(1)), "Graph", "1 inputs"),
        ("an empty required input", edited(|g| g.node[0].input[1].clear()), "Graph", "inputs"),
        ("a Relu of two", edited(|g| g.node[1].input.push("x".to_owned())), "Graph", "2 inputs"),
        ("a Relu without output", edited(|g| g.node[1].output.clear()), "Graph", "0 outputs"),
        ("strides as a float", conv_with(wrong_type), "Graph", "strides"),
        ("pads of length 2", conv_with(attribute_ints("pads", &[1, 1])), "Graph", "2 entries"),
        ("negative pads", conv_with(attribute_ints("pads", &[-1, 0, 0, 0])), "Graph", "pads"),
        ("huge pads", conv_with(attribute_ints("pads", &[i64::MAX, 0, 0, 0])), "Graph", "pads"),
        (
            "pads beyond a kernel's words",
            conv_with(attribute_ints("pads", &[65536, 0, 0, 0])),
            "Graph",
            "between 0 and 65535",
        ),
        ("large pads", conv_with(attribute_ints("pads", &[65535, 65535, 65535, 65535])), "Shape", "result"),
        ("zero stride", conv_with(attribute_ints("strides", &[0, 1])), "Graph", "strides"),
        ("negative stride", conv_with(attribute_ints("strides", &[-2, 1])), "Graph", "strides"),
        ("strides of length 3", conv_with(attribute_ints("strides", &[1, 1, 1])), "Graph", "3 entries"),
        ("zero dilation", conv_with(attribute_ints("dilations", &[0, 0])), "Graph", "dilations"),
        ("dilation beyond the image", conv_with(attribute_ints("dilations", &[100, 100])), "Shape", "does not fit"),
        ("another kernel than the weights", conv_with(attribute_ints("kernel_shape", &[5, 5])), "Shape", "kernel"),
        ("groups that do not divide", conv_with(attribute_int("group", 3)), "Shape", "3 groups"),
        ("no groups", conv_with(attribute_int("group", 0)), "Graph", "group is 0"),
        ("huge groups", conv_with(attribute_int("group", i64::MAX)), "Shape", "groups"),
        ("an unknown auto_pad", conv_with(attribute_text("auto_pad", "FULL")), "Graph", "FULL"),
        ("a pool without kernel", pool_with(vec![]), "Graph", "kernel_shape"),
        ("a kernel of zero", pool_with(vec![attribute_ints("kernel_shape", &[0, 2])]), "Graph", "kernel_shape"),
        ("a huge kernel", pool_with(vec![attribute_ints("kernel_shape", &[i64::MAX, 2])]), "Graph", "kernel_shape"),
        ("a kernel beyond the image", pool_with(vec![attribute_ints("kernel_shape", &[9, 9])]), "Shape", "fit"),
        (
            "pads that hold whole windows",
            pool_with(vec![attribute_ints("kernel_shape", &[2, 2]), attribute_ints("pads", &[2, 2, 2, 2])]),
            "Shape",
            "whole windows",
        ),
    ]);
}

#[test]
fn weights() {
    let weight = |edit: fn(&mut TensorProto)| edited(|graph| edit(&mut graph.initializer[0]));
    let raw = |bytes: usize| {
        edited(|graph| {
            graph.initializer[0].float_data.clear();
            graph.initializer[0].raw_data = Some(vec![0; bytes].into());
        })
    };
    check(vec![
        ("negative dimensions", weight(|w| w.dims = vec![-4, -2, 3, 3]), "Tensor", "negative"),
        ("dimensions that overflow", weight(|w| w.dims = vec![1 << 40, 1 << 40, 3, 3]), "Tensor", "elements"),
        ("dimensions too large", weight(|w| w.dims = vec![1 << 30, 2, 3, 3]), "Tensor", "elements"),
        ("too few numbers", weight(|w| w.float_data.truncate(71)), "Tensor", "71 elements"),
        ("too many numbers", weight(|w| w.float_data.push(0.0)), "Tensor", "73 elements"),
        ("raw bytes too few", raw(287), "Tensor", "287 bytes"),
        ("raw bytes too many", raw(292), "Tensor", "292 bytes"),
        ("raw and typed", weight(|w| w.raw_data = Some(vec![0; 288].into())), "Tensor", "288 bytes"),
        ("no numbers at all", weight(|w| w.float_data.clear()), "Tensor", "0 elements"),
        ("a type that is not known", weight(|w| w.data_type = Some(999)), "Tensor", "999"),
        ("text", weight(|w| w.data_type = Some(8)), "Tensor", "STRING"),
        ("the wrong field", weight(|w| w.data_type = Some(11)), "Tensor", "0 elements"),
        ("NaN", weight(|w| w.float_data[5] = f32::NAN), "Tensor", "element 5"),
        ("infinity", weight(|w| w.float_data[7] = f32::INFINITY), "Tensor", "element 7"),
        ("a bias of another length", edited(|g| g.initializer[1] = floats("b", &[3], vec![0.0; 3])), "Shape", "3"),
        ("weights of rank 3", weight(|w| w.dims = vec![4, 2, 9]), "Graph", "2-d"),
        (
            "no output channels",
            weight(|w| (w.dims, w.float_data) = (vec![0, 2, 3, 3], vec![])),
            "Shape",
            "0 output channels",
        ),
        ("an empty kernel", weight(|w| (w.dims, w.float_data) = (vec![4, 2, 0, 3], vec![])), "Shape", "kernel"),
        ("a dense layer of another size", edited(|g| g.initializer[2].dims = vec![4, 32]), "Shape", "32"),
        (
            "a dense bias of another size",
            edited(|g| g.initializer[3] = floats("d", &[5], vec![0.0; 5])),
            "Shape",
            "[5]",
        ),
    ]);
}

#[test]
fn files_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(folder.path().join("outside.data"), vec![0; 288]).unwrap();
    std::fs::write(inside.join("short.data"), vec![0; 100]).unwrap();
    std::fs::write(inside.join("good.data"), vec![0; 300]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.data", inside.join("link.data")).unwrap();
    let absolute = folder.path().join("outside.data").display().to_string();
    type Entries<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(&str, Entries<'_>, &str)> = vec![
        ("no location", vec![], "no location"),
        ("not there", vec![("location", "none.data")], "none.data"),
        ("parent", vec![("location", "../outside.data")], "below the model"),
        ("hidden parent", vec![("location", "x/../../outside.data")], "below the model"),
        ("absolute", vec![("location", &absolute)], "below the model"),
        ("windows", vec![("location", "..\\outside.data")], "below the model"),
        ("NUL", vec![("location", "good.data\0")], "NUL"),
        #[cfg(unix)]
        ("link", vec![("location", "link.data")], "leads out"),
        ("a folder", vec![("location", ".")], "not a file"),
        ("offset beyond", vec![("location", "good.data"), ("offset", "200")], "dimensions"),
        ("length beyond", vec![("location", "short.data"), ("length", "288")], "beyond its end"),
        ("overflow", vec![("location", "good.data"), ("offset", "18446744073709551615"), ("length", "288")], "beyond"),
        ("negative", vec![("location", "good.data"), ("offset", "-1")], "not a number"),
        ("wrong length", vec![("location", "good.data"), ("length", "284")], "284 bytes"),
    ];
    for (name, entries, word) in cases {
        let error = load_bytes(&external(&entries).encode_to_vec(), &inside).unwrap_err();
        assert!(matches!(kind(&error), "External" | "Tensor"), "{name}: {error}");
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
    let good = external(&[("location", "good.data"), ("offset", "12"), ("length", "288")]);
    load_bytes(&good.encode_to_vec(), &inside).unwrap();
}

#[test]
fn shapes_and_operators() {
    let reshape = |shape: &[i64]| one("Reshape", &["s"], vec![], vec![ints("s", shape)]);
    let slice = |numbers: [i64; 4]| {
        let [start, end, axis, step] = numbers;
        let constants = vec![ints("a", &[start]), ints("e", &[end]), ints("x1", &[axis]), ints("t", &[step])];
        one("Slice", &["a", "e", "x1", "t"], vec![], constants)
    };
    let pad = |pads: &[i64]| one("Pad", &["p"], vec![], vec![ints("p", pads)]);
    let mut flat = one("Flatten", &[], vec![attribute_int("axis", 0)], vec![]);
    flat.graph.as_mut().unwrap().input[0] = value("x", &[0, 2, 6, 6]);
    let shape = |op: &str, constant: TensorProto| {
        chain(vec![node(op, &["k"], "q", vec![]), node("Reshape", &["x", "q"], "y", vec![])], vec![constant])
    };
    check(vec![
        ("a reshape that does not fit", reshape(&[1, 7]), "Shape", "reshape"),
        ("two open dimensions", reshape(&[1, -1, -1]), "Shape", "reshape"),
        ("a reshape that mixes images", reshape(&[2, 36]), "Shape", "mixes"),
        ("a reshape of overflow", reshape(&[1, i64::MAX, i64::MAX]), "Shape", "reshape"),
        ("a reshape to nothing", reshape(&[1, 0, 0, 0, 0, 0, 0]), "Shape", "reshape"),
        ("a squeeze of a wide axis", one("Squeeze", &["s"], vec![], vec![ints("s", &[1])]), "Shape", "squeeze"),
        ("axis 9", one("Unsqueeze", &["s"], vec![], vec![ints("s", &[9])]), "Shape", "axis 9"),
        ("axis i64::MIN", one("Unsqueeze", &["s"], vec![], vec![ints("s", &[i64::MIN])]), "Shape", "axis"),
        ("a flatten of the batch", flat, "Shape", "mixes"),
        (
            "a perm that is none",
            one("Transpose", &[], vec![attribute_ints("perm", &[0, 1, 1, 2])], vec![]),
            "Shape",
            "repeat",
        ),
        (
            "a perm of the batch",
            one("Transpose", &[], vec![attribute_ints("perm", &[1, 0, 2, 3])], vec![]),
            "Shape",
            "batch",
        ),
        ("a step of zero", slice([0, 3, 2, 0]), "Shape", "step 0"),
        ("an empty slice", slice([3, 3, 2, 1]), "Shape", "result"),
        ("a slice of axis 7", slice([0, 1, 7, 1]), "Shape", "axis 7"),
        ("a slice by i64::MIN", slice([i64::MIN, i64::MAX, 2, i64::MIN]), "Shape", "step"),
        (
            "a gather beyond",
            one("Gather", &["s"], vec![attribute_int("axis", 1)], vec![ints("s", &[2])]),
            "Shape",
            "outside",
        ),
        ("pads of the batch", pad(&[1, 0, 0, 0, 0, 0, 0, 0]), "Shape", "batch"),
        ("pads too few", pad(&[1, 1]), "Shape", "2 pads"),
        ("pads that overflow", pad(&[0, 0, i64::MAX, 0, 0, 0, i64::MAX, 0]), "Shape", "pads"),
        ("pads that crop all", pad(&[0, 0, -9, 0, 0, 0, 0, 0]), "Shape", "pads"),
        (
            "operands that do not broadcast",
            one("Add", &["k"], vec![], vec![floats("k", &[5], vec![1.0; 5])]),
            "Shape",
            "broadcast",
        ),
        ("a division by zero", one("Div", &["k"], vec![], vec![floats("k", &[1], vec![0.0])]), "Tensor", "finite"),
        (
            "an expansion too large",
            one("Expand", &["s"], vec![], vec![ints("s", &[1, 2, 1 << 30, 1 << 30])]),
            "Shape",
            "expand",
        ),
        ("a constant too large", shape("ConstantOfShape", ints("k", &[1 << 20, 1 << 20])), "Shape", "constant"),
        ("operators that nobody knows", one("Frobnicate", &[], vec![], vec![]), "Unsupported", "Frobnicate x1"),
        (
            "bounds the wrong way round",
            one("Clip", &["l", "h"], vec![], vec![floats("l", &[], vec![1.0]), floats("h", &[], vec![0.0])]),
            "Graph",
            "bounds",
        ),
        (
            "a resize to nothing",
            one("Resize", &["", "s"], vec![], vec![floats("s", &[4], vec![1.0, 1.0, 0.01, 0.01])]),
            "Shape",
            "result",
        ),
        (
            "a resize of NaN",
            one("Resize", &["", "s"], vec![], vec![floats("s", &[4], vec![1.0, 1.0, f32::NAN, 1.0])]),
            "Shape",
            "range",
        ),
    ]);
}

/// The scale of a layer normalisation is a vector of the last axis, which alone is normalised.
#[test]
fn layer_norms_over_other_axes() {
    let norm = |attribute: AttributeProto, count: usize| {
        let scale = floats("s", &[count as i64], vec![1.0; count]);
        one("LayerNormalization", &["s"], vec![attribute], vec![scale])
    };
    check(vec![
        ("three axes", norm(attribute_int("axis", 1), 6), "Unsupported", "over axes 1 to 3"),
        ("the batch", norm(attribute_int("axis", 0), 6), "Unsupported", "over axes 0 to 3"),
        ("no such axis", norm(attribute_int("axis", 4), 6), "Shape", "axis 4"),
        ("short scale", norm(attribute_int("axis", -1), 5), "Shape", "5 numbers for 6 channels"),
        ("no epsilon", norm(attribute_float("epsilon", 0.0), 6), "Graph", "its epsilon is 0"),
        ("epsilon below zero", norm(attribute_float("epsilon", -1.0), 6), "Graph", "its epsilon is -1"),
    ]);
}

#[test]
fn all_unsupported_operators_are_listed_at_once() {
    let custom = NodeProto { domain: Some("com.example".to_owned()), ..node("Blend", &["e"], "y", vec![]) };
    let nodes = vec![
        node("LRN", &["x"], "a", vec![]),
        node("LRN", &["a"], "a2", vec![]),
        NodeProto { name: Some("/norm/LRN".to_owned()), ..node("LRN", &["a2"], "a3", vec![]) },
        NodeProto { name: Some("/late/LRN".to_owned()), ..node("LRN", &["a3"], "a4", vec![]) },
        node("Relu", &["a4"], "r", vec![]),
        node("Cosh", &["r"], "b", vec![]),
        // Known, of constants alone: of sizes it would be one.
        node("Abs", &["b"], "b2", vec![]),
        node("Shape", &["r"], "s", vec![]),
        node("Floor", &["s"], "f", vec![]),
        node("Expand", &["b2", "f"], "e", vec![]),
        custom,
        node("Sinh", &["x"], "unused", vec![]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let error = load_bytes(&chain(nodes, vec![]).encode_to_vec(), folder.path()).unwrap_err();
    let (text, whole) = (error.to_string(), format!("{error:#}"));
    let ImportError::Unsupported { ops } = error else { panic!("{text}") };
    assert_eq!(
        ops.iter().map(|op| (op.op.as_str(), op.nodes.len())).collect::<Vec<_>>(),
        [("LRN", 4), ("Cosh", 1), ("Abs", 1), ("Blend", 1)]
    );
    assert!(text.contains("name those with --logits"), "{text}");
    assert!(text.contains("LRN x4: ") && text.contains("com.example.Blend x1") && !text.contains("Sinh"), "{text}");
    assert!(text.contains("/norm/LRN in norm, .., Cosh x1") && !text.contains("/late/LRN"), "three are named: {text}");
    assert!(whole.contains("/late/LRN in late, Cosh x1"), "all are named: {whole}");
}

#[test]
fn a_tail_without_rules_is_cut_at_the_last_layer() {
    let mut model = sound();
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(node("Sigmoid", &["y"], "p", vec![]));
    graph.node.push(node("NonZero", &["p"], "n", vec![]));
    graph.output = vec![value("n", &[1])];
    let folder = tempfile::tempdir().unwrap();
    let graph = load_bytes(&model.encode_to_vec(), folder.path()).unwrap();
    assert_eq!(graph.value(graph.output).name, "y");
    assert!(graph.notes.iter().any(|note| note.contains("ends in y")), "{:?}", graph.notes);
}

#[test]
fn nodes_in_any_order_are_sorted() {
    let mut model = sound();
    model.graph.as_mut().unwrap().node.reverse();
    let folder = tempfile::tempdir().unwrap();
    let graph = load_bytes(&model.encode_to_vec(), folder.path()).unwrap();
    assert_eq!(graph.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>(), ["Conv", "Relu", "Dense"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_model_panics(
        file in prop::sample::select(vec!["golden/decoder", "golden/smooth-gates", "golden/densenet", "golden/odd-convs"]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
        near_the_end in any::<bool>(),
    ) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/{file}.onnx"));
        let mut bytes = std::fs::read(path).unwrap();
        for (at, byte, how) in edits {
            // Nodes come first in these files, shapes last; weights in between are dull.
            let at = at.index(bytes.len().min(6000));
            let at = if near_the_end { bytes.len() - 1 - at } else { at };
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                _ => bytes[at] = bytes[at].wrapping_add(1),
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let _ = load_bytes(&bytes, folder.path());
    }
}
