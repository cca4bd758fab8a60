//! Images enter and maps leave plane by plane, as their owners have them: a step moves their elements on the device.

use super::forward::physical_table;
use crate::graph::Shape;
use crate::program::{Buffer, BufferId, Element, Kernel, Layout, Port, Step, View};

/// Where the caller writes what the network reads at `port`; the step that moves it there goes to `steps`.
pub fn enter(label: &str, port: Port, buffers: &mut Vec<Buffer>, steps: &mut Vec<Step>) -> Port {
    let planes = planes(label, &port, buffers);
    steps.extend(planes.as_ref().map(|planes| moved(label, planes, &port)));
    planes.unwrap_or(port)
}

/// Where the caller reads the maps that are left at these ports, each once; the steps that move them there go to `steps`.
pub fn leave(label: &str, maps: Vec<Port>, buffers: &mut Vec<Buffer>, steps: &mut Vec<Step>) -> Vec<Port> {
    let mut left: Vec<(View, Port)> = Vec::new();
    let leave = |map: Port| {
        if let Some((_, port)) = left.iter().find(|(view, _)| *view == map.view) {
            return port.clone();
        }
        let (view, planes) = (map.view, planes(label, &map, buffers));
        steps.extend(planes.as_ref().map(|planes| moved(label, &map, planes)));
        let port = planes.unwrap_or(map);
        left.push((view, port.clone()));
        port
    };
    maps.into_iter().map(leave).collect()
}

/// A buffer for the elements of a port as channels of one pixel, neither of them of halves; none where they lie like that
/// already.
fn planes(label: &str, port: &Port, buffers: &mut Vec<Buffer>) -> Option<Port> {
    if port.height * port.width == 1 && port.layout.is_dense() {
        return None;
    }
    let layout = Layout::dense(port.len());
    let (buffer, channels) = (BufferId(buffers.len()), layout.physical());
    let inner = &mut buffers[port.view.buffer.0];
    inner.element = Element::Float;
    let like = inner.clone();
    buffers.push(Buffer { name: format!("{label}.planes"), height: 1, width: 1, channels, ..like });
    Some(Port { view: View { buffer, offset: 0, channels }, layout, height: 1, width: 1 })
}

/// The elements of one port into the other.
fn moved(label: &str, from: &Port, to: &Port) -> Step {
    let identity: Vec<u32> = (0..from.len() as u32).collect();
    let table = physical_table(&identity, (shape(from), &from.layout), (shape(to), &to.layout));
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
