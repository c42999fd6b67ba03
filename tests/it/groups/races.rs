//! Tests invariants under concurrent calls. No customer is ever without a group or has a default group
//! outside its groups. A customer that joined a group during its deletion is not a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clientela::caller::Caller;
use clientela::clock::Clock;
use clientela::error::Error;
use clientela::groups::memberships::{self, Grant};
use clientela::proto::pb::watch_customers_response::Signal;
use clientela::proto::pb::{self, ChangeKind, ErrorReason};
use clientela::store::{Locks, Store, StoreConfig, Tx};
use clientela::{customers, on};
use futures::FutureExt as _;
use futures::future::join_all;
use prost_types::FieldMask;
use tokio::sync::Notify;
use tonic::{Code, Status};

use super::{adding, customer, delete, done, get, get_customer, plain, removing};
use crate::harness::{Engine, Shop, assert_refused, eventually, reason, violations};
use crate::on_both_engines;

const CUSTOMERS: usize = 8;
const ROUNDS: usize = 6;

/// Accepts the refusals that a concurrent call may get: the group is gone, or exists again.
fn allowed<T>(outcome: Result<T, Status>) -> Option<T> {
    match outcome {
        Ok(answer) => Some(answer),
        Err(status) => {
            let (code, reason) = match reason(&status).as_str() {
                "NAME_TAKEN" => (Code::AlreadyExists, ErrorReason::NameTaken),
                "INVALID_FIELD" => (Code::InvalidArgument, ErrorReason::InvalidField),
                _ => (Code::NotFound, ErrorReason::NotFound),
            };
            assert_refused(&status, code, reason);
            let missing = |(_, reason): (String, String)| reason == "NOT_FOUND";
            assert!(violations(&status).into_iter().all(missing), "{status:?}");
            None
        }
    }
}

fn all_customer_names() -> Vec<String> {
    (0..CUSTOMERS)
        .map(|number| format!("customers/c{number}"))
        .collect()
}

async fn add_and_remove(shop: &Shop, group: &str) {
    let all_customer_names = all_customer_names();
    let entries: Vec<&str> = all_customer_names.iter().map(String::as_str).collect();
    for round in 0..ROUNDS {
        let request = pb::AddMembersRequest {
            make_default: round % 2 == 0,
            ..adding(group, &entries)
        };
        allowed(shop.groups().add_members(request).await);
        let half = &entries[..CUSTOMERS / 2];
        allowed(shop.groups().remove_members(removing(group, half)).await);
    }
}

/// Sets the groups of customers to one group, and then to another.
async fn regroup(shop: &Shop, first: &str, second: &str) {
    for round in 0..ROUNDS {
        for name in all_customer_names() {
            let group = if round % 2 == 0 { first } else { second };
            let customer = pb::Customer {
                name,
                groups: vec![format!("groups/{group}")],
                default_group: format!("groups/{group}"),
                ..pb::Customer::default()
            };
            let paths = vec!["groups".to_owned(), "default_group".to_owned()];
            let request = pb::UpdateCustomerRequest {
                customer: Some(customer),
                update_mask: Some(FieldMask { paths }),
                ..pb::UpdateCustomerRequest::default()
            };
            allowed(shop.customers().update_customer(request).await);
        }
    }
}

/// Deletes a group and creates it again whenever its name is free.
async fn delete_and_make(shop: &Shop, group: &str) {
    for _ in 0..ROUNDS {
        let name = format!("groups/{group}");
        let request = pb::DeleteGroupRequest {
            name,
            ..pb::DeleteGroupRequest::default()
        };
        let deleted = allowed(shop.groups().delete_group(request).await);
        if let Some(deleted) = deleted {
            let operation = deleted
                .metadata()
                .get("clientela-operation")
                .unwrap()
                .clone();
            done(shop, operation.to_str().unwrap()).await;
        }
        let request = pb::CreateGroupRequest {
            group: Some(super::sent(group, "")),
            group_id: group.to_owned(),
            ..pb::CreateGroupRequest::default()
        };
        allowed(shop.groups().create_group(request).await);
    }
}

/// Registers customers in a group that may be deleted.
async fn sign_up(shop: &Shop, group: &str) {
    for number in 0..ROUNDS * 4 {
        let groups = vec![format!("groups/{group}")];
        let customer = pb::Customer {
            email: format!("new{number}@example.test"),
            default_group: groups[0].clone(),
            groups,
            ..pb::Customer::default()
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(customer),
            customer_id: format!("new{number}"),
            ..pb::CreateCustomerRequest::default()
        };
        allowed(shop.customers().create_customer(request).await);
    }
}

fn assert_grouped(customer: &pb::Customer) {
    assert!(
        !customer.groups.is_empty(),
        "{} is without a group",
        customer.name
    );
    assert!(
        customer.groups.contains(&customer.default_group),
        "{} has the default {} and is in {:?}",
        customer.name,
        customer.default_group,
        customer.groups
    );
}

/// Checks every version of every customer, until the last of `until` was seen.
async fn watch_every_version(
    mut stream: tonic::Streaming<pb::WatchCustomersResponse>,
    until: &str,
) -> usize {
    let mut seen = 0;
    while let Some(message) = stream.message().await.expect("the stream continues") {
        for change in message.changes {
            if change.kind() == ChangeKind::Upserted {
                assert_grouped(&change.customer.expect("upserted customers are whole"));
                seen += 1;
            }
            if change.name == until {
                return seen;
            }
        }
    }
    panic!("a watch does not end by itself");
}

async fn all_customers(shop: &Shop) -> Vec<pb::Customer> {
    let request = pb::ListCustomersRequest {
        page_size: 1_000,
        ..Default::default()
    };
    shop.customers()
        .list_customers(request)
        .await
        .unwrap()
        .into_inner()
        .customers
}

async fn members_of(shop: &Shop, group: &str) -> BTreeSet<String> {
    let request = pb::ListMembersRequest {
        group: group.to_owned(),
        page_size: 1_000,
        ..pb::ListMembersRequest::default()
    };
    let page = shop
        .groups()
        .list_members(request)
        .await
        .unwrap()
        .into_inner();
    page.members
        .into_iter()
        .map(|member| member.customer.expect("whole").name)
        .collect()
}

/// Asserts that the memberships, the customers' own groups and the member counts agree.
async fn assert_consistent(shop: &Shop) {
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for customer in all_customers(shop).await {
        assert_grouped(&customer);
        for group in customer.groups {
            expected
                .entry(group)
                .or_default()
                .insert(customer.name.clone());
        }
    }
    let groups = shop
        .groups()
        .list_groups(pb::ListGroupsRequest::default())
        .await
        .unwrap();
    for group in groups.into_inner().groups {
        let expected = expected.remove(&group.name).unwrap_or_default();
        assert_eq!(
            members_of(shop, &group.name).await,
            expected,
            "{}",
            group.name
        );
        assert_eq!(
            usize::try_from(group.member_count).unwrap(),
            expected.len(),
            "{}",
            group.name
        );
    }
    assert!(
        expected.is_empty(),
        "members of groups that are gone: {expected:?}"
    );
}

on_both_engines! {
    async fn no_customer_is_ever_without_a_group_or_with_a_foreign_default(shop: Shop) {
        for group in ["a", "b", "c"] {
            plain(&shop, group).await;
        }
        for name in all_customer_names() {
            customer(&shop, name.trim_start_matches("customers/"), &["a"]).await;
        }
        let options = pb::WatchOptions {
            delivery_mode: pb::DeliveryMode::Every.into(),
            ..pb::WatchOptions::default()
        };
        let request = pb::WatchCustomersRequest { options: Some(options), ..Default::default() };
        let mut stream = shop.customers().watch_customers(request).await.unwrap().into_inner();
        loop {
            let message = stream.message().await.unwrap().expect("a snapshot");
            if matches!(message.signal, Some(Signal::SnapshotEnd(_))) {
                break;
            }
        }
        let watch = tokio::spawn(watch_every_version(stream, "customers/last"));

        tokio::join!(
            add_and_remove(&shop, "a"),
            add_and_remove(&shop, "b"),
            regroup(&shop, "a", "b"),
            regroup(&shop, "b", "customer"),
            delete_and_make(&shop, "a"),
            delete_and_make(&shop, "b"),
            sign_up(&shop, "a"),
        );
        customer(&shop, "last", &[]).await;

        let seen = watch.await.expect("every version had its groups");
        assert!(seen > CUSTOMERS, "there was hardly a change: {seen}");
        assert_consistent(&shop).await;
    }

    async fn a_customer_that_joins_a_group_during_its_deletion_is_not_a_member(shop: Shop) {
        for round in 0..10 {
            let group = format!("g{round}");
            plain(&shop, &group).await;
            let ids: Vec<String> = (0..6).map(|number| format!("c{round}-{number}")).collect();
            for id in &ids {
                customer(&shop, id, &[]).await;
            }
            let join = async |id: &String| {
                let member = format!("customers/{id}");
                allowed(shop.groups().add_members(adding(&group, &[&member])).await);
            };

            let (operation, _) = tokio::join!(delete(&shop, &group), join_all(ids.iter().map(join)));
            done(&shop, &operation).await;

            for id in &ids {
                let customer = get_customer(&shop, id).await;
                assert_eq!(customer.groups, ["groups/customer"]);
                assert_eq!(customer.default_group, "groups/customer");
            }
            assert_eq!(get(&shop, &group).await.unwrap_err().code(), Code::NotFound);
        }
        assert_consistent(&shop).await;
    }

    async fn a_hundred_sign_ups_at_once_are_all_counted(shop: Shop) {
        let ids: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();

        join_all(ids.iter().map(|id| customer(&shop, id, &[]))).await;

        assert_eq!(get(&shop, "customer").await.unwrap().member_count, 100);
        assert_consistent(&shop).await;
    }

    async fn one_request_id_many_times_at_once_has_one_answer(shop: Shop) {
        plain(&shop, "vip").await;
        customer(&shop, "ada", &[]).await;
        let request = pb::AddMembersRequest {
            request_id: "once".to_owned(),
            ..adding("vip", &["customers/ada"])
        };

        let mut clients: Vec<_> = (0..50).map(|_| shop.groups()).collect();
        let calls = clients.iter_mut().map(|client| client.add_members(request.clone()));
        let answers = join_all(calls).await;

        let answers: Vec<pb::AddMembersResponse> =
            answers.into_iter().map(|answer| answer.unwrap().into_inner()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(get(&shop, "vip").await.unwrap().member_count, 1);
    }
}

/// Returns how many sessions wait to delete a group.
async fn waiting_deletions(store: &Store) -> i64 {
    let count = store.read(|conn| {
        async move {
            Ok(on!(conn, |e| sqlx::query_scalar(
                "SELECT COUNT(*) FROM pg_stat_activity
                 WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM groups%'"
            )
            .fetch_one(e)
            .await)?)
        }
        .boxed()
    });
    count.await.expect("the database lists its sessions")
}

/// SQLite has one writer, so the deletion has nothing to wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_waits_for_a_joining_customer_and_removes_the_membership() {
    let shop = Shop::start(Engine::Postgres).await;
    plain(&shop, "vip").await;
    customer(&shop, "ada", &[]).await;
    let config = StoreConfig::new(shop.database());
    let store = Store::open(&config, Clock::system())
        .await
        .expect("a second replica");
    let (joined, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let joining = {
        let (store, held) = (store.clone(), (Arc::clone(&joined), Arc::clone(&go)));
        let locks = Locks::of("customer", "default", "ada");
        tokio::spawn(async move {
            store
                .write_with(locks, held, |tx, (joined, go)| {
                    join_and_wait(tx, joined, go).boxed()
                })
                .await
        })
    };
    joined.notified().await;

    let deleting = async { delete(&shop, "vip").await };
    let letting_go = async {
        let waits = || async { (waiting_deletions(&store).await > 0).then_some(()) };
        eventually("the deletion waits", waits).await;
        go.notify_one();
    };
    let (operation, ()) = tokio::join!(deleting, letting_go);
    joining.await.unwrap().expect("the first call has joined");
    done(&shop, &operation).await;

    assert_consistent(&shop).await;
    assert_eq!(get_customer(&shop, "ada").await.groups, ["groups/customer"]);
}

async fn join_and_wait(tx: &mut Tx, joined: &Notify, go: &Notify) -> Result<(), Error> {
    let caller = Caller::system("default".into(), None);
    let grant = Grant::of_staff(&caller);
    memberships::grant(tx, "default", "ada", "vip", &grant, 1).await?;
    let ada = customers::load(tx, "default", "ada").await?;
    let ada = ada.expect("she is registered");
    let mut groups = ada.groups.clone();
    groups.push("vip".to_owned());
    let default = ada.default_group.clone();
    customers::regroup(tx, &caller, &ada, groups, default, 1).await?;
    joined.notify_one();
    go.notified().await;
    Ok(())
}
