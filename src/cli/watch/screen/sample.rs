//! Carts for the tests of the screen.

use crate::proto::pb::{self, ChangeKind};

/// A total in euros.
pub fn euros(euros: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: "EUR".into(),
        micros: euros * 1_000_000,
    })
}

/// A line of a cart.
pub fn item(display_name: &str, quantity: i32) -> pb::Item {
    pb::Item {
        name: "carts/c/items/i".into(),
        product: "product".into(),
        display_name: display_name.into(),
        quantity,
        total: euros(i64::from(quantity) * 7),
        ..pb::Item::default()
    }
}

/// A change of an open cart at a second.
pub fn change(id: &str, second: i64) -> pb::CartChange {
    let time = Some(prost_types::Timestamp {
        seconds: second,
        nanos: 0,
    });
    let cart = pb::Cart {
        name: format!("carts/{id}"),
        number: format!("#{id}"),
        items: vec![item("Linen shirt", 2)],
        item_count: 2,
        total: euros(14),
        state: pb::cart::State::Open.into(),
        create_time: Some(prost_types::Timestamp::default()),
        update_time: time,
        ..pb::Cart::default()
    };
    let cause = pb::CartCause {
        kind: pb::cart_cause::Kind::ItemAdded.into(),
        item: "carts/c/items/i".into(),
        quantity_after: 2,
        ..pb::CartCause::default()
    };
    pb::CartChange {
        kind: ChangeKind::Upserted.into(),
        name: format!("carts/{id}"),
        version: 1,
        cart: Some(cart),
        commit_time: time,
        causes: vec![cause],
        ..pb::CartChange::default()
    }
}

/// The change of a cart that stops matching.
pub fn left(id: &str) -> pb::CartChange {
    pb::CartChange {
        kind: ChangeKind::LeftFilter.into(),
        name: format!("carts/{id}"),
        version: 2,
        ..pb::CartChange::default()
    }
}
