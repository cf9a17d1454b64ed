//! Texts that callers send in words: their length is the same everywhere.

use posthaste_domain::order::MOST_TEXT;
use posthaste_http::problem::Answer;
use posthaste_protocol::problem::{FieldError, Problem};

/// The longest name of a driver or zone.
pub const MOST_NAME: usize = 100;

/// A reason must say something, in at most [`MOST_TEXT`] characters.
pub fn reason(field: &str, text: &str) -> Answer<()> {
    match wrong_length(text, MOST_TEXT) {
        Some(problem) => Err(Problem::invalid(field, problem).into()),
        None => Ok(()),
    }
}

/// A note may be left out, and is at most [`MOST_TEXT`] characters.
pub fn note(field: &str, text: Option<&str>) -> Answer<()> {
    match text {
        Some(text) if text.chars().count() > MOST_TEXT => {
            Err(Problem::invalid(field, format!("longer than {MOST_TEXT} characters")).into())
        }
        _ => Ok(()),
    }
}

/// What is wrong with the length of a text of 1 to `most` characters.
pub fn wrong_length(text: &str, most: usize) -> Option<String> {
    let length = text.trim().chars().count();
    (length == 0 || length > most).then(|| format!("must have 1 to {most} characters"))
}

/// One wrong field.
pub fn wrong(field: impl Into<String>, problem: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), problem: problem.into() }
}

/// All fields are right, or the problem that names those that are not.
pub fn all_right(wrong: Vec<FieldError>) -> Answer<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Problem::new(posthaste_protocol::problem::Code::Invalid).errors(wrong).into())
}
