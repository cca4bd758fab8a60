//! Views of buffers as kernels address them.

use super::lanes::RUN;
use super::shared::SharedMut;

/// A view that a step reads: NHWC with `pitch` units a pixel, of which `channels` from `offset` on are ours.
pub struct Input<'a, E> {
    pub data: &'a [E],
    pub height: usize,
    pub width: usize,
    pub pitch: usize,
    pub offset: usize,
    pub channels: usize,
    /// For every item of the step's output, the item of this buffer.
    pub items: Vec<usize>,
}

impl<'a, E> Input<'a, E> {
    /// All units of the item that belongs to item `n` of the output, those of other views too.
    #[inline(always)]
    pub fn item(&self, n: usize) -> &'a [E] {
        let len = self.height * self.width * self.pitch;
        &self.data[self.items[n] * len..][..len]
    }

    /// All channels of the pixel that belongs to item `n` of the output.
    #[inline(always)]
    pub fn pixel(&self, n: usize, y: usize, x: usize) -> &'a [E] {
        self.lanes(n, y, x, 0, self.channels)
    }

    /// `count` channels of that pixel.
    #[inline(always)]
    pub fn lanes(&self, n: usize, y: usize, x: usize, channel: usize, count: usize) -> &'a [E] {
        let at = (self.items[n] * self.height + y) * self.width + x;
        &self.data[at * self.pitch + self.offset + channel..][..count]
    }
}

/// A view that a step writes.
pub struct Sink<E> {
    pub shared: SharedMut<E>,
    pub pitch: usize,
    pub offset: usize,
}

/// A picture that a step writes: four levels a pixel.
pub struct Canvas {
    pub items: usize,
    pub height: usize,
    pub width: usize,
    pub sink: Sink<u8>,
}

/// Asks the cache for `count` elements from `first` on; a hint, whatever the address.
#[inline(always)]
pub fn fetch<E>(first: *const E, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..count * size_of::<E>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, count);
}

impl<E: Copy> Sink<E> {
    /// Asks the cache for units that will be stored.
    #[inline(always)]
    pub fn fetch(&self, pixel: usize, first: usize, count: usize) {
        fetch(self.shared.pointer(pixel * self.pitch + self.offset + first), count);
    }

    /// Stores neighbouring units of a pixel, flat over items.
    ///
    /// # Safety
    /// The calling thread owns these units while the step runs.
    #[inline(always)]
    pub unsafe fn store(&self, pixel: usize, first: usize, values: &[E]) {
        let at = pixel * self.pitch + self.offset + first;
        // SAFETY: the buffer outlives the step, ownership is the caller's promise.
        let to = unsafe { self.shared.slice(at..at + values.len()) };
        match (to.first_chunk_mut::<RUN>(), values.first_chunk::<RUN>()) {
            // A whole run is a few vector moves and no call.
            (Some(to), Some(values)) => *to = *values,
            _ => to.copy_from_slice(values),
        }
    }
}
