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

impl<E: Copy> Sink<E> {
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
