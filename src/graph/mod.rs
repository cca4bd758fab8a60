//! The network as data: typed operations over named values, in topological order.
//!
//! A graph has one image input and one output, the logits. Shapes are those of one image; the batch is
//! whatever the caller brings. Constants live inside the operations, so an edge is always an activation.

mod activation;
mod constant;
mod op;

use std::collections::HashMap;

pub use activation::Activation;
pub use constant::{Constant, Precision};
pub use op::{Affine, AffineKind, Conv2d, ConvKind, Op, Pool, PoolKind, Rearrange, Resize, ResizeMode, SpaceToDepth};

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Shape of a value for one image; vectors have height and width 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Cells of one channel.
    pub const fn area(&self) -> usize {
        self.height * self.width
    }

    /// Elements of one image.
    pub const fn len(&self) -> usize {
        self.channels * self.area()
    }

    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub const fn is_spatial(&self) -> bool {
        self.area() > 1
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// An activation tensor: the input image, or the output of one node.
#[derive(Clone, Debug)]
pub struct Value {
    pub name: String,
    pub shape: Shape,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
    /// The name in the file.
    pub name: String,
    /// Dotted module path, such as `layer4.1.conv2`; empty where the file does not say.
    pub path: String,
}

impl Node {
    /// What errors and listings call this node: its layer path, else its name.
    pub fn label(&self) -> &str {
        if self.path.is_empty() { &self.name } else { &self.path }
    }
}

/// A network from one image to logits.
#[derive(Clone, Debug)]
pub struct Graph {
    pub values: Vec<Value>,
    /// In topological order; every value but the input is the output of exactly one node.
    pub nodes: Vec<Node>,
    pub input: ValueId,
    pub output: ValueId,
    pub precision: Precision,
    /// Names in the file (values and nodes) that canonisation merged into another value.
    pub aliases: HashMap<String, ValueId>,
    /// What canonisation did that a reader should know, e.g. that a softmax was cut.
    pub notes: Vec<String>,
}

impl Graph {
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    pub fn shape(&self, id: ValueId) -> Shape {
        self.values[id.0].shape
    }

    /// For every value, the index of the node that makes it; `None` for the input.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            producers[node.output.0] = Some(i);
        }
        producers
    }

    /// For every value, the nodes that read it, one entry per use.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.values.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                users[input.0].push(i);
            }
        }
        users
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.nodes.iter().map(|node| node.op.parameters()).sum()
    }

    /// The value a user means by `name`: a layer path (its last node), a node name or a value name.
    ///
    /// # Errors
    /// A list of the nearest names when there is none.
    pub fn find(&self, name: &str) -> Result<ValueId, UnknownLayer> {
        if let Some(i) = self.values.iter().position(|value| value.name == name) {
            return Ok(ValueId(i));
        }
        if let Some(node) = self.nodes.iter().find(|node| node.name == name) {
            return Ok(node.output);
        }
        if let Some(&id) = self.aliases.get(name) {
            return Ok(id);
        }
        let inside =
            |node: &&Node| node.path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some(node) = self.nodes.iter().rfind(inside) {
            return Ok(node.output);
        }
        let mut names: Vec<&str> =
            self.layer_paths().into_iter().chain(self.nodes.iter().map(|n| n.name.as_str())).collect();
        names.sort_by_key(|known| crate::suggest::distance(known, name));
        names.dedup();
        let nearest = names.into_iter().take(3).map(str::to_owned).collect();
        Err(UnknownLayer { name: name.to_owned(), nearest })
    }

    /// Every module path and every prefix of one, in order of first appearance.
    pub fn layer_paths(&self) -> Vec<&str> {
        let mut seen = std::collections::HashSet::new();
        let mut paths = Vec::new();
        for node in &self.nodes {
            let ends = node.path.match_indices('.').map(|(i, _)| i).chain([node.path.len()]);
            for path in ends.map(|end| &node.path[..end]) {
                if !path.is_empty() && seen.insert(path) {
                    paths.push(path);
                }
            }
        }
        paths
    }

    /// Ends a network whose output is a map, such as one that segments, in each channel's mean over the map: a channel is a
    /// class of its pixels, and a heatmap is that of a class, wherever it is. What has one row or column is no map.
    pub fn average_output(&mut self) {
        let shape = self.shape(self.output);
        if shape.height == 1 || shape.width == 1 {
            return;
        }
        self.notes.push(format!(
            "the output is a map of {}x{} pixels: a class's logit is its mean over all of them",
            shape.height, shape.width
        ));
        // Row by row first: a single window over a large map would be one sum for a channel, and nothing to do side by side.
        let map = self.value(self.output).name.clone();
        let steps = [("rows", [1, shape.width], [shape.height, 1]), ("mean", [shape.height, 1], [1, 1])];
        for (what, kernel, [height, width]) in steps {
            let (name, output) = (format!("{map}.{what}"), ValueId(self.values.len()));
            let op = Op::Pool(Pool::unpadded(PoolKind::Average { include_pad: false }, kernel));
            self.values.push(Value { name: name.clone(), shape: Shape::new(shape.channels, height, width) });
            self.nodes.push(Node { op, inputs: vec![self.output], output, name, path: String::new() });
            self.output = output;
        }
    }

    /// The output of the last activation with spatial extent, or of the concatenation that joins the last ones; else of
    /// the last spatial node that is no pool: Grad-CAM's default layer.
    pub fn last_spatial_activation(&self) -> Option<ValueId> {
        let spatial = |node: &&Node| self.shape(node.output).is_spatial();
        let active = |node: &&Node| matches!(node.op, Op::Activation(_) | Op::Concat);
        let activation = self.nodes.iter().rev().filter(spatial).find(active);
        let layer = |node: &&Node| spatial(node) && !matches!(node.op, Op::Pool(_));
        activation.or_else(|| self.nodes.iter().rfind(layer)).map(|node| node.output)
    }
}

/// A `--layer` that names nothing in the graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no layer, node or value is called {name:?}; the nearest are {}; `fluoroscope inspect MODEL` lists all", nearest.join(", "))]
pub struct UnknownLayer {
    pub name: String,
    pub nearest: Vec<String>,
}
