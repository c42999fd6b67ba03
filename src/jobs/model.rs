//! Jobs and their states.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::caller::Caller;
use crate::proto::pb::operation;

/// The kind of a job. The numbers are stored, and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum JobKind {
    /// Reprices open carts after a group's privileges changed. Subject: `groups/{id}`.
    RepriceCarts = 1,
    /// Updates a customer's carts. Subject: `customers/{id}`.
    RefreshCustomer = 2,
    /// Removes the members of a deleted group. Subject: `groups/{id}`.
    DeleteGroup = 3,
    /// Deletes the open carts of a deleted customer. Subject: `customers/{id}`.
    DeleteCustomerCarts = 4,
    /// Ends memberships whose grants have expired.
    ExpireMemberships = 5,
    /// Removes rows whose retention has ended.
    Purge = 6,
    /// Removes old history of the feed.
    Compact = 7,
    /// Marks carts that have not changed for long as abandoned.
    AbandonCarts = 9,
    /// Rebuilds the search texts and sort keys of a shop's customers.
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

    /// The stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The kind with a number.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether data stays consistent if the work stops halfway.
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

    /// The collection of the resources that it works on one by one; empty for rows without names.
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

    /// Whether the job is still shown after it has succeeded. Recurring jobs, and jobs that every change of a
    /// customer causes, are not: their rows would be most of the table.
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

    /// The kind in the contract.
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

/// The state of a job. The numbers are stored, and are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum JobState {
    /// It waits for its time or for a worker.
    Pending = 1,
    /// A worker runs it, or ran it when its process died.
    Running = 2,
    /// It has succeeded.
    Done = 3,
    /// It has failed for good.
    Failed = 4,
    /// It was cancelled.
    Cancelled = 5,
}

impl JobState {
    /// The stored number.
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

    /// Whether the state is final.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Done | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The state in the contract.
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

/// A job before it is enqueued.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The kind of work.
    pub kind: JobKind,
    /// The resource that it works on, for example `groups/vip`; may be empty. Jobs of one kind and subject
    /// that have not begun are enqueued once.
    pub subject: String,
    /// Further input of the handler. If the job was enqueued before, the first document stays.
    pub doc: Value,
    /// The earliest time of its start, in microseconds.
    pub run_at: i64,
}

impl NewJob {
    /// A job that may start at once.
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
    /// The last segment of the operation's name.
    pub id: String,
    /// The shop; empty for work on the whole store.
    pub shop: Arc<str>,
    /// The kind of work.
    pub kind: JobKind,
    /// The resource that it works on; may be empty.
    pub subject: String,
    /// Further input of the handler.
    pub doc: Value,
    /// The point at which the last step ended; empty at first. The handler defines its meaning.
    pub cursor: String,
    /// How many times it was restarted after an error.
    pub attempts: i64,
    /// The key that caused it.
    pub key_id: String,
    /// The person who caused it.
    pub actor: Option<String>,
    /// The party for which the person acted.
    pub on_behalf_of: Option<String>,
    /// The transaction that claimed it: writers that began before it may still be in progress.
    pub(super) xid: i64,
    /// The claim, by which a worker that was too slow loses the job.
    pub(super) lease_owner: String,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The cursor for the next step.
    pub cursor: String,
    /// How many resources this step worked on.
    pub worked: i64,
    /// Whether the whole job is done.
    pub done: bool,
    /// How many resources this step skipped.
    pub skipped: i64,
    /// Whether `skipped` is the count of the whole job instead of this step.
    pub recounted: bool,
    /// One of the skipped resources and its error, for people.
    pub note: Option<String>,
    /// When the job continues; None for at once.
    pub resume_at: Option<i64>,
}

impl Step {
    /// A step after which there is more to do, from `cursor` on.
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

    /// A step after which the work is done.
    #[must_use]
    pub fn done(worked: i64) -> Self {
        Self {
            done: true,
            ..Self::more("", worked)
        }
    }

    /// A step after which only skipped resources are left, to be retried from `resume_at` on.
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
    /// The caller for whom the changes of this job are written: the one that caused it.
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

/// A pause that doubles with each earlier failure.
pub(super) fn doubled(least: Duration, failures: i64, most: Duration) -> Duration {
    let doublings = u32::try_from(failures.clamp(0, 16)).unwrap_or_default();
    least.saturating_mul(1 << doublings).min(most)
}
