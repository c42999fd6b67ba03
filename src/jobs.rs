//! Background work: effects on many resources, which a call only enqueues, and recurring work.
//!
//! A job is a row, written in the transaction that needs it. A worker of any replica claims it with a lease
//! and runs it in steps. One transaction writes the effect of a step and the job's cursor.
//!
//! A resource that cannot be written is skipped, reported and retried later ([`skips`]); it does not hold up
//! the others. Workers take turns between shops and kinds, and return a long job while others wait.
//!
//! Invariant: a job is done only when its whole effect is written, even if a process is killed between any
//! two statements. A step may run again, so its effect must be idempotent.

mod aged;
mod compact;
mod handler;
mod hold;
mod meta;
mod model;
mod purge;
mod queue;
mod runner;
mod schedule;
pub mod skips;
mod sql;
mod wake;

pub use aged::Aged;
pub use compact::{Compact, FeedLimits};
pub use handler::{Due, Handler, Sweeper, Upkeep};
pub use hold::{Hold, held_for};
pub use model::{Job, JobKind, JobState, NewJob, Step};
pub use purge::{ANSWERS, Purge};
pub use queue::{cancel, enqueue};
pub use runner::{Jobs, JobsSettings};
pub use skips::Effect;
pub use wake::progress;
