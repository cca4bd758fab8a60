//! Convolution and its data gradient on register tiles.
//!
//! Tensors are NHWC in `f32`. A convolution is an implicit matrix product: the
//! rows are output pixels, the columns are output channels, and the reduction
//! runs over kernel taps and input channels. No patch matrix is built; the
//! microkernel walks the (zero-padded) input itself.
//!
//! The engine stores no result. Each finished register tile goes to a *sink*,
//! which adds the bias, applies the elementwise stages and stores, while the
//! values are still in the first-level cache.
//!
//! Every output element is one chain of multiply-adds in the order (tap row,
//! tap column, input channel), so its bits do not depend on the tile it falls
//! in, on the batch, or on the number of threads.

mod band;
mod convolve;
mod depthwise;
mod kernel;
mod pack;
mod schedule;
#[cfg(test)]
mod tests;
mod vector;

pub use convolve::{backward, forward};
pub use depthwise::{depthwise_backward, depthwise_forward};
pub use pack::PackedWeights;
pub use vector::Level;

/// Width of a register tile in output channels, and the pitch of
/// [`Tile::values`].
pub const TILE_CHANNELS: usize = 32;

/// Shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Number of images in the batch.
    pub images: usize,
    /// Height of the convolution's input.
    pub in_h: usize,
    /// Width of the convolution's input.
    pub in_w: usize,
    /// Channels of the convolution's input.
    pub in_channels: usize,
    /// Height of the convolution's output.
    pub out_h: usize,
    /// Width of the convolution's output.
    pub out_w: usize,
    /// Channels of the convolution's output.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Vertical and horizontal dilation.
    pub dilation: [usize; 2],
    /// Zero padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Number of channel groups.
    pub groups: usize,
}

/// A read-only NHWC tensor: channel `c` of flat pixel `p` (over image, row and
/// column) is `data[p * pixel_stride + c]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The elements, from the first channel of the first pixel on.
    pub data: &'a [f32],
    /// Distance between two pixels, in elements; at least the channel count.
    pub pixel_stride: usize,
}

/// Works on pixels of the input, the given distance apart, after they were copied and before they are multiplied; from
/// several threads, on padding never.
pub type Load<'a> = &'a (dyn Fn(&mut [f32], usize) + Sync);

/// Takes the results of a pass, from several threads, every output element once.
pub trait Sink: Sync {
    /// The tile that [`Sink::finish`] gets next on this thread: what it will touch may be fetched while it is computed.
    fn prepare(&self, _pixel: usize, _step: usize, _rows: usize, _channel: usize, _channels: usize) {}

    /// Takes a finished tile.
    fn finish(&self, tile: Tile<'_>);
}

impl<F: Fn(Tile<'_>) + Sync> Sink for F {
    #[inline(always)]
    fn finish(&self, tile: Tile<'_>) {
        self(tile);
    }
}

/// A finished rectangle of the output: some pixels times some channels.
///
/// Channel `channel + c` of pixel `pixel + r * step` is
/// `values[r * TILE_CHANNELS + c]`, for `r < rows` and `c < channels`.
#[derive(Debug)]
pub struct Tile<'a> {
    /// Flat index (over image, row and column) of the first output pixel.
    pub pixel: usize,
    /// Flat distance between two rows of the tile.
    pub step: usize,
    /// Number of pixels.
    pub rows: usize,
    /// First output channel.
    pub channel: usize,
    /// Number of channels, at most [`TILE_CHANNELS`].
    pub channels: usize,
    /// The results, which the sink may overwrite.
    pub values: &'a mut [f32],
}
