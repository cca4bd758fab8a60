use std::ops::Range;

/// A buffer that several threads write, each element by one of them.
pub struct SharedMut<E> {
    pointer: *mut E,
    len: usize,
}

impl<E> Clone for SharedMut<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for SharedMut<E> {}

// SAFETY: it is a borrow of plain numbers; that no element has two users is the contract of `slice`.
unsafe impl<E: Send> Send for SharedMut<E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for SharedMut<E> {}

impl<E> SharedMut<E> {
    /// The caller keeps `data` alive and untouched while the result is in use.
    pub fn new(data: &mut [E]) -> Self {
        Self { pointer: data.as_mut_ptr(), len: data.len() }
    }

    /// The address of an element, for hints.
    #[inline(always)]
    pub fn pointer(&self, at: usize) -> *const E {
        self.pointer.wrapping_add(at)
    }

    /// # Safety
    /// The buffer lives, and no other reference to these elements exists.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "exclusive by the contract")]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [E] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.len()) }
    }
}
