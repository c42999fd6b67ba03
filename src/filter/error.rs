//! The faults of a filter or an order, in a form on which the caller can act. The message is for the caller
//! alone: it repeats a part of the caller's text.

use std::fmt::Write as _;

/// The most characters of the caller's text that a message repeats.
const ECHO_CHARS_MAX: usize = 64;

/// The first fault of a filter or of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {message}")]
pub struct FilterError {
    /// The byte offset at which the fault begins in the text.
    pub position: usize,
    /// One sentence for people. It includes the nearest field and the allowed values.
    pub message: String,
    /// For an unknown field: the field that was probably meant.
    pub nearest: Option<&'static str>,
    /// The accepted values (in an order: fields), where they can be listed.
    pub allowed: Vec<&'static str>,
}

impl FilterError {
    pub(super) fn new(position: usize, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
            nearest: None,
            allowed: Vec::new(),
        }
    }

    pub(super) fn unknown_field(
        position: usize,
        path: &str,
        candidates: impl Iterator<Item = &'static str>,
    ) -> Self {
        let nearest = nearest(path, candidates);
        let mut message = format!("unknown field {}", echo(path));
        if let Some(nearest) = nearest {
            // Writing to a String cannot fail.
            let _ = write!(message, "; did you mean \"{nearest}\"?");
        }
        Self {
            position,
            message,
            nearest,
            allowed: Vec::new(),
        }
    }

    pub(super) fn allowing(mut self, allowed: Vec<&'static str>) -> Self {
        // Writing to a String cannot fail.
        let _ = write!(self.message, "; use one of {}", allowed.join(", "));
        self.allowed = allowed;
        self
    }
}

/// A part of the caller's text for a message: quoted, control characters escaped, truncated.
pub(super) fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Below this similarity (0 to 1) a suggestion confuses more than it helps.
const SIMILARITY_MIN: f64 = 0.5;

fn nearest(path: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let path = path.to_lowercase();
    candidates
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(&path, candidate),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}
