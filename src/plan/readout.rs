//! The last message to a raw map.

use super::backward::{Arrived, global_pool};
use super::message::{Meaning, Message};
use super::{Pass, PlanError, Planner, planes};
use crate::graph::{ConvKind, Graph, Op, PoolKind, Resize, ValueId};
use crate::method::Readout;
use crate::program::{Buffer, Kernel, Layout, Operand, Part, Port, Stage, View};
use crate::rule::{Composite, GRADIENT};

impl Planner<'_> {
    /// Plans the readout of one pass and says where its map lies.
    pub fn read_out(
        &mut self,
        pass: &Pass,
        layer: Option<ValueId>,
        arrived: &mut [(&'static Composite, Arrived)],
    ) -> Result<Port, PlanError> {
        let find = |composite: &'static Composite, value: ValueId| {
            let (_, stops) = arrived.iter().find(|(known, _)| std::ptr::eq(*known, composite))?;
            stops.get(&value).copied()
        };
        let unreached = |value: ValueId| PlanError::NoRule {
            node: self.graph.value(value).name.clone(),
            op: "value",
            rule: pass.composite.name,
            reason: "the logits do not depend on it",
        };
        if let (true, Some(layer)) = (pass.readout.is_cam(), layer) {
            let (message, _) = find(&GRADIENT, layer).ok_or_else(|| unreached(layer))?;
            let grid = self.cam(layer, message, pass.readout == Readout::Cam);
            let map = if pass.upsample { self.upsample(layer, grid) } else { self.one_channel(grid) };
            let len = map.len() as u32;
            return Ok(self.leave(map, || (0..len).collect()));
        }
        let input = self.graph.input;
        let (view, meaning) = find(pass.composite, input).ok_or_else(|| unreached(input))?;
        let gradient = layer.map(|layer| find(&GRADIENT, layer).ok_or_else(|| unreached(layer))).transpose()?;
        let x = self.image.read(input);
        let message = Message::new(view, meaning);
        let message = match (pass.readout, meaning, &self.reference) {
            (Readout::TimesInput, Meaning::Multiplier(_), _) => {
                message.then(Stage::Times { operand: x.into(), part: Part::All })
            }
            // Along a path the caller multiplies, once for all samples.
            (Readout::TimesDifference, _, Some(reference)) if pass.composite.needs_reference => {
                message.then(Stage::TimesDifference { a: x.into(), b: reference.read(input).into() })
            }
            (Readout::GuidedCam, ..) => match (layer, gradient) {
                (Some(layer), Some((gradient, _))) => {
                    let cam = self.guided_cam(layer, gradient);
                    message.then(Stage::Times { operand: cam, part: Part::All })
                }
                _ => message,
            },
            _ => message,
        };
        let view = self.materialise(message, "map");
        self.producers.claim(view);
        let blocks = self.blocks;
        Ok(self.leave(self.port(input, view), || blocks.back()))
    }

    /// `sum_c w_c A_c`, with `w_c` the mean (Grad-CAM) or the sum (CAM) of the gradient over the pixels.
    fn cam(&mut self, layer: ValueId, gradient: View, sum: bool) -> View {
        let shape = self.graph.shape(layer);
        let weights = self.new_buffer("cam.weights", 1, 1, gradient.channels);
        let pool = global_pool(shape.height, shape.width);
        self.emit("cam", Kernel::PoolAverageForward { pool, sum }, vec![gradient], Vec::new(), weights, Vec::new());
        let activation = self.image.read(layer);
        let grid = self.new_buffer("cam", shape.height, shape.width, NARROW);
        self.emit("cam", Kernel::CamMix, vec![weights, activation], Vec::new(), grid, Vec::new());
        self.producers.claim(grid);
        grid
    }

    /// The ReLU of Grad-CAM, upsampled to the input.
    fn guided_cam(&mut self, layer: ValueId, gradient: View) -> Operand {
        let grid = self.cam(layer, gradient, false);
        let positive = Message::new(grid, Meaning::Relevance).then(Stage::Positive);
        let positive = self.materialise(positive, "cam");
        let map = self.upsample(layer, positive);
        if self.blocks.are_pixels() {
            return Operand { one_channel: true, ..map.view.into() };
        }
        // Channels of the input are pixels of the map, once for each of the image's.
        let order: Vec<u32> = self.blocks.order().iter().map(|element| element % map.len() as u32).collect();
        let view = self.buffer_like(self.graph.input, "cam");
        let to = self.port(self.graph.input, view);
        self.append(planes::moved("cam", &map, &to, planes::table(&order, &map, &to)));
        self.producers.claim(view);
        view.into()
    }

    /// A map on a layer's grid, at the resolution of the input.
    fn upsample(&mut self, layer: ValueId, grid: View) -> Port {
        let (from, to) = (self.graph.shape(layer), self.blocks.shape);
        let map = self.new_buffer("cam", to.height, to.width, NARROW);
        let resize = Resize::half_pixel([from.height, from.width], [to.height, to.width]);
        self.emit("cam", Kernel::UpsampleBilinear(resize), vec![grid], Vec::new(), map, Vec::new());
        self.producers.claim(map);
        self.one_channel(map)
    }

    /// The first channel of a map.
    fn one_channel(&self, view: View) -> Port {
        let Buffer { height, width, .. } = self.buffers[view.buffer.0];
        Port { view, layout: Layout::dense(1), height, width }
    }
}

/// Physical channels of a map of one channel.
const NARROW: usize = 4;

/// Behind `layer` stand a global average pool and one dense layer, nothing else.
pub fn has_cam_head(graph: &Graph, layer: ValueId) -> bool {
    let users = graph.users();
    let [pool] = users[layer.0][..] else { return false };
    let shape = graph.shape(layer);
    let node = &graph.nodes[pool];
    let global = matches!(&node.op, Op::Pool(pool)
        if matches!(pool.kind, PoolKind::Average { .. }) && pool.kernel == [shape.height, shape.width]);
    let [dense] = users[node.output.0][..] else { return false };
    let dense = &graph.nodes[dense];
    global && dense.output == graph.output && matches!(&dense.op, Op::Conv2d(conv) if conv.kind == ConvKind::Dense)
}
