//! The numbers of members, which lie in several rows each so that joins do not wait for each other.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{lock, sql};
use crate::error::Result;
use crate::jobs::Upkeep;
use crate::store::{Locks, Store};

/// How often the numbers of members are folded.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);
/// Rows in which a number of members may lie.
const FOLD_FROM: i64 = 64;
/// Rows that are folded at a time.
const FOLD_ROWS: i64 = 1_000;
/// Rows that one look goes through.
const FOLD_LOOK_ROWS: i64 = 10_000;

/// Folds the rows in which the numbers of members lie. A look goes through the rows that came since the last
/// one, the first look of a process through all.
#[derive(Debug, Default)]
pub struct FoldCounts {
    /// The last row that was looked at.
    seen: AtomicI64,
}

impl Upkeep for FoldCounts {
    fn interval(&self) -> Duration {
        FOLD_INTERVAL
    }

    fn run<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<()>> {
        async move {
            let seen = self.seen.load(Ordering::Relaxed);
            let (unfolded, last) = store
                .read(|conn| {
                    async move {
                        let changed = sql::counted_since(conn, seen, FOLD_LOOK_ROWS).await?;
                        let last = changed.iter().map(|(_, _, seq)| *seq).max();
                        let mut unfolded = Vec::new();
                        for (shop, id, _) in changed {
                            if sql::is_unfolded(conn, &shop, &id, FOLD_FROM).await? {
                                unfolded.push((shop, id));
                            }
                        }
                        Ok((unfolded, last))
                    }
                    .boxed()
                })
                .await?;
            for (shop, id) in unfolded {
                // Joins come faster than one fold in an interval, so it goes on until few rows are left.
                while fold(store, &shop, &id).await? == FOLD_ROWS {}
            }
            // The row that a fold has put is looked at next time, for what is left of its group.
            self.seen.store(last.unwrap_or(seen), Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}

/// Folds the oldest rows of a group into one; how many there were.
async fn fold(store: &Store, shop: &str, id: &str) -> Result<i64> {
    let locks = Locks::none().and(lock(shop, id));
    let group = (shop.to_owned(), id.to_owned());
    let folded = store.write_job_with(locks, group, |tx, (shop, id)| {
        sql::fold(tx, shop, id, FOLD_ROWS).boxed()
    });
    folded.await
}
