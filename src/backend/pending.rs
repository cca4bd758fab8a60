//! What is not there yet.

use std::pin::Pin;

/// What a device will answer. Where a thread may wait, whoever polls it waits, and it is ready then; in a browser, whose page must
/// not, the device computes meanwhile.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// An answer that is there.
pub fn answered<'a, T: 'a>(answer: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer))
}
