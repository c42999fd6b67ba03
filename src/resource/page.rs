//! Helpers of all lists: filters, orders, page sizes, page tokens and counts.

use std::time::{Duration, Instant};

use prost::Message;
use serde::Serialize;
use tonic::Code;

use crate::error::{Error, Result};
use crate::filter::{self, Direction, Filter, FilterError, Schema};
use crate::limits;
use crate::proto::pb::{Count, CountMode, ErrorReason};
use crate::store::{Conn, PageToken, RequestDigest, Statement, StoreMeta, page_size};

/// Parses and checks a filter.
///
/// # Errors
/// INVALID_FILTER.
pub fn filter(
    text: &str,
    schema: &'static Schema,
    visible: &dyn Fn(&str) -> bool,
) -> Result<Filter> {
    Filter::parse(text, schema, visible).map_err(|e| refusal(ErrorReason::InvalidFilter, e))
}

/// Parses and checks an order.
///
/// # Errors
/// INVALID_ORDER_BY.
pub fn order(
    text: &str,
    schema: &Schema,
    visible: &dyn Fn(&str) -> bool,
) -> Result<Vec<(usize, Direction)>> {
    filter::parse_order_by(text, schema, visible)
        .map_err(|error| refusal(ErrorReason::InvalidOrderBy, error))
}

fn refusal(reason: ErrorReason, error: FilterError) -> Error {
    let position = error.position.to_string();
    let refusal = Error::new(Code::InvalidArgument, reason, error.to_string());
    let mut refusal = refusal.with("position", position);
    if let Some(nearest) = error.nearest {
        refusal = refusal.with("nearest", nearest);
    }
    if !error.allowed.is_empty() {
        refusal = refusal.with("allowed", error.allowed.join(", "));
    }
    refusal
}

/// Returns the most entries of a page, from the size in its request.
///
/// # Errors
/// INVALID_FIELD for a size below zero.
pub fn size(asked: i32) -> Result<usize> {
    page_size(asked).ok_or_else(|| {
        Error::invalid_field("page_size", "OUT_OF_RANGE", "the size must not be negative")
    })
}

/// Returns how many rows to read for a page: one more than `size`, which shows whether another page follows.
#[must_use]
pub fn more(size: usize) -> i64 {
    i64::try_from(size + 1).expect("a page has at most 1,000 entries")
}

/// Truncates the rows to a page and returns the token of the next page; empty if there is none. `place` returns the
/// position of a row in the order of the list.
pub fn cut<T, P: Serialize>(
    meta: &StoreMeta,
    request: &RequestDigest,
    rows: &mut Vec<T>,
    size: usize,
    place: impl FnOnce(&T) -> P,
) -> String {
    if rows.len() <= size {
        return String::new();
    }
    rows.truncate(size);
    let last = rows.last().map(place);
    last.map_or_else(String::new, |last| PageToken::seal(meta, request, &last))
}

/// Yields to other tasks while a page is made of many or large rows, because a long computation delays calls on the
/// same thread. Not for writes, because others wait for their transaction.
pub struct Pauses(Instant);

impl Pauses {
    /// The longest computation between two pauses.
    const AFTER: Duration = Duration::from_micros(500);

    /// Begins to measure the computation.
    #[must_use]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Yields if it is time to. Call this between two rows.
    pub async fn take(&mut self) {
        if self.0.elapsed() >= Self::AFTER {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}

/// Returns the answer if clients accept its size.
///
/// # Errors
/// ANSWER_TOO_LARGE.
pub fn fits<M: Message>(answer: M) -> Result<M> {
    if answer.encoded_len() <= limits::RESPONSE_BYTES_MAX {
        Ok(answer)
    } else {
        Err(Error::answer_too_large())
    }
}

/// Returns the position in a page token; None for the first page.
///
/// # Errors
/// INVALID_PAGE_TOKEN.
pub fn open<P: serde::de::DeserializeOwned>(
    meta: &StoreMeta,
    request: &RequestDigest,
    token: &str,
) -> Result<Option<P>> {
    PageToken::open(meta, request, token).map_err(|_| bad_token())
}

pub(super) fn bad_token() -> Error {
    Error::new(
        Code::InvalidArgument,
        ErrorReason::InvalidPageToken,
        "the page token does not belong to this request",
    )
}

/// Counts the rows of `matching`, which has no `LIMIT`, up to the limit of the mode. None if the mode is not to
/// count.
///
/// # Errors
/// The database's; INVALID_FIELD for an unknown mode.
pub async fn count(conn: &mut Conn, mode: i32, matching: &Statement) -> Result<Option<Count>> {
    let limit = match CountMode::try_from(mode) {
        Ok(CountMode::Unspecified | CountMode::None) => return Ok(None),
        Ok(CountMode::Estimate) => limits::COUNT_ESTIMATE_MAX,
        Ok(CountMode::Exact) => limits::COUNT_EXACT_MAX,
        Err(_) => return Err(Error::invalid_field("count", "INVALID", "unknown mode")),
    };
    let mut statement = matching.clone();
    statement.enclose("SELECT COUNT(*) FROM (");
    statement
        .push(" LIMIT ")
        .push_number(limit + 1)
        .push(") AS matching");
    let rows: Vec<(i64,)> = statement.fetch_all(conn).await?;
    let counted = rows.first().map_or(0, |row| row.0);
    Ok(Some(Count {
        value: counted.min(limit),
        at_least: counted > limit,
    }))
}
