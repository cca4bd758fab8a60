use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;

/// Zeros on pages of their own: no cache line is split by an aligned vector, and where the system has huge pages,
/// kernels that walk several tensors at once do not wait for address translation.
pub struct Pages<E> {
    map: Option<MmapMut>,
    /// Bytes before the first element.
    start: usize,
    kind: PhantomData<E>,
}

const LINE: usize = 64;
const PAGE: usize = 4096;

impl<E: Pod> Pages<E> {
    /// No elements.
    pub const fn empty() -> Self {
        Self { map: None, start: 0, kind: PhantomData }
    }

    /// `len` zeros. Neighbours in `number` begin at different lines of a page: the same element of several tensors, which
    /// a kernel's stages touch together, would else fall into one set of the cache.
    ///
    /// # Errors
    /// Where the system has no such memory.
    pub fn zeroed(len: usize, number: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self::empty());
        }
        let start = number * 9 * LINE % PAGE;
        let bytes = len.checked_mul(size_of::<E>()).and_then(|bytes| bytes.checked_add(start));
        let map = MmapMut::map_anon(bytes.ok_or(io::ErrorKind::OutOfMemory)?)?;
        // Advice: a system without huge pages declines it and loses nothing but time.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map: Some(map), start, kind: PhantomData })
    }
}

impl<E: Pod> Deref for Pages<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        self.map.as_ref().map_or(&[], |map| bytemuck::cast_slice(&map[self.start..]))
    }
}

impl<E: Pod> DerefMut for Pages<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        self.map.as_mut().map_or(&mut [], |map| bytemuck::cast_slice_mut(&mut map[self.start..]))
    }
}
