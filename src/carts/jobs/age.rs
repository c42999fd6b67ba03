//! Work on carts that nobody changes: they are marked as abandoned, and finally deleted.
//!
//! Both depend on the last change of a cart by somebody, and both leave a cart alone that staff holds. Every
//! step reads the settings of the shop, so that a change of them takes effect at once.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Action, CARTS, Kept};
use crate::carts::sql;
use crate::clock;
use crate::error::Result;
use crate::jobs::skips;
use crate::jobs::{Due, Handler, Job, JobKind, Step, Sweeper};
use crate::shops::{self, Settings};
use crate::store::{Conn, Store};

/// How often carts to abandon are searched: the unit of the setting.
const INTERVAL: Duration = Duration::from_secs(60);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time before which a cart's last change must be, `count` units ago; None if the setting says never.
fn cutoff(now: i64, count: i32, unit: Duration) -> Option<i64> {
    let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
    Some(now.saturating_sub(clock::micros(unit.saturating_mul(count))))
}

/// Marks carts as abandoned that nobody has changed for longer than the shop's settings allow.
pub struct AbandonCarts;

fn abandoned_before(settings: &Settings, now: i64) -> Option<i64> {
    cutoff(now, settings.cart_abandoned_after_minutes, MINUTE)
}

/// The position in a cursor: the activity and the id of the last cart of a step.
fn place(cursor: &str) -> (i64, &str) {
    let parts = cursor.split_once(' ');
    parts
        .and_then(|(time, id)| Some((time.parse().ok()?, id)))
        .unwrap_or((i64::MIN, ""))
}

impl Handler for AbandonCarts {
    fn kind(&self) -> JobKind {
        JobKind::AbandonCarts
    }

    fn waits_for_writers(&self) -> bool {
        false
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn due<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Due>>> {
        let now = store.clock().now();
        let due = store.read(move |conn| {
            async move {
                let shops = sql::shops(conn).await?;
                let looks = shops.iter().filter_map(|(shop, settings)| {
                    let before = abandoned_before(settings, now)?;
                    Some((shop.as_str(), before))
                });
                let due = sql::shops_left_alone(conn, looks, now).await?;
                Ok(due.into_iter().map(Due::of_shop).collect())
            }
            .boxed()
        });
        due.boxed()
    }

    fn step<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<Step>> {
        async move {
            let (shop, now) = (Arc::clone(&job.shop), store.clock().now());
            let cursor = job.cursor.clone();
            let found = store.read(move |conn| {
                async move {
                    let settings = shops::settings(conn, &shop).await?;
                    let Some(before) = abandoned_before(&settings, now) else {
                        return Ok((now, Vec::new()));
                    };
                    let after = place(&cursor);
                    let found = sql::left_alone(conn, &shop, before, after, now, CARTS).await?;
                    Ok((before, found))
                }
                .boxed()
            });
            let (before, found) = found.await?;
            let Some((id, time)) = found.last() else {
                return job.advance_only(store, Step::done(0)).await;
            };
            let worked = i64::try_from(found.len()).unwrap_or(CARTS);
            let step = Step::more(format!("{time} {id}"), worked);
            let ids = found.into_iter().map(|(id, _)| id).collect();
            skips::apply(store, job, ids, Action::Abandon { before }, step).await
        }
        .boxed()
    }
}

/// Deletes carts after the times in the shop's settings: open ones after their last change, and merged ones
/// after the merge.
pub struct ExpiredCarts;

/// How long carts of each kind are kept.
fn retentions(settings: &Settings) -> [(Kept, i32, Duration); 5] {
    let of_visitors = settings.visitor_cart_retention_days;
    let of_customers = settings.customer_cart_retention_days;
    [
        (Kept::OfVisitors, of_visitors, DAY),
        (Kept::OfCustomers, of_customers, DAY),
        (Kept::Empty, settings.empty_cart_retention_hours, HOUR),
        // Nobody changes a merged cart: the merge itself was the last change.
        (Kept::MergedOfVisitors, of_visitors, DAY),
        (Kept::MergedOfCustomers, of_customers, DAY),
    ]
}

async fn expired(
    conn: &mut Conn,
    shop: &str,
    settings: &Settings,
    now: i64,
) -> Result<Option<(Action, Vec<String>)>> {
    for (kept, count, unit) in retentions(settings) {
        let Some(before) = cutoff(now, count, unit) else {
            continue;
        };
        let ids = sql::untouched(conn, shop, kept, before, now, CARTS).await?;
        if !ids.is_empty() {
            return Ok(Some((Action::Expire { before, kept }, ids)));
        }
    }
    Ok(None)
}

impl Sweeper for ExpiredCarts {
    fn due<'a>(&'a self, conn: &'a mut Conn, now: i64) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let shops = sql::shops(conn).await?;
            let looks = shops.iter().flat_map(|(shop, settings)| {
                let cutoffs = retentions(settings)
                    .into_iter()
                    .filter_map(move |(kept, count, unit)| Some((kept, cutoff(now, count, unit)?)));
                cutoffs.map(|(kept, before)| (shop.as_str(), kept, before))
            });
            sql::shops_untouched(conn, looks, now).await
        }
        .boxed()
    }

    fn sweep<'a>(&'a self, store: &'a Store, job: &'a Job) -> BoxFuture<'a, Result<bool>> {
        async move {
            let (shop, now) = (Arc::clone(&job.shop), store.clock().now());
            let found = store.read(move |conn| {
                async move {
                    let settings = shops::settings(conn, &shop).await?;
                    expired(conn, &shop, &settings, now).await
                }
                .boxed()
            });
            let Some((action, ids)) = found.await? else {
                return Ok(false);
            };
            let worked = i64::try_from(ids.len()).unwrap_or(CARTS);
            let step = Step::more(job.cursor.clone(), worked);
            skips::apply(store, job, ids, action, step).await?;
            Ok(true)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_old_where_the_setting_says_never() {
        assert_eq!(cutoff(1_000, 0, DAY), None);
        assert_eq!(cutoff(1_000, -1, DAY), None);
    }

    #[test]
    fn a_cutoff_uses_the_unit_of_the_setting() {
        assert_eq!(cutoff(60_000_001, 1, MINUTE), Some(1));
        assert!(cutoff(0, i32::MAX, DAY).is_some_and(|before| before < 0));
    }

    #[test]
    fn a_cursor_says_where_a_step_ended() {
        assert_eq!(place("17 c-1"), (17, "c-1"));
        assert_eq!(place(""), (i64::MIN, ""));
        assert_eq!(place("not a cursor"), (i64::MIN, ""));
    }
}
