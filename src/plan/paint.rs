//! A map over a picture: its range, then its colours mixed with the picture, all on the device.

use crate::graph::Constant;
use crate::picture::Placement;
use crate::program::{
    Arrangement, Buffer, BufferId, Element, Kernel, Layout, OverlayParams, Part, Per, Port, Program, Segment, Step,
    View, Weight, slots,
};

/// What a program of [`paint`] paints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Painting {
    /// Height and width of the map.
    pub map: [usize; 2],
    /// Height and width of the picture.
    pub picture: [usize; 2],
    /// Every pixel of the picture becomes `factor` x `factor`.
    pub factor: usize,
    /// Where the map lies on the picture.
    pub placement: Placement,
    /// The scale is -peak to peak, not 0 to the greatest value.
    pub symmetric: bool,
    /// Opacity of the strongest value, `0..=1`.
    pub alpha: f32,
    /// How much darker the picture is where the map does not lie.
    pub dimmed: f32,
}

/// Channels of a pixel: one of a map, three of a picture, three of a range.
const LANES: usize = 4;

/// The program that paints one map over one picture. Its `seeds` are the map, `[1, H, W]`; its `input` is the picture, its only
/// output the painted one, both `[3, H, W]` levels; its `logits` are the map's range: the least and the greatest value with
/// zero among them, then zero, or not-a-number where a value is not finite.
///
/// `colours` are those of the scale from its low to its high end, in levels, four values each, the last of which nobody reads.
pub fn paint(painting: &Painting, colours: &Constant) -> Program {
    let mut buffers = Vec::new();
    let mut port = |name: &str, (per, element), [height, width]: [usize; 2], channels| {
        let id = BufferId(buffers.len());
        buffers.push(Buffer { name: name.to_owned(), per, element, height, width, channels: LANES });
        let view = View { buffer: id, offset: 0, channels: LANES };
        Port { view, layout: Layout::dense(channels), height, width }
    };
    let [height, width] = painting.picture.map(|n| n * painting.factor);
    let (floats, levels) = ((Per::Message, Element::Float), (Per::Message, Element::Byte));
    let map = port("map", floats, painting.map, 1);
    let rows = port("range.rows", floats, [1, painting.map[0]], 3);
    let range = port("range", floats, [1, 1], 3);
    let picture = port("picture", (Per::Image, Element::Byte), painting.picture, 3);
    let painted = port("painted", levels, [height, width], 3);

    let Placement { x, y, width, height } = painting.placement;
    let params = OverlayParams {
        factor: painting.factor,
        window: [x, y, width, height],
        symmetric: painting.symmetric,
        alpha: painting.alpha,
        dimmed: painting.dimmed,
    };
    let lanes = colours.len();
    let layout = Layout { segments: vec![Segment { real: lanes, padded: lanes }] };
    let arrangement = Arrangement::Channel { layout };
    let colours = Weight { source: colours.clone(), part: Part::All, arrangement, first: 0 };
    let step = |kernel: Kernel, inputs: &[&Port], weights, output: &Port| {
        let inputs = inputs.iter().map(|port| port.view).collect();
        let label = kernel.stem().to_owned();
        Step { label, kernel, inputs, weights, output: output.view, prologue: None, stages: vec![] }
    };
    let steps = vec![
        step(Kernel::Range, &[&map], vec![], &rows),
        step(Kernel::Range, &[&rows], vec![], &range),
        step(Kernel::Overlay(params), &[&map, &range, &picture], vec![colours], &painted),
    ];
    let pinned = [&map, &range, &picture, &painted].map(|port| port.view.buffer.0);
    let lives = slots::lifetimes(buffers.len(), &steps, &pinned);
    Program {
        images: 1,
        references: 0,
        messages_per_image: 1,
        forward_from: 0,
        backward_from: steps.len(),
        slots: slots::assign(&buffers, &lives, |_| 1),
        buffers,
        steps,
        input: picture,
        reference: None,
        logits: range,
        reference_logits: None,
        seeds: Some(map),
        outputs: vec![painted],
        audits: vec![None],
    }
}
