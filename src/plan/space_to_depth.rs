//! An image that leaves lanes of its pixels empty, folded for a first layer with strides: the pixels of a block, as large as
//! the stride, become the channels of one. A convolution of 7x7 with stride 2 over one channel is one of 4x4 with stride 1 over
//! four: products with empty lanes are gone.

use std::borrow::Cow;

use super::Pass;
use crate::graph::{Conv2d, ConvKind, Graph, Op, Shape, SpaceToDepth};

/// Lanes of a pixel of an image.
const LANES: usize = 4;

/// How the image that the caller has lies in the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Of the image that the caller has.
    pub shape: Shape,
    /// Height and width of the blocks whose pixels are channels.
    block: [usize; 2],
}

impl Blocks {
    pub fn are_pixels(&self) -> bool {
        self.block == [1, 1]
    }

    /// For every element of the network's input (C, H, W order) the element of the image (C, H, W order).
    pub fn order(&self) -> Vec<u32> {
        let (Shape { channels, height, width }, [down, across]) = (self.shape, self.block);
        let [rows, columns] = [height / down, width / across];
        let mut order = Vec::with_capacity(self.shape.len());
        for channel in 0..channels * down * across {
            let (c, y, x) = (channel / (down * across), channel / across % down, channel % across);
            for row in 0..rows {
                let first = (c * height + row * down + y) * width + x;
                order.extend((0..columns).map(|column| (first + column * across) as u32));
            }
        }
        order
    }
}

/// The graph with its input folded, where that pays, and how it lies. No map depends on which passes there are, but for a CAM of the
/// image itself, which has channels of its own.
pub fn fold<'a>(graph: &'a Graph, passes: &[Pass]) -> (Cow<'a, Graph>, Blocks) {
    let whole = Blocks { shape: graph.shape(graph.input), block: [1, 1] };
    let readers = &graph.users()[graph.input.0];
    let ([reader], false) = (&readers[..], passes.iter().any(|pass| pass.layer == Some(graph.input))) else {
        return (Cow::Borrowed(graph), whole);
    };
    let node = &graph.nodes[*reader];
    let Op::Conv2d(conv) = &node.op else { return (Cow::Borrowed(graph), whole) };
    let Some(folded) = folded(conv, whole.shape, graph.shape(node.output)) else {
        return (Cow::Borrowed(graph), whole);
    };
    let [down, across] = conv.stride;
    let mut graph = graph.clone();
    let Shape { channels, height, width } = whole.shape;
    graph.values[graph.input.0].shape = Shape::new(channels * down * across, height / down, width / across);
    graph.nodes[*reader].op = Op::Conv2d(folded);
    (Cow::Owned(graph), Blocks { block: conv.stride, ..whole })
}

/// The convolution over blocks of its stride, where an image `x` has lanes for them and blocks meet its edges. A tap `k` reads cell
/// `o stride + k - pad`, which is in block `o + floor((k - pad) / stride)`.
fn folded(conv: &Conv2d, x: Shape, y: Shape) -> Option<Conv2d> {
    let block = conv.stride;
    let cells = block[0] * block[1];
    let fits = cells > 1 && x.channels * cells <= LANES;
    let whole = x.height.is_multiple_of(block[0]) && x.width.is_multiple_of(block[1]);
    let plain = conv.kind != ConvKind::Transposed && conv.dilation == [1, 1] && conv.groups == 1;
    if !(fits && whole && plain) {
        return None;
    }
    let (input, output) = ([x.height, x.width], [y.height, y.width]);
    let (mut kernel, mut pads, mut lead) = ([0; 2], [0; 4], [0; 2]);
    for axis in 0..2 {
        let (stride, pad) = (block[axis], conv.pads[axis]);
        let before = pad.div_ceil(stride);
        lead[axis] = before * stride - pad;
        kernel[axis] = (lead[axis] + conv.kernel[axis]).div_ceil(stride);
        pads[axis] = before;
        pads[axis + 2] = (output[axis] + kernel[axis]).checked_sub(1 + before + input[axis] / stride)?;
    }
    let space_to_depth = Some(SpaceToDepth { block, kernel: conv.kernel, lead });
    Some(Conv2d { kernel, stride: [1, 1], pads, space_to_depth, ..conv.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, Precision};

    #[test]
    fn a_pixel_of_a_block_is_a_channel() {
        let blocks = Blocks { shape: Shape::new(1, 4, 6), block: [2, 2] };
        let even = [0, 2, 4, 12, 14, 16];
        let want = [0, 1, 6, 7].into_iter().flat_map(|first| even.map(|at| at + first));
        assert_eq!(blocks.order(), want.collect::<Vec<u32>>());
        assert!(!blocks.are_pixels());
    }

    fn conv(kernel: usize, stride: usize, pads: [usize; 4]) -> Conv2d {
        Conv2d {
            kind: ConvKind::Conv,
            weight: Constant::new(vec![0.0; kernel * kernel], Precision::F64),
            bias: None,
            out_channels: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pads,
            groups: 1,
            space_to_depth: None,
        }
    }

    #[test]
    fn every_tap_reads_the_cell_that_it_read() {
        for (kernel, pads) in [(7, [3; 4]), (3, [0, 1, 1, 0]), (5, [2, 1, 1, 2]), (4, [1; 4]), (2, [0; 4]), (1, [0; 4])]
        {
            let (x, of_image) = (Shape::new(1, 12, 16), conv(kernel, 2, pads));
            let size = |axis: usize, n: usize| (n + pads[axis] + pads[axis + 2] - kernel) / 2 + 1;
            let y = Shape::new(1, size(0, x.height), size(1, x.width));
            let by_blocks = folded(&of_image, x, y).expect("it fits");
            let blocks = by_blocks.space_to_depth.expect("blocks");
            let mut read = vec![0; kernel * kernel];
            for (i, channel) in (0..by_blocks.kernel.iter().product()).flat_map(|i| (0..4).map(move |c| (i, c))) {
                let tap = [i / by_blocks.kernel[1], i % by_blocks.kernel[1]];
                let Some(stored) = blocks.stored(channel, tap) else { continue };
                read[stored] += 1;
                // Cells from that of output 0 on, which its blocks' padding is before.
                let (pixel, was) = ([channel / 2, channel % 2], [stored / kernel, stored % kernel]);
                for axis in 0..2 {
                    let cell = (2 * tap[axis] + pixel[axis]) as isize - 2 * by_blocks.pads[axis] as isize;
                    assert_eq!(cell, was[axis] as isize - pads[axis] as isize, "{kernel}x{kernel}, pads {pads:?}");
                }
            }
            assert!(read.iter().all(|times| *times == 1), "{kernel}x{kernel}, pads {pads:?}: {read:?}");
            let padded = |axis: usize, n: usize| n / 2 + by_blocks.pads[axis] + by_blocks.pads[axis + 2];
            assert_eq!(
                [padded(0, x.height) + 1 - by_blocks.kernel[0], padded(1, x.width) + 1 - by_blocks.kernel[1]],
                [y.height, y.width]
            );
        }
    }

    #[test]
    fn what_has_no_room_or_no_whole_blocks_stays() {
        let same = [1; 4];
        for (x, stride) in
            [(Shape::new(1, 7, 8), 2), (Shape::new(3, 8, 8), 2), (Shape::new(1, 8, 8), 1), (Shape::new(1, 9, 9), 3)]
        {
            let y = Shape::new(1, (x.height - 1) / stride + 1, (x.width - 1) / stride + 1);
            assert!(folded(&conv(3, stride, same), x, y).is_none(), "{x}, stride {stride}");
        }
    }
}
