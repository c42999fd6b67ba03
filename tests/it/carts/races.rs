//! Tests concurrent calls for the same slot or the same cart, on PostgreSQL through two replicas. One call
//! wins, and each refusal has the details that save the caller a read.

use clientela::proto::pb::{
    self, AssignCartRequest, Cart, CreateCartRequest, ErrorReason, MergeCartsRequest,
    ReopenCartRequest, assign_cart_request::IfOpenCartExists, cart::State,
    cart_service_client::CartServiceClient,
};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use tonic::{Code, Status};

use super::{Carts, customer, item, lines, metadata, named, new_customer, of, visitor};
use crate::harness::{Engine, Replica, Setup, Shop, Transport, assert_refused, reason, unique};
use crate::on_both_engines;

type Client = CartServiceClient<Transport>;

/// The rounds of each race. The first call to arrive differs between rounds.
const ROUNDS: usize = 8;

/// The servers of a shop: on PostgreSQL a replica runs beside the first.
struct Servers {
    clients: Vec<Client>,
    replica: Option<Replica>,
}

impl Servers {
    async fn of(shop: &Shop) -> Self {
        let replica = match shop.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(shop.replica(Setup::default()).await),
        };
        let mut clients = vec![shop.carts()];
        clients.extend(
            replica
                .as_ref()
                .map(|replica| replica.carts_as(&shop.admin_key)),
        );
        Self { clients, replica }
    }

    /// Returns a client of the server that this turn uses.
    fn at(&self, turn: usize) -> Client {
        self.clients[turn % self.clients.len()].clone()
    }

    async fn stop(self) {
        if let Some(replica) = self.replica {
            replica.stop().await;
        }
    }
}

async fn assigned(
    mut client: Client,
    cart: Cart,
    customer: String,
    choice: IfOpenCartExists,
) -> Result<Cart, Status> {
    let request = AssignCartRequest {
        target: named(&cart.name),
        customer,
        if_open_cart_exists: choice.into(),
        ..Default::default()
    };
    let answer = client.assign_cart(request).await?.into_inner();
    Ok(answer.cart.expect("the customer's cart"))
}

async fn merged(mut client: Client, request: MergeCartsRequest) -> Result<Cart, Status> {
    let answer = client.merge_carts(request).await?.into_inner();
    Ok(answer.cart.expect("the target"))
}

fn merging(source: &Cart, target: &Cart) -> MergeCartsRequest {
    MergeCartsRequest {
        source: named(&source.name),
        target: named(&target.name),
        ..Default::default()
    }
}

async fn filled(shop: &Shop, product: &str) -> Cart {
    shop.add(of(&visitor()), item(product, 1)).await
}

/// The open carts of a customer.
async fn open_carts(shop: &Shop, customer: &str) -> Vec<Cart> {
    let filter = format!("customer = {customer} AND state = OPEN");
    let request = pb::ListCartsRequest {
        filter,
        ..Default::default()
    };
    let listed = shop.carts().list_carts(request).await.unwrap();
    listed.into_inner().carts
}

/// Asserts that a cart was merged into another before the call came.
#[track_caller]
fn assert_merged_before(refused: &Status, into: &Cart) {
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    assert_eq!(metadata(refused)["merged_into"], into.name);
}

on_both_engines! {
    async fn one_of_the_concurrent_calls_takes_the_slot(shop: Shop) {
        let servers = Servers::of(&shop).await;
        for round in 0..ROUNDS {
            let ada = new_customer(&shop).await;
            let owner = customer(&ada);
            let ordered = shop.add(of(&owner), item("old", 1)).await;
            shop.try_order(of(&owner), &format!("race-{}", unique())).await.unwrap();
            let guests = [filled(&shop, "shirt").await, filled(&shop, "hat").await, filled(&shop, "shoe").await];
            let mut calls: Vec<BoxFuture<'_, Result<Cart, Status>>> = Vec::new();
            for (turn, guest) in guests.iter().enumerate() {
                let call = assigned(servers.at(turn), guest.clone(), ada.clone(), IfOpenCartExists::Fail);
                calls.push(call.boxed());
            }
            for turn in 0..2 {
                let (mut client, owner) = (servers.at(turn), Some(owner.clone()));
                calls.push(async move {
                    let request = CreateCartRequest { owner, ..Default::default() };
                    client.create_cart(request).await.map(tonic::Response::into_inner)
                }.boxed());
            }
            let (mut client, name) = (servers.at(round), ordered.name.clone());
            calls.push(async move {
                let request = ReopenCartRequest { name, ..Default::default() };
                client.reopen_cart(request).await.map(tonic::Response::into_inner)
            }.boxed());
            // Each round sends the calls in another order.
            let at = round % calls.len();
            calls.rotate_left(at);

            let answers = join_all(calls).await;

            let open = open_carts(&shop, &ada).await;
            let [winner] = open.as_slice() else {
                panic!("one open cart: {open:?}");
            };
            let done: Vec<&Cart> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
            assert_eq!(done, [winner]);
            for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_refused(refused, Code::AlreadyExists, ErrorReason::OpenCartExists);
                assert_eq!(metadata(refused)["open_cart"], winner.name);
            }
            for guest in guests.iter().filter(|guest| guest.name != winner.name) {
                assert_eq!(shop.get(named(&guest.name)).await, *guest, "a refused call changes nothing");
            }
        }
        servers.stop().await;
    }

    async fn a_cart_merged_into_two_at_once_ends_in_one(shop: Shop) {
        let servers = Servers::of(&shop).await;
        for round in 0..ROUNDS {
            let source = filled(&shop, "shirt").await;
            let targets = [filled(&shop, "hat").await, filled(&shop, "shoe").await];

            let [one, other] = [0, 1].map(|turn| {
                merged(servers.at(turn + round), merging(&source, &targets[turn]))
            });
            let (one, other) = tokio::join!(one, other);

            let (into, refused) = match (one, other) {
                (Ok(into), Err(refused)) | (Err(refused), Ok(into)) => (into, refused),
                both => panic!("one of two: {both:?}"),
            };
            assert_merged_before(&refused, &into);
            assert_eq!(metadata(&refused)["field"], "source");
            for target in &targets {
                let now = shop.get(named(&target.name)).await;
                let expected = if now.name == into.name { &into } else { target };
                assert_eq!(now, *expected);
            }
        }
        servers.stop().await;
    }

    async fn a_cart_assigned_and_merged_at_once_ends_in_one_place(shop: Shop) {
        let servers = Servers::of(&shop).await;
        for round in 0..ROUNDS {
            let ada = new_customer(&shop).await;
            let (source, target) = (filled(&shop, "shirt").await, filled(&shop, "hat").await);

            let assignment = assigned(servers.at(round), source.clone(), ada.clone(), IfOpenCartExists::Fail);
            let merge = merged(servers.at(round + 1), merging(&source, &target));
            let (assignment, merge) = if round % 2 == 0 {
                tokio::join!(assignment, merge)
            } else {
                let (merge, assignment) = tokio::join!(merge, assignment);
                (assignment, merge)
            };

            // An assigned cart can still be merged; a merged one cannot be assigned.
            let into = merge.unwrap();
            assert_eq!(lines(&into), [("hat", 1), ("shirt", 1)]);
            let gone = shop.get(named(&source.name)).await;
            assert_eq!((gone.state(), &gone.merged_into), (State::Merged, &target.name));
            match assignment {
                Ok(cart) => assert_eq!((cart.customer, gone.customer), (ada.clone(), ada.clone())),
                Err(refused) => {
                    assert_merged_before(&refused, &into);
                    assert_eq!(gone.customer, "");
                }
            }
            assert_eq!(open_carts(&shop, &ada).await, []);
        }
        servers.stop().await;
    }

    /// One call replaces the customer's cart, and the other merges into whichever cart is open.
    async fn a_slot_keeps_one_cart_in_a_race_of_replacement_and_merge(shop: Shop) {
        let servers = Servers::of(&shop).await;
        for round in 0..ROUNDS {
            let ada = new_customer(&shop).await;
            let owner = customer(&ada);
            let own = shop.add(of(&owner), item("hat", 1)).await;
            let (guest, source) = (filled(&shop, "shirt").await, filled(&shop, "shoe").await);

            let replacement = assigned(servers.at(round), guest.clone(), ada.clone(), IfOpenCartExists::Replace);
            let merge = MergeCartsRequest { target: of(&owner), ..merging(&source, &own) };
            let merge = merged(servers.at(round + 1), merge);
            let (replaced, merge) = if round % 2 == 0 {
                tokio::join!(replacement, merge)
            } else {
                let (merge, replaced) = tokio::join!(merge, replacement);
                (replaced, merge)
            };

            assert_eq!(replaced.unwrap().name, guest.name);
            let into = merge.unwrap();
            let gone = shop.get(named(&source.name)).await;
            assert_eq!((gone.state(), &gone.merged_into), (State::Merged, &into.name));
            let open = open_carts(&shop, &ada).await;
            assert_eq!(open.len(), 1, "{open:?}");
            assert_eq!((&open[0].name, open[0].slot.as_str()), (&guest.name, "main"));
            let expected = if into.name == guest.name {
                vec![("shirt", 1), ("shoe", 1)]
            } else {
                // Lines that were merged first ended with the replaced cart.
                assert_eq!(into.name, own.name);
                vec![("shirt", 1)]
            };
            assert_eq!(lines(&open[0]), expected);
            let own = shop.try_get(named(&own.name)).await.unwrap_err();
            assert_eq!(reason(&own), "NOT_FOUND");
        }
        servers.stop().await;
    }
}
