//! The failure of a command: its message and its exit code.
//!
//! The message is for people, the code for scripts: 1 refused or failed, 2 wrong command line, 3 the server
//! cannot be reached.

use std::{error::Error as _, fmt, process::ExitCode};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::proto::pb::ErrorReason;

/// The server refused, or the command could not do its work.
pub const REFUSED: u8 = 1;
/// The command line is wrong. clap uses the same code.
pub const USAGE: u8 = 2;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 3;

/// The reason for the failure of a command, as a sentence.
#[derive(Debug)]
pub struct Failure {
    text: String,
    code: u8,
    quiet: bool,
}

impl Failure {
    /// The command could not do its work.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: REFUSED,
            quiet: false,
        }
    }

    /// The command line asks for something impossible.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            ..Self::new(text)
        }
    }

    /// The server does not answer.
    pub fn unreachable(server: &str, source: &(dyn std::error::Error + 'static)) -> Self {
        let text = format!(
            "cannot reach the server at {server}: {}. Is `clientela serve` running there?",
            root(source)
        );
        Self {
            code: UNREACHABLE,
            ..Self::new(text)
        }
    }

    /// The reader of the output has gone, as with `head`; this is no error.
    pub fn pipe_closed() -> Self {
        Self {
            code: 0,
            quiet: true,
            ..Self::new("")
        }
    }

    /// A failure that the command has already reported.
    pub fn silent() -> Self {
        Self {
            quiet: true,
            ..Self::new("")
        }
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Whether nothing is to be printed.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if let Some(source) = transport_fault(&status) {
            let text = format!("the connection to the server failed: {}", root(source));
            return Self {
                code: UNREACHABLE,
                ..Self::new(text)
            };
        }
        Self::new(sentence(&status))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::pipe_closed(),
            _ => Self::new(error.to_string()),
        }
    }
}

/// The cause of a status that was made on this side because the connection failed.
pub fn transport_fault(status: &Status) -> Option<&(dyn std::error::Error + 'static)> {
    // A status from the server has no source.
    status
        .source()
        .filter(|_| matches!(status.code(), Code::Unavailable | Code::Unknown))
}

/// The reason of the contract in a refusal.
pub fn reason(status: &Status) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&status.get_details_error_info()?.reason)
}

/// Formats a refusal of the server for people.
fn sentence(status: &Status) -> String {
    let mut text = format!("the server refused: {}", status.message());
    if let Some(info) = status.get_details_error_info() {
        text.push_str(&format!(" ({})", info.reason));
    } else {
        text.push_str(&format!(" ({:?})", status.code()));
    }
    let violations = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations);
    if let Some(violations) = violations.filter(|violations| violations.len() > 1) {
        for violation in violations {
            text.push_str(&format!(
                "\n  {}: {}",
                violation.field, violation.description
            ));
        }
    }
    if let Some(hint) = reason(status).and_then(hint) {
        text.push('\n');
        text.push_str(hint);
    }
    text
}

/// The remedy for a refusal, if a command provides one.
fn hint(reason: ErrorReason) -> Option<&'static str> {
    Some(match reason {
        ErrorReason::ShopRequired => "Name the shop with --shop.",
        ErrorReason::KeyMissing | ErrorReason::KeyRevoked => {
            "Give a key with --api-key or CLIENTELA_API_KEY; `clientela key create` makes one."
        }
        ErrorReason::RoleNotAllowed => {
            "Give a key of another role with --api-key or CLIENTELA_API_KEY."
        }
        ErrorReason::ActorNotAllowed => {
            "Leave --actor out, or give a key that was made with `clientela key create --may-act`."
        }
        ErrorReason::EtagMismatch => "Somebody else changed it meanwhile; repeat the command.",
        ErrorReason::OpenCartExists => "Say what becomes of it with --if-open-cart-exists.",
        ErrorReason::CartLocked => "`clientela cart unlock --force` ends the lock.",
        ErrorReason::CartFrozen => "`clientela cart unfreeze` ends that.",
        ErrorReason::CustomerDeleted => "`clientela customer undelete` brings it back.",
        ErrorReason::GroupSpecial => {
            "Give the shop another group for this first, as in \
             `clientela shop settings guest_group=…`."
        }
        ErrorReason::InvalidFilter | ErrorReason::InvalidOrderBy => {
            "docs/FILTERS.md describes filters and orders and lists the fields."
        }
        ErrorReason::Conflict
        | ErrorReason::DatabaseUnavailable
        | ErrorReason::DeadlinePassed
        | ErrorReason::Draining
        | ErrorReason::Overloaded => "Try again in a moment.",
        _ => return None,
    })
}

/// The innermost cause, which is the message of the operating system.
fn root(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use crate::error::{Error, Violation};

    use super::*;

    #[test]
    fn a_refusal_is_shown_with_its_reason() {
        let status = Status::from(Error::not_found("customer"));

        assert_eq!(
            Failure::from(status).to_string(),
            "the server refused: no such customer (NOT_FOUND)"
        );
    }

    #[test]
    fn a_refusal_says_what_to_do_where_the_command_has_a_way() {
        let status = Status::from(Error::invalid_field("filter", "UNKNOWN_FIELD", "is wrong"));
        assert!(!Failure::from(status).to_string().contains('\n'));

        let hint = hint(ErrorReason::CartLocked).unwrap();
        assert_eq!(hint, "`clientela cart unlock --force` ends the lock.");
    }

    #[test]
    fn every_violation_is_shown() {
        let violations = vec![
            Violation::new("a", "TOO_LONG", "is too long"),
            Violation::new("b", "REQUIRED", "is missing"),
        ];

        let text = Failure::from(Status::from(Error::invalid(violations))).to_string();

        assert!(
            text.ends_with("(INVALID_FIELD)\n  a: is too long\n  b: is missing"),
            "{text}"
        );
    }
}
