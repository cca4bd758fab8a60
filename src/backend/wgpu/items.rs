//! Items of a port to and from words of the device.

use crate::backend::Values;
use crate::backend::gpu::{number, type_of};
use crate::backend::items::{Units, UnitsMut};
use crate::program::{Buffer, Element, Port};

/// Words of a byte of bits: four of them in each.
const HALVES: usize = crate::kernel::WGSL_BITS_BYTES / 4;
const _: () = assert!(HALVES == 2, "a byte of bits is a word for each four");

/// Fills a port's channels in the words of all items of its buffer.
pub fn scatter(words: &mut [u32], port: &Port, buffer: &Buffer, pieces: &[Values]) {
    let float = |v: f64| v as f32;
    match buffer.element {
        Element::Float => UnitsMut::Float(bytemuck::cast_slice_mut(words)).scatter(port, buffer, pieces, float),
        Element::F16 | Element::Bf16 => {
            let (bytes, stored) = (bytemuck::cast_slice_mut::<u32, u8>(words), type_of(buffer.element));
            let mut floats = number::floats(bytes, stored);
            UnitsMut::Float(&mut floats).scatter(port, buffer, pieces, float);
            bytes.copy_from_slice(&number::stored(floats, stored));
        }
        Element::Byte => {
            UnitsMut::<f32>::Byte(bytemuck::cast_slice_mut(words)).scatter(port, buffer, pieces, float);
        }
        Element::Index => UnitsMut::<f32>::Index(words).scatter(port, buffer, pieces, float),
        Element::Bits => {
            let mut bytes = narrow(words);
            UnitsMut::<f32>::Bits(&mut bytes).scatter(port, buffer, pieces, float);
            widen(&bytes, words);
        }
    }
}

/// The port's items without padding, of the words of all items of its buffer.
pub fn gather(words: &[u32], port: &Port, buffer: &Buffer) -> Vec<Values<'static>> {
    match buffer.element {
        Element::Float => Units::Float(bytemuck::cast_slice::<u32, f32>(words)).gather(port, buffer, Values::from),
        Element::F16 | Element::Bf16 => {
            let floats = number::floats(bytemuck::cast_slice(words), type_of(buffer.element));
            Units::Float(&floats).gather(port, buffer, Values::from)
        }
        Element::Byte => Units::<f32>::Byte(bytemuck::cast_slice(words)).gather(port, buffer, Values::from),
        Element::Index => Units::<f32>::Index(words).gather(port, buffer, Values::from),
        Element::Bits => Units::<f32>::Bits(&narrow(words)).gather(port, buffer, Values::from),
    }
}

fn narrow(words: &[u32]) -> Vec<u8> {
    words.chunks_exact(HALVES).map(|half| (half[0] & 15 | (half[1] & 15) << 4) as u8).collect()
}

fn widen(bytes: &[u8], words: &mut [u32]) {
    for (byte, half) in bytes.iter().zip(words.chunks_exact_mut(HALVES)) {
        half.copy_from_slice(&[u32::from(byte & 15), u32::from(byte >> 4)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_of_bits_is_two_words() {
        let mut words = [0; 4];
        widen(&[0b1010_0110, 1], &mut words);
        assert_eq!(words, [0b0110, 0b1010, 1, 0]);
        assert_eq!(narrow(&words), [0b1010_0110, 1]);
    }
}
