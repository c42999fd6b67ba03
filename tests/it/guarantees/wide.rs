//! Tests a filter that matches everything. Its watch works up to the number of members that a filtered
//! watch keeps, and is refused beyond it.

use clientela::limits;
use clientela::on_write;
use clientela::proto::pb::{ErrorReason, WatchOptions};
use clientela::store::Locks;
use futures::FutureExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::watched::{Connection, Subject, Way};
use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;
use crate::specimens::Groups;

/// Copies a group.
const COPY: &str = "WITH RECURSIVE numbers (number) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT number + 1 FROM numbers WHERE number < $2
    )
    INSERT INTO groups (shop_id, id, version, doc, display_names, discount_hundredths, price_display,
        show_prices, state, audience, special, priority, pricing_revision, create_time, update_time)
    SELECT shop_id, id || '-' || CAST(number AS TEXT), version, doc, display_names,
        discount_hundredths, price_display, show_prices, state, audience, special, priority,
        pricing_revision, create_time, update_time
    FROM groups, numbers WHERE id = $1";

async fn copy(shop: &Shop, group: &Subject, times: i64) {
    let id = group.name.trim_start_matches("groups/").to_owned();
    let copied = shop
        .store()
        .write_with(Locks::none(), (id, times), |tx, (id, times)| {
            async move {
                on_write!(tx, |e| sqlx::query(COPY)
                    .bind(&*id)
                    .bind(*times)
                    .execute(e)
                    .await
                    .map(drop))?;
                Ok(())
            }
            .boxed()
        });
    copied.await.expect("the groups are copied");
}

on_both_engines! {
    async fn a_filter_with_more_matches_than_a_watch_keeps_is_refused(shop: Shop) {
        let group = Subject::make(&shop, &Groups).await;
        let most = i64::try_from(limits::WATCH_MEMBERS_MAX).unwrap();
        copy(&shop, &group, most).await;
        let opened = group.watch(&Connection::of(&shop), Way::Filter, WatchOptions::default()).await;

        let status = opened.unwrap().end().await;

        assert_refused(&status, Code::ResourceExhausted, ErrorReason::WatchTooWide);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["limit"], most.to_string());
        let named = group.watch(&Connection::of(&shop), Way::Names, WatchOptions::default()).await;
        named.unwrap().snapshot().await;
    }

    /// The first filter depends on the clock.
    async fn a_filter_that_matches_everything_sends_every_change(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            for filter in ["create_time < now + 1h", "create_time > \"1970-01-01T00:00:00Z\""] {
                let options = WatchOptions::default();
                let connection = Connection::of(&shop);
                let opened = subject.watch_filtered(&connection, Way::Filter, filter, options);
                let mut watch = opened.await.unwrap();
                watch.snapshot().await;
                let (version, _) = subject.write(&shop).await;
                watch.until(version).await;
            }
        }
    }
}
