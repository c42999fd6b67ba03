//! Signs a customer up, adds it to a group with a discount, fills a cart, and watches it.

use clientela_client::{
    Client, Error, Event,
    v1::{
        AddItemRequest, AddMembersRequest, Cart, CartOwner, CartTarget, CreateCustomerRequest,
        CreateGroupRequest, Customer, ErrorReason, Group, ItemInput, ItemPrice, MembershipSource,
        Money, WatchCartsRequest, cart_owner, cart_target,
    },
};
use futures::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::var("CLIENTELA_SERVER");
    let client = Client::builder()
        .address(address.unwrap_or("127.0.0.1:50051".to_owned()))
        .connect()?;
    let ada = sign_up(
        &client,
        &format!("ada-{}@example.com", uuid::Uuid::new_v4()),
    )
    .await?;
    println!("signed up {}", ada.name);
    give_group(&client, &ada).await?;
    let cart = add(&client, &ada, 1).await?;
    println!("filled {}", cart.name);
    watch(&client, &ada, cart).await
}

async fn sign_up(client: &Client, email: &str) -> Result<Customer, Error> {
    let request = CreateCustomerRequest {
        customer: Some(Customer {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            email: email.to_owned(),
            ..Customer::default()
        }),
        ..CreateCustomerRequest::default()
    };
    let created = client.customers().create_customer(request.clone()).await?;
    match client
        .customers()
        .create_customer(request)
        .await
        .map_err(Error::from)
    {
        Err(error) if error.reason == ErrorReason::EmailTaken => {
            println!("the address is taken by {}", error.metadata["customer"]);
        }
        other => drop(other?),
    }
    Ok(created.into_inner())
}

async fn give_group(client: &Client, customer: &Customer) -> Result<(), Error> {
    let group = CreateGroupRequest {
        group: Some(Group {
            display_names: [("en".to_owned(), "Regulars".to_owned())].into(),
            discount_percent: "10".to_owned(),
            ..Group::default()
        }),
        group_id: "regulars".to_owned(),
        ..CreateGroupRequest::default()
    };
    match client
        .groups()
        .create_group(group)
        .await
        .map_err(Error::from)
    {
        // An earlier run made it.
        Err(error) if error.reason == ErrorReason::NameTaken => {}
        other => drop(other?),
    }
    let members = AddMembersRequest {
        group: "groups/regulars".to_owned(),
        members: vec![customer.name.clone()],
        source: MembershipSource::Staff.into(),
        make_default: true,
        ..AddMembersRequest::default()
    };
    client.groups().add_members(members).await?;
    Ok(())
}

async fn add(client: &Client, customer: &Customer, quantity: i32) -> Result<Cart, Error> {
    let owner = CartOwner {
        owner: Some(cart_owner::Owner::Customer(customer.name.clone())),
        ..CartOwner::default()
    };
    let price = ItemPrice {
        list_price: Some(Money {
            currency_code: "EUR".to_owned(),
            micros: 11_900_000,
        }),
        price_includes_tax: true,
        tax_rate: "20".to_owned(),
        ..ItemPrice::default()
    };
    let request = AddItemRequest {
        target: Some(CartTarget {
            target: Some(cart_target::Target::Owner(owner)),
        }),
        item: Some(ItemInput {
            product: "mug".to_owned(),
            quantity,
            price: Some(price),
            ..ItemInput::default()
        }),
        ..AddItemRequest::default()
    };
    Ok(client.carts().add_item(request).await?.into_inner())
}

async fn watch(client: &Client, customer: &Customer, cart: Cart) -> Result<(), Error> {
    let mut watch = client.watch_carts(WatchCartsRequest {
        names: vec![cart.name],
        ..WatchCartsRequest::default()
    });
    while let Some(event) = watch.next().await {
        match event? {
            Event::Reset(_) => {}
            Event::Ready { .. } => {
                println!("watching; two more go in");
                add(client, customer, 2).await?;
            }
            Event::Changed(change) => {
                let now = change.cart.unwrap_or_default();
                let total = now.total.unwrap_or_default().micros as f64 / 1e6;
                println!("{} in the cart, {total:.2} EUR", now.item_count);
                if now.item_count == 3 {
                    break;
                }
            }
        }
    }
    Ok(())
}
