//! Tests WatchCart with an owner: the stream sends the owner's cart to its end, and continues with the next.

use clientela::proto::pb::{
    self, AssignCartRequest, CartOwner, CartTarget, ChangeKind, DeleteCartRequest,
    OrderCartRequest, ReopenCartRequest, WatchCartRequest, WatchOptions, cart_owner::Owner,
    cart_target::Target,
};

use super::writers::hold_the_log;
use super::{add, visitor};
use crate::harness::{CartWatch, Point, Shop};
use crate::on_both_engines;

/// The open cart of a customer.
pub(super) fn of(customer: &str) -> CartTarget {
    CartTarget {
        target: Some(Target::Owner(CartOwner {
            owner: Some(Owner::Customer(customer.into())),
            slot: String::new(),
        })),
    }
}

pub(super) async fn register(shop: &Shop, id: &str) -> String {
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: format!("{id}@example.test"),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            ..Default::default()
        }),
        customer_id: id.into(),
        ..Default::default()
    };
    let created = shop.customers().create_customer(request).await;
    created.expect("a customer").into_inner().name
}

pub(super) async fn order(shop: &Shop, target: &CartTarget) -> pb::Cart {
    let request = OrderCartRequest {
        target: Some(target.clone()),
        order_reference: format!("an order, {}", crate::harness::unique()),
        ..Default::default()
    };
    let ordered = shop.carts().order_cart(request).await;
    ordered.expect("an order").into_inner()
}

pub(super) async fn delete(shop: &Shop, target: &CartTarget) {
    let request = DeleteCartRequest {
        target: Some(target.clone()),
        ..Default::default()
    };
    shop.carts().delete_cart(request).await.expect("a deletion");
}

pub(super) async fn assign(shop: &Shop, target: &CartTarget, customer: &str) -> pb::Cart {
    let request = AssignCartRequest {
        target: Some(target.clone()),
        customer: customer.into(),
        ..Default::default()
    };
    let assigned = shop.carts().assign_cart(request).await;
    let assigned = assigned.expect("an assignment").into_inner();
    assigned.cart.expect("the customer's cart")
}

/// Opens a watch of an owner and reads its snapshot.
async fn follow(shop: &Shop, target: &CartTarget) -> CartWatch {
    let mut watch = open(shop, target, String::new()).await;
    watch.snapshot().await;
    watch
}

async fn open(shop: &Shop, target: &CartTarget, resume_token: String) -> CartWatch {
    let request = WatchCartRequest {
        target: Some(target.clone()),
        options: Some(WatchOptions {
            resume_token,
            delivery_mode: pb::DeliveryMode::Every.into(),
            ..Default::default()
        }),
    };
    CartWatch::of(shop.carts().watch_cart(request).await.unwrap().into_inner())
}

async fn resume(shop: &Shop, target: &CartTarget, point: Point) -> CartWatch {
    let mut watch = open(shop, target, point.token).await;
    watch.carts = point.carts;
    watch
}

/// Waits until the stream shows just this cart.
async fn shows(watch: &mut CartWatch, cart: &pb::Cart) {
    let only = [(cart.name.clone(), cart.clone())].into();
    watch
        .until("the owner's cart", |watch| watch.carts == only)
        .await;
}

/// Waits until the stream shows no cart. Returns the kind and the name of the last change.
pub(super) async fn ends(watch: &mut CartWatch) -> (ChangeKind, String) {
    watch
        .until("the end of the cart", |watch| watch.carts.is_empty())
        .await;
    let last = watch.changes.last().expect("a change came");
    (last.kind(), last.name.clone())
}

on_both_engines! {
    async fn an_ordered_cart_leaves_and_the_next_one_is_followed(shop: Shop) {
        let owner = visitor("who buys twice");
        let mut client = shop.carts();
        let first = add(&mut client, &owner, "a").await;
        let mut watch = follow(&shop, &owner).await;
        shows(&mut watch, &first).await;

        order(&shop, &owner).await;
        let end = ends(&mut watch).await;
        let second = add(&mut client, &owner, "b").await;
        shows(&mut watch, &second).await;
        let second = add(&mut client, &owner, "c").await;

        shows(&mut watch, &second).await;
        assert_eq!(end, (ChangeKind::LeftFilter, first.name.clone()));
        assert_ne!(second.name, first.name);
    }

    async fn a_deletion_is_sent_and_the_next_cart_is_followed(shop: Shop) {
        let owner = visitor("who thinks better of it");
        let mut client = shop.carts();
        let first = add(&mut client, &owner, "a").await;
        let mut watch = follow(&shop, &owner).await;

        delete(&shop, &owner).await;
        let end = ends(&mut watch).await;
        let second = add(&mut client, &owner, "b").await;

        shows(&mut watch, &second).await;
        assert_eq!(end, (ChangeKind::Deleted, first.name));
    }

    /// A visitor signs in. Watchers of the visitor and of the customer both receive the change.
    async fn an_assigned_cart_leaves_one_owner_and_is_sent_to_the_other(shop: Shop) {
        let customer = register(&shop, "ada").await;
        let owner = visitor("who signs in");
        let mut client = shop.carts();
        let first = add(&mut client, &owner, "a").await;
        let mut watch = follow(&shop, &owner).await;
        let mut other = follow(&shop, &of(&customer)).await;
        assert!(other.carts.is_empty());

        let assigned = assign(&shop, &owner, &customer).await;
        let end = ends(&mut watch).await;
        shows(&mut other, &assigned).await;
        let second = add(&mut client, &owner, "b").await;
        let grown = add(&mut client, &of(&customer), "c").await;

        shows(&mut watch, &second).await;
        shows(&mut other, &grown).await;
        assert_eq!(end, (ChangeKind::LeftFilter, first.name));
        assert!(watch.changes.iter().all(|change| change.version <= assigned.version));
    }

    async fn a_reopened_cart_is_sent_again(shop: Shop) {
        let owner = visitor("whose payment fails");
        let mut client = shop.carts();
        add(&mut client, &owner, "a").await;
        let mut watch = follow(&shop, &owner).await;
        let ordered = order(&shop, &owner).await;
        ends(&mut watch).await;

        let request = ReopenCartRequest { name: ordered.name, ..Default::default() };
        let reopened = client.reopen_cart(request).await.unwrap().into_inner();

        shows(&mut watch, &reopened).await;
        delete(&shop, &owner).await;
        assert_eq!(ends(&mut watch).await.0, ChangeKind::Deleted);
    }

    /// The stream also follows carts that it could not know when it was opened or resumed.
    async fn a_resumed_watch_receives_the_end_of_an_earlier_cart(shop: Shop) {
        let owner = visitor("who takes a tunnel");
        let mut client = shop.carts();
        let first = add(&mut client, &owner, "a").await;
        let mut watch = follow(&shop, &owner).await;
        shows(&mut watch, &first).await;
        let point = watch.point();

        let mut watch = resume(&shop, &owner, point.clone()).await;
        order(&shop, &owner).await;
        assert_eq!(ends(&mut watch).await, (ChangeKind::LeftFilter, first.name.clone()));
        let second = add(&mut client, &owner, "b").await;
        shows(&mut watch, &second).await;

        // The cart ended while no stream was open.
        let mut late = resume(&shop, &owner, point).await;
        late.until("the next cart", |watch| watch.carts.contains_key(&second.name)).await;
        shows(&mut late, &second).await;
    }

    /// The change that introduces a cart to the stream and the one that ends it come together.
    async fn a_cart_that_ends_at_once_is_sent_as_ended(shop: Shop) {
        let owner = visitor("who is quick");
        let mut client = shop.carts();
        let mut watch = follow(&shop, &owner).await;
        for _ in 0..5 {
            let held = hold_the_log(&shop).await;
            let cart = add(&mut client, &owner, "a").await;
            order(&shop, &owner).await;
            drop(held);

            let came = |watch: &CartWatch| watch.changes.iter().any(|it| it.name == cart.name);
            watch.until("the cart", came).await;
            assert_eq!(ends(&mut watch).await, (ChangeKind::LeftFilter, cart.name));
        }
    }
}
