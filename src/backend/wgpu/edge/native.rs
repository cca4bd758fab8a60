//! Where a thread waits.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::backend::wgpu::device::Device;
use crate::backend::{BackendError, Pending, answered};
use crate::caught::caught;

/// How long a driver is given to answer at a time, and altogether.
const TURN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(1800);

/// The result of a future that waits for no device: a native driver answers questions at once.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// The result of a future that waits for a device.
///
/// # Errors
/// Those of the future, and [`BackendError::DeviceLost`] where the device no longer answers.
pub fn block_on<T>(device: &Device, future: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    block_until(device, None, future)
}

/// The same where what the device was `sent` up to there is enough.
///
/// # Errors
/// As [`block_on`].
pub fn block_until<T>(
    device: &Device,
    sent: Option<wgpu::SubmissionIndex>,
    future: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let start = Instant::now();
    loop {
        if let Poll::Ready(found) = future.as_mut().poll(&mut context) {
            return found.map_err(|error| explained(device, error));
        }
        if start.elapsed() > PATIENCE {
            device.lose(format!("it has not answered for {} s", PATIENCE.as_secs()));
        }
        device.check().map_err(|error| explained(device, error))?;
        turn(device, sent.clone());
    }
}

/// The same as an answer that is there.
pub fn pending<'a, T: 'a>(
    device: &Arc<Device>,
    sent: Option<wgpu::SubmissionIndex>,
    future: impl Future<Output = Result<T, BackendError>> + 'a,
) -> Pending<'a, Result<T, BackendError>> {
    answered(block_until(device, sent, future))
}

/// That a device is lost is said to whom waits, and so after what it made fail.
fn explained(device: &Device, error: BackendError) -> BackendError {
    if !device.is_lost() {
        turn(device, None);
    }
    device.explained(error)
}

/// Waits until the device has done what it was `sent` up to there, or altogether, or for a while; calls back whoever waits for that.
fn turn(device: &Device, sent: Option<wgpu::SubmissionIndex>) {
    let wait = wgpu::PollType::Wait { submission_index: sent, timeout: Some(TURN) };
    // wgpu panics where a driver reports a lost device to whom waits.
    if caught(|| device.raw.poll(wait)).is_none() {
        device.lose("its driver reports a fault".to_owned());
    }
}
