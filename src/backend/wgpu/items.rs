//! Items of a port to and from words of the device.

use crate::backend::Values;
use crate::backend::gpu::{number, type_of};
use crate::backend::items::{Units, UnitsMut};
use crate::program::{Buffer, Element, Port};

/// Fills a port's channels in the words of all items of its buffer, of which there are `count`.
pub fn scatter(words: &mut [u32], port: &Port, (buffer, count): (&Buffer, usize), pieces: &[Values]) {
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
            let bytes = &mut bytemuck::cast_slice_mut(words)[..count * buffer.item_len()];
            UnitsMut::<f32>::Bits(bytes).scatter(port, buffer, pieces, float);
        }
    }
}

/// The port's items without padding, of the words of all items of its buffer, of which there are `count`.
pub fn gather(words: &[u32], port: &Port, (buffer, count): (&Buffer, usize)) -> Vec<Values<'static>> {
    match buffer.element {
        Element::Float => Units::Float(bytemuck::cast_slice::<u32, f32>(words)).gather(port, buffer, Values::from),
        Element::F16 | Element::Bf16 => {
            let floats = number::floats(bytemuck::cast_slice(words), type_of(buffer.element));
            Units::Float(&floats).gather(port, buffer, Values::from)
        }
        Element::Byte => Units::<f32>::Byte(bytemuck::cast_slice(words)).gather(port, buffer, Values::from),
        Element::Index => Units::<f32>::Index(words).gather(port, buffer, Values::from),
        Element::Bits => {
            let bytes = &bytemuck::cast_slice(words)[..count * buffer.item_len()];
            Units::<f32>::Bits(bytes).gather(port, buffer, Values::from)
        }
    }
}
