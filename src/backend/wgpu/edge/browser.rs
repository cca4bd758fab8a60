//! Where a page comes back later.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::backend::wgpu::device::{Device, failed};
use crate::backend::{BackendError, Pending};

/// The result of a future that does not wait.
///
/// # Errors
/// Those of the future, and [`BackendError::Failed`] where it waits.
pub fn block_on<T>(device: &Device, future: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    block_until(device, None, future)
}

/// The same.
///
/// # Errors
/// As [`block_on`].
pub fn block_until<T>(
    device: &Device,
    _sent: Option<wgpu::SubmissionIndex>,
    future: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found.map_err(|error| device.explained(error)),
        Poll::Pending => Err(failed("wait", "a browser's page must not: call what ends in `_async`")),
    }
}

/// The result of a future that waits for a device.
pub fn pending<'a, T: 'a>(
    device: &Arc<Device>,
    _sent: Option<wgpu::SubmissionIndex>,
    future: impl Future<Output = Result<T, BackendError>> + 'a,
) -> Pending<'a, Result<T, BackendError>> {
    let device = Arc::clone(device);
    Box::pin(async move { future.await.map_err(|error| device.explained(error)) })
}
