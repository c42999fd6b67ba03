//! Limits the lists and writes that a key runs at once, so that other keys have room.
//!
//! The lists and stream pages that a key reads at once leave connections for other keys. Calls that read single rows
//! have connections of their own. A key runs at most [`WRITES_PER_KEY_MAX`](crate::limits::WRITES_PER_KEY_MAX) writes
//! at a time, which bounds the memory of their answers.

use std::any::Any;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::keys::Key;
use crate::contract::Method;
use crate::store;

/// Runs a call. A call that reads many rows first waits for a turn of its key. A write waits for a turn of its key
/// and then for one of `all_writes`. It keeps these turns and `held` until it ends, even if its caller leaves before.
/// Returns None if the key ends while the call waits.
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

/// Waits for a turn. Returns None if the key ends first.
async fn turn(key: &Key, turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Waiting for the key's end takes a lock, so it is done only if no turn is free.
    if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
        return Some(turn);
    }
    tokio::select! {
        biased;
        () = key.ended.cancelled() => None,
        // Fails only if the semaphore is closed, which never happens.
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
