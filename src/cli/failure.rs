//! What ends a command early: a line for people, a hint, an exit code.

use std::fmt::Display;

use crate::explain::ExplainError;
use crate::plan::PlanError;

/// Exit codes.
pub const DONE: u8 = 0;
pub const INPUT: u8 = 1;
pub const USAGE: u8 = 2;
pub const MODEL: u8 = 3;
pub const BACKEND: u8 = 4;
pub const INTERRUPTED: u8 = 130;

/// An error as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u8,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// The library's errors put the way out behind a semicolon: it becomes the hint.
    pub fn new(code: u8, error: impl Display) -> Self {
        let text = error.to_string();
        let line: Vec<&str> = text.split_whitespace().collect();
        let line = line.join(" ");
        match line.split_once("; ") {
            Some((message, hint)) => Self { code, message: message.to_owned(), hint: Some(hint.to_owned()) },
            None => Self { code, message: line, hint: None },
        }
    }

    pub fn usage(error: impl Display) -> Self {
        Self::new(USAGE, error)
    }

    pub fn model(error: impl Display) -> Self {
        Self::new(MODEL, error)
    }

    pub fn input(error: impl Display) -> Self {
        Self::new(INPUT, error)
    }

    /// An error of the explainer: what was asked for, what the model allows, or what the input holds.
    pub fn explain(error: &ExplainError) -> Self {
        let code = match error {
            ExplainError::Layer(_) | ExplainError::Target { .. } | ExplainError::AmbiguousTarget { .. } => USAGE,
            ExplainError::BaselineShape { .. } | ExplainError::Zero { .. } => USAGE,
            ExplainError::Plan(PlanError::NoLayer { .. } | PlanError::FlatLayer { .. }) => USAGE,
            ExplainError::Plan(_) | ExplainError::CamLayer(_) => MODEL,
            ExplainError::Backend(_) => BACKEND,
            ExplainError::Shape { .. } | ExplainError::NonFiniteInput { .. } | ExplainError::NonFiniteLogit { .. } => {
                INPUT
            }
        };
        Self::new(code, error)
    }

    /// The same with `name` in front, the file at fault.
    pub fn about(mut self, name: impl Display) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_the_hint() {
        let failure = Failure::usage("no such layer\n  \"x\"; the nearest is y; see inspect");
        assert_eq!(failure.message, "no such layer \"x\"");
        assert_eq!(failure.hint.as_deref(), Some("the nearest is y; see inspect"));
    }
}
