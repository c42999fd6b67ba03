//! Rebuilds the search texts, folded columns and sort keys of customers.
//!
//! The job runs after a change of the shop's first language, and once after an update to a release that
//! indexes names differently. Until it has ended, results are incomplete. A search, and a filter with `:` or
//! with `first_name`, `company` or `phone`, may miss some customers. An order by last name mixes both orders.
//! A customer that is written meanwhile is indexed at once, unless a replica of the older release writes it.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};

use super::{sql, write};
use crate::{
    error::Result,
    jobs::{self, Due, Handler, Job, JobKind, NewJob, Step},
    shops::{self, Shop},
    store::{Event, Locks, Reaction, Store, Tx},
};

/// The version of search texts, folded columns and sort keys. Increase it with each change of `filter::fold`
/// or `store::index_text`, and with each release of `icu_collator`.
const INDEX_VERSION: &str = "1";
/// The most customers of one step.
const BATCH: i64 = 64;
/// How often shops that an older release indexed are searched.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Enqueues the job when a shop gets another first language. A new shop has no customers yet, so its index
/// has this version.
pub(super) struct Order;

impl Reaction<Shop> for Order {
    fn react<'t>(
        &'t self,
        tx: &'t mut Tx,
        event: Event<'t, Shop>,
        _held: &'t [String],
    ) -> BoxFuture<'t, Result<()>> {
        async move {
            let language = |shop: &'t Shop| shop.doc.settings.language();
            match (event.before, event.after) {
                (None, Some(shop)) => shops::set_indexed_by(tx, &shop.id, INDEX_VERSION).await,
                (Some(before), Some(after)) if language(before) != language(after) => {
                    let job = NewJob::now(JobKind::ReindexCustomers, "", event.now);
                    jobs::enqueue(tx, event.caller, event.now, job)
                        .await
                        .map(drop)
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

/// The job of rebuilding.
pub struct Reindex;

impl Handler for Reindex {
    fn kind(&self) -> JobKind {
        JobKind::ReindexCustomers
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn due<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        async move {
            let shops = store
                .read(|conn| shops::not_indexed_by(conn, INDEX_VERSION).boxed())
                .await?;
            Ok(shops.into_iter().map(Due::of_shop).collect())
        }
        .boxed()
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let (shop, cursor) = (Arc::clone(&job.shop), job.cursor.clone());
            let ids = store
                .read(|conn| {
                    async move { sql::ids_after(conn, &shop, &cursor, BATCH).await }.boxed()
                })
                .await?;
            let locks: Locks = ids.iter().map(|id| write::lock(&job.shop, id)).collect();
            let data = (job.clone(), ids, store.clock().now());
            store
                .write_job_with(locks, data, |tx, (job, ids, now)| {
                    reindex(tx, job, ids, *now).boxed()
                })
                .await
        }
        .boxed()
    }
}

async fn reindex(tx: &mut Tx, job: &Job, ids: &[String], now: i64) -> Result<Step> {
    let shop = &*job.shop;
    let step = match ids.last() {
        Some(last) => {
            let settings = shops::settings(tx, shop).await?;
            for (id, customer) in sql::documents(tx, shop, ids).await? {
                match customer {
                    Ok(customer) => sql::reindex(tx, shop, &customer, settings.language()).await?,
                    // A customer that cannot be read cannot be found either. The others can.
                    Err(error) => {
                        tracing::error!(%error, %id, "a customer cannot be indexed");
                    }
                }
            }
            Step::more(last, i64::try_from(ids.len()).unwrap_or(BATCH))
        }
        None => {
            shops::set_indexed_by(tx, shop, INDEX_VERSION).await?;
            Step::done(0)
        }
    };
    job.advance(tx, now, &step).await?;
    Ok(step)
}
