//! Images enter and maps leave plane by plane, as their owners have them: a step moves their elements on the device.

use super::Planner;
use super::forward::physical_table;
use crate::graph::Shape;
use crate::program::{Buffer, BufferId, Element, Kernel, Layout, Port, Step, View};

impl Planner<'_> {
    /// Where the caller reads what is left at `port`, by a step that moves it there; `order` says of every element that the caller
    /// has which one of the port it is.
    pub fn leave(&mut self, port: Port, order: &[u32]) -> Port {
        if let Some((_, left)) = self.left.iter().find(|(view, _)| *view == port.view) {
            return left.clone();
        }
        let planes = planes("map", &port, &mut self.buffers);
        self.append(moved("map", &port, &planes, order));
        self.left.push((port.view, planes.clone()));
        planes
    }
}

/// Where the caller writes what the network reads at `port`; the step that moves it there goes to `steps`. `order` says of every
/// element of the port which one of the caller's it is.
pub fn enter(label: &str, port: &Port, order: &[u32], buffers: &mut Vec<Buffer>, steps: &mut Vec<Step>) -> Port {
    let planes = planes(label, port, buffers);
    steps.push(moved(label, &planes, port, order));
    planes
}

/// A buffer for the elements of a port as channels of one pixel. Neither is of halves.
fn planes(label: &str, port: &Port, buffers: &mut Vec<Buffer>) -> Port {
    let layout = Layout::dense(port.len());
    let (buffer, channels) = (BufferId(buffers.len()), layout.physical());
    let inner = &mut buffers[port.view.buffer.0];
    inner.element = Element::Float;
    let like = inner.clone();
    buffers.push(Buffer { name: format!("{label}.planes"), height: 1, width: 1, channels, ..like });
    Port { view: View { buffer, offset: 0, channels }, layout, height: 1, width: 1 }
}

/// The elements of one port into the other: for each of them, in the order C, H, W, the one that `order` names.
pub fn moved(label: &str, from: &Port, to: &Port, order: &[u32]) -> Step {
    let table = physical_table(order, (shape(from), &from.layout), (shape(to), &to.layout));
    Step {
        label: label.to_owned(),
        kernel: Kernel::Rearrange { table: table.into(), fill: 0.0 },
        inputs: vec![from.view],
        weights: Vec::new(),
        output: to.view,
        prologue: None,
        stages: Vec::new(),
    }
}

fn shape(port: &Port) -> Shape {
    Shape::new(port.layout.real(), port.height, port.width)
}
