//! Images enter and maps leave plane by plane, as their owners have them: a step moves their elements on the device.

use std::sync::Arc;

use super::Planner;
use super::forward::physical_table;
use crate::graph::Shape;
use crate::program::{Buffer, BufferId, Element, Kernel, Layout, Port, Step, View};

impl Planner<'_> {
    /// Where the caller reads the map that is left at `port`, by a step that moves it there; `order` makes, for every element of
    /// the caller's, which one of the port's it is. A map that several passes have leaves once.
    pub fn leave(&mut self, port: Port, order: impl FnOnce() -> Vec<u32>) -> Port {
        if let Some((_, left)) = self.left.iter().find(|(view, _)| *view == port.view) {
            return left.clone();
        }
        let planes = planes(&port, &mut self.buffers);
        let table = table(&order(), &port, &planes);
        self.append(moved("map", &port, &planes, table));
        self.left.push((port.view, planes.clone()));
        planes
    }
}

/// A buffer for the elements of a port as channels of one pixel. Neither is of halves.
pub fn planes(port: &Port, buffers: &mut Vec<Buffer>) -> Port {
    let layout = Layout::dense(port.len());
    let (buffer, channels) = (BufferId(buffers.len()), layout.physical());
    let inner = &mut buffers[port.view.buffer.0];
    inner.element = Element::Float;
    let like = inner.clone();
    buffers.push(Buffer { height: 1, width: 1, channels, ..like });
    Port { view: View { buffer, offset: 0, channels }, layout, height: 1, width: 1 }
}

/// For every physical element of one port the one of the other, where `order` says which elements they are, in C, H, W order.
pub fn table(order: &[u32], from: &Port, to: &Port) -> Arc<[u32]> {
    let shape = |port: &Port| Shape::new(port.layout.real(), port.height, port.width);
    physical_table(order, (shape(from), &from.layout), (shape(to), &to.layout)).into()
}

/// The elements of one port into the other.
pub fn moved(label: &str, from: &Port, to: &Port, table: Arc<[u32]>) -> Step {
    Step {
        label: label.to_owned(),
        kernel: Kernel::Rearrange { table, fill: 0.0 },
        inputs: vec![from.view],
        weights: Vec::new(),
        output: to.view,
        prologue: None,
        stages: Vec::new(),
    }
}
