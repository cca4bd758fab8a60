//! The two output streams. A reader that goes away is no error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::TalkArgs;
use super::failure::Failure;

/// Work of less time than this shows no progress bar.
const QUIET_SECONDS: Duration = Duration::from_secs(1);

/// Where a command speaks.
pub struct Console {
    quiet: bool,
    verbose: bool,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Console {
    pub fn new(talk: Option<TalkArgs>) -> Self {
        let (quiet, verbose) = talk.map_or((false, false), |talk| (talk.quiet, talk.verbose));
        Self { quiet, verbose, bar: None, started: Instant::now() }
    }

    /// A bar on a terminal, from the second second on.
    pub fn start(&mut self, total: usize) {
        self.started = Instant::now();
        if !self.quiet && std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed} (left: {eta})");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar = Some(bar);
        }
    }

    /// Moves the bar to `done` of the total, with the name of what was done last.
    pub fn progress(&self, done: usize, name: &str) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() && self.started.elapsed() > QUIET_SECONDS {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_message(name.to_owned());
        bar.set_position(done as u64);
    }

    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line of results on standard output.
    pub fn line(&self, text: &str) {
        self.apart(|| _ = writeln!(std::io::stdout().lock(), "{text}"));
    }

    /// A line of results for people.
    pub fn row(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// Something to know, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.error_line(&format!("note: {text}"));
        }
    }

    /// Something that only the curious want to know.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.error_line(text);
        }
    }

    pub fn failure(&self, failure: &Failure) {
        self.error_line(&format!("error: {}", failure.message));
        if let Some(hint) = &failure.hint {
            self.error_line(&format!("hint: {hint}"));
        }
    }

    fn error_line(&self, text: &str) {
        self.apart(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Prints around the bar, if there is one.
    fn apart(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}
