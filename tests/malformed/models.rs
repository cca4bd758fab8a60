//! Small models built message by message, sound but for one thing.

use fluoroscope::onnx::proto::attribute_proto::AttributeType;
use fluoroscope::onnx::proto::tensor_proto::DataLocation;
use fluoroscope::onnx::proto::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use fluoroscope::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

pub fn floats(name: &str, dims: &[i64], values: Vec<f32>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(1),
        float_data: values,
        ..Default::default()
    }
}

pub fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![values.len() as i64],
        data_type: Some(7),
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

pub fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        name: Some(format!("the_{op}")),
        input: inputs.iter().map(|&s| s.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes,
        ..Default::default()
    }
}

pub fn attribute_ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = Some(AttributeType::Ints as i32);
    AttributeProto { name: Some(name.to_owned()), r#type: kind, ints: values.to_vec(), ..Default::default() }
}

pub fn attribute_int(name: &str, value: i64) -> AttributeProto {
    let kind = Some(AttributeType::Int as i32);
    AttributeProto { name: Some(name.to_owned()), r#type: kind, i: Some(value), ..Default::default() }
}

pub fn attribute_float(name: &str, value: f32) -> AttributeProto {
    let kind = Some(AttributeType::Float as i32);
    AttributeProto { name: Some(name.to_owned()), r#type: kind, f: Some(value), ..Default::default() }
}

pub fn attribute_text(name: &str, value: &str) -> AttributeProto {
    let kind = Some(AttributeType::String as i32);
    let s = Some(value.to_owned().into());
    AttributeProto { name: Some(name.to_owned()), r#type: kind, s, ..Default::default() }
}

pub fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension { value: Some(Dim::DimValue(size)), ..Default::default() };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(1), shape };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind), ..Default::default() }
}

/// A sound model: x (1, 2, 6, 6) -> convolution 3x3 -> Relu -> Flatten -> dense layer of 2 outputs.
pub fn sound() -> ModelProto {
    let graph = GraphProto {
        node: vec![
            node("Conv", &["x", "w", "b"], "c", vec![attribute_ints("kernel_shape", &[3, 3])]),
            node("Relu", &["c"], "r", vec![]),
            node("Flatten", &["r"], "f", vec![]),
            node("Gemm", &["f", "v", "d"], "y", vec![attribute_int("transB", 1)]),
        ],
        initializer: vec![
            floats("w", &[4, 2, 3, 3], vec![0.5; 72]),
            floats("b", &[4], vec![0.1; 4]),
            floats("v", &[2, 64], vec![0.2; 128]),
            floats("d", &[2], vec![0.0; 2]),
        ],
        input: vec![value("x", &[1, 2, 6, 6])],
        output: vec![value("y", &[1, 2])],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(graph),
        ..Default::default()
    }
}

/// x -> the given nodes -> y, with the given constants.
pub fn chain(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let mut model = sound();
    let graph = model.graph.as_mut().unwrap();
    (graph.node, graph.initializer) = (nodes, constants);
    model
}

pub fn one(op: &str, more: &[&str], attributes: Vec<AttributeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let inputs: Vec<&str> = std::iter::once("x").chain(more.iter().copied()).collect();
    chain(vec![node(op, &inputs, "y", attributes)], constants)
}

pub fn conv_with(attribute: AttributeProto) -> ModelProto {
    let mut model = sound();
    let conv = &mut model.graph.as_mut().unwrap().node[0];
    conv.attribute.retain(|other| other.name != attribute.name);
    conv.attribute.push(attribute);
    model
}

pub fn pool_with(attributes: Vec<AttributeProto>) -> ModelProto {
    one("MaxPool", &[], attributes, vec![])
}

pub fn edited(edit: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = sound();
    edit(model.graph.as_mut().unwrap());
    model
}

pub fn external(entries: &[(&str, &str)]) -> ModelProto {
    edited(|graph| {
        let weight = &mut graph.initializer[0];
        weight.float_data.clear();
        weight.data_location = Some(DataLocation::External as i32);
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        weight.external_data = entries.iter().map(entry).collect();
    })
}
