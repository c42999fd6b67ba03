//! Tests of the stream of all pages.

use clientela_client::v1::{Cart, ListCartsRequest, ListCartsResponse};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::fake::{Fake, refusal};

fn page(names: &[&str], next_page_token: &str) -> Result<ListCartsResponse, Status> {
    let cart = |name: &&str| Cart {
        name: (*name).to_owned(),
        ..Cart::default()
    };
    Ok(ListCartsResponse {
        carts: names.iter().map(cart).collect(),
        next_page_token: next_page_token.to_owned(),
        ..ListCartsResponse::default()
    })
}

#[tokio::test]
async fn every_item_of_every_page_is_yielded() {
    let fake = Fake::start().await;
    // A page may be empty and still not be the last.
    fake.answer_lists(vec![
        page(&["a", "b"], "p1"),
        page(&[], "p2"),
        page(&["c"], ""),
    ]);
    let request = ListCartsRequest {
        page_size: 2,
        ..ListCartsRequest::default()
    };

    let carts: Vec<_> = fake.client().all(request).collect().await;

    let names: Vec<_> = carts.into_iter().map(|cart| cart.unwrap().name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let asked = [("", 2), ("p1", 2), ("p2", 2)].map(|(token, size)| (token.to_owned(), size));
    assert_eq!(fake.listed(), asked);
}

#[tokio::test]
async fn a_page_that_is_not_read_is_not_fetched() {
    let fake = Fake::start().await;
    fake.answer_lists(vec![page(&["a", "b"], "p1"), page(&["c"], "")]);

    let client = fake.client();
    let mut carts = Box::pin(client.all(ListCartsRequest::default()));
    assert_eq!(carts.next().await.unwrap().unwrap().name, "a");
    drop(carts);

    assert_eq!(fake.listed().len(), 1);
}

#[tokio::test]
async fn the_error_of_a_page_ends_the_stream() {
    let fake = Fake::start().await;
    let refused = Err(refusal(Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    fake.answer_lists(vec![page(&["a"], "p1"), refused]);

    let client = fake.client();
    let mut carts = Box::pin(client.all(ListCartsRequest::default()));

    assert_eq!(carts.next().await.unwrap().unwrap().name, "a");
    let error = carts.next().await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(carts.next().await.is_none());
}
