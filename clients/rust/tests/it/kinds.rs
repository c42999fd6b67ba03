//! Tests that watches of carts, customers and groups behave alike.

use clientela_client::v1::{
    ChangeKind, WatchCartsRequest, WatchCustomersRequest, WatchGroupsRequest, WatchOptions,
    snapshot_begin::Cause,
};

use crate::{
    fake::Fake,
    messages::{self, told},
};

macro_rules! watched_alike {
    ($kind:ident, $request:ident, $watch:ident) => {
        mod $kind {
            use super::*;
            use messages::$kind::{change, whole};

            const NAME: &str = concat!(stringify!($kind), "/a");

            #[tokio::test]
            async fn a_snapshot_changes_and_deletions_are_told_across_a_cut() {
                let fake = Fake::start().await;
                fake.cut_after(&whole(Cause::Initial, NAME, 1, "t1"));
                fake.cut_after(&[change("t2", ChangeKind::Upserted, NAME, 2)]);
                fake.cut_after(&[
                    change("t2", ChangeKind::Upserted, NAME, 2),
                    change("t3", ChangeKind::Deleted, NAME, 3),
                ]);
                fake.cut_after(&whole(Cause::EpochChanged, NAME, 1, "t4"));

                let mut watch = fake.client().$watch($request::default());

                let expected = [
                    "reset CAUSE_INITIAL",
                    &format!("{NAME}@1"),
                    "ready 1",
                    &format!("{NAME}@2"),
                    &format!("{NAME}@3 deleted"),
                    "reset CAUSE_EPOCH_CHANGED",
                    &format!("{NAME}@1"),
                    "ready 1",
                ];
                assert_eq!(told(&mut watch, 8).await, expected);
                assert_eq!(watch.resume_token(), "t4");
                assert_eq!(fake.tokens()[..4], ["", "t1", "t2", "t3"]);
            }

            #[tokio::test]
            async fn a_watch_with_a_token_of_the_caller_begins_there() {
                let fake = Fake::start().await;
                fake.cut_after(&[change("t8", ChangeKind::Deleted, NAME, 2)]);
                let options = WatchOptions {
                    resume_token: "t7".to_owned(),
                    ..WatchOptions::default()
                };
                let mut watch = fake.client().$watch($request {
                    options: Some(options),
                    ..$request::default()
                });

                assert_eq!(watch.resume_token(), "t7");
                assert_eq!(told(&mut watch, 1).await, [format!("{NAME}@2 deleted")]);
                assert_eq!(fake.tokens()[0], "t7");
            }
        }
    };
}

watched_alike!(carts, WatchCartsRequest, watch_carts);

mod one_cart {
    use clientela_client::{customer_cart, v1::WatchCartRequest};
    use messages::carts::{change, whole};

    use super::*;

    #[tokio::test]
    async fn a_watch_of_one_cart_continues_after_an_interruption() {
        let fake = Fake::start().await;
        fake.cut_after(&whole(Cause::Initial, "carts/a", 1, "t1"));
        fake.stay_after(&[
            change("t2", ChangeKind::Upserted, "carts/a", 1),
            change("t3", ChangeKind::Upserted, "carts/a", 2),
        ]);

        let mut watch = fake.client().watch_cart(customer_cart("customers/ada"));

        let expected = ["reset CAUSE_INITIAL", "carts/a@1", "ready 1", "carts/a@2"];
        assert_eq!(told(&mut watch, 4).await, expected);
        assert_eq!(fake.tokens(), ["", "t1"]);
    }

    #[tokio::test]
    async fn a_request_with_options_is_watched() {
        let fake = Fake::start().await;
        fake.stay_after(&[change("t8", ChangeKind::Deleted, "carts/a", 2)]);
        let mut watch = fake.client().watch(WatchCartRequest {
            target: Some(customer_cart("customers/ada")),
            options: Some(WatchOptions {
                resume_token: "t7".to_owned(),
                ..WatchOptions::default()
            }),
        });

        assert_eq!(told(&mut watch, 1).await, ["carts/a@2 deleted"]);
        assert_eq!(fake.tokens(), ["t7"]);
    }
}

watched_alike!(customers, WatchCustomersRequest, watch_customers);
watched_alike!(groups, WatchGroupsRequest, watch_groups);
