//! Log lines. They carry ids and reasons, never a secret or personal data.
//!
//! Invariant: a text that a library's message quotes, or that a panic adds to its fixed text, may be personal
//! data and is not logged: see [`redacted`].

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use tracing_subscriber::{EnvFilter, fmt as lines};

use crate::config::LogFormat;

/// The client of NATS logs each attempt to connect; the store logs outages. A filter that names it overrides
/// this.
const QUIET: &str = "async_nats=off";

/// Begins to log to standard error. Does nothing if a logger is already installed.
///
/// # Errors
/// If the filter cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|error| BadFilter(error.to_string()))?;
    let lines = lines::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber is refused, as in tests that start several servers.
    let _ = match format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the log filter cannot be read: {0}; it looks like `info` or `clientela=debug`")]
pub struct BadFilter(String);

/// Logs a panic as a line like any other. The standard hook prints the whole message, which may hold personal
/// data.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let text = panic_text(panic.payload());
    // Only if the operator asked for it by RUST_BACKTRACE.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(place, text, %backtrace, "a panic"),
        _ => tracing::error!(place, text, "a panic"),
    }
}

/// The text of a panic, if it is fixed in the program. A text made at run time may hold personal data.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its text is not shown, because it may hold personal data")
}

/// The message of a library without its quotations: from the first quotation mark to the last.
#[must_use]
pub fn redacted(message: &str) -> Cow<'_, str> {
    let is_mark = |letter: char| matches!(letter, '"' | '\'' | '`');
    match (message.find(is_mark), message.rfind(is_mark)) {
        (Some(first), Some(last)) if first < last => {
            Cow::Owned(format!("{}…{}", &message[..=first], &message[last..]))
        }
        // With a single mark, the quotation may extend to the end.
        (Some(only), _) => Cow::Owned(format!("{}…", &message[..=only])),
        (None, _) => Cow::Borrowed(message),
    }
}

tokio::task_local! {
    static CALL: CallId;
}

/// The id of one call: in its log lines, in `x-request-id`, and in the metadata of an internal error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId(u64);

impl CallId {
    /// Creates a random id.
    #[must_use]
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    /// The id of the current call; a new one if there is no call.
    #[must_use]
    pub fn current() -> Self {
        CALL.try_with(|id| *id).unwrap_or_else(|_| Self::fresh())
    }

    /// Runs a part of the call, whose log lines and errors then have this id.
    pub fn cover<F: Future>(self, part: F) -> impl Future<Output = F::Output> {
        CALL.scope(self, part)
    }

    /// Runs a part of the call that does not wait, as [`cover`](Self::cover).
    pub fn cover_now<T>(self, part: impl FnOnce() -> T) -> T {
        CALL.sync_scope(self, part)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parts_of_a_message_are_left_out() {
        for (message, shown) in [
            ("no such table: carts", "no such table: carts"),
            (
                r#"invalid type: string "ada \"the\" first", expected i64"#,
                r#"invalid type: string "…", expected i64"#,
            ),
            ("column \"a\" of \"b\" is 'c'", "column \"…'"),
            ("unterminated `ada", "unterminated `…"),
        ] {
            assert_eq!(redacted(message), shown);
        }
    }

    #[test]
    fn a_panic_shows_no_text_that_was_made_at_run_time() {
        let fixed = std::panic::catch_unwind(|| panic!("a fixed text")).unwrap_err();
        let made = std::panic::catch_unwind(|| panic!("{}", String::from("ada"))).unwrap_err();

        assert_eq!(panic_text(fixed.as_ref()), "a fixed text");
        assert!(!panic_text(made.as_ref()).contains("ada"));
    }

    #[tokio::test]
    async fn a_call_has_one_id_in_all_its_parts() {
        let id = CallId::fresh();

        assert_eq!(id.cover(async { CallId::current() }).await, id);
        assert_eq!(id.cover_now(CallId::current), id);
        assert_ne!(CallId::current(), id);
    }
}
