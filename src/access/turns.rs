//! Fairness between keys: calls that read many rows take turns within their key.
//!
//! A key reads only so many lists at a time as leave connections for those of the others, and calls that
//! read single rows have connections of their own.

use super::{keys::Key, tables::Method};
use crate::store;

/// Of the lists that are read at a time, those of one key.
pub fn lists_of_one_key(lists_at_once: usize) -> usize {
    (lists_at_once * 2 / 3).max(1)
}

/// Runs a call; one that reads many rows waits for its turn first. None if its key ended meanwhile.
pub async fn in_turn<T>(key: &Key, method: &Method, call: impl Future<Output = T>) -> Option<T> {
    if !reads_many_rows(&method.path) {
        return Some(call.await);
    }
    let _turn = tokio::select! {
        biased;
        () = key.ended.cancelled() => return None,
        // It fails only when it is closed, which it never is.
        turn = key.lists.acquire() => turn,
    };
    Some(store::reading_lists(call).await)
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
        assert_eq!(lists_of_one_key(1), 1);
        assert_eq!(lists_of_one_key(3), 2);
    }
}
