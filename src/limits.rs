//! All limits of the program: the numbers that other modules use, and in [`fields`] the rule of every field
//! of a request.
//!
//! The access layer checks requests against the rules; `clientela limits` prints both tables. Rules that need
//! more than one field belong to their area.

pub mod fields;

use std::{fmt::Write as _, time::Duration};

pub use fields::{FIELDS, Rule};

/// A request message, decoded.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// A request message of health and reflection, which need no key.
pub const SIDE_REQUEST_BYTES_MAX: usize = 4 * 1024;
/// A response message, encoded. Common clients refuse more than this.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Streams that one connection may have open, calls included.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// The headers of one request.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Bytes that a client may send on one stream before it waits.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes that a client may send on one connection before it waits.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How often a silent connection is pinged.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How soon a connection must answer a ping.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the system probes a silent socket.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Open connections of the process, unless a flag says otherwise.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Open connections of one address other than loopback (of one /64 network for IPv6), unless a flag says
/// otherwise.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1_000;
/// How soon a new connection must send the headers of its first request.
pub const FIRST_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may accept none of the bytes that wait to be sent on it.
pub const CONNECTION_STALLED_MAX: Duration = Duration::from_secs(30);
/// Bytes of one stream that the transport buffers for sending.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams of health and of reflection of the whole process.
pub const SIDE_STREAMS_MAX: usize = 2_000;
/// Streams of health and of reflection of one connection.
pub const SIDE_STREAMS_PER_CONNECTION_MAX: usize = 16;
/// Bytes of answers of one connection that its client has not received.
pub const UNSENT_BYTES_PER_CONNECTION_MAX: usize = 32 * 1024 * 1024;
/// Bytes of answers of one key that its clients have not received.
pub const UNSENT_BYTES_PER_KEY_MAX: usize = 64 * 1024 * 1024;
/// Bytes of answers of the whole process that clients have not received.
pub const UNSENT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Calls of one key in progress, those that wait for their turn included. Open streams do not count.
pub const CALLS_PER_KEY_MAX: usize = 2_000;
/// Writes of one key that run at a time. Further ones wait.
pub const WRITES_PER_KEY_MAX: usize = 128;
/// Writes of the whole process that run at a time.
pub const WRITES_MAX: usize = 512;
/// Bytes that a write reserves for its answer. They count among the unreceived bytes of its key.
pub const WRITE_ANSWER_ROOM: usize = CART_BYTES_MAX;
/// The size in bytes from which a request counts among the bytes of its connection and its key.
pub const COUNTED_REQUEST_BYTES: usize = 16 * 1024;
/// Bytes of an answer that are handed to the transport at once. The rest waits until the connection has room
/// for it.
pub const ANSWER_CHUNK_BYTES: usize = 16 * 1024;
/// Answers of one connection that were given up unread and of which the transport may still hold a part,
/// before the connection is cut.
pub const ABANDONED_ANSWERS_MAX: usize = 64;

/// The deadline of a call that names none.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// The longest deadline of a call; a longer one is reduced to this.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// How soon the whole request must have arrived.
pub const REQUEST_BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long streams and calls may continue after the server is asked to stop.
pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long, after that, submitted writes may continue and the store may take to close.
pub const CLOSING_TIME_MAX: Duration = Duration::from_secs(10);

/// The value of `clientela-actor`, of `clientela-on-behalf-of` and of `clientela-shop`.
pub const METADATA_BYTES_MAX: usize = 128;
/// How soon a revocation takes effect on every replica, for calls and open streams.
pub const REVOCATION_MAX: Duration = Duration::from_secs(5);
/// How often the API keys are read again, as [`REVOCATION_MAX`] requires.
pub const KEY_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The greatest age of a connection to PostgreSQL, give or take a fifth.
pub const CONNECTION_AGE: Duration = Duration::from_secs(30 * 60);
/// How far a replica's clock may be from the database's before it warns.
pub const CLOCK_OFF_WARNED: Duration = Duration::from_secs(1);
/// How far a replica's clock may be from the database's before it reports that it does not serve.
pub const CLOCK_OFF_MAX: Duration = Duration::from_secs(10);

/// How deep objects and lists may be nested in `attributes`.
pub const ATTRIBUTE_NESTING_MAX: usize = 16;
/// Violations that one answer names. The answer must fit into the trailers that clients accept.
pub const VIOLATIONS_MAX: usize = 32;

/// Entries of a page if the request names no size.
pub const PAGE_SIZE_DEFAULT: i32 = 50;
/// Entries of a page; a larger size is reduced to this.
pub const PAGE_SIZE_MAX: i32 = 1_000;
/// Rows that one page examines.
pub const PAGE_ROWS_EXAMINED_MAX: usize = 5_000;
/// The number up to which COUNT_MODE_ESTIMATE counts.
pub const COUNT_ESTIMATE_MAX: i64 = 10_000;
/// The number up to which COUNT_MODE_EXACT counts.
pub const COUNT_EXACT_MAX: i64 = 100_000;
/// Bytes of a filter.
pub const FILTER_BYTES_MAX: usize = 2 * 1024;
/// How deep a filter may be nested.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Comparisons in one filter.
pub const FILTER_TERMS_MAX: usize = 64;
/// Bytes of an `order_by`.
pub const ORDER_BY_BYTES_MAX: usize = 256;
/// Fields in one `order_by`.
pub const ORDER_KEYS_MAX: usize = 3;
/// Characters of a search.
pub const QUERY_CHARS_MAX: usize = 200;
/// Bytes of the sort key of a text, so that an index can hold it.
pub const SORT_KEY_BYTES_MAX: usize = 400;

/// How long a request id is remembered.
pub const REQUEST_ID_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Names, keys or members in one batch request.
pub const BATCH_MAX: usize = 1_000;

/// Addresses of one customer.
pub const ADDRESSES_MAX: usize = 50;
/// Groups of one customer.
pub const GROUPS_PER_CUSTOMER_MAX: usize = 100;
/// How long after a visit a customer counts as online.
pub const ONLINE_AFTER_VISIT: Duration = Duration::from_secs(5 * 60);
/// External ids of one customer.
pub const EXTERNAL_IDS_MAX: usize = 20;
/// `attributes` of a customer or a cart.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// Characters of a new password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Characters of a password.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Passwords of all keys that wait to be hashed. They wait no longer than their callers.
pub const HASH_QUEUE_MAX: usize = 64;
/// Passwords of one key that wait to be hashed.
pub const HASH_QUEUE_PER_KEY_MAX: usize = 16;

/// Items of one cart.
pub const CART_ITEMS_MAX: usize = 500;
/// One cart with all its items, encoded.
pub const CART_BYTES_MAX: usize = 256 * 1024;
/// `attributes` of one item.
pub const ITEM_ATTRIBUTES_BYTES_MAX: usize = 2 * 1024;
/// The quantity of one item.
pub const QUANTITY_MAX: i64 = 1_000_000;
/// Edits in one EditCart.
pub const EDITS_MAX: usize = 100;
/// Charges of one cart, and adjustments of one cart.
pub const CHARGES_MAX: usize = 20;
/// The shortest lease of staff on a cart.
pub const LOCK_LEASE_MIN: Duration = Duration::from_secs(10);
/// The longest lease of staff on a cart.
pub const LOCK_LEASE_MAX: Duration = Duration::from_secs(15 * 60);
/// The lease of staff on a cart if the request names none.
pub const LOCK_LEASE_DEFAULT: Duration = Duration::from_secs(2 * 60);
/// The shortest life of a recovery link.
pub const LINK_LIFE_MIN: Duration = Duration::from_secs(60);
/// The longest life of a recovery link.
pub const LINK_LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The life of a recovery link if the request names none.
pub const LINK_LIFE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Causes in one change of a cart.
pub const CAUSES_MAX: usize = 16;
/// Any amount of money, either sign: 2^53-1 millionths, exact in every client's numbers.
pub const MICROS_MAX: i64 = (1 << 53) - 1;

/// Watch streams of the whole process.
pub const WATCH_STREAMS_MAX: usize = 20_000;
/// Watch streams of one key.
pub const WATCH_STREAMS_PER_KEY_MAX: usize = 500;
/// Resources that one filtered watch follows.
pub const WATCH_MEMBERS_MAX: usize = 100_000;
/// Bytes of the latest changes that the process keeps in memory for all watch streams together.
pub const RINGS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of changes that all watch streams together hold back for their `min_update_interval`.
pub const PACED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a watch stream may be left unread before it ends.
pub const WATCH_STALLED_MAX: Duration = Duration::from_secs(30);
/// The longest time between two messages of a watch.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// The shortest heartbeat interval.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
/// The longest heartbeat interval.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(60);
/// The longest `min_update_interval` of a watch.
pub const UPDATE_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The shortest time between two messages of figures by default.
pub const FIGURES_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// The shortest `min_interval` of figures.
pub const FIGURES_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest `min_interval` of figures.
pub const FIGURES_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The greatest age of a watch stream, give or take a fifth.
pub const WATCH_AGE: Duration = Duration::from_secs(30 * 60);
/// How long the feed's history is kept by default.
pub const FEED_RETENTION_DEFAULT: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// How large the feed's history becomes by default, in bytes.
pub const FEED_BYTES_DEFAULT: u64 = 4 * 1024 * 1024 * 1024;

/// How long a worker may be silent before another takes its job.
pub const JOB_LEASE: Duration = Duration::from_secs(30);
/// How long operations that have ended are shown.
pub const OPERATION_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A number with its unit, in [`PROGRAM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A count of the limit's objects.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// Time.
    Time(Duration),
}

/// The limits that do not belong to one field, as they are printed.
pub const PROGRAM: &[(&str, Amount)] = &[
    ("request message", Amount::Bytes(REQUEST_BYTES_MAX as u64)),
    (
        "request message of health and reflection",
        Amount::Bytes(SIDE_REQUEST_BYTES_MAX as u64),
    ),
    ("response message", Amount::Bytes(RESPONSE_BYTES_MAX as u64)),
    (
        "streams of a connection",
        Amount::Count(STREAMS_PER_CONNECTION_MAX as u64),
    ),
    ("connections", Amount::Count(CONNECTIONS_MAX as u64)),
    (
        "connections of an address",
        Amount::Count(CONNECTIONS_PER_ADDRESS_MAX as u64),
    ),
    (
        "time until a connection's first request",
        Amount::Time(FIRST_REQUEST_TIME_MAX),
    ),
    (
        "a connection that takes nothing",
        Amount::Time(CONNECTION_STALLED_MAX),
    ),
    (
        "answers not received, of a connection",
        Amount::Bytes(UNSENT_BYTES_PER_CONNECTION_MAX as u64),
    ),
    (
        "answers not received, of a key",
        Amount::Bytes(UNSENT_BYTES_PER_KEY_MAX as u64),
    ),
    (
        "answers not received, in the process",
        Amount::Bytes(UNSENT_BYTES_MAX as u64),
    ),
    (
        "calls of a key under way",
        Amount::Count(CALLS_PER_KEY_MAX as u64),
    ),
    (
        "writes of a key at a time",
        Amount::Count(WRITES_PER_KEY_MAX as u64),
    ),
    ("writes at a time", Amount::Count(WRITES_MAX as u64)),
    (
        "headers of a request",
        Amount::Bytes(HEADER_LIST_BYTES_MAX as u64),
    ),
    (
        "deadline of a call that names none",
        Amount::Time(DEADLINE_DEFAULT),
    ),
    ("deadline of a call", Amount::Time(DEADLINE_MAX)),
    (
        "time for a request to arrive",
        Amount::Time(REQUEST_BODY_TIME_MAX),
    ),
    ("time for revocations to act", Amount::Time(REVOCATION_MAX)),
    (
        "acting person, on behalf of",
        Amount::Bytes(METADATA_BYTES_MAX as u64),
    ),
    (
        "entries of a page by default",
        Amount::Count(PAGE_SIZE_DEFAULT as u64),
    ),
    ("entries of a page", Amount::Count(PAGE_SIZE_MAX as u64)),
    (
        "rows examined for a page",
        Amount::Count(PAGE_ROWS_EXAMINED_MAX as u64),
    ),
    ("estimated count", Amount::Count(COUNT_ESTIMATE_MAX as u64)),
    ("exact count", Amount::Count(COUNT_EXACT_MAX as u64)),
    (
        "comparisons in a filter",
        Amount::Count(FILTER_TERMS_MAX as u64),
    ),
    (
        "nesting of a filter",
        Amount::Count(FILTER_DEPTH_MAX as u64),
    ),
    ("fields of an order", Amount::Count(ORDER_KEYS_MAX as u64)),
    ("memory of a request id", Amount::Time(REQUEST_ID_RETENTION)),
    (
        "nesting of attributes",
        Amount::Count(ATTRIBUTE_NESTING_MAX as u64),
    ),
    (
        "addresses of a customer",
        Amount::Count(ADDRESSES_MAX as u64),
    ),
    (
        "passwords waiting to be hashed",
        Amount::Count(HASH_QUEUE_MAX as u64),
    ),
    (
        "passwords of a key waiting to be hashed",
        Amount::Count(HASH_QUEUE_PER_KEY_MAX as u64),
    ),
    ("items of a cart", Amount::Count(CART_ITEMS_MAX as u64)),
    ("a cart", Amount::Bytes(CART_BYTES_MAX as u64)),
    ("shortest lease on a cart", Amount::Time(LOCK_LEASE_MIN)),
    ("longest lease on a cart", Amount::Time(LOCK_LEASE_MAX)),
    (
        "lease on a cart by default",
        Amount::Time(LOCK_LEASE_DEFAULT),
    ),
    (
        "shortest life of a recovery link",
        Amount::Time(LINK_LIFE_MIN),
    ),
    (
        "longest life of a recovery link",
        Amount::Time(LINK_LIFE_MAX),
    ),
    (
        "life of a recovery link by default",
        Amount::Time(LINK_LIFE_DEFAULT),
    ),
    ("causes of a change", Amount::Count(CAUSES_MAX as u64)),
    (
        "streams of health and reflection",
        Amount::Count(SIDE_STREAMS_MAX as u64),
    ),
    (
        "streams of health and reflection of a connection",
        Amount::Count(SIDE_STREAMS_PER_CONNECTION_MAX as u64),
    ),
    ("watch streams", Amount::Count(WATCH_STREAMS_MAX as u64)),
    (
        "watch streams of a key",
        Amount::Count(WATCH_STREAMS_PER_KEY_MAX as u64),
    ),
    (
        "resources of a filtered watch",
        Amount::Count(WATCH_MEMBERS_MAX as u64),
    ),
    (
        "latest changes kept in memory",
        Amount::Bytes(RINGS_BYTES_MAX as u64),
    ),
    (
        "changes kept back for an interval",
        Amount::Bytes(PACED_BYTES_MAX as u64),
    ),
    ("a watch that is not read", Amount::Time(WATCH_STALLED_MAX)),
    ("age of a watch stream", Amount::Time(WATCH_AGE)),
    ("a worker that is silent", Amount::Time(JOB_LEASE)),
    (
        "memory of ended operations",
        Amount::Time(OPERATION_RETENTION),
    ),
];

/// Both tables as text, for `clientela limits`.
pub fn text() -> String {
    let mut text = String::from("Limits of the program:\n");
    for (name, amount) in PROGRAM {
        writeln!(text, "  {name:<38} {}", amount.text()).expect("a String takes everything");
    }
    text.push_str("\nLimits of the fields of requests:\n");
    for (field, rule) in FIELDS {
        writeln!(text, "  {field:<38} {}", rule.text()).expect("a String takes everything");
    }
    text
}

impl Amount {
    /// The amount with its unit.
    pub fn text(self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Bytes(bytes) if bytes % (1024 * 1024) == 0 => {
                format!("{} MiB", bytes / (1024 * 1024))
            }
            Self::Bytes(bytes) if bytes % 1024 == 0 => format!("{} KiB", bytes / 1024),
            Self::Bytes(bytes) => format!("{bytes} bytes"),
            Self::Time(time) if time.as_secs() >= 3_600 && time.as_secs() % 3_600 == 0 => {
                format!("{} h", time.as_secs() / 3_600)
            }
            Self::Time(time) if time.as_secs() > 60 && time.as_secs() % 60 == 0 => {
                format!("{} min", time.as_secs() / 60)
            }
            Self::Time(time) => format!("{} s", time.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_print_with_their_units() {
        let text = text();

        assert!(
            text.contains("request message                        1 MiB\n"),
            "{text}"
        );
        assert!(
            text.contains("memory of a request id                 24 h\n"),
            "{text}"
        );
        assert!(text.contains("Address.postal_code                    at most 16 characters\n"));
        assert!(text.contains("ItemInput.quantity                     1 to 1000000\n"));
    }
}
