//! Tests that lines do not move to or from a held cart and that it is not recovered. A cart is held when it
//! is frozen or locked by staff. A refused call changes nothing.

use clientela::proto::pb::assign_cart_request::IfOpenCartExists;
use clientela::proto::pb::cart::{Abandonment, Freeze, State};
use clientela::proto::pb::{
    self, Cart, CartOwner, ErrorReason, Role, cart_cause::Kind,
    cart_service_client::CartServiceClient,
};
use tonic::{Code, Status};

use super::abandonment::{DAY, MICRO, abandoned, causes, watch};
use super::recover::{link, recover, redemption};
use super::{Carts, customer, in_slot, item, lines, metadata, named, new_customer, of, visitor};
use crate::harness::{Setup, Shop, Transport, assert_refused};
use crate::on_both_engines;

type Client = CartServiceClient<Transport>;

/// The reason why a cart is held.
#[derive(Clone, Copy, Debug)]
enum Hold {
    Soft,
    Hard,
    Locked,
}

const HOLDS: [Hold; 3] = [Hold::Soft, Hold::Hard, Hold::Locked];

impl Hold {
    /// Holds a cart, as Anna where the hold needs a person.
    async fn put_on(self, anna: &mut Client, cart: &Cart) -> Cart {
        let target = named(&cart.name);
        let freeze = match self {
            Self::Soft => Freeze::Soft.into(),
            Self::Hard => Freeze::Hard.into(),
            Self::Locked => {
                let request = pb::LockCartRequest {
                    target,
                    ..Default::default()
                };
                return anna.lock_cart(request).await.unwrap().into_inner();
            }
        };
        let request = pb::FreezeCartRequest {
            target,
            freeze,
            ..Default::default()
        };
        anna.freeze_cart(request).await.unwrap().into_inner()
    }

    #[track_caller]
    fn assert_refuses(self, refused: &Status) {
        let (reason, key, value) = match self {
            Self::Soft => (ErrorReason::CartFrozen, "freeze", "FREEZE_SOFT"),
            Self::Hard => (ErrorReason::CartFrozen, "freeze", "FREEZE_HARD"),
            Self::Locked => (ErrorReason::CartLocked, "holder", "staff/anna"),
        };
        assert_refused(refused, Code::FailedPrecondition, reason);
        assert_eq!(metadata(refused)[key], value);
    }
}

async fn anna(shop: &Shop) -> Client {
    let key = shop.key(&[Role::Support]).await;
    let keyed = Shop::with_key(&key).and("clientela-actor", "staff/anna");
    CartServiceClient::with_interceptor(shop.channel(), keyed)
}

fn merging(source: &Cart, target: &Cart) -> pb::MergeCartsRequest {
    pb::MergeCartsRequest {
        source: named(&source.name),
        target: named(&target.name),
        policy: pb::MergePolicy::Sum.into(),
        ..Default::default()
    }
}

fn moving(source: &Cart, target: &Cart) -> pb::MoveItemsRequest {
    let item = source.items[0].name.clone();
    pb::MoveItemsRequest {
        source: named(&source.name),
        target: named(&target.name),
        items: vec![pb::move_items_request::MovedItem {
            item,
            quantity: Some(1),
        }],
        ..Default::default()
    }
}

fn assigning(cart: &Cart, customer: &str, otherwise: IfOpenCartExists) -> pb::AssignCartRequest {
    pb::AssignCartRequest {
        target: named(&cart.name),
        customer: customer.into(),
        if_open_cart_exists: otherwise.into(),
        ..Default::default()
    }
}

/// Opens two carts of an owner.
async fn pair(shop: &Shop, owner: &CartOwner) -> (Cart, Cart) {
    let one = shop.add(of(owner), item("shirt", 2)).await;
    let other = shop.add(of(&in_slot(owner, "gift")), item("hat", 2)).await;
    (one, other)
}

on_both_engines! {
    async fn a_held_cart_neither_gives_nor_takes_lines(shop: Shop) {
        let mut anna = anna(&shop).await;
        for hold in HOLDS {
            let (held, free) = pair(&shop, &visitor()).await;
            let held = hold.put_on(&mut anna, &held).await;
            let mut client = shop.carts();

            let refused = [
                (client.merge_carts(merging(&held, &free)).await.unwrap_err(), "source"),
                (client.merge_carts(merging(&free, &held)).await.unwrap_err(), "target"),
                (client.move_items(moving(&held, &free)).await.unwrap_err(), "source"),
                (client.move_items(moving(&free, &held)).await.unwrap_err(), "target"),
            ];

            for (refused, field) in &refused {
                hold.assert_refuses(refused);
                assert_eq!(metadata(refused)["field"], *field, "{hold:?}");
            }
            assert_eq!(shop.get(named(&held.name)).await, held);
            assert_eq!(shop.get(named(&free.name)).await, free);
        }
    }

    async fn a_sign_in_merges_no_held_cart(shop: Shop) {
        use IfOpenCartExists::{CustomerWins, GuestWins, Max, Sum};
        let mut anna = anna(&shop).await;
        for hold in HOLDS {
            for (holds_guest, otherwise) in [(true, Sum), (true, Max), (false, GuestWins), (false, CustomerWins)] {
                let ada = new_customer(&shop).await;
                let own = shop.add(of(&customer(&ada)), item("hat", 1)).await;
                let guest = shop.add(of(&visitor()), item("shirt", 1)).await;
                let (held, free) = if holds_guest { (guest.clone(), own) } else { (own, guest.clone()) };
                let held = hold.put_on(&mut anna, &held).await;

                let call = assigning(&guest, &ada, otherwise);
                let refused = shop.carts().assign_cart(call).await.unwrap_err();

                hold.assert_refuses(&refused);
                assert_eq!(shop.get(named(&held.name)).await, held);
                assert_eq!(shop.get(named(&free.name)).await, free);
            }
        }
    }

    /// A cart locked by staff is not replaced. A frozen cart is replaced, as it may be deleted.
    async fn a_sign_in_replaces_no_cart_that_staff_holds(shop: Shop) {
        let mut anna = anna(&shop).await;
        let ada = new_customer(&shop).await;
        let own = shop.add(of(&customer(&ada)), item("hat", 1)).await;
        let guest = shop.add(of(&visitor()), item("shirt", 1)).await;
        let held = Hold::Locked.put_on(&mut anna, &own).await;

        let call = assigning(&guest, &ada, IfOpenCartExists::Replace);
        let refused = shop.carts().assign_cart(call).await.unwrap_err();

        Hold::Locked.assert_refuses(&refused);
        assert_eq!(shop.get(named(&held.name)).await, held);
        assert_eq!(shop.get(named(&guest.name)).await, guest);
    }

    /// The holder may use the cart, and the hold ends with the cart.
    async fn the_holder_merges_and_moves(shop: Shop) {
        let mut anna = anna(&shop).await;
        let (held, free) = pair(&shop, &visitor()).await;
        let held = Hold::Locked.put_on(&mut anna, &held).await;

        let moved = anna.move_items(moving(&free, &held)).await.unwrap().into_inner();
        let merged = anna.merge_carts(merging(&held, &free)).await.unwrap().into_inner();

        assert_eq!(lines(moved.target.as_ref().unwrap()), [("shirt", 2), ("hat", 1)]);
        assert_eq!(lines(merged.cart.as_ref().unwrap()), [("hat", 2), ("shirt", 2)]);
        let source = shop.get(named(&held.name)).await;
        assert_eq!((source.state(), &source.lock), (State::Merged, &None));
    }

    async fn a_recovered_cart_is_not_abandoned_any_more(shop: Shop with Setup::held()) {
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let mut watch = watch(&shop).await;
        shop.clock.advance(DAY + MICRO);
        abandoned(&shop, &cart.name).await;
        let link = link(&shop, &cart).await;
        let phone = visitor();

        let recovered = recover(&shop, &link.token, &phone).await.unwrap();

        assert_eq!(recovered.abandonment(), Abandonment::Recovered);
        assert_eq!((recovered.version, &recovered.items), (cart.version + 2, &cart.items));
        assert!(recovered.recover_time.is_some());
        assert_eq!(shop.get(of(&phone)).await, recovered);
        watch.until("the recovery", |seen| seen.carts[&cart.name] == recovered).await;
        let changes = causes(&watch, &cart.name);
        assert_eq!(changes[0], [Kind::Abandoned]);
        assert_eq!(changes.len(), 2);
        for kind in [Kind::Assigned, Kind::Recovered] {
            assert_eq!(changes[1].iter().filter(|cause| **cause == kind).count(), 1, "{changes:?}");
        }
    }

    /// A refusal does not use up the link.
    async fn a_held_cart_is_recovered_after_the_hold_ends(shop: Shop) {
        let mut anna = anna(&shop).await;
        for hold in [Hold::Hard, Hold::Locked] {
            let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
            let held = hold.put_on(&mut anna, &cart).await;
            let link = link(&shop, &cart).await;
            let phone = visitor();

            let refused = recover(&shop, &link.token, &phone).await.unwrap_err();

            hold.assert_refuses(&refused);
            assert_eq!(shop.get(named(&cart.name)).await, held);
            let target = named(&cart.name);
            match hold {
                Hold::Locked => {
                    let request = pb::UnlockCartRequest { name: cart.name.clone(), ..Default::default() };
                    anna.unlock_cart(request).await.unwrap();
                }
                _ => {
                    let request = pb::UnfreezeCartRequest { target, ..Default::default() };
                    anna.unfreeze_cart(request).await.unwrap();
                }
            }
            recover(&shop, &link.token, &phone).await.unwrap();
            let again = shop.carts().recover_cart(redemption(&link.token, &phone)).await;
            let used = again.unwrap_err();
            assert_refused(&used, Code::FailedPrecondition, ErrorReason::RecoveryLinkUsed);
        }
    }

    /// The frozen prices stay with the cart.
    async fn a_cart_whose_prices_are_frozen_is_recovered_as_it_is(shop: Shop) {
        let mut anna = anna(&shop).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let frozen = Hold::Soft.put_on(&mut anna, &cart).await;
        let link = link(&shop, &cart).await;

        let recovered = recover(&shop, &link.token, &visitor()).await.unwrap();

        assert_eq!((recovered.freeze(), recovered.total), (Freeze::Soft, frozen.total));
    }
}
