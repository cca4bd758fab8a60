//! NCHW items of a port to and from the NHWC storage of its buffer.

use rayon::prelude::*;

use super::{BackendError, Values};
use crate::program::{Buffer, Port, Program};

impl Port {
    /// # Errors
    /// [`BackendError::Length`] where the port does not take the values of these pieces.
    pub(super) fn check(&self, program: &Program, pieces: &[Values]) -> Result<(), BackendError> {
        let buffer = program.buffer(self.view);
        let want = program.count(buffer.per) * self.len();
        let got = pieces.iter().map(Values::len).sum();
        let whole = pieces.iter().all(|piece| piece.len().is_multiple_of(self.len()));
        if got == want && whole { Ok(()) } else { Err(BackendError::Length { what: buffer.name.clone(), want, got }) }
    }
}

/// Items that a thread takes at least: smaller ones are not worth waking another.
fn together(len: usize) -> usize {
    const VALUES: usize = 1 << 15;
    VALUES.div_ceil(len.max(1))
}

/// All items of a buffer, to be written.
pub enum UnitsMut<'a, T> {
    Float(&'a mut [T]),
    Bits(&'a mut [u8]),
    Index(&'a mut [u32]),
    Byte(&'a mut [u8]),
}

impl<T: Copy + Default + Send> UnitsMut<'_, T> {
    /// Fills the port's channels, zeros in its padding lanes.
    pub fn scatter(self, port: &Port, buffer: &Buffer, pieces: &[Values], float: impl Fn(f64) -> T + Sync) {
        let (area, pitch) = (buffer.area(), buffer.channels);
        match self {
            Self::Float(data) => {
                each(port, pieces, data, area * pitch, |item, out| place(port, item, out, pitch, &float))
            }
            Self::Index(data) => {
                let whole = |v: f64| v as u32;
                each(port, pieces, data, area * pitch, |item, out| place(port, item, out, pitch, whole));
            }
            Self::Byte(data) => {
                let level = |v: f64| v as u8;
                each(port, pieces, data, area * pitch, |item, out| place(port, item, out, pitch, level));
            }
            Self::Bits(data) => {
                let pitch = pitch.div_ceil(8);
                each(port, pieces, data, area * pitch, |item, out| place_bits(port, item, out, pitch));
            }
        }
    }
}

/// Does `put` to every item and its `len` units, on the threads there are.
fn each<U: Send>(port: &Port, pieces: &[Values], data: &mut [U], len: usize, put: impl Fn(&Values, &mut [U]) + Sync) {
    let items: Vec<Values> = pieces.iter().flat_map(|piece| piece.chunks(port.len())).collect();
    let units = data.par_chunks_exact_mut(len).with_min_len(together(len));
    units.zip(&items).for_each(|(out, item)| put(item, out));
}

/// An item into its pixels of `pitch` lanes.
fn place<T: Copy + Default>(port: &Port, item: &Values, pixels: &mut [T], pitch: usize, value: impl Fn(f64) -> T) {
    match item {
        Values::F32(item) => place_channels(port, item, pixels, pitch, |v| value(f64::from(v))),
        Values::F64(item) => place_channels(port, item, pixels, pitch, value),
        Values::U8(item) => place_channels(port, item, pixels, pitch, |v| value(f64::from(v))),
    }
}

/// Pixels whose channels are placed before the next are touched, so that a cache line is loaded once.
const BLOCK: usize = 256;

fn place_channels<S: Copy, T: Copy + Default>(
    port: &Port,
    item: &[S],
    pixels: &mut [T],
    pitch: usize,
    value: impl Fn(S) -> T,
) {
    let (offset, area) = (port.view.offset, pixels.len() / pitch);
    if area == 1 && port.layout.is_dense() {
        let (real, padding) = pixels[offset..][..port.view.channels].split_at_mut(item.len());
        real.iter_mut().zip(item).for_each(|(lane, v)| *lane = value(*v));
        padding.fill(T::default());
        return;
    }
    let places = port.layout.places();
    for (block, pixels) in pixels.chunks_mut(BLOCK * pitch).enumerate() {
        if port.layout.has_padding() {
            pixels.chunks_exact_mut(pitch).for_each(|pixel| pixel[offset..][..port.view.channels].fill(T::default()));
        }
        for (channel, place) in item.chunks_exact(area).zip(&places) {
            for (v, pixel) in channel[block * BLOCK..].iter().zip(pixels.chunks_exact_mut(pitch)) {
                pixel[offset + place] = value(*v);
            }
        }
    }
}

/// The same for marks of a bit, `pitch` bytes a pixel.
fn place_bits(port: &Port, item: &Values, pixels: &mut [u8], pitch: usize) {
    let packed: Vec<f64> = port.layout.pack(&item.clone().into_f64(), pixels.len() / pitch);
    for (lanes, pixel) in packed.chunks_exact(port.layout.physical()).zip(pixels.chunks_exact_mut(pitch)) {
        for (byte, lanes) in pixel[port.view.offset / 8..].iter_mut().zip(lanes.chunks(8)) {
            *byte = lanes.iter().rev().fold(0, |byte, v| byte << 1 | u8::from(*v != 0.0));
        }
    }
}

/// All items of a buffer, to be read.
pub enum Units<'a, T> {
    Float(&'a [T]),
    Bits(&'a [u8]),
    Index(&'a [u32]),
    Byte(&'a [u8]),
}

impl<T: Copy + Send + Sync> Units<'_, T> {
    /// The port's items without padding.
    pub fn gather(
        &self,
        port: &Port,
        buffer: &Buffer,
        float: impl Fn(Vec<T>) -> Values<'static> + Sync,
    ) -> Vec<Values<'static>> {
        let (area, pitch, offset) = (buffer.area(), buffer.channels, port.view.offset);
        let marks = |marks: Vec<f64>| Values::from(marks);
        match self {
            Self::Float(data) => {
                let items = data.par_chunks_exact(area * pitch).with_min_len(together(area * pitch));
                items.map(|item| float(port.layout.unpack(item, area, pitch, offset))).collect()
            }
            Self::Index(data) => {
                let items = data.chunks_exact(area * pitch).map(|item| port.layout.unpack(item, area, pitch, offset));
                items.map(|item| marks(item.into_iter().map(f64::from).collect())).collect()
            }
            Self::Byte(data) => {
                let items = data.chunks_exact(area * pitch);
                items.map(|item| Values::from(port.layout.unpack(item, area, pitch, offset))).collect()
            }
            Self::Bits(data) => {
                let lanes =
                    |pixel: &[u8]| (0..pitch).map(|c| f64::from(pixel[c / 8] >> (c % 8) & 1)).collect::<Vec<_>>();
                let items = data.chunks_exact(area * pitch.div_ceil(8));
                let bits = items.map(|item| item.chunks_exact(pitch.div_ceil(8)).flat_map(lanes).collect::<Vec<f64>>());
                bits.map(|bits| marks(port.layout.unpack(&bits, area, pitch, offset))).collect()
            }
        }
    }
}
