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

    /// For every element of the image the element of the network's input.
    pub fn back(&self) -> Vec<u32> {
        let mut back = vec![0; self.shape.len()];
        self.order().into_iter().enumerate().for_each(|(at, element)| back[element as usize] = at as u32);
        back
    }
}

/// The graph with its input folded, where that pays, and how it lies. A CAM of the image itself needs the image as it is: passes
/// beside one go unfolded, too.
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

    fn conv(channels: usize, kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4]) -> Conv2d {
        let weight = Constant::new(vec![0.0; channels * kernel[0] * kernel[1]], Precision::F64);
        let (kind, bias, out_channels, dilation, groups) = (ConvKind::Conv, None, 1, [1; 2], 1);
        Conv2d { kind, weight, bias, out_channels, kernel, stride, dilation, pads, groups, space_to_depth: None }
    }

    /// The shape of the result.
    fn result(conv: &Conv2d, x: Shape) -> Shape {
        let size = |axis: usize, n: usize| {
            (n + conv.pads[axis] + conv.pads[axis + 2] - conv.kernel[axis]) / conv.stride[axis] + 1
        };
        Shape::new(1, size(0, x.height), size(1, x.width))
    }

    #[test]
    fn every_tap_reads_the_cell_that_it_read() {
        for (channels, kernel, stride, pads) in [
            (1, [7, 7], [2, 2], [3; 4]),
            (1, [3, 3], [2, 2], [0, 1, 1, 0]),
            (1, [5, 4], [2, 2], [2, 1, 1, 2]),
            (1, [1, 2], [2, 2], [0; 4]),
            (1, [3, 5], [1, 4], [1, 2, 1, 2]),
            (1, [7, 3], [3, 1], [3, 1, 3, 1]),
            (2, [3, 5], [1, 2], [1, 2, 1, 2]),
            (2, [4, 3], [2, 1], [1; 4]),
        ] {
            let (x, of_image) = (Shape::new(channels, 12, 24), conv(channels, kernel, stride, pads));
            let by_blocks = folded(&of_image, x, result(&of_image, x)).expect("it fits");
            let folded = Shape::new(1, x.height / stride[0], x.width / stride[1]);
            assert_eq!(result(&by_blocks, folded), result(&of_image, x), "{of_image:?}");
            let blocks = by_blocks.space_to_depth.expect("blocks");
            let (cells, [down, across]) = (stride[0] * stride[1], by_blocks.kernel);
            let mut read = vec![0; channels * kernel[0] * kernel[1]];
            for i in 0..channels * cells * down * across {
                let (channel, tap) = (i / (down * across), [i / across % down, i % across]);
                let Some(stored) = blocks.stored(channel, tap) else { continue };
                read[stored] += 1;
                assert_eq!(channel / cells, stored / (kernel[0] * kernel[1]), "{of_image:?}");
                // The cell that output 0 reads, which padding may be.
                let pixel = [channel / stride[1] % stride[0], channel % stride[1]];
                let was = [stored / kernel[1] % kernel[0], stored % kernel[1]];
                for axis in 0..2 {
                    let block = tap[axis] as isize - by_blocks.pads[axis] as isize;
                    let cell = block * stride[axis] as isize + pixel[axis] as isize;
                    assert_eq!(cell, was[axis] as isize - pads[axis] as isize, "{of_image:?}");
                }
            }
            assert!(read.iter().all(|times| *times == 1), "{of_image:?}: {read:?}");
        }
    }

    #[test]
    fn what_has_no_room_or_no_whole_blocks_stays() {
        for (x, stride) in [([1, 7, 8], 2), ([3, 8, 8], 2), ([1, 8, 8], 1), ([1, 9, 9], 3)] {
            let x = Shape::new(x[0], x[1], x[2]);
            let conv = conv(x.channels, [3; 2], [stride; 2], [1; 4]);
            assert!(folded(&conv, x, result(&conv, x)).is_none(), "{x}, stride {stride}");
        }
    }
}
