//! Calls at once that want the same slot or the same cart, on PostgreSQL by way of two replicas: one of
//! them wins, and each of the others is refused with what saves it a read.

use clientela::proto::pb::{
    self, AssignCartRequest, Cart, CreateCartRequest, ErrorReason, MergeCartsRequest,
    ReopenCartRequest, assign_cart_request::IfOpenCartExists, cart::State,
    cart_service_client::CartServiceClient,
};
use futures::future::{BoxFuture, FutureExt as _, join_all};
use tonic::{Code, Status};

use super::{Carts, customer, item, lines, named, new_customer, of, told, visitor};
use crate::harness::{Engine, Replica, Setup, Shop, Transport, assert_refused, reason, unique};
use crate::on_both_engines;

type Client = CartServiceClient<Transport>;

/// How often each race is run: who comes first differs.
const ROUNDS: usize = 8;

/// The servers of a shop: with one replica beside the first where there can be one.
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

    /// A client of the server whose turn it is.
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

/// That a cart went into another before the call came.
#[track_caller]
fn assert_merged_before(refused: &Status, into: &Cart) {
    assert_refused(refused, Code::FailedPrecondition, ErrorReason::CartNotOpen);
    assert_eq!(told(refused)["merged_into"], into.name);
}

on_both_engines! {
    async fn of_all_that_would_take_a_slot_at_once_one_does(shop: Shop) {
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
            // Others are the first to be sent in each round.
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
                assert_eq!(told(refused)["open_cart"], winner.name);
            }
            for guest in guests.iter().filter(|guest| guest.name != winner.name) {
                assert_eq!(shop.get(named(&guest.name)).await, *guest, "nothing of a refused call stands");
            }
        }
        servers.stop().await;
    }

    async fn a_cart_merged_into_two_at_once_goes_into_one(shop: Shop) {
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
            assert_eq!(told(&refused)["field"], "source");
            for target in &targets {
                let now = shop.get(named(&target.name)).await;
                let expected = if now.name == into.name { &into } else { target };
                assert_eq!(now, *expected);
            }
        }
        servers.stop().await;
    }

    async fn a_cart_assigned_and_merged_at_once_is_in_one_place(shop: Shop) {
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

    /// One puts a cart in the place of the customer's, the other merges into whichever is there.
    async fn a_slot_whose_cart_is_replaced_and_merged_into_at_once_keeps_one(shop: Shop) {
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
                // What was merged first went with the cart that was replaced.
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
