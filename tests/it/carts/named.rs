//! Tests several carts of one owner, each with a display name.

use clientela::proto::pb::{self, Cart, CreateCartRequest, ErrorReason, UpdateCartRequest};
use prost_types::FieldMask;
use tonic::Code;

use super::{Carts, customer, in_slot, item, named, new_customer, of};
use crate::harness::{Shop, assert_refused, violations};
use crate::on_both_engines;

fn creation(owner: &pb::CartOwner, display_name: &str) -> CreateCartRequest {
    CreateCartRequest {
        owner: Some(owner.clone()),
        cart: Some(Cart {
            display_name: display_name.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn create(shop: &Shop, owner: &pb::CartOwner, display_name: &str) -> Cart {
    let request = creation(owner, display_name);
    shop.carts()
        .create_cart(request)
        .await
        .unwrap()
        .into_inner()
}

fn update(cart: Cart, paths: &[&str]) -> UpdateCartRequest {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateCartRequest {
        cart: Some(cart),
        update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        ..Default::default()
    }
}

on_both_engines! {
    async fn an_owner_has_a_separate_cart_in_each_slot(shop: Shop) {
        let ada = customer(&new_customer(&shop).await);
        let main = shop.add(of(&ada), item("shirt", 1)).await;
        let birthday = create(&shop, &in_slot(&ada, "birthday"), "Birthday of Eva").await;
        let garden = create(&shop, &in_slot(&ada, "garden"), "Garden").await;

        let grown = shop.add(of(&in_slot(&ada, "birthday")), item("hat", 1)).await;
        let request = pb::ListCartsRequest {
            filter: format!("customer = \"{}\" AND display_name = \"Birthday of Eva\"", main.customer),
            ..Default::default()
        };
        let found = shop.carts().list_carts(request).await.unwrap().into_inner().carts;

        assert_eq!((grown.name.as_str(), grown.display_name.as_str()), (birthday.name.as_str(), "Birthday of Eva"));
        assert_eq!(found, [grown]);
        assert_eq!(main.display_name, "");
        assert_eq!(shop.get(of(&in_slot(&ada, "garden"))).await, garden);
        assert_eq!(shop.get(of(&ada)).await, main);
    }

    async fn the_mask_decides_whether_the_display_name_changes(shop: Shop) {
        let ada = customer(&new_customer(&shop).await);
        let cart = create(&shop, &ada, "Birthday").await;
        let change = Cart {
            name: cart.name.clone(),
            display_name: "Wedding".into(),
            note: "soon".into(),
            ..Default::default()
        };
        let call = |change: &Cart, paths: &[&str]| {
            let (mut client, request) = (shop.carts(), update(change.clone(), paths));
            async move { client.update_cart(request).await.map(tonic::Response::into_inner) }
        };

        let noted = call(&change, &["note"]).await.unwrap();
        let renamed = call(&change, &["display_name"]).await.unwrap();
        let all = call(&Cart { display_name: "Party".into(), ..renamed.clone() }, &["*"]).await.unwrap();
        let nameless = call(&Cart { name: cart.name.clone(), ..Default::default() }, &["displayName"]).await.unwrap();

        assert_eq!((noted.display_name.as_str(), noted.note.as_str()), ("Birthday", "soon"));
        assert_eq!(renamed.display_name, "Wedding");
        assert_eq!((all.display_name.as_str(), all.note.as_str()), ("Party", "soon"));
        assert_eq!(nameless.display_name, "");
        assert_eq!(shop.get(named(&cart.name)).await, nameless);
    }

    async fn display_names_have_a_length_limit(shop: Shop) {
        let ada = customer(&new_customer(&shop).await);
        let longest = "é".repeat(255);

        let refused = shop.carts().create_cart(creation(&ada, &format!("{longest}x"))).await.unwrap_err();
        let cart = create(&shop, &ada, &longest).await;
        let change = Cart { name: cart.name.clone(), display_name: "x".repeat(256), ..Default::default() };
        let refused_too = shop.carts().update_cart(update(change, &[])).await.unwrap_err();

        for refused in [refused, refused_too] {
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
            assert_eq!(violations(&refused)[0].0, "cart.display_name");
        }
        assert_eq!(cart.display_name, longest);
    }

    /// Fields that the service sets may be sent back, and change nothing.
    async fn life_cycle_fields_set_by_the_service_are_not_written(shop: Shop) {
        let ada = customer(&new_customer(&shop).await);
        let cart = create(&shop, &ada, "Birthday").await;
        let change = Cart {
            merged_into: "carts/other".into(),
            freeze: pb::cart::Freeze::Hard.into(),
            abandonment: pb::cart::Abandonment::Abandoned.into(),
            ..cart.clone()
        };
        let paths = ["note", "merged_into", "freeze", "abandonment", "activity_time"];

        let answer = shop.carts().update_cart(update(change, &paths)).await.unwrap().into_inner();

        assert_eq!(answer, cart);
    }
}
