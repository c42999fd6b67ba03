//! Tests that request ids are remembered for 24 hours, even if their rows are no longer history of the feed.
//! After that they are free again.

use std::time::Duration;

use clientela::clock::Clock;
use clientela::jobs::FeedLimits;
use clientela::proto::pb::{self, AddItemRequest, AddMembersRequest, CreateCustomerRequest};
use clientela::proto::pb::{Customer, ErrorReason};
use tonic::{Code, Status};

use crate::harness::store::START;
use crate::harness::{Engine, Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;
use crate::watch::{self, item, visitor};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// A shop with a held clock and without background work, so no job deletes request ids.
async fn shop(engine: Engine) -> Shop {
    let mut setup = Setup {
        clock: Clock::held_at(START),
        ..Default::default()
    };
    setup.jobs.workers = 0;
    Shop::start_with(engine, setup).await
}

/// Adds a line. Every call has the same request id.
async fn add(shop: &Shop, product: &str) -> Result<i64, Status> {
    let request = AddItemRequest {
        target: Some(visitor("who comes every day")),
        item: Some(item(product, 1)),
        request_id: "the line of the day".into(),
        ..Default::default()
    };
    let cart = shop.carts().add_item(request).await?.into_inner();
    Ok(cart.item_count)
}

/// Creates a customer. Every call has the same request id.
async fn register(shop: &Shop, id: &str) -> Result<String, Status> {
    let request = CreateCustomerRequest {
        customer: Some(Customer {
            email: format!("{id}@example.test"),
            ..Default::default()
        }),
        customer_id: id.into(),
        request_id: "the customer of the day".into(),
        ..Default::default()
    };
    let customer = shop.customers().create_customer(request).await?;
    Ok(customer.into_inner().name)
}

/// Adds a customer to the group of guests. Every call has the same request id.
async fn join(shop: &Shop, customer: &str) -> Result<Vec<pb::MemberResult>, Status> {
    let request = AddMembersRequest {
        group: "groups/guest".into(),
        members: vec![format!("customers/{customer}")],
        request_id: "the member of the day".into(),
        ..Default::default()
    };
    Ok(shop
        .groups()
        .add_members(request)
        .await?
        .into_inner()
        .results)
}

#[track_caller]
fn assert_reused<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    let status = outcome.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, ErrorReason::RequestIdReused);
}

async fn are_free_after_a_day(engine: Engine) {
    let shop = shop(engine).await;
    assert_eq!(add(&shop, "bread").await.unwrap(), 1);
    assert_eq!(register(&shop, "ada").await.unwrap(), "customers/ada");
    let joined = join(&shop, "ada").await.unwrap();

    shop.clock.advance(DAY - MINUTE);
    assert_eq!(add(&shop, "bread").await.unwrap(), 1, "the first answer");
    assert_reused(add(&shop, "milk").await);
    assert_eq!(register(&shop, "ada").await.unwrap(), "customers/ada");
    assert_reused(register(&shop, "bob").await);
    assert_eq!(join(&shop, "ada").await.unwrap(), joined);
    assert_reused(join(&shop, "bob").await);

    shop.clock.advance(MINUTE);
    assert_eq!(add(&shop, "milk").await.unwrap(), 2, "a new request");
    assert_eq!(register(&shop, "bob").await.unwrap(), "customers/bob");
    assert_ne!(join(&shop, "bob").await.unwrap(), joined);

    shop.clock.advance(DAY - MINUTE);
    assert_eq!(add(&shop, "milk").await.unwrap(), 2);
    assert_reused(add(&shop, "bread").await);
    assert_eq!(register(&shop, "bob").await.unwrap(), "customers/bob");
    assert_reused(register(&shop, "eve").await);
    assert_reused(join(&shop, "ada").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_ids_are_free_after_a_day_on_sqlite() {
    are_free_after_a_day(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_ids_are_free_after_a_day_on_postgres() {
    are_free_after_a_day(Engine::Postgres).await;
}

/// The feed keeps almost no history, so soon only the request id of the change is left.
async fn outlive_their_change(engine: Engine) {
    let setup = Setup {
        feed_limits: FeedLimits {
            retention: DAY,
            max_bytes: 1,
        },
        ..Default::default()
    };
    let shop = Shop::start_with(engine, setup).await;
    assert_eq!(add(&shop, "bread").await.unwrap(), 1);
    watch::add(&mut shop.carts(), &visitor("who comes every day"), "milk").await;

    let answer = eventually("an answer from the cart itself", async || {
        let pieces = add(&shop, "bread").await.unwrap();
        (pieces != 1).then_some(pieces)
    });

    assert_eq!(
        answer.await,
        2,
        "one bread, one milk: no line was added twice"
    );
    assert_reused(add(&shop, "milk").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_after_the_end_of_its_history_gets_the_current_state_on_sqlite() {
    outlive_their_change(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_after_the_end_of_its_history_gets_the_current_state_on_postgres() {
    outlive_their_change(Engine::Postgres).await;
}

/// Creates a customer with a password, for a visitor. Every call has the same request id.
async fn sign_up(shop: &Shop, password: Option<&str>, visitor: &str) -> Result<Customer, Status> {
    let request = CreateCustomerRequest {
        customer: Some(Customer {
            email: "eve@example.test".into(),
            password: password.map(str::to_owned),
            ..Default::default()
        }),
        customer_id: "eve".into(),
        visitor: visitor.into(),
        request_id: "the form that was sent twice".into(),
        ..Default::default()
    };
    Ok(shop
        .customers()
        .create_customer(request)
        .await?
        .into_inner())
}

/// Sets another password of the customer.
async fn change(shop: &Shop, password: &str, request_id: &str) -> Result<Customer, Status> {
    let request = pb::UpdateCustomerRequest {
        customer: Some(Customer {
            name: "customers/eve".into(),
            password: Some(password.into()),
            ..Default::default()
        }),
        request_id: request_id.into(),
        ..Default::default()
    };
    Ok(shop
        .customers()
        .update_customer(request)
        .await?
        .into_inner())
}

async fn signs_in(shop: &Shop, password: &str) -> bool {
    let request = pb::VerifyPasswordRequest {
        email: "eve@example.test".into(),
        password: password.into(),
    };
    shop.customers().verify_password(request).await.is_ok()
}

on_both_engines! {
    async fn a_repeat_with_another_password_or_visitor_is_another_request(shop: Shop) {
        let (visitor, another) = ("a visitor of the tests", "another visitor of the tests");
        let made = sign_up(&shop, Some("correct horse"), visitor).await.unwrap();

        assert_eq!(sign_up(&shop, Some("correct horse"), visitor).await.unwrap(), made);
        assert_reused(sign_up(&shop, Some("wrong horse"), visitor).await);
        assert_reused(sign_up(&shop, None, visitor).await);
        assert_reused(sign_up(&shop, Some("correct horse"), another).await);
        assert_reused(sign_up(&shop, Some("correct horse"), "").await);

        let first = change(&shop, "battery staple", "change").await.unwrap();
        change(&shop, "later password", "later").await.unwrap();
        assert_eq!(change(&shop, "battery staple", "change").await.unwrap(), first);
        assert_reused(change(&shop, "later password", "change").await);
        assert!(signs_in(&shop, "later password").await, "a repeat sets nothing");
        assert!(!signs_in(&shop, "battery staple").await);
        // The digest of the first call is kept, whatever the password is now.
        let again = sign_up(&shop, Some("correct horse"), visitor).await.unwrap();
        assert_eq!((again.name, again.etag), (made.name, made.etag));
    }

    async fn only_one_of_several_concurrent_passwords_is_accepted_for_a_request_id(shop: Shop) {
        let passwords = ["first horse", "second horse", "third horse"];
        let visitor = "a visitor of the tests";
        let calls = passwords.map(|password| sign_up(&shop, Some(password), visitor));

        let answers = futures::future::join_all(calls).await;

        let mut taken = Vec::new();
        for (password, answer) in passwords.into_iter().zip(answers) {
            match answer {
                Ok(_) => taken.push(password),
                Err(status) => assert_reused::<()>(Err(status)),
            }
        }
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert!(signs_in(&shop, taken[0]).await);
    }
}
