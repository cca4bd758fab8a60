//! What is not there yet.

use std::pin::Pin;

/// What a device will answer. Where a thread may wait, it has been waited for, and the answer is there at the first poll; in a browser,
/// whose page must not wait, the device computes meanwhile.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// An answer that is there.
pub fn answered<'a, T: 'a>(answer: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer))
}
