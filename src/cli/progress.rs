//! The progress bar: on a terminal, on work of over a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work of less time than this shows no bar.
const QUIET: Duration = Duration::from_secs(1);
/// The time between two looks at the clock, so that a long batch is seen to live.
const TICK: Duration = Duration::from_millis(200);
/// Steps of the bar in one thing that is done.
const PARTS: f64 = 1000.0;

/// A bar, or nothing; copies are the same bar.
#[derive(Clone, Default)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar over `total` things, drawn on standard error from the second second on.
    pub fn start(total: usize) -> Self {
        Self::after(QUIET, total, ProgressDrawTarget::stderr)
    }

    /// A bar that `target` shows once `quiet` has passed, whether or not anything is done by then.
    fn after(quiet: Duration, total: usize, target: fn() -> ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64 * PARTS as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {elapsed} (left: {eta}) {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let weak = bar.downgrade();
        std::thread::spawn(move || {
            std::thread::sleep(quiet);
            if let Some(bar) = weak.upgrade().filter(|bar| !bar.is_finished()) {
                bar.set_draw_target(target());
                bar.enable_steady_tick(TICK);
            }
        });
        Self(Some(bar))
    }

    /// Says what is worked on.
    pub fn say(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }

    /// Moves to `done` of the total; parts count.
    pub fn set(&self, done: f64) {
        if let Some(bar) = &self.0 {
            bar.set_position((done * PARTS) as u64);
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }

    /// Prints around the bar.
    pub fn apart(&self, print: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Result;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use indicatif::TermLike;

    use super::*;

    static DRAWN: AtomicUsize = AtomicUsize::new(0);

    /// A terminal that counts what is written to it.
    #[derive(Debug)]
    struct Terminal;

    #[rustfmt::skip]
    impl TermLike for Terminal {
        fn width(&self) -> u16 { 80 }
        fn move_cursor_up(&self, _: usize) -> Result<()> { Ok(()) }
        fn move_cursor_down(&self, _: usize) -> Result<()> { Ok(()) }
        fn move_cursor_right(&self, _: usize) -> Result<()> { Ok(()) }
        fn move_cursor_left(&self, _: usize) -> Result<()> { Ok(()) }
        fn write_line(&self, line: &str) -> Result<()> { self.write_str(line) }
        fn write_str(&self, text: &str) -> Result<()> { DRAWN.fetch_add(text.len(), Ordering::SeqCst); Ok(()) }
        fn clear_line(&self) -> Result<()> { Ok(()) }
        fn flush(&self) -> Result<()> { Ok(()) }
    }

    #[test]
    fn a_bar_shows_itself_on_long_work_only() {
        let target = || ProgressDrawTarget::term_like(Box::new(Terminal));
        let short = Bar::after(Duration::from_millis(100), 1, target);
        short.say("short");
        short.set(0.5);
        short.finish();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(DRAWN.load(Ordering::SeqCst), 0, "work that was over is shown");

        let long = Bar::after(Duration::from_millis(100), 1, target);
        long.say("one big batch");
        std::thread::sleep(Duration::from_millis(600));
        assert!(DRAWN.load(Ordering::SeqCst) > 0, "a batch that tells nothing is not shown");
        long.finish();
    }
}
