//! Who waits. Everything else is asynchronous: a thread waits in `native`, a browser, whose page must not, in `browser`.

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod native;

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[cfg(target_family = "wasm")]
pub use browser::{block_on, block_until, pending};
#[cfg(not(target_family = "wasm"))]
pub use native::{block_on, block_until, pending, ready};

/// A value that a callback will give, to be awaited.
pub struct Promise<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// The other end of a [`Promise`].
pub struct Keeper<T>(Arc<Mutex<State<T>>>);

/// A promise, and who keeps it.
pub fn promise<T>() -> (Promise<T>, Keeper<T>) {
    let state = Arc::new(Mutex::new(State { value: None, waker: None }));
    (Promise(Arc::clone(&state)), Keeper(state))
}

impl<T> Keeper<T> {
    pub fn keep(self, value: T) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Promise<T> {
    type Output = T;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
