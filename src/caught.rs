//! Panics of other crates that are answered as errors.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    static IS_ANSWERED: Cell<bool> = const { Cell::new(false) };
}

/// What `f` gives; `None` where it panics.
pub fn caught<T>(f: impl FnOnce() -> T) -> Option<T> {
    let before = IS_ANSWERED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    IS_ANSWERED.set(before);
    result.ok()
}

/// From now on nothing is printed of a panic that is [`caught`]: for a program, whose standard error is its own.
pub fn hush() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_ANSWERED.get() {
            usual(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static SAID: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn what_is_answered_is_not_printed() {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            SAID.set(SAID.get() + 1);
            usual(panic);
        }));
        hush();
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| -> u8 { panic!("of another crate") }), None);
        assert_eq!(caught(|| caught(|| -> u8 { panic!("of another crate") })), Some(None));
        assert_eq!(SAID.get(), 0);
        assert!(catch_unwind(|| panic!("of ours, as this test wants")).is_err());
        assert_eq!(SAID.get(), 1);
    }
}
