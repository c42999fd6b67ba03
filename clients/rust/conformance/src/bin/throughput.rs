//! How many changes a second a watch takes: 20,000 are made while it is away, then it comes back.

use std::{process, time::Instant};

use clientela_client::{
    Client, Error, Event,
    v1::{
        AddItemRequest, Cart, CartOwner, CartTarget, DeliveryMode, ItemInput, ItemPrice, Money,
        UpdateItemRequest, WatchCartsRequest, WatchOptions, cart_owner, cart_target,
    },
};
use futures::StreamExt as _;

const CHANGES: usize = 20_000;
const CARTS: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("CLIENTELA_ADDRESS").unwrap_or("127.0.0.1:50051".to_owned());
    let client = Client::builder().address(address).connect()?;
    let mut carts = Vec::new();
    for number in 0..CARTS {
        carts.push(fill(&client, format!("throughput-{}-{number}", process::id())).await?);
    }
    let mut watch = client.watch_carts(request(String::new()));
    while !matches!(watch.next().await, Some(Ok(Event::Ready { .. }))) {}
    let token = watch.resume_token();
    drop(watch);

    let writers = carts
        .into_iter()
        .map(|cart| tokio::spawn(change(client.clone(), cart)));
    for written in futures::future::join_all(writers).await {
        written??;
    }
    for round in 1..=3 {
        let from = Instant::now();
        let mut watch = client.watch_carts(request(token.clone()));
        let mut taken = 0;
        while taken < CHANGES {
            let event = watch.next().await.ok_or("the watch ended")??;
            taken += usize::from(matches!(event, Event::Changed(_)));
        }
        let speed = CHANGES as f64 / from.elapsed().as_secs_f64();
        println!("round {round}: {speed:.0} changes a second");
    }
    Ok(())
}

fn request(resume_token: String) -> WatchCartsRequest {
    let options = WatchOptions {
        resume_token,
        delivery_mode: DeliveryMode::Every.into(),
        ..WatchOptions::default()
    };
    WatchCartsRequest {
        options: Some(options),
        ..WatchCartsRequest::default()
    }
}

async fn fill(client: &Client, visitor: String) -> Result<Cart, Error> {
    let owner = CartOwner {
        owner: Some(cart_owner::Owner::Visitor(visitor)),
        ..CartOwner::default()
    };
    let price = ItemPrice {
        list_price: Some(Money {
            currency_code: "EUR".to_owned(),
            micros: 11_900_000,
        }),
        ..ItemPrice::default()
    };
    let request = AddItemRequest {
        target: Some(CartTarget {
            target: Some(cart_target::Target::Owner(owner)),
        }),
        item: Some(ItemInput {
            product: "mug".to_owned(),
            quantity: 1,
            price: Some(price),
            ..ItemInput::default()
        }),
        ..AddItemRequest::default()
    };
    Ok(client.carts().add_item(request).await?.into_inner())
}

async fn change(client: Client, cart: Cart) -> Result<(), Error> {
    for number in 0..=CHANGES / CARTS {
        let request = UpdateItemRequest {
            name: cart.items[0].name.clone(),
            quantity: Some(2 + i32::from(number % 2 == 0)),
            ..UpdateItemRequest::default()
        };
        client.carts().update_item(request).await?;
    }
    Ok(())
}
