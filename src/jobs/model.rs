//! What a job is, and how far it is.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::caller::Caller;
use crate::proto::pb::operation;

/// What a job does. The numbers are stored, and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum JobKind {
    /// Brings open carts up to date after a group's privileges changed. About `groups/{id}`.
    RepriceCarts = 1,
    /// Brings a customer's carts up to date. About `customers/{id}`.
    RefreshCustomer = 2,
    /// Takes the members out of a deleted group. About `groups/{id}`.
    DeleteGroup = 3,
    /// Deletes the open carts of a deleted customer. About `customers/{id}`.
    DeleteCustomerCarts = 4,
    /// Ends memberships whose grants have expired.
    ExpireMemberships = 5,
    /// Removes what its retention has run out for.
    Purge = 6,
    /// Removes old history of the feed.
    Compact = 7,
    /// Marks carts that nobody has changed for long.
    AbandonCarts = 9,
    /// Makes anew what a shop's customers are found and ordered by.
    ReindexCustomers = 10,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::RepriceCarts,
        Self::RefreshCustomer,
        Self::DeleteGroup,
        Self::DeleteCustomerCarts,
        Self::ExpireMemberships,
        Self::Purge,
        Self::Compact,
        Self::AbandonCarts,
        Self::ReindexCustomers,
    ];

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The kind with a number.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether data stays consistent when the work stops halfway.
    #[must_use]
    pub const fn is_cancellable(self) -> bool {
        match self {
            Self::Purge | Self::Compact | Self::AbandonCarts => true,
            Self::RepriceCarts
            | Self::RefreshCustomer
            | Self::DeleteGroup
            | Self::DeleteCustomerCarts
            | Self::ExpireMemberships
            | Self::ReindexCustomers => false,
        }
    }

    /// The collection of the resources that it works on one by one; empty for rows that have no names.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::RepriceCarts
            | Self::RefreshCustomer
            | Self::DeleteCustomerCarts
            | Self::Purge
            | Self::AbandonCarts => "carts",
            Self::DeleteGroup | Self::ExpireMemberships | Self::ReindexCustomers => "customers",
            Self::Compact => "",
        }
    }

    /// Whether the job is shown after it has ended well. Work that recurs, or that comes with every change of a
    /// customer, is not: its rows would be most of the table.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        match self {
            Self::RepriceCarts
            | Self::DeleteGroup
            | Self::DeleteCustomerCarts
            | Self::ReindexCustomers => true,
            Self::RefreshCustomer
            | Self::ExpireMemberships
            | Self::Purge
            | Self::Compact
            | Self::AbandonCarts => false,
        }
    }

    /// As the contract names it.
    #[must_use]
    pub const fn message(self) -> operation::Kind {
        match self {
            Self::RepriceCarts => operation::Kind::RepriceCarts,
            Self::RefreshCustomer => operation::Kind::RefreshCustomer,
            Self::DeleteGroup => operation::Kind::DeleteGroup,
            Self::DeleteCustomerCarts => operation::Kind::DeleteCustomerCarts,
            Self::ExpireMemberships => operation::Kind::ExpireMemberships,
            Self::Purge => operation::Kind::Purge,
            Self::Compact => operation::Kind::Compact,
            Self::AbandonCarts => operation::Kind::AbandonCarts,
            Self::ReindexCustomers => operation::Kind::ReindexCustomers,
        }
    }
}

/// How far a job is. The numbers are stored, and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum JobState {
    /// Waits for its time or for a worker.
    Pending = 1,
    /// Is being worked on, or was when its process died.
    Running = 2,
    /// Has ended well.
    Done = 3,
    /// Has ended with an error.
    Failed = 4,
    /// Was cancelled.
    Cancelled = 5,
}

impl JobState {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The state with a number.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        [
            Self::Pending,
            Self::Running,
            Self::Done,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|state| state.number() == number)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Done | Self::Failed | Self::Cancelled => true,
        }
    }

    /// As the contract names it.
    #[must_use]
    pub const fn message(self) -> operation::State {
        match self {
            Self::Pending => operation::State::Pending,
            Self::Running => operation::State::Running,
            Self::Done => operation::State::Done,
            Self::Failed => operation::State::Failed,
            Self::Cancelled => operation::State::Cancelled,
        }
    }
}

/// Work to be done.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it is.
    pub kind: JobKind,
    /// What it is about, as `groups/vip`; may be empty. Work of one kind about one thing that nobody
    /// has begun yet is done once, however often it is asked for.
    pub subject: String,
    /// What else the handler needs. Where work was asked for before, the first document stands.
    pub doc: Value,
    /// Not before this time, in microseconds.
    pub run_at: i64,
}

impl NewJob {
    /// Work to be done at once.
    #[must_use]
    pub fn now(kind: JobKind, subject: impl Into<String>, now: i64) -> Self {
        Self {
            kind,
            subject: subject.into(),
            doc: Value::Null,
            run_at: now,
        }
    }
}

/// A job that a worker has claimed.
#[derive(Clone, Debug)]
pub struct Job {
    /// The last part of the operation's name.
    pub id: String,
    /// The shop; empty for what concerns the whole store.
    pub shop: Arc<str>,
    /// What it is.
    pub kind: JobKind,
    /// What it is about.
    pub subject: String,
    /// What else the handler needs.
    pub doc: Value,
    /// Where the last step ended; empty at first. Its meaning is the handler's.
    pub cursor: String,
    /// How many times it was begun again after an error.
    pub attempts: i64,
    /// Who caused it.
    pub key_id: String,
    /// The person who caused it.
    pub actor: Option<String>,
    /// The party that the person acted for.
    pub on_behalf_of: Option<String>,
    /// The transaction that claimed it: writers that began before it may still be under way.
    pub(super) xid: i64,
    /// The claim, so that a worker that was too slow finds out.
    pub(super) lease_owner: String,
}

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the next step begins.
    pub cursor: String,
    /// How many resources this step worked on.
    pub worked: i64,
    /// Whether the whole work is done.
    pub done: bool,
    /// How many resources this step skipped.
    pub skipped: i64,
    /// Whether `skipped` counts what the whole job has skipped, not only this step.
    pub recounted: bool,
    /// One of the skipped resources and why, for people.
    pub note: Option<String>,
    /// When the job goes on, if not at once.
    pub resume_at: Option<i64>,
}

impl Step {
    /// There is more to do after `cursor`.
    #[must_use]
    pub fn more(cursor: impl Into<String>, worked: i64) -> Self {
        Self {
            cursor: cursor.into(),
            worked,
            done: false,
            skipped: 0,
            recounted: false,
            note: None,
            resume_at: None,
        }
    }

    /// The work is done.
    #[must_use]
    pub fn done(worked: i64) -> Self {
        Self {
            done: true,
            ..Self::more("", worked)
        }
    }

    /// Nothing is left to do before `resume_at` but what was skipped.
    #[must_use]
    pub(super) fn parked(
        cursor: impl Into<String>,
        resume_at: i64,
        skipped: i64,
        note: Option<String>,
    ) -> Self {
        Self {
            skipped,
            recounted: true,
            note,
            resume_at: Some(resume_at),
            ..Self::more(cursor, 0)
        }
    }
}

impl Job {
    /// Who the changes of this job are written for: the one who caused it.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            key_id: Arc::from(&*self.key_id),
            on_behalf_of: self.on_behalf_of.as_deref().map(Arc::from),
            ..Caller::system(Arc::clone(&self.shop), self.actor.as_deref().map(Arc::from))
        }
    }

    /// The name of one of the resources that it works on.
    pub(super) fn resource(&self, id: &str) -> String {
        format!("{}/{id}", self.kind.collection())
    }
}

/// A pause that doubles with each failure before it.
pub(super) fn doubled(least: Duration, failures: i64, most: Duration) -> Duration {
    let doublings = u32::try_from(failures.clamp(0, 16)).unwrap_or_default();
    least.saturating_mul(1 << doublings).min(most)
}
