use super::forward::{forward_kernel, keeps_zero};
use crate::graph::{Activation, Affine, Graph, Op, PoolKind, ValueId};
use crate::program::Layout;

/// A run of nodes that one kernel computes.
pub struct Chain {
    /// Each is the only user of the one before.
    pub nodes: Vec<usize>,
    /// Place in `nodes` of the one whose kernel it is: those before it are the prologue, those after it stages.
    pub anchor: usize,
}

/// All nodes in chains. An elementwise node joins the kernel before it; where there is none that it could join, the
/// kernel after it.
pub struct Chains {
    pub chains: Vec<Chain>,
    /// The chain of each node; `None` for concatenations, which no kernel computes.
    pub of: Vec<Option<usize>>,
}

/// Stages of the forward part that one kernel takes.
const LONGEST: usize = 4;

impl Chains {
    pub fn new(graph: &Graph, layouts: &[Layout]) -> Self {
        let users = graph.users();
        let mut found = Self { chains: Vec::new(), of: vec![None; graph.nodes.len()] };
        for first in 0..graph.nodes.len() {
            if found.of[first].is_some() || matches!(graph.nodes[first].op, Op::Concat) {
                continue;
            }
            let mut nodes = found.stages(graph, &users, first);
            let mut anchor = 0;
            if let Some(next) = found.next(graph, &users, nodes[nodes.len() - 1])
                && is_prologue(graph, layouts, &nodes, next)
            {
                anchor = nodes.len();
                nodes.extend(found.stages(graph, &users, next));
            }
            for &node in &nodes {
                found.of[node] = Some(found.chains.len());
            }
            found.chains.push(Chain { nodes, anchor });
        }
        found
    }

    /// A node, then those that can be its stages.
    fn stages(&self, graph: &Graph, users: &[Vec<usize>], anchor: usize) -> Vec<usize> {
        let mut nodes = vec![anchor];
        while nodes.len() < LONGEST {
            let last = nodes[nodes.len() - 1];
            match self.next(graph, users, last) {
                Some(next) if is_stage(graph, next, graph.nodes[last].output) => nodes.push(next),
                _ => break,
            }
        }
        nodes
    }

    /// The only user of what a node computes, unless it has a chain already.
    fn next(&self, graph: &Graph, users: &[Vec<usize>], node: usize) -> Option<usize> {
        let output = graph.nodes[node].output;
        let [next] = users[output.0][..] else { return None };
        (self.of[next].is_none() && output != graph.output).then_some(next)
    }

    fn place(&self, node: usize) -> Option<(&Chain, usize)> {
        let chain = &self.chains[self.of[node]?];
        Some((chain, chain.nodes.iter().position(|&n| n == node)?))
    }

    /// The value is computed and consumed inside one chain.
    pub fn is_inside(&self, node: usize) -> bool {
        self.place(node).is_some_and(|(chain, at)| at + 1 < chain.nodes.len())
    }

    /// The node belongs to the prologue of a chain.
    pub fn is_prologue(&self, node: usize) -> bool {
        self.place(node).is_some_and(|(chain, at)| at < chain.anchor)
    }

    /// The scale and shift of a prologue that compute `value`, and the stored value that they compute it from.
    pub fn scaled<'g>(&self, graph: &'g Graph, value: ValueId) -> Option<(&'g Affine, ValueId)> {
        let at = graph.nodes.iter().position(|node| node.output == value)?;
        match &graph.nodes[at].op {
            Op::Affine(affine) if self.is_prologue(at) => Some((affine, graph.nodes[at].inputs[0])),
            _ => None,
        }
    }
}

/// Node `next` can be a stage on `value`, one of its inputs of full shape.
fn is_stage(graph: &Graph, next: usize, value: ValueId) -> bool {
    let node = &graph.nodes[next];
    let keeps_shape = graph.shape(value) == graph.shape(node.output);
    match node.op {
        Op::Activation(_) | Op::Affine(_) => true,
        Op::Add { .. } | Op::Mul => keeps_shape && node.inputs[0] != node.inputs[1],
        _ => false,
    }
}

/// The kernel of node `next` can do these nodes as it loads: a scale and shift, an activation, or one, then the other.
fn is_prologue(graph: &Graph, layouts: &[Layout], nodes: &[usize], next: usize) -> bool {
    let next = &graph.nodes[next];
    let window = match &next.op {
        Op::Conv2d(conv) if forward_kernel(conv).loads_through(0) => conv.kernel,
        Op::Pool(pool) if pool.kind != PoolKind::Max => pool.kernel,
        _ => return false,
    };
    let loads = graph.shape(next.output).area() * window[0] * window[1];
    let once = loads <= graph.shape(next.inputs[0]).area();
    let dense = !layouts[next.inputs[0].0].has_padding();
    let loadable = |activation: &Activation| match activation {
        Activation::PRelu { .. } => false,
        // Every load computes it again.
        smooth if !smooth.is_two_valued() && !once => false,
        activation => dense || keeps_zero(activation),
    };
    let ops: Vec<&Op> = nodes.iter().map(|&i| &graph.nodes[i].op).collect();
    match ops[..] {
        [Op::Affine(_)] => true,
        [Op::Activation(activation)] | [Op::Affine(_), Op::Activation(activation)] => loadable(activation),
        _ => false,
    }
}
