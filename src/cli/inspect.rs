//! `fluoroscope inspect`: what a model is made of, and what will happen to it, before anything runs.

use serde_json::{Value, json};

use super::args::InspectArgs;
use super::console::Console;
use super::engine;
use super::failure::{DONE, Failure};
use super::options::{method, precision, rules};
use super::table::{Align, Table, bytes, prefixed};
use crate::graph::{ConvKind, Graph, Node, Op};
use crate::method::MethodChoice;
use crate::model::{Model, Probability};
use crate::onnx::ImportOptions;
use crate::plan::Batch;
use crate::program::Program;
use crate::rule::{Rule, RuleOptions};

/// Bytes that a program needs besides the weights.
struct Memory {
    per_image: usize,
    fixed: usize,
}

/// Everything that is shown.
struct Inspection {
    model: Model,
    choice: Option<MethodChoice>,
    rules: Option<Vec<Rule>>,
    layer: Option<String>,
    program: Program,
    memory: Memory,
}

/// Prints the inspection.
pub fn run(args: InspectArgs, console: &Console) -> Result<u8, Failure> {
    let choice = args.method.as_deref().map(method).transpose()?;
    let options = rules(&args.rules)?;
    let import = ImportOptions { precision: precision(args.precision), output: args.logits, input_size: None };
    let model = engine::model(&args.model, import, console)?;
    let found = Inspection::new(model, choice, args.layer.as_deref(), &options)?;
    if args.json {
        console.line(&format!("{:#}", found.json(args.program)));
    } else {
        found.text(args.program).iter().for_each(|line| console.line(line));
    }
    Ok(DONE)
}

impl Inspection {
    fn new(
        model: Model,
        choice: Option<MethodChoice>,
        layer: Option<&str>,
        options: &RuleOptions,
    ) -> Result<Self, Failure> {
        let reads_layer = choice.is_some_and(|choice| choice.method.readout.needs_layer());
        // Whoever looks for the name of a layer may have a card with a wrong one.
        let layer = if reads_layer || layer.is_some() { engine::layer(&model, layer)? } else { None };
        let choices: Vec<MethodChoice> = choice.into_iter().collect();
        let program = engine::plan(&model, &choices, layer, options, Batch::of(1))?;
        let two = engine::plan(&model, &choices, layer, options, Batch::of(2))?;
        let float = model.graph.precision.arithmetic().bytes();
        let per_image = two.slot_bytes(float) - program.slot_bytes(float);
        let memory = Memory { per_image, fixed: program.slot_bytes(float).saturating_sub(per_image) };
        let rules = choice.map(|choice| choice.method.composite.assign(&model.graph, options));
        let layer = layer.filter(|_| reads_layer).map(|layer| model.graph.value(layer).name.clone());
        Ok(Self { model, choice, rules, layer, program, memory })
    }

    fn weight_bytes(&self) -> usize {
        self.model.graph.parameters() * self.model.graph.precision.bytes()
    }

    fn text(&self, program: bool) -> Vec<String> {
        let (model, graph) = (&self.model, &self.model.graph);
        let mut lines = vec![title(model)];
        let outputs = graph.shape(graph.output).len();
        let kind = match model.probability {
            Probability::Softmax => "classes that exclude each other",
            Probability::Sigmoid => "independent classes",
        };
        lines.push(format!("input       {} {}", graph.value(graph.input).name, model.input()));
        lines.push(format!("outputs     {outputs} {kind}{}", class_names(&model.classes)));
        lines.push(format!("nodes       {}", graph.nodes.len()));
        lines.push(format!("parameters  {} ({})", graph.parameters(), bytes(self.weight_bytes())));
        lines.push(format!("forward     {}FLOP an image (2 x multiply-adds)", prefixed(flops(graph) as f64)));
        let what = self.choice.map_or_else(|| "forward pass".to_owned(), |choice| choice.to_string());
        let Memory { per_image, fixed } = self.memory;
        let rest = if fixed > 0 { format!(" and {} once", bytes(fixed)) } else { String::new() };
        lines.push(format!("memory      {} an image{rest} ({what}; weights not counted)", bytes(per_image)));
        lines.extend(self.layer.as_ref().map(|layer| format!("layer       {layer}")));
        lines.extend(graph.notes.iter().map(|note| format!("note        {note}")));
        lines.push(String::new());
        lines.extend(self.nodes());
        if program {
            lines.push(String::new());
            lines.extend(self.program.to_string().lines().map(str::to_owned));
        }
        lines
    }

    /// The layer tree with a line for every node.
    fn nodes(&self) -> Vec<String> {
        let graph = &self.model.graph;
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut open: Vec<&str> = Vec::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            let parts: Vec<&str> = node.path.split('.').filter(|part| !part.is_empty()).collect();
            let modules = &parts[..parts.len().saturating_sub(1)];
            let common = open.iter().zip(modules).take_while(|(a, b)| a == b).count();
            for (depth, module) in modules.iter().enumerate().skip(common) {
                let mut row = vec![format!("{}{module}", "  ".repeat(depth))];
                row.resize(6, String::new());
                rows.push(row);
            }
            open = modules.to_vec();
            rows.push(self.node_row(i, node, modules.len(), parts.last().copied()));
        }
        let columns = [("layer", Align::Left, 5), ("operation", Align::Left, 9), ("output", Align::Left, 6)];
        let numbers = [("parameters", Align::Right, 10), ("FLOP", Align::Right, 8)];
        let rule = self.rules.is_some().then_some(("rule", Align::Left, 8));
        let table = Table::new(&columns.into_iter().chain(numbers).chain(rule).collect::<Vec<_>>()).fit(&rows, 48);
        std::iter::once(table.header()).chain(rows.iter().map(|row| table.row(row))).collect()
    }

    fn node_row(&self, i: usize, node: &Node, depth: usize, own: Option<&str>) -> Vec<String> {
        let graph = &self.model.graph;
        let name = own.unwrap_or(&node.name);
        let some = |n: usize| if n == 0 { String::new() } else { prefixed(n as f64) };
        vec![
            format!("{}{name}", "  ".repeat(depth)),
            operation(&node.op),
            graph.shape(node.output).to_string(),
            some(node.op.parameters()),
            some(node_flops(graph, node)),
            self.rules.as_ref().map_or_else(String::new, |rules| rules[i].name().to_owned()),
        ]
    }

    fn json(&self, program: bool) -> Value {
        let (model, graph) = (&self.model, &self.model.graph);
        let node = |(i, node): (usize, &Node)| {
            json!({
                "path": node.path,
                "name": node.name,
                "operation": node.op.name(),
                "inputs": node.inputs.iter().map(|id| &graph.value(*id).name).collect::<Vec<_>>(),
                "output": graph.value(node.output).name,
                "shape": shape(graph, node),
                "parameters": node.op.parameters(),
                "flops": node_flops(graph, node),
                "rule": self.rules.as_ref().map(|rules| rules[i].name()),
            })
        };
        let input = model.input();
        let mut object = json!({
            "model": model.path,
            "title": model.card.as_ref().and_then(|card| card.title.clone()),
            "input": { "name": graph.value(graph.input).name, "shape": [input.channels, input.height, input.width] },
            "classes": model.classes,
            "outputs": graph.shape(graph.output).len(),
            "independent": model.probability == Probability::Sigmoid,
            "precision": graph.precision.to_string(),
            "parameters": graph.parameters(),
            "flops": flops(graph),
            "memory": {
                "weights": self.weight_bytes(),
                "per_image": self.memory.per_image,
                "fixed": self.memory.fixed,
            },
            "method": self.choice.map(|choice| choice.to_string()),
            "layer": self.layer,
            "notes": graph.notes,
            "layers": graph.layer_paths(),
            "nodes": graph.nodes.iter().enumerate().map(node).collect::<Vec<_>>(),
        });
        if program {
            object["program"] = json!(self.program.to_string().lines().collect::<Vec<_>>());
        }
        object
    }
}

fn title(model: &Model) -> String {
    let name = model.path.display();
    let title = model.card.as_ref().and_then(|card| card.title.as_deref());
    title.map_or_else(|| name.to_string(), |title| format!("{name}: {title}"))
}

fn class_names(classes: &[String]) -> String {
    match classes {
        [] => String::new(),
        few if few.len() <= 6 => format!(": {}", few.join(", ")),
        [first, second, .., last] => format!(": {first}, {second} .. {last}"),
        _ => String::new(),
    }
}

fn shape(graph: &Graph, node: &Node) -> [usize; 3] {
    let shape = graph.shape(node.output);
    [shape.channels, shape.height, shape.width]
}

/// The operation with what tells it from others of its name.
fn operation(op: &Op) -> String {
    match op {
        Op::Conv2d(conv) if conv.kind != ConvKind::Dense => {
            let [h, w] = conv.kernel;
            let stride = if conv.stride == [1, 1] { String::new() } else { format!(" / {}", conv.stride[0]) };
            let groups = if conv.groups == 1 { String::new() } else { format!(" groups {}", conv.groups) };
            format!("{} {h}x{w}{stride}{groups}", op.name())
        }
        Op::Pool(pool) => format!("{} {}x{} / {}", op.name(), pool.kernel[0], pool.kernel[1], pool.stride[0]),
        _ => op.name().to_owned(),
    }
}

fn flops(graph: &Graph) -> usize {
    graph.nodes.iter().map(|node| node_flops(graph, node)).sum()
}

/// Two for each multiply-add of convolutions and dense layers; windows that hang over the edge count in full.
fn node_flops(graph: &Graph, node: &Node) -> usize {
    let Op::Conv2d(conv) = &node.op else { return 0 };
    let cells = match conv.kind {
        ConvKind::Transposed => graph.shape(node.inputs[0]).area(),
        ConvKind::Conv | ConvKind::Dense => graph.shape(node.output).area(),
    };
    2 * conv.weight.len() * cells
}
