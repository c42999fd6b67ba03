//! Background work: effects on many resources that a call only asks for, and recurring work.
//!
//! A job is a row, written in the transaction that needs it. A worker of any replica claims it by a
//! lease and goes on in steps; the effect of a step and the job's cursor are written in one
//! transaction.
//!
//! A resource that cannot be written is skipped, reported and tried again later ([`skips`]); it holds up
//! nothing else. Workers take turns between shops and kinds, and give a long job back while others wait.
//!
//! Invariant: a job is done only when its effect is whole, also when a process is killed between any
//! two statements. A step may be run again, so its effect must be the same the second time.

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
pub(crate) mod sql;
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
