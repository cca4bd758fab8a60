//! Operands of stages, a run of channels at a time.

use super::view::{Input, Sink};

/// Longest run of channels that stages work on at once.
pub const RUN: usize = 32;

/// Where a stage's operand comes from.
pub enum Lanes<'a, T> {
    /// One value per channel, the same at every pixel.
    Channels(&'a [T]),
    Pixels(Pixels<'a, T>),
    /// An operand that the stage's function does not read.
    Unread,
}

impl<T: Copy> Lanes<'_, T> {
    /// The operand at `count` channels of a pixel; `scratch` is for those that one channel serves.
    #[inline(always)]
    pub fn row<'s>(&'s self, pixel: usize, channel: usize, count: usize, scratch: &'s mut [T; RUN]) -> &'s [T] {
        match self {
            Self::Channels(values) => &values[channel..][..count],
            Self::Unread => &scratch[..count],
            Self::Pixels(pixels) if pixels.one_channel => {
                scratch.fill(pixels.input.data[pixels.start(pixel)]);
                &scratch[..count]
            }
            Self::Pixels(pixels) => &pixels.input.data[pixels.start(pixel) + channel..][..count],
        }
    }
}

/// An operand of a stage, addressed by the flat pixel of the step's output.
pub struct Pixels<'a, E> {
    pub input: Input<'a, E>,
    pub one_pixel: bool,
    pub one_channel: bool,
    /// Pixels of an item of the output.
    pub area: usize,
    /// The operand has the output's items and pixels, so that flat pixels agree.
    pub aligned: bool,
}

impl<E> Pixels<'_, E> {
    /// First unit of the view at this pixel.
    #[inline(always)]
    pub fn start(&self, pixel: usize) -> usize {
        let at = if self.aligned {
            pixel
        } else {
            let item = self.input.items[pixel / self.area];
            item * self.input.height * self.input.width + if self.one_pixel { 0 } else { pixel % self.area }
        };
        at * self.input.pitch + self.input.offset
    }
}

/// Bits as an operand: eight channels a byte.
pub struct BitLanes<'a>(pub Pixels<'a, u8>);

impl BitLanes<'_> {
    /// The byte of channels `channel .. channel + 8`.
    #[inline(always)]
    pub fn byte(&self, start: usize, channel: usize) -> u8 {
        if self.0.one_channel {
            0u8.wrapping_sub(self.0.input.data[start] & 1)
        } else {
            self.0.input.data[start + channel / 8]
        }
    }
}

/// Pixels `pixel + r step` of a step's output in channels `channel ..`, one row of `values` each, `pitch` apart.
pub struct Tile<'v, T> {
    pub pixel: usize,
    pub step: usize,
    pub rows: usize,
    pub channel: usize,
    /// At most [`RUN`].
    pub channels: usize,
    pub values: &'v mut [T],
    pub pitch: usize,
}

impl<T: Copy + Default> Tile<'_, T> {
    /// Calls `f` with the pixel and the values of every row.
    #[inline(always)]
    pub fn each_row(&mut self, mut f: impl FnMut(usize, &mut [T])) {
        for r in 0..self.rows {
            f(self.pixel + r * self.step, &mut self.values[r * self.pitch..][..self.channels]);
        }
    }

    /// `v = f(v)`
    #[inline(always)]
    pub fn map(&mut self, f: impl Fn(T) -> T) {
        self.zip([], |v, []| f(v));
    }

    /// `v = f(v, operands)`
    #[inline(always)]
    pub fn zip<const N: usize>(&mut self, operands: [&Lanes<T>; N], f: impl Fn(T, [T; N]) -> T) {
        let mut scratch = [[T::default(); RUN]; N];
        let (channel, channels) = (self.channel, self.channels);
        self.each_row(|pixel, values| {
            let mut at = 0;
            let rows = scratch.each_mut().map(|scratch| {
                at += 1;
                operands[at - 1].row(pixel, channel, channels, scratch)
            });
            let (blocks, rest) = values.as_chunks_mut::<8>();
            let lanes = rows.map(|row| row.as_chunks::<8>());
            for (i, block) in blocks.iter_mut().enumerate() {
                let operands = lanes.map(|lanes| &lanes.0[i]);
                for (l, v) in block.iter_mut().enumerate() {
                    *v = f(*v, operands.map(|operand| operand[l]));
                }
            }
            for (l, v) in rest.iter_mut().enumerate() {
                *v = f(*v, lanes.map(|lanes| lanes.1[l]));
            }
        });
    }

    /// `v = f(v, bit, operand)`
    #[inline(always)]
    pub fn gate(&mut self, bits: &BitLanes, operand: &Lanes<T>, f: impl Fn(T, bool, T) -> T) {
        let mut scratch = [T::default(); RUN];
        let (channel, channels) = (self.channel, self.channels);
        self.each_row(|pixel, values| {
            let start = bits.0.start(pixel);
            let row = operand.row(pixel, channel, channels, &mut scratch);
            for (i, (values, row)) in values.chunks_mut(8).zip(row.chunks(8)).enumerate() {
                let byte = bits.byte(start, channel + 8 * i);
                for (l, (v, a)) in values.iter_mut().zip(row).enumerate() {
                    *v = f(*v, byte & (1 << l) != 0, *a);
                }
            }
        });
    }

    /// Stores the bits `f(v)`.
    #[inline(always)]
    pub fn keep_bits(&mut self, into: &Sink<u8>, f: impl Fn(T) -> bool) {
        let first = self.channel / 8;
        self.each_row(|pixel, values| {
            let mut bytes = [0u8; RUN / 8];
            for (byte, values) in bytes.iter_mut().zip(values.chunks(8)) {
                for (l, v) in values.iter().enumerate() {
                    *byte |= u8::from(f(*v)) << l;
                }
            }
            // SAFETY: the thread owns the pixel, and runs of channels begin at multiples of 8.
            unsafe { into.store(pixel, first, &bytes[..values.len().div_ceil(8)]) };
        });
    }

    /// Stores the values as they are.
    #[inline(always)]
    pub fn keep(&mut self, into: &Sink<T>) {
        let channel = self.channel;
        // SAFETY: the thread owns these channels of the pixel.
        self.each_row(|pixel, values| unsafe { into.store(pixel, channel, values) });
    }
}
