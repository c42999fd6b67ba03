//! Fairness between keys: what takes long, or much room, takes turns within its key.
//!
//! A key reads only so many lists and pages of streams at a time as leave connections for those of the
//! others, and calls that read single rows have connections of their own. A key carries out at most
//! [`WRITES_PER_KEY_MAX`](crate::limits::WRITES_PER_KEY_MAX) writes at a time, so that the room for their answers
//! is bounded.

use std::any::Any;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::keys::Key;
use crate::contract::Method;
use crate::store;

/// Runs a call. One that reads many rows waits for its turn first, and so does a write: for one of its key's,
/// and then for one of `all_writes`. A write keeps its turns and `held` until it ends, even if its caller leaves
/// before. None if its key ended meanwhile.
pub async fn in_turn<T>(
    key: &Key,
    method: &Method,
    all_writes: &Arc<Semaphore>,
    held: impl Any + Send + Sync,
    call: impl Future<Output = T>,
) -> Option<T> {
    if reads_many_rows(&method.path) {
        let _turn = turn(key, key.turns.lists()).await?;
        return Some(store::reading_lists(call).await);
    }
    if method.reads_only {
        return Some(call.await);
    }
    let of_key = turn(key, key.turns.writes()).await?;
    let of_all = turn(key, all_writes).await?;
    Some(store::holding((of_key, of_all, held), call).await)
}

/// Waits for a turn. None if the key ended meanwhile.
async fn turn(key: &Key, turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Waiting for the key's end takes a lock, so it is done only if no turn is free.
    if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
        return Some(turn);
    }
    tokio::select! {
        biased;
        () = key.ended.cancelled() => None,
        // It fails only when it is closed, which it never is.
        turn = Arc::clone(turns).acquire_owned() => turn.ok(),
    }
}

fn reads_many_rows(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("List") || name.starts_with("Batch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_batches_take_turns_and_single_reads_do_not() {
        assert!(reads_many_rows("/clientela.v1.CartService/ListCarts"));
        assert!(reads_many_rows(
            "/clientela.v1.CustomerService/BatchGetCustomers"
        ));
        assert!(!reads_many_rows("/clientela.v1.CartService/GetCart"));
    }
}
