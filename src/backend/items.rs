//! NCHW items of a port to and from the NHWC storage of its buffer.

use super::BackendError;
use crate::program::{Buffer, Port, Program};

impl Port {
    /// # Errors
    /// [`BackendError::Length`] where the port does not take `got` values.
    pub(super) fn check(&self, program: &Program, got: usize) -> Result<(), BackendError> {
        let buffer = program.buffer(self.view);
        let want = program.count(buffer.per) * self.len();
        if got == want { Ok(()) } else { Err(BackendError::Length { what: buffer.name.clone(), want, got }) }
    }
}

/// All items of a buffer, to be written.
pub enum UnitsMut<'a, T> {
    Float(&'a mut [T]),
    Bits(&'a mut [u8]),
    Index(&'a mut [u32]),
}

impl<T: Copy + Default> UnitsMut<'_, T> {
    /// Fills the port's channels, zeros in its padding lanes.
    pub fn scatter(self, port: &Port, buffer: &Buffer, items: &[f64], float: impl Fn(f64) -> T) {
        let (area, pitch, offset) = (buffer.area(), buffer.channels, port.view.offset);
        match self {
            Self::Float(data) => scatter(port, items, area, data, pitch, float),
            Self::Index(data) => scatter(port, items, area, data, pitch, |v| v as u32),
            Self::Bits(data) => {
                let packed: Vec<f64> = port.layout.pack(items, area);
                for (at, pixel) in packed.chunks_exact(port.layout.physical()).enumerate() {
                    let bytes = data[at * pitch.div_ceil(8) + offset / 8..].iter_mut();
                    for (byte, lanes) in bytes.zip(pixel.chunks(8)) {
                        *byte = lanes.iter().rev().fold(0, |byte, v| byte << 1 | u8::from(*v != 0.0));
                    }
                }
            }
        }
    }
}

fn scatter<T: Copy + Default>(
    port: &Port,
    items: &[f64],
    area: usize,
    data: &mut [T],
    pitch: usize,
    value: impl Fn(f64) -> T,
) {
    let (places, real, offset) = (port.layout.places(), port.layout.real(), port.view.offset);
    if port.layout.has_padding() {
        data.chunks_exact_mut(pitch).for_each(|pixel| pixel[offset..][..port.view.channels].fill(T::default()));
    }
    for (item, pixels) in items.chunks_exact(real * area).zip(data.chunks_exact_mut(area * pitch)) {
        for (channel, place) in item.chunks_exact(area).zip(&places) {
            for (v, pixel) in channel.iter().zip(pixels.chunks_exact_mut(pitch)) {
                pixel[offset + place] = value(*v);
            }
        }
    }
}

/// All items of a buffer, to be read.
pub enum Units<'a, T> {
    Float(&'a [T]),
    Bits(&'a [u8]),
    Index(&'a [u32]),
}

impl<T: Copy> Units<'_, T> {
    /// The port's items without padding.
    pub fn gather(&self, port: &Port, buffer: &Buffer, float: impl Fn(T) -> f64) -> Vec<f64> {
        let (area, pitch, offset) = (buffer.area(), buffer.channels, port.view.offset);
        match self {
            Self::Float(data) => port.layout.unpack(data, area, pitch, offset).into_iter().map(float).collect(),
            Self::Index(data) => port.layout.unpack(data, area, pitch, offset).into_iter().map(f64::from).collect(),
            Self::Bits(data) => {
                let pixels = data.chunks_exact(pitch.div_ceil(8));
                let bits: Vec<u8> = pixels.flat_map(|pixel| (0..pitch).map(|c| pixel[c / 8] >> (c % 8) & 1)).collect();
                port.layout.unpack(&bits, area, pitch, offset).into_iter().map(f64::from).collect()
            }
        }
    }
}
