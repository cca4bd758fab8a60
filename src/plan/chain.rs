use crate::graph::{Graph, Op};

/// Runs of nodes that one kernel computes: an anchor, then elementwise nodes that each are the only user of the one
/// before and become stages.
pub struct Chains {
    /// Nodes of each chain, anchor first.
    pub chains: Vec<Vec<usize>>,
    /// The chain of each node; `None` for concatenations, which no kernel computes.
    pub of: Vec<Option<usize>>,
}

/// Stages of the forward part that one kernel takes.
const LONGEST: usize = 4;

impl Chains {
    pub fn new(graph: &Graph) -> Self {
        let users = graph.users();
        let mut found = Self { chains: Vec::new(), of: vec![None; graph.nodes.len()] };
        for anchor in 0..graph.nodes.len() {
            if found.of[anchor].is_some() || matches!(graph.nodes[anchor].op, Op::Concat) {
                continue;
            }
            let mut chain = vec![anchor];
            while chain.len() < LONGEST {
                let last = &graph.nodes[chain[chain.len() - 1]];
                let [next] = users[last.output.0][..] else { break };
                if found.of[next].is_some() || last.output == graph.output || !is_stage(graph, next, last.output) {
                    break;
                }
                chain.push(next);
            }
            for &node in &chain {
                found.of[node] = Some(found.chains.len());
            }
            found.chains.push(chain);
        }
        found
    }

    /// The value is computed and consumed inside one chain.
    pub fn is_inside(&self, node: usize) -> bool {
        self.of[node].is_some_and(|chain| self.chains[chain].last() != Some(&node))
    }
}

/// Node `next` can be a stage on `value`, one of its inputs of full shape.
fn is_stage(graph: &Graph, next: usize, value: crate::graph::ValueId) -> bool {
    let node = &graph.nodes[next];
    let keeps_shape = graph.shape(value) == graph.shape(node.output);
    match node.op {
        Op::Activation(_) | Op::Affine(_) => true,
        Op::Add { .. } | Op::Mul => keeps_shape && node.inputs[0] != node.inputs[1],
        _ => false,
    }
}
