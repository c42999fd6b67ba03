//! Tests background work on both engines: a job is requested once and done once, whichever worker dies.

mod attempts;
mod compaction;
mod queue;
mod skips;
mod turns;
mod worker;

use crate::harness::eventually;

/// Waits until a condition holds.
async fn until<C, F>(what: &str, condition: C)
where
    C: Fn() -> F,
    F: Future<Output = bool>,
{
    eventually(what, || async { condition().await.then_some(()) }).await;
}
