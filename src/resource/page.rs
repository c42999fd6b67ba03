//! What all lists share: filters as refusals of the contract, sizes of pages, tokens and counts.

use std::time::{Duration, Instant};

use prost::Message;
use serde::Serialize;
use tonic::Code;

use crate::error::{Error, Result};
use crate::filter::{self, Direction, Filter, FilterError, Schema};
use crate::limits;
use crate::proto::pb::{Count, CountMode, ErrorReason};
use crate::store::{Conn, PageToken, RequestDigest, Statement, StoreMeta, page_size};

/// A checked filter.
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

/// A checked order.
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

/// How many entries a page has at the most.
///
/// # Errors
/// INVALID_FIELD for a size below zero.
pub fn size(asked: i32) -> Result<usize> {
    page_size(asked).ok_or_else(|| {
        Error::invalid_field("page_size", "OUT_OF_RANGE", "a page has no negative size")
    })
}

/// How many rows to read for a page of `size`: one more tells whether another page follows.
#[must_use]
pub fn more(size: usize) -> i64 {
    i64::try_from(size + 1).expect("a page has at most 1,000 entries")
}

/// Cuts the rows that were read down to a page, and gives the token of the next one; empty if there is none. `place`
/// says where a row lies in the order of the list.
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

/// Lets other tasks run while a page is made of many rows or of large ones: whoever computes for long keeps
/// the calls waiting that are to run on the same thread. Not for writes, whose transaction others wait for.
pub struct Pauses(Instant);

impl Pauses {
    /// How long a page computes at a time.
    const AFTER: Duration = Duration::from_micros(500);

    /// Begins to compute.
    #[must_use]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Pauses, if it is time to. To be called between two rows.
    pub async fn take(&mut self) {
        if self.0.elapsed() >= Self::AFTER {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}

/// An answer that clients accept.
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

/// The position in a page token; none for the first page.
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

/// Counts what `matching` selects, as far as the caller wants it counted. `matching` has no `LIMIT`.
///
/// # Errors
/// The database's; INVALID_FIELD for a mode that does not exist.
pub async fn count(conn: &mut Conn, mode: i32, matching: &Statement) -> Result<Option<Count>> {
    let limit = match CountMode::try_from(mode) {
        Ok(CountMode::Unspecified | CountMode::None) => return Ok(None),
        Ok(CountMode::Estimate) => limits::COUNT_ESTIMATE_MAX,
        Ok(CountMode::Exact) => limits::COUNT_EXACT_MAX,
        Err(_) => return Err(Error::invalid_field("count", "INVALID", "no such mode")),
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
