//! Tests two concurrent registrations with one e-mail address. One of them gets it, and the other leaves no
//! data.

use std::collections::BTreeSet;

use clientela::proto::pb::{self, CartOwner, ErrorReason, cart_cause, cart_owner::Owner};
use futures::future::join_all;
use tonic::Code;

use super::{
    Client, create, creation, delete, group, metadata, person, try_create, try_get, update,
};
use crate::carts::{Carts as _, customer, item, of, visitor};
use crate::harness::{CartWatch, Shop, assert_refused, unique};
use crate::on_both_engines;
use crate::watch::every;

const ROUNDS: usize = 10;

/// The lookups that find a customer registered by `registration`.
const TRACES: [&str; 8] = [
    "addresses.customer_id",
    "addresses.doc",
    "carts.customer_id",
    "change_log.resource_id",
    "credentials.customer_id",
    "customer_external_ids.external_id",
    "customers.id",
    "membership_grants.customer_id",
];

fn external_id(id: &str) -> pb::ExternalId {
    pb::ExternalId {
        system: "erp".to_owned(),
        id: id.to_owned(),
    }
}

/// Returns a registration with every possible field. All values contain `who`.
fn registration(who: &str, email: &str, owner: &CartOwner) -> pb::CreateCustomerRequest {
    let Some(Owner::Visitor(visitor)) = owner.owner.clone() else {
        panic!("the owner is a visitor");
    };
    let address = |label: &str| pb::Address {
        label: label.to_owned(),
        city: who.to_owned(),
        ..Default::default()
    };
    let customer = pb::Customer {
        email: email.to_owned(),
        number: who.to_owned(),
        company: who.to_owned(),
        external_ids: vec![external_id(who)],
        groups: vec!["groups/vip".to_owned()],
        password: Some(format!("the password of {who}")),
        ..Default::default()
    };
    pb::CreateCustomerRequest {
        customer_id: who.to_owned(),
        addresses: vec![address("home"), address("work")],
        visitor,
        request_id: format!("registration of {who}"),
        ..creation(customer)
    }
}

/// Creates a visitor with a cart.
async fn shopper(shop: &Shop) -> (CartOwner, pb::Cart) {
    let owner = visitor();
    let cart = shop.add(of(&owner), item("shirt", 1)).await;
    (owner, cart)
}

async fn members(shop: &Shop) -> i64 {
    let name = "groups/vip".to_owned();
    let request = pb::GetGroupRequest {
        name,
        ..Default::default()
    };
    shop.groups()
        .get_group(request)
        .await
        .unwrap()
        .into_inner()
        .member_count
}

/// Returns the customers of the next changes after a token, in order.
async fn sent_after(client: &mut Client, token: String, changes: usize) -> Vec<String> {
    let options = pb::WatchOptions {
        resume_token: token,
        ..every().options.unwrap()
    };
    let request = pb::WatchCustomersRequest {
        options: Some(options),
        ..Default::default()
    };
    let mut stream = client.watch_customers(request).await.unwrap().into_inner();
    let mut names = Vec::new();
    while names.len() < changes {
        let message = stream.message().await.unwrap().expect("a watch has no end");
        names.extend(message.changes.into_iter().map(|change| change.name));
    }
    names
}

/// Returns a token of the current position.
async fn token(client: &mut Client) -> String {
    let request = pb::WatchCustomersRequest {
        options: every().options,
        ..Default::default()
    };
    let mut stream = client.watch_customers(request).await.unwrap().into_inner();
    loop {
        let message = stream.message().await.unwrap().expect("a watch has no end");
        if !message.resume_token.is_empty() {
            return message.resume_token;
        }
    }
}

on_both_engines! {
    async fn two_parallel_creations_with_one_email_make_one_customer(shop: Shop) {
        group(&shop, "vip", pb::Group::default()).await;
        let mut client = shop.customers();
        let before = token(&mut client).await;
        let mut carts = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
        carts.snapshot().await;
        let mut registered = Vec::new();
        for round in 0..ROUNDS {
            let email = format!("twin.{}@example.test", unique());
            let twins = [format!("twin-{round}-a"), format!("twin-{round}-b")];
            let shoppers = [shopper(&shop).await, shopper(&shop).await];

            let attempts = twins.iter().zip(&shoppers).map(|(who, (owner, _))| {
                let (mut client, request) = (client.clone(), registration(who, &email, owner));
                async move { client.create_customer(request).await }
            });
            let outcomes = join_all(attempts).await;

            let lost = outcomes.iter().position(|outcome| outcome.is_err()).expect("one is refused");
            let won = 1 - lost;
            let winner = outcomes[won].as_ref().expect("one is made").get_ref();
            let refused = outcomes[lost].as_ref().unwrap_err();
            assert_refused(refused, Code::AlreadyExists, ErrorReason::EmailTaken);
            assert_eq!(metadata(refused, "customer"), Some(format!("customers/{}", twins[won])));
            // No row of any table mentions the loser, and many mention the winner.
            assert_eq!(shop.mentions(&twins[lost]).await, Vec::<String>::new());
            let traces: BTreeSet<String> = shop.mentions(&twins[won]).await.into_iter().collect();
            assert!(TRACES.iter().all(|trace| traces.contains(*trace)), "{traces:?}");
            assert_eq!(shop.get(of(&shoppers[lost].0)).await, shoppers[lost].1);
            let adopted = shop.get(of(&customer(&winner.name))).await;
            assert_eq!((&adopted.name, adopted.version), (&shoppers[won].1.name, 2));
            assert_eq!(members(&shop).await, i64::try_from(round + 1).unwrap());
            // The loser's name, number, external id and request id are free.
            let name = format!("customers/{}", twins[lost]);
            assert_eq!(try_get(&mut client, &name).await.unwrap_err().code(), Code::NotFound);
            let again = registration(&twins[lost], &format!("free.{email}"), &shoppers[lost].0);
            let free = client.create_customer(again).await.unwrap().into_inner();
            delete(&mut client, &free.name).await;
            registered.extend([winner.name.clone(), name.clone(), name]);
        }

        let sent = sent_after(&mut client, before, registered.len()).await;
        assert_eq!(sent, registered, "no other customer was sent");
        let adoptions = |watch: &CartWatch| {
            let causes = watch.changes.iter().flat_map(|change| &change.causes);
            causes.filter(|cause| cause.kind() == cart_cause::Kind::Assigned).count()
        };
        carts.until("the adoptions", |watch| adoptions(watch) == 2 * ROUNDS).await;
    }

    async fn only_one_of_two_concurrent_updates_gets_an_email(shop: Shop) {
        let mut client = shop.customers();
        for _ in 0..ROUNDS {
            let email = format!("shared.{}@example.test", unique());
            let ada = create(&mut client, person("Ada")).await;
            let pair = [ada, create(&mut client, person("Bob")).await];

            let changes = join_all(pair.iter().map(|one| {
                let changed = pb::Customer { email: email.clone(), ..one.clone() };
                let mut client = client.clone();
                async move { update(&mut client, changed, &["email"]).await }
            }))
            .await;

            let lost = changes.iter().position(|change| change.is_err()).expect("one is refused");
            let refused = changes[lost].as_ref().unwrap_err();
            assert_refused(refused, Code::AlreadyExists, ErrorReason::EmailTaken);
            let winner = changes[1 - lost].as_ref().unwrap();
            assert_eq!(metadata(refused, "customer"), Some(winner.name.clone()));
            assert_eq!(try_get(&mut client, &pair[lost].name).await.unwrap(), pair[lost]);
            let third = pb::Customer { email, ..person("Cem") };
            let refused = try_create(&mut client, third).await.unwrap_err();
            assert_refused(&refused, Code::AlreadyExists, ErrorReason::EmailTaken);
        }
    }
}
