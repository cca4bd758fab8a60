//! The two output streams. A reader that goes away is no error.

use std::io::{IsTerminal, Write};

use super::args::TalkArgs;
use super::failure::Failure;
use super::progress::Bar;

/// Where a command speaks.
pub struct Console {
    quiet: bool,
    verbose: bool,
    bar: Bar,
}

impl Console {
    pub fn new(talk: Option<TalkArgs>) -> Self {
        let (quiet, verbose) = talk.map_or((false, false), |talk| (talk.quiet, talk.verbose));
        Self { quiet, verbose, bar: Bar::default() }
    }

    /// Whether all details are wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Begins work on `total` things: a bar on a terminal.
    pub fn start(&mut self, total: usize) {
        if !self.quiet && std::io::stderr().is_terminal() {
            self.bar = Bar::start(total);
        }
    }

    /// The bar, for whoever does the work.
    pub fn bar(&self) -> Bar {
        self.bar.clone()
    }

    pub fn finish(&mut self) {
        std::mem::take(&mut self.bar).finish();
    }

    /// A line of results on standard output.
    pub fn line(&self, text: &str) {
        self.bar.apart(|| _ = writeln!(std::io::stdout().lock(), "{text}"));
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
        self.bar.apart(|| _ = writeln!(std::io::stderr().lock(), "{text}"));
    }
}
