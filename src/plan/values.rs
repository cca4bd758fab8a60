//! Where the values of a graph lie: layouts, buffers, concatenations in place.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::chain::Chains;
use crate::graph::{ConvKind, Graph, Op, ValueId};
use crate::program::{Buffer, BufferId, Element, Layout, Per, View};

/// The channel layout of every value.
pub fn layouts(graph: &Graph) -> Vec<Layout> {
    let mut layouts: Vec<Layout> = graph.values.iter().map(|value| Layout::dense(value.shape.channels)).collect();
    // Activations of up to 4 channels still take a full vector; only the image is narrow.
    for (i, value) in graph.values.iter().enumerate() {
        if ValueId(i) != graph.input && value.shape.channels <= 4 {
            layouts[i].segments[0].padded = 8;
        }
    }
    for node in &graph.nodes {
        let full = node.inputs.iter().find(|input| graph.shape(**input) == graph.shape(node.output));
        let layout = match (&node.op, full) {
            (Op::Concat, _) => Some(Layout::concat(node.inputs.iter().map(|input| &layouts[input.0]))),
            (Op::Activation(_) | Op::Affine(_) | Op::LayerNorm { .. } | Op::Pool(_) | Op::Resize(_), _) => {
                Some(layouts[node.inputs[0].0].clone())
            }
            // A filter for each lane: holes stay where they are.
            (Op::Conv2d(conv), _) if conv.is_depthwise() => Some(layouts[node.inputs[0].0].clone()),
            (Op::Add { .. } | Op::Mul, Some(full)) => Some(layouts[full.0].clone()),
            _ => None,
        };
        if let Some(layout) = layout {
            layouts[node.output.0] = layout;
        }
    }
    layouts
}

/// The buffers of one forward pass: of the images, or of the references.
pub struct Side {
    /// View of every value.
    views: Vec<View>,
    /// Values inside a chain that somebody reads.
    kept: Vec<Cell<bool>>,
    /// Sign bits of activation nodes and winners of max-pool nodes that somebody reads.
    pub bits: RefCell<BTreeMap<usize, View>>,
    pub winners: RefCell<BTreeMap<usize, View>>,
}

impl Side {
    /// A buffer for every value that is not a part of another; members of concatenations are written in place where
    /// no step would then read the buffer it writes.
    pub fn new(graph: &Graph, layouts: &[Layout], chains: &Chains, per: Per, buffers: &mut Vec<Buffer>) -> Self {
        let mut place: Vec<Option<(ValueId, usize)>> = vec![None; graph.values.len()];
        let producers = graph.producers();
        for node in graph.nodes.iter().rev().filter(|node| matches!(node.op, Op::Concat)) {
            let mut offset = 0;
            for &member in &node.inputs {
                let whole = producers[member.0].is_some_and(|producer| !chains.is_inside(producer));
                if whole && place[member.0].is_none() && member != graph.output {
                    place[member.0] = Some((node.output, offset));
                }
                offset += layouts[member.0].physical();
            }
        }
        unplace_conflicts(graph, layouts, chains, &producers, &mut place);

        let mut views = vec![View { buffer: BufferId(0), offset: 0, channels: 0 }; graph.values.len()];
        // Outer concatenations come later in the graph, so their buffers exist before those of their members.
        for i in (0..graph.values.len()).rev() {
            let channels = layouts[i].physical();
            if place[i].is_none() {
                let value = &graph.values[i];
                let (height, width) = (value.shape.height, value.shape.width);
                let buffer = BufferId(buffers.len());
                let (name, element) = (value.name.clone(), Element::from(graph.precision));
                buffers.push(Buffer { name, per, element, height, width, channels });
                views[i] = View { buffer, offset: 0, channels };
            }
        }
        for i in 0..graph.values.len() {
            let (root, offset) = root_of(&place, ValueId(i));
            let channels = layouts[i].physical();
            views[i] = View { buffer: views[root.0].buffer, offset, channels };
        }
        Self {
            views,
            kept: vec![Cell::new(false); graph.values.len()],
            bits: RefCell::default(),
            winners: RefCell::default(),
        }
    }

    /// Where a value lies, for somebody who reads it.
    pub fn read(&self, value: ValueId) -> View {
        self.kept[value.0].set(true);
        self.views[value.0]
    }

    /// Where a value lies.
    pub fn view(&self, value: ValueId) -> View {
        self.views[value.0]
    }

    pub fn is_kept(&self, value: ValueId) -> bool {
        self.kept[value.0].get()
    }

    /// The bits of an activation node, for somebody who reads them. A pixel's begin with a word of 32: what writes them whole shares
    /// none with another pixel. Where a dense layer reads the values they lie as these do, for its message takes a map as one pixel.
    pub fn read_bits(&self, graph: &Graph, node: usize, buffers: &mut Vec<Buffer>) -> View {
        let output = graph.nodes[node].output;
        let is_dense = |op: &Op| matches!(op, Op::Conv2d(conv) if conv.kind == ConvKind::Dense);
        let lies_flat = graph.nodes.iter().any(|reader| is_dense(&reader.op) && reader.inputs.contains(&output));
        let run = if lies_flat { 1 } else { 32 };
        let like = self.views[output.0];
        *self.bits.borrow_mut().entry(node).or_insert_with(|| side_buffer(like, Element::Bits, run, buffers))
    }

    /// The winners of a max-pool node, for somebody who reads them.
    pub fn read_winners(&self, node: usize, output: ValueId, buffers: &mut Vec<Buffer>) -> View {
        let like = self.views[output.0];
        *self.winners.borrow_mut().entry(node).or_insert_with(|| side_buffer(like, Element::Index, 1, buffers))
    }
}

/// A buffer beside a value's, whose pixels take a multiple of `run` channels.
fn side_buffer(like: View, element: Element, run: usize, buffers: &mut Vec<Buffer>) -> View {
    let buffer = BufferId(buffers.len());
    let like_buffer = &buffers[like.buffer.0];
    let name = format!("{}.{}", like_buffer.name, if element == Element::Bits { "bits" } else { "winners" });
    let channels = like.channels.next_multiple_of(run);
    buffers.push(Buffer { name, element, channels, ..like_buffer.clone() });
    View { buffer, offset: 0, channels: like.channels }
}

/// The value whose buffer holds `value`, and the channel offset there.
fn root_of(place: &[Option<(ValueId, usize)>], mut value: ValueId) -> (ValueId, usize) {
    let mut offset = 0;
    while let Some((into, at)) = place[value.0] {
        offset += at;
        value = into;
    }
    (value, offset)
}

/// A step must not read the buffer it writes: such members get a buffer of their own and are copied.
fn unplace_conflicts(
    graph: &Graph,
    layouts: &[Layout],
    chains: &Chains,
    producers: &[Option<usize>],
    place: &mut [Option<(ValueId, usize)>],
) {
    loop {
        let conflict = (0..place.len()).map(ValueId).find(|&value| {
            let Some(producer) = producers[value.0] else { return false };
            let Some(chain) = chains.of[producer] else { return false };
            let root = root_of(place, value).0;
            let inside = |input: &ValueId| producers[input.0].is_some_and(|p| chains.of[p] == Some(chain));
            let nodes = &chains.chains[chain].nodes;
            let mut reads = nodes.iter().flat_map(|&n| &graph.nodes[n].inputs).filter(|input| !inside(input));
            place[value.0].is_some() && reads.any(|&input| root_of(place, input).0 == root)
        });
        match conflict.or_else(|| copied_within(graph, layouts, place)) {
            Some(value) => place[value.0] = None,
            None => return,
        }
    }
}

/// A member that lies in its concatenation's buffer, but elsewhere: it occurs there twice, or in a part of it as well.
fn copied_within(graph: &Graph, layouts: &[Layout], place: &[Option<(ValueId, usize)>]) -> Option<ValueId> {
    let concatenations = graph.nodes.iter().filter(|node| matches!(node.op, Op::Concat));
    concatenations.flat_map(|node| node.inputs.iter().map(move |member| (node, member))).find_map(|(node, &member)| {
        let (root, start) = root_of(place, node.output);
        let (found, at) = root_of(place, member);
        let mut offset = start;
        let elsewhere = node.inputs.iter().any(|&input| {
            let here = offset;
            offset += layouts[input.0].physical();
            input == member && at != here
        });
        (found == root && elsewhere).then_some(member)
    })
}
