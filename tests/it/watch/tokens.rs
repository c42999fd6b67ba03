//! G5: a token resumes wherever its history is kept, and only for its own watch.

use clientela::proto::pb::{
    self, ErrorReason, Role, WatchCartRequest, WatchOptions, snapshot_begin::Cause,
};
use tonic::{Code, Status};

use super::{add, every, filtered, visitor, with};
use crate::harness::{CartWatch, Engine, Seen, Setup, Shop, assert_refused};
use crate::on_both_engines;

/// Returns the refusal of a watch with this token, from the call or from its first message.
async fn refusal(shop: &Shop, options: WatchOptions) -> Status {
    match CartWatch::open(&mut shop.carts(), with(options)).await {
        Err(status) => status,
        Ok(mut watch) => watch.next().await.unwrap_err(),
    }
}

fn resume(token: &str) -> WatchOptions {
    WatchOptions {
        resume_token: token.into(),
        ..Default::default()
    }
}

on_both_engines! {
    async fn a_token_resumes_after_a_restart(shop: Shop) {
        let mut shop = shop;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        add(&mut shop.carts(), &visitor("from before the restart"), "a").await;
        watch.until("the change", |watch| watch.changes.len() == 1).await;
        let token = watch.token.clone();
        drop(watch);
        add(&mut shop.carts(), &visitor("whom the watch missed"), "a").await;

        shop.stop().await;
        shop.start_again(Setup::default()).await;

        let options = WatchOptions { resume_token: token, ..every().options.unwrap() };
        let mut watch = CartWatch::open(&mut shop.carts(), with(options)).await.unwrap();
        watch.until("the missed change", |watch| watch.changes.len() == 1).await;
        add(&mut shop.carts(), &visitor("from after the restart"), "a").await;
        watch.until("the new change", |watch| watch.changes.len() == 2).await;
        assert_eq!(watch.carts.len(), 2, "known carts are not sent again");
    }

    async fn an_altered_token_is_refused(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        let token = watch.token.clone();

        let altered = token.replacen(&token[9..10], if &token[9..10] == "x" { "y" } else { "x" }, 1);
        let cut = &token[..token.len() - 1];

        for bad in [altered.as_str(), cut, "nonsense", "."] {
            let status = refusal(&shop, resume(bad)).await;
            assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
        }
    }

    /// Each part of a token is signed, so any change invalidates it.
    async fn a_token_that_is_altered_anywhere_is_refused(shop: Shop) {
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;
        for place in 0..watch.token.len() {
            let mut altered = watch.token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();

            let status = refusal(&shop, resume(&altered)).await;

            assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
        }
    }

    /// A request for a reset does not help, because no history is missing.
    async fn a_token_of_another_shop_is_refused(shop: Shop) {
        let request = pb::CreateShopRequest {
            shop: Some(pb::Shop { display_name: "Trade".into(), ..Default::default() }),
            shop_id: "trade".into(),
            ..Default::default()
        };
        shop.admin_as(&shop.operator_key).create_shop(request).await.unwrap();
        let key = shop.key_of("trade", &[Role::Admin]).await;
        let mut watch = CartWatch::open(&mut shop.carts_as(&key), every()).await.unwrap();
        watch.snapshot().await;

        let options = WatchOptions { reset_on_expired_token: true, ..resume(&watch.token) };
        let status = refusal(&shop, options).await;

        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
    }

    async fn a_token_of_another_store_is_refused(shop: Shop) {
        let other = Shop::start(shop.engine).await;
        let mut watch = CartWatch::open(&mut other.carts(), every()).await.unwrap();
        watch.snapshot().await;

        let options = WatchOptions { reset_on_expired_token: true, ..resume(&watch.token) };
        let status = refusal(&shop, options).await;

        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
    }

    async fn a_token_of_another_kind_of_watch_is_refused(shop: Shop) {
        let request = pb::WatchGroupsRequest::default();
        let mut groups = shop.groups().watch_groups(request).await.unwrap().into_inner();
        let token = loop {
            let message = groups.message().await.unwrap().unwrap();
            if !message.resume_token.is_empty() {
                break message.resume_token;
            }
        };

        let status = refusal(&shop, resume(&token)).await;

        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
    }

    async fn a_token_with_another_filter_begins_with_a_snapshot(shop: Shop) {
        add(&mut shop.carts(), &visitor("who is there already"), "a").await;
        let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        watch.snapshot().await;

        let mut other = filtered("item_count > 0");
        other.options.as_mut().unwrap().resume_token.clone_from(&watch.token);
        let mut watch = CartWatch::open(&mut shop.carts(), other).await.unwrap();

        assert_eq!(watch.next().await.unwrap(), Seen::SnapshotBegin(Cause::FilterChanged));
        assert_eq!(watch.snapshot().await, 1);
    }

    async fn a_token_with_other_names_begins_with_a_snapshot(shop: Shop) {
        let mut client = shop.carts();
        let one = add(&mut client, &visitor("the first who is named"), "a").await.name;
        let two = add(&mut client, &visitor("the second who is named"), "a").await.name;
        let named = |names: &[&String]| {
            let names = names.iter().map(|name| (*name).clone()).collect();
            pb::WatchCartsRequest { names, ..every() }
        };
        let mut watch = CartWatch::open(&mut client, named(&[&one, &two])).await.unwrap();
        watch.snapshot().await;
        let point = watch.point();

        let fewer = CartWatch::resume_at(point.clone(), &mut client, named(&[&one])).await;
        let turned = CartWatch::resume_at(point, &mut client, named(&[&two, &one, &two])).await;

        let (mut fewer, mut turned) = (fewer.unwrap(), turned.unwrap());
        assert_eq!(fewer.next().await.unwrap(), Seen::SnapshotBegin(Cause::FilterChanged));
        assert_eq!(fewer.snapshot().await, 1);
        add(&mut client, &visitor("the first who is named"), "b").await;
        assert!(matches!(turned.next().await.unwrap(), Seen::Changes(_)), "they are the same names");
        let grown = |watch: &CartWatch| watch.carts.get(&one).is_some_and(|cart| cart.item_count == 2);
        turned.until("the change", grown).await;
    }

    async fn a_token_with_another_owner_begins_with_a_snapshot(shop: Shop) {
        let mut client = shop.carts();
        add(&mut client, &visitor("who is looked at next"), "a").await;
        let owner = |who: &str, resume_token: String| WatchCartRequest {
            target: Some(visitor(who)),
            options: Some(WatchOptions { resume_token, ..Default::default() }),
        };
        let first = owner("who is looked at first", String::new());
        let mut watch = CartWatch::of(client.watch_cart(first).await.unwrap().into_inner());
        assert_eq!(watch.snapshot().await, 0);

        let next = owner("who is looked at next", watch.token);
        let mut watch = CartWatch::of(client.watch_cart(next).await.unwrap().into_inner());

        assert_eq!(watch.next().await.unwrap(), Seen::SnapshotBegin(Cause::FilterChanged));
        assert_eq!(watch.snapshot().await, 1);
    }

    async fn a_token_together_with_skip_snapshot_is_refused(shop: Shop) {
        let options = WatchOptions { skip_snapshot: true, ..resume("anything") };

        let status = refusal(&shop, options).await;

        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidField);
    }
}

/// G5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_resumes_at_another_replica() {
    let mut shop = Shop::start(Engine::Postgres).await;
    let replica = shop.replica(Setup::default()).await;
    let admin_key = shop.admin_key.clone();
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    let name = add(&mut shop.carts(), &visitor("who moves house"), "a")
        .await
        .name;
    watch
        .until("the change", |watch| watch.changes.len() == 1)
        .await;

    shop.stop().await;
    let mut there = replica.carts_as(&admin_key);
    add(&mut there, &visitor("who moves house"), "b").await;

    let mut watch = watch.resume(&mut there, every()).await.unwrap();
    watch
        .until("the second change", |watch| {
            watch.carts[&name].items.len() == 2
        })
        .await;
    assert_eq!(watch.changes.len(), 1, "only the missed change is sent");
    replica.stop().await;
}

/// A change at one replica is seen by a watcher at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_replica_is_seen_at_the_other() {
    let shop = Shop::start(Engine::Postgres).await;
    let replica = shop.replica(Setup::default()).await;
    let mut there = replica.carts_as(&shop.admin_key);
    let mut watch = CartWatch::open(&mut there, every()).await.unwrap();
    watch.snapshot().await;

    let cart = add(&mut shop.carts(), &visitor("who is seen from afar"), "a").await;

    watch
        .until("the cart", |watch| {
            watch.carts.get(&cart.name) == Some(&cart)
        })
        .await;
    replica.stop().await;
}
