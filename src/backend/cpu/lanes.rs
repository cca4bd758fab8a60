//! Operands of stages, a run of channels at a time.

use super::prologue::scale_and_shift;
use super::real::Real;
use super::view::{Input, Sink};

/// Longest run of channels that stages work on at once.
pub const RUN: usize = 32;

/// Where a stage's operand comes from.
pub enum Lanes<'a, T> {
    /// One value per channel, the same at every pixel.
    Channels(&'a [T]),
    Pixels(Pixels<'a, T>),
    /// `scale[c] v + shift[c]` of those.
    Affine {
        pixels: Pixels<'a, T>,
        scale: &'a [T],
        shift: &'a [T],
    },
    /// Zeros, in place of an operand that the stage does not have.
    Unread,
}

impl<T: Real> Lanes<'_, T> {
    /// The operand at `count` channels of a pixel; `scratch` is for those that are not stored like that.
    #[inline(always)]
    pub fn row<'s>(&'s self, pixel: usize, channel: usize, count: usize, scratch: &'s mut [T; RUN]) -> &'s [T] {
        match self {
            Self::Channels(values) => &values[channel..][..count],
            Self::Unread => &scratch[..count],
            Self::Pixels(pixels) if pixels.one_channel => {
                scratch.fill(pixels.input.data[pixels.start(pixel)]);
                &scratch[..count]
            }
            Self::Pixels(pixels) => pixels.row(pixel, channel, count),
            Self::Affine { pixels, scale, shift } => {
                let (row, scale, shift) = (pixels.row(pixel, channel, count), &scale[channel..], &shift[channel..]);
                // A whole run has a length that the compiler knows.
                match (row.first_chunk(), scale.first_chunk::<RUN>(), shift.first_chunk::<RUN>()) {
                    (Some(row), Some(scale), Some(shift)) => {
                        *scratch = *row;
                        scale_and_shift(scratch, scale, shift);
                    }
                    _ => {
                        scratch[..count].copy_from_slice(row);
                        scale_and_shift(&mut scratch[..count], scale, shift);
                    }
                }
                &scratch[..count]
            }
        }
    }

    /// The stored values, where it has any of each pixel.
    #[inline(always)]
    pub fn pixels(&self) -> Option<&Pixels<'_, T>> {
        match self {
            Self::Pixels(pixels) | Self::Affine { pixels, .. } => Some(pixels),
            Self::Channels(_) | Self::Unread => None,
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

    /// `count` neighbouring units of the pixel.
    #[inline(always)]
    pub fn row(&self, pixel: usize, first: usize, count: usize) -> &[E] {
        &self.input.data[self.start(pixel) + first..][..count]
    }
}

/// Bits as an operand: eight channels a byte.
pub struct BitLanes<'a>(pub Pixels<'a, u8>);

impl BitLanes<'_> {
    /// The bits of channels `channel .. channel + count`, lowest first; `channel` is a multiple of 8.
    #[inline(always)]
    pub fn word(&self, start: usize, channel: usize, count: usize) -> u32 {
        if self.0.one_channel {
            return 0u32.wrapping_sub(u32::from(self.0.input.data[start] & 1));
        }
        let bytes = &self.0.input.data[start + channel / 8..][..count.div_ceil(8)];
        match bytes.first_chunk::<4>() {
            Some(bytes) => u32::from_le_bytes(*bytes),
            None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)),
        }
    }
}

/// Element `l` of every row.
#[inline(always)]
fn lane<T: Copy + Default, const N: usize>(rows: &[&[T]; N], l: usize) -> [T; N] {
    let mut elements = [T::default(); N];
    for (element, row) in elements.iter_mut().zip(rows) {
        *element = row[l];
    }
    elements
}

/// A run whose length the compiler knows.
#[inline(always)]
fn whole<T>(row: &[T]) -> &[T; RUN] {
    row.first_chunk().unwrap_or_else(|| unreachable!("an operand has as many channels as the result"))
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

impl<T: Real> Tile<'_, T> {
    /// Calls `f` with the pixel and the values of every row, and with what `state` makes for all of them.
    ///
    /// What a loop reads is moved into it: behind a reference it might be among the values, which keeps a compiler from vectors.
    #[inline(always)]
    fn each_row<S>(&mut self, state: impl FnOnce() -> S, mut f: impl FnMut(&mut S, usize, &mut [T])) {
        let Self { pixel, step, rows, channels, pitch, .. } = *self;
        let tile = &mut *self.values;
        T::vectorised(
            #[inline(always)]
            move || {
                let mut state = state();
                for r in 0..rows {
                    f(&mut state, pixel + r * step, &mut tile[r * pitch..][..channels]);
                }
            },
        );
    }

    /// `v = f(v)`
    #[inline(always)]
    pub fn map(&mut self, f: impl Fn(T) -> T) {
        self.zip(
            [],
            #[inline(always)]
            move |v, []| f(v),
        );
    }

    /// `v = f(v, operands)`. A function of its own for each `f`, as the others here: all in one would take a compiler minutes.
    #[inline(never)]
    pub fn zip<const N: usize>(&mut self, operands: [&Lanes<T>; N], f: impl Fn(T, [T; N]) -> T) {
        let (channel, channels) = (self.channel, self.channels);
        self.each_row(
            || [[T::default(); RUN]; N],
            #[inline(always)]
            move |scratch, pixel, values| {
                let mut rows: [&[T]; N] = [&[]; N];
                for ((row, operand), scratch) in rows.iter_mut().zip(&operands).zip(scratch) {
                    *row = operand.row(pixel, channel, channels, scratch);
                }
                // A whole run has a length that the compiler knows, hence no loop at all.
                let Some(values) = values.first_chunk_mut::<RUN>() else {
                    for (l, v) in values.iter_mut().enumerate() {
                        *v = f(*v, lane(&rows, l));
                    }
                    return;
                };
                for row in &mut rows {
                    *row = whole(row);
                }
                for (l, v) in values.iter_mut().enumerate() {
                    *v = f(*v, lane(&rows, l));
                }
            },
        );
    }

    /// `v = f(v, bit, operand)`
    #[inline(never)]
    pub fn gate(&mut self, bits: &BitLanes, operand: &Lanes<T>, f: impl Fn(T, bool, T) -> T) {
        let (channel, channels) = (self.channel, self.channels);
        self.each_row(
            || [T::default(); RUN],
            #[inline(always)]
            move |scratch, pixel, values| {
                let word = bits.word(bits.0.start(pixel), channel, channels);
                let row = operand.row(pixel, channel, channels, scratch);
                match values.first_chunk_mut::<RUN>() {
                    Some(values) => {
                        let row = whole(row);
                        for l in 0..RUN {
                            values[l] = f(values[l], word & (1 << l) != 0, row[l]);
                        }
                    }
                    None => {
                        for (l, v) in values.iter_mut().enumerate() {
                            *v = f(*v, word & (1 << l) != 0, row[l]);
                        }
                    }
                }
            },
        );
    }

    /// Stores the bits `f(v)`.
    #[inline(never)]
    pub fn keep_bits(&mut self, into: &Sink<u8>, f: impl Fn(T) -> bool) {
        let first = self.channel / 8;
        self.each_row(
            || (),
            #[inline(always)]
            move |(), pixel, values| {
                let mut word = 0u32;
                match values.first_chunk::<RUN>() {
                    Some(values) => {
                        for (l, v) in values.iter().enumerate() {
                            word |= if f(*v) { 1 << l } else { 0 };
                        }
                    }
                    None => {
                        for (l, v) in values.iter().enumerate() {
                            word |= if f(*v) { 1 << l } else { 0 };
                        }
                    }
                }
                // SAFETY: the thread owns the pixel, and runs of channels begin at multiples of 8.
                unsafe { into.store(pixel, first, &word.to_le_bytes()[..values.len().div_ceil(8)]) };
            },
        );
    }

    /// Stores the values as they are.
    #[inline(never)]
    pub fn keep(&mut self, into: &Sink<T>) {
        let channel = self.channel;
        // SAFETY: the thread owns these channels of the pixel.
        self.each_row(
            || (),
            #[inline(always)]
            move |(), pixel, values| unsafe { into.store(pixel, channel, values) },
        );
    }
}
