//! Storage of a program's slots.

use bytemuck::Pod;

use super::pages::Pages;
use super::real::Real;
use super::shared::SharedMut;
use crate::backend::BackendError;
use crate::program::Element;
use crate::program::slots::{Slot, unit_bytes};

/// One slot.
pub enum Storage<T> {
    Float(Pages<T>),
    Bits(Pages<u8>),
    Index(Pages<u32>),
    Byte(Pages<u8>),
}

impl<T: Real> Storage<T> {
    /// Room for slot `number`: zeros, or with `poison` what no step would write.
    pub fn new(slot: &Slot, number: usize, poison: bool) -> Result<Self, BackendError> {
        Ok(match slot.element {
            Element::Float | Element::F16 | Element::Bf16 => {
                Self::Float(filled(slot, number, poison.then(|| T::from_f64(f64::NAN)))?)
            }
            Element::Bits => Self::Bits(filled(slot, number, poison.then_some(0xAA))?),
            Element::Index => Self::Index(filled(slot, number, poison.then_some(u32::MAX))?),
            Element::Byte => Self::Byte(filled(slot, number, poison.then_some(0xAA))?),
        })
    }

    /// Nothing, in place of a slot that a step is writing.
    pub fn absent() -> Self {
        Self::Float(Pages::empty())
    }

    pub fn floats(&self) -> &[T] {
        match self {
            Self::Float(data) => data,
            _ => panic!("floats expected in a slot of something else"),
        }
    }

    pub fn bits(&self) -> &[u8] {
        match self {
            Self::Bits(data) => data,
            _ => panic!("bits expected in a slot of something else"),
        }
    }

    pub fn indices(&self) -> &[u32] {
        match self {
            Self::Index(data) => data,
            _ => panic!("indices expected in a slot of something else"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Byte(data) => data,
            _ => panic!("bytes expected in a slot of something else"),
        }
    }
}

fn filled<E: Pod>(slot: &Slot, number: usize, poison: Option<E>) -> Result<Pages<E>, BackendError> {
    let bytes = slot.len.saturating_mul(unit_bytes(slot.element, size_of::<E>()));
    let mut data = Pages::zeroed(slot.len, number).map_err(|_| BackendError::OutOfMemory { backend: "cpu", bytes })?;
    if let Some(poison) = poison {
        data.fill(poison);
    }
    Ok(data)
}

/// A slot as the threads of a step write it.
#[derive(Clone, Copy)]
pub enum Writer<T> {
    Float(SharedMut<T>),
    Bits(SharedMut<u8>),
    Index(SharedMut<u32>),
    Byte(SharedMut<u8>),
}

impl<T: Real> Writer<T> {
    pub fn new(storage: &mut Storage<T>) -> Self {
        match storage {
            Storage::Float(data) => Self::Float(SharedMut::new(data)),
            Storage::Bits(data) => Self::Bits(SharedMut::new(data)),
            Storage::Index(data) => Self::Index(SharedMut::new(data)),
            Storage::Byte(data) => Self::Byte(SharedMut::new(data)),
        }
    }
}
