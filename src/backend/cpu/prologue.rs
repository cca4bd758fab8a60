//! What is done to values as a kernel loads them.

use super::curve::{Curve, with_curve};
use super::real::Real;
use super::view::Input;
use crate::graph::Activation;

/// A [`Prologue`](crate::program::Prologue) with its weights found.
pub struct BoundPrologue<'a, T> {
    /// Scale and shift of every channel.
    pub scale_shift: Option<[&'a [T]; 2]>,
    pub activation: Option<&'a Activation>,
}

impl<T: Real> BoundPrologue<'_, T> {
    /// `v = f(scale v + shift)` for rows of `channels` values, `pitch` apart.
    pub fn apply(&self, values: &mut [T], channels: usize, pitch: usize) {
        T::vectorised(
            #[inline(always)]
            || {
                if let Some([scale, shift]) = self.scale_shift {
                    values.chunks_mut(pitch).for_each(|row| scale_and_shift(&mut row[..channels], scale, shift));
                }
            },
        );
        self.activate(values, channels, pitch);
    }

    /// `v = f(v)`, likewise.
    fn activate(&self, values: &mut [T], channels: usize, pitch: usize) {
        let Some(activation) = self.activation else { return };
        T::vectorised(
            #[inline(always)]
            || {
                with_curve!(activation, T, f => for row in values.chunks_mut(pitch) {
                    row[..channels].iter_mut().for_each(|v| *v = f.value(*v, T::ZERO));
                });
            },
        );
    }
}

/// `v = scale v + shift`
#[inline(always)]
pub fn scale_and_shift<T: Real>(values: &mut [T], scale: &[T], shift: &[T]) {
    values.iter_mut().zip(scale.iter().zip(shift)).for_each(|(v, (s, t))| *v = *s * *v + *t);
}

/// A view that a kernel may load by way of a prologue.
pub struct Source<'a, T> {
    pub input: Input<'a, T>,
    pub prologue: Option<BoundPrologue<'a, T>>,
}

impl<T: Real> Source<'_, T> {
    /// Room for the results of a prologue at `channels` channels; empty where there is none.
    pub fn scratch(&self, channels: usize) -> Vec<T> {
        vec![T::ZERO; if self.prologue.is_some() { channels } else { 0 }]
    }

    /// `count` channels of the pixel that belongs to item `n` of the output; `scratch` has room for them.
    #[inline(always)]
    pub fn lanes<'s>(&'s self, [n, y, x]: [usize; 3], channel: usize, count: usize, scratch: &'s mut [T]) -> &'s [T] {
        let values = self.input.lanes(n, y, x, channel, count);
        let Some(prologue) = &self.prologue else { return values };
        let scratch = &mut scratch[..count];
        scratch.copy_from_slice(values);
        if let Some([scale, shift]) = prologue.scale_shift {
            scale_and_shift(scratch, &scale[channel..], &shift[channel..]);
        }
        prologue.activate(scratch, count, count);
        scratch
    }
}
