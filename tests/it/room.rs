//! Tests the memory for requests and answers in flight: each key has a limit, and a write beyond it is not
//! done.

use clientela::limits;
use clientela::proto::pb::{
    self, AddItemRequest, CartTarget, ErrorReason, Role, cart_target::Target,
};
use futures::FutureExt as _;
use futures::future::{join_all, select_all};
use tonic::{Code, Status};

use crate::harness::raw::{Begun, Raw, framed};
use crate::harness::{Setup, Shop, assert_refused, eventually};
use crate::large_answers::large_cart;
use crate::on_both_engines;
use crate::watch::item;

const ADD: &str = "/clientela.v1.CartService/AddItem";
const BATCH: &str = "/clientela.v1.CustomerService/BatchGetCustomers";

/// The connections, and the concurrent calls on each of them.
const CONNECTIONS: usize = 4;
const WRITES: usize = 100;
/// The requests that are announced on each connection, and their size.
const REQUESTS: usize = 24;
const REQUEST_BYTES: usize = 1_000_000;
const _: () = assert!(REQUESTS * REQUEST_BYTES < limits::UNSENT_BYTES_PER_CONNECTION_MAX);
const _: () = assert!(CONNECTIONS * REQUESTS * REQUEST_BYTES > limits::UNSENT_BYTES_PER_KEY_MAX);

/// Returns the frame header of a message of this size.
fn announced(bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).unwrap().to_be_bytes();
    [&[0], &length[..]].concat()
}

/// Begins calls that announce the size of their requests, and do not send them.
async fn announce(connection: &Raw, bearer: &str, requests: usize) -> Vec<Begun> {
    let headers = [("authorization", bearer)];
    let mut begun = Vec::new();
    for _ in 0..requests {
        let head = announced(REQUEST_BYTES);
        begun.push(connection.begin(BATCH, &headers, head, false).await);
    }
    begun
}

/// Returns the first refusal among calls.
async fn first_refusal(begun: Vec<Begun>) -> Status {
    let answers = begun.into_iter().map(|call| call.answered().boxed());
    let (first, ..) = select_all(answers).await;
    first.map(drop).expect_err("no request has come whole")
}

async fn cart(shop: &Shop, name: &str) -> pb::Cart {
    let target = Some(Target::Cart(name.to_owned()));
    let request = pb::GetCartRequest {
        target: Some(CartTarget { target }),
    };
    let cart = shop.carts().get_cart(request).await;
    cart.unwrap().into_inner()
}

on_both_engines! {
    /// All calls begin before the first is answered, and their answers are not read.
    async fn writes_at_once_are_answered_or_refused_and_not_done(shop: Shop with Setup::held()) {
        let name = large_cart(&shop, 0).await;
        let before = cart(&shop, &name).await;
        let bytes = prost::Message::encoded_len(&before);
        assert!(bytes * CONNECTIONS * WRITES > limits::UNSENT_BYTES_PER_KEY_MAX, "{bytes}");
        let bearer = format!("Bearer {}", shop.key(&[Role::Support]).await);
        let headers = [("authorization", bearer.as_str()), ("grpc-timeout", "60S")];
        let add = framed(&AddItemRequest {
            target: Some(CartTarget { target: Some(Target::Cart(name.clone())) }),
            item: Some(item("one more", 1)),
            ..Default::default()
        });
        let mut begun = Vec::new();
        for _ in 0..CONNECTIONS {
            let deaf = Raw::connect(shop.address, 1024).await;
            for _ in 0..WRITES {
                begun.push(deaf.begin(ADD, &headers, add.clone(), true).await);
            }
        }

        let (mut unread, mut refused) = (Vec::new(), 0);
        for answer in join_all(begun.into_iter().map(Begun::answered)).await {
            match answer {
                Ok(answer) => unread.push(answer),
                Err(status) => {
                    assert_refused(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
                    refused += 1;
                }
            }
        }

        assert!(refused > 0, "every answer waits in memory");
        assert!(unread.len() * bytes <= limits::UNSENT_BYTES_PER_KEY_MAX, "{}", unread.len());
        // Calls of another key are answered.
        let after = cart(&shop, &name).await;
        let done = usize::try_from(after.version - before.version).unwrap();
        assert_eq!(done, unread.len(), "a write is done if it was answered, and only then");
    }

    async fn requests_in_flight_are_bounded(shop: Shop with Setup::held()) {
        let bearer = format!("Bearer {}", shop.key(&[Role::Support]).await);
        let headers = [("authorization", bearer.as_str())];
        let one = Raw::connect(shop.address, 1024).await;
        let held = announce(&one, &bearer, 2 * REQUESTS).await;
        let refused = first_refusal(held).await;
        assert_refused(&refused, Code::ResourceExhausted, ErrorReason::Overloaded);

        // The earlier calls have ended and freed their memory. Now the requests of the key are spread over
        // connections.
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = Raw::connect(shop.address, 1024).await;
            held.extend(announce(&connection, &bearer, REQUESTS).await);
        }
        let answers = held.into_iter().map(|call| call.answered().boxed());
        let (first, _, held) = select_all(answers).await;
        let refused = first.map(drop).unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, ErrorReason::Overloaded);
        shop.admin().get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        drop(held);

        eventually("free memory for the key", async || {
            let settings = "/clientela.v1.AdminService/GetShopSettings";
            let fresh = Raw::connect(shop.address, 1024).await;
            fresh.call(settings, &headers, vec![0; 5]).await.ok().map(drop)
        })
        .await;
    }
}
