//! Tests recovery links: they restore a cart once, until they expire, and a forged token reveals nothing.

use std::time::Duration;

use clientela::carts::USED_LINKS;
use clientela::clock::Clock;
use clientela::jobs::{Jobs, JobsSettings, Purge};
use clientela::proto::pb::{
    self, Cart, CartOwner, CreateRecoveryLinkRequest, CreateRecoveryLinkResponse, ErrorReason,
    RecoverCartRequest, cart_owner::Owner,
};
use clientela::store::{Locks, Store};
use clientela::{execute, on};
use futures::FutureExt as _;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{
    Carts, customer, in_slot, item, key_of_another_shop, metadata, named, new_customer, of, visitor,
};
use crate::harness::store::{START, stores};
use crate::harness::{Engine, Setup, Shop, assert_refused, eventually, unique, violations};
use crate::on_both_engines;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn link(shop: &Shop, cart: &Cart) -> CreateRecoveryLinkResponse {
    let request = CreateRecoveryLinkRequest {
        target: named(&cart.name),
        ..Default::default()
    };
    let made = shop.carts().create_recovery_link(request).await;
    made.expect("a link").into_inner()
}

pub(super) fn redemption(token: &str, owner: &CartOwner) -> RecoverCartRequest {
    let visitor = match &owner.owner {
        Some(Owner::Visitor(token)) => token.clone(),
        _ => String::new(),
    };
    RecoverCartRequest {
        token: token.into(),
        visitor,
        ..Default::default()
    }
}

pub(super) async fn recover(shop: &Shop, token: &str, owner: &CartOwner) -> Result<Cart, Status> {
    shop.carts()
        .recover_cart(redemption(token, owner))
        .await
        .map(tonic::Response::into_inner)
}

on_both_engines! {
    async fn a_link_moves_a_visitor_s_cart_to_another_device(shop: Shop) {
        let (telephone, laptop) = (visitor(), visitor());
        let cart = shop.add(of(&telephone), item("shirt", 2)).await;
        let link = link(&shop, &cart).await;
        assert_eq!(link.cart, cart.name);
        assert_eq!(shop.get(named(&cart.name)).await, cart);

        let recovered = recover(&shop, &link.token, &laptop).await.unwrap();

        assert_eq!((&recovered.name, &recovered.items), (&cart.name, &cart.items));
        assert_eq!(recovered.version, cart.version + 1);
        assert_ne!(recovered.visitor_id, cart.visitor_id);
        assert_eq!(shop.get(of(&laptop)).await, recovered);
        let left = shop.try_get(of(&telephone)).await.unwrap_err();
        assert_refused(&left, Code::NotFound, ErrorReason::NotFound);
        let next = shop.add(of(&telephone), item("hat", 1)).await;
        assert_ne!(next.name, cart.name);
        assert_eq!(shop.add(of(&laptop), item("hat", 1)).await.name, cart.name);
    }

    async fn a_customer_s_cart_stays_the_customer_s(shop: Shop) {
        let ada = new_customer(&shop).await;
        let cart = shop.add(of(&customer(&ada)), item("shirt", 1)).await;
        let [first, second] = [link(&shop, &cart).await, link(&shop, &cart).await];
        assert_ne!(first.token, second.token);

        let alone = recover(&shop, &first.token, &customer(&ada)).await.unwrap();
        let with_visitor = recover(&shop, &second.token, &visitor()).await.unwrap();

        assert_eq!((&alone.customer, &with_visitor.customer), (&ada, &ada));
        assert_eq!(shop.get(of(&customer(&ada))).await, with_visitor);
    }

    async fn a_link_works_once(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        let link = link(&shop, &cart).await;
        let calls = (0..10).map(|_| recover(&shop, &link.token, &owner));

        let answers = join_all(calls).await;

        let done = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(done, 1);
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_refused(refused, Code::FailedPrecondition, ErrorReason::RecoveryLinkUsed);
        }
        assert_eq!(shop.get(of(&owner)).await.version, cart.version + 1);
    }

    async fn a_repeated_redemption_gets_the_first_answer(shop: Shop) {
        let (telephone, laptop) = (visitor(), visitor());
        let cart = shop.add(of(&telephone), item("shirt", 1)).await;
        let link = link(&shop, &cart).await;
        let call = RecoverCartRequest {
            request_id: format!("recover-{}", unique()),
            ..redemption(&link.token, &laptop)
        };

        let first = shop.carts().recover_cart(call.clone()).await.unwrap().into_inner();
        shop.add(named(&cart.name), item("hat", 1)).await;
        let again = shop.carts().recover_cart(call.clone()).await.unwrap().into_inner();
        let other = RecoverCartRequest { visitor: redemption("", &visitor()).visitor, ..call };
        let reused = shop.carts().recover_cart(other).await.unwrap_err();

        assert_eq!(again, first);
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn a_token_that_this_shop_did_not_issue_reveals_nothing(shop: Shop) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let token = link(&shop, &cart).await.token;
        let key = key_of_another_shop(&shop).await;
        let cut = &token[..token.len() - 1];
        let end = if token.ends_with('A') { "B" } else { "A" };
        let altered = [
            cut.to_owned(),
            format!("{cut}{end}"),
            format!("B{}", &token[1..]),
            format!("{token}{end}"),
            "nonsense".to_owned(),
            token.to_lowercase(),
        ];

        let mut refusals = Vec::new();
        for token in &altered {
            refusals.push(recover(&shop, token, &visitor()).await.expect_err(token));
        }
        let elsewhere = redemption(&token, &visitor());
        refusals.push(shop.carts_as(&key).recover_cart(elsewhere).await.unwrap_err());

        for refused in &refusals {
            assert_refused(refused, Code::InvalidArgument, ErrorReason::RecoveryLinkInvalid);
            assert_eq!((refused.message(), metadata(refused).len()), (refusals[0].message(), 0));
        }
        for token in ["", &"x".repeat(513)] {
            let refused = recover(&shop, token, &visitor()).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        }
        assert_eq!(shop.get(named(&cart.name)).await, cart);
        recover(&shop, &token, &visitor()).await.expect("the token itself still works");
    }

    async fn a_link_to_a_cart_that_is_not_open_is_refused_with_its_state(shop: Shop) {
        let ordered = shop.add(of(&visitor()), item("shirt", 1)).await;
        let merged = shop.add(of(&visitor()), item("shirt", 1)).await;
        let deleted = shop.add(of(&visitor()), item("shirt", 1)).await;
        let target = shop.add(of(&visitor()), item("hat", 1)).await;
        let mut tokens = Vec::new();
        for cart in [&ordered, &merged, &deleted] {
            tokens.push(link(&shop, cart).await.token);
        }
        let reference = format!("recovered-{}", unique());
        shop.try_order(named(&ordered.name), &reference).await.unwrap();
        let merge = pb::MergeCartsRequest {
            source: named(&merged.name),
            target: named(&target.name),
            ..Default::default()
        };
        shop.carts().merge_carts(merge).await.unwrap();
        let delete = pb::DeleteCartRequest { target: named(&deleted.name), ..Default::default() };
        shop.carts().delete_cart(delete).await.unwrap();

        let to_ordered = recover(&shop, &tokens[0], &visitor()).await.unwrap_err();
        let to_merged = recover(&shop, &tokens[1], &visitor()).await.unwrap_err();
        let to_deleted = recover(&shop, &tokens[2], &visitor()).await.unwrap_err();

        assert_refused(&to_ordered, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        assert_eq!(metadata(&to_ordered)["state"], "STATE_ORDERED");
        assert_refused(&to_merged, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        assert_eq!(metadata(&to_merged)["merged_into"], target.name);
        assert_refused(&to_deleted, Code::NotFound, ErrorReason::NotFound);
        // The refusals did not use up the link, as the cart may be opened again.
        let reopen = pb::ReopenCartRequest { name: ordered.name.clone(), ..Default::default() };
        shop.carts().reopen_cart(reopen).await.unwrap();
        recover(&shop, &tokens[0], &visitor()).await.unwrap();
    }

    async fn a_visitor_who_has_a_cart_keeps_it(shop: Shop) {
        let laptop = visitor();
        let cart = shop.add(of(&in_slot(&visitor(), "gift")), item("shirt", 1)).await;
        let link = link(&shop, &cart).await;
        let own = shop.add(of(&in_slot(&laptop, "gift")), item("hat", 1)).await;

        let nobody = recover(&shop, &link.token, &customer("")).await.unwrap_err();
        let refused = recover(&shop, &link.token, &laptop).await.unwrap_err();
        let delete = pb::DeleteCartRequest { target: named(&own.name), ..Default::default() };
        shop.carts().delete_cart(delete).await.unwrap();
        let recovered = recover(&shop, &link.token, &laptop).await.unwrap();

        assert_refused(&nobody, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_eq!(violations(&nobody), [("visitor".to_owned(), "REQUIRED".to_owned())]);
        assert_refused(&refused, Code::AlreadyExists, ErrorReason::OpenCartExists);
        assert_eq!(metadata(&refused)["open_cart"], own.name);
        assert_eq!((recovered.name, recovered.slot.as_str()), (cart.name, "gift"));
    }

    async fn links_need_an_open_cart_and_a_valid_lifetime(shop: Shop) {
        let owner = visitor();
        let cart = shop.add(of(&owner), item("shirt", 1)).await;
        let request = |seconds| CreateRecoveryLinkRequest {
            target: of(&owner),
            time_to_live: Some(prost_types::Duration { seconds, nanos: 0 }),
        };

        for seconds in [59, 90 * 86_400 + 1, -60] {
            let refused = shop.carts().create_recovery_link(request(seconds)).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            assert_eq!(violations(&refused)[0].0, "time_to_live");
        }
        for seconds in [60, 90 * 86_400] {
            let made = shop.carts().create_recovery_link(request(seconds)).await.unwrap().into_inner();
            assert_eq!(made.cart, cart.name);
        }
        let no_target = CreateRecoveryLinkRequest::default();
        let no_target = shop.carts().create_recovery_link(no_target).await.unwrap_err();
        shop.try_order(of(&owner), &format!("linked-{}", unique())).await.unwrap();
        let absent = shop.carts().create_recovery_link(request(60)).await.unwrap_err();
        let ordered = CreateRecoveryLinkRequest { target: named(&cart.name), ..request(60) };
        let ordered = shop.carts().create_recovery_link(ordered).await.unwrap_err();

        assert_refused(&no_target, Code::InvalidArgument, ErrorReason::InvalidField);
        assert_refused(&absent, Code::NotFound, ErrorReason::NotFound);
        assert_refused(&ordered, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    }
}

async fn a_link_expires(engine: Engine) {
    let clock = Clock::held_at(START);
    let setup = Setup {
        clock: clock.clone(),
        ..Setup::default()
    };
    let shop = Shop::start_with(engine, setup).await;
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    let [used, unused, soon] = [
        link(&shop, &cart).await,
        link(&shop, &cart).await,
        link(&shop, &cart).await,
    ];
    let seconds = START / 1_000_000 + 30 * 86_400;
    let end = prost_types::Timestamp { seconds, nanos: 0 };
    assert_eq!(used.expire_time, Some(end));
    let call = RecoverCartRequest {
        request_id: "recovered".into(),
        ..redemption(&used.token, &owner)
    };
    let first = shop.carts().recover_cart(call.clone()).await.unwrap();
    let again = shop.carts().recover_cart(call).await.unwrap();
    assert_eq!(again.into_inner(), first.into_inner());

    clock.advance(30 * DAY - Duration::from_micros(1));
    recover(&shop, &soon.token, &owner)
        .await
        .expect("the link still works");
    clock.advance(Duration::from_micros(1));

    for link in [&used, &unused] {
        let refused = recover(&shop, &link.token, &owner).await.unwrap_err();
        assert_refused(
            &refused,
            Code::FailedPrecondition,
            ErrorReason::RecoveryLinkExpired,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_expires_on_sqlite() {
    a_link_expires(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_expires_on_postgres() {
    a_link_expires(Engine::Postgres).await;
}

/// Returns the nonces that the store remembers.
async fn remembered(store: &Store) -> Vec<String> {
    let nonces = store.read(|conn| {
        async move {
            let text = "SELECT nonce FROM used_links ORDER BY nonce";
            Ok(on!(conn, |e| sqlx::query_scalar(text).fetch_all(e).await)?)
        }
        .boxed()
    });
    nonces.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_links_are_deleted_after_their_expiry() {
    for made in stores().await {
        let store = &made.store;
        let remember = store.write(Locks::none(), |tx| {
            async move {
                for (nonce, hours) in [("a", -1), ("b", 1), ("c", 24)] {
                    let end: i64 = START + hours * 3_600_000_000;
                    let text =
                        "INSERT INTO used_links (shop_id, nonce, expire_time) VALUES ($1, $2, $3)";
                    execute!(tx, sqlx::query(text).bind("s").bind(nonce).bind(end))?;
                }
                Ok(())
            }
            .boxed()
        });
        remember.await.unwrap();
        let stop = CancellationToken::new();
        let settings = JobsSettings {
            workers: 1,
            poll_interval: Duration::from_millis(10),
            schedule_interval_max: Duration::from_millis(10),
        };
        let jobs = Jobs::new(settings).with(Purge::new().with(USED_LINKS));
        let task = tokio::spawn(jobs.run(store.clone(), stop.clone()));

        made.clock.advance(Duration::from_secs(4 * 3_600));

        eventually("the purge", || async {
            (remembered(store).await == ["c"]).then_some(())
        })
        .await;
        stop.cancel();
        task.await.unwrap();
    }
}
