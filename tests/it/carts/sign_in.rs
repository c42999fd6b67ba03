//! Tests signing in with a cart when the customer has one: the carts merge, or the shop's setting applies.

use clientela::proto::pb::{
    self, AssignCartRequest, AssignCartResponse, Cart, CartOwner, ErrorReason,
    assign_cart_request::IfOpenCartExists, cart::State, line_outcome::Kind,
};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{
    Carts, customer, item, lines, metadata, money, named, new_customer, of, price, set, visitor,
};
use crate::harness::{Shop, assert_refused, unique};
use crate::on_both_engines;

fn request(cart: &Cart, customer: &str, choice: IfOpenCartExists) -> AssignCartRequest {
    AssignCartRequest {
        target: named(&cart.name),
        customer: customer.into(),
        if_open_cart_exists: choice.into(),
        ..Default::default()
    }
}

async fn assign(shop: &Shop, request: AssignCartRequest) -> Result<AssignCartResponse, Status> {
    shop.carts()
        .assign_cart(request)
        .await
        .map(tonic::Response::into_inner)
}

/// Creates a customer with 3 shirts, and a guest with 2 shirts and a hat.
async fn both(shop: &Shop) -> (String, Cart, Cart) {
    let ada = new_customer(shop).await;
    let own = shop.add(of(&customer(&ada)), item("shirt", 3)).await;
    let guest = guest(shop, &visitor()).await;
    (ada, own, guest)
}

async fn guest(shop: &Shop, owner: &CartOwner) -> Cart {
    shop.add(of(owner), item("shirt", 2)).await;
    shop.add(of(owner), item("hat", 1)).await
}

on_both_engines! {
    async fn the_guest_s_cart_merges_into_the_customer_s(shop: Shop) {
        let cases = [
            (IfOpenCartExists::Sum, Kind::Summed, 5),
            (IfOpenCartExists::Max, Kind::Kept, 3),
            (IfOpenCartExists::GuestWins, Kind::Replaced, 2),
            (IfOpenCartExists::CustomerWins, Kind::Kept, 3),
        ];
        for (choice, kind, shirts) in cases {
            let (ada, own, guest) = both(&shop).await;

            let answer = assign(&shop, request(&guest, &ada, choice)).await.unwrap();

            let kinds: Vec<_> = answer.lines.iter().map(pb::LineOutcome::kind).collect();
            assert_eq!(kinds, [kind, Kind::Moved], "{choice:?}");
            let cart = answer.cart.unwrap();
            assert_eq!((&cart.name, &cart.customer), (&own.name, &ada));
            assert_eq!(lines(&cart), [("shirt", shirts), ("hat", 1)], "{choice:?}");
            assert_eq!(shop.get(of(&customer(&ada))).await, cart);
            let gone = shop.get(named(&guest.name)).await;
            assert_eq!((gone.state(), gone.merged_into), (State::Merged, own.name));
        }
    }

    async fn a_customer_without_a_cart_takes_over_the_guest_s(shop: Shop) {
        let ada = new_customer(&shop).await;
        let guest = guest(&shop, &visitor()).await;

        let answer = assign(&shop, request(&guest, &ada, IfOpenCartExists::Max)).await.unwrap();

        assert!(answer.lines.is_empty() && answer.extras.is_empty());
        let cart = answer.cart.unwrap();
        assert_eq!((cart.name, cart.customer), (guest.name, ada));
    }

    async fn the_shop_s_setting_applies_to_an_unspecified_choice(shop: Shop) {
        let (ada, own, guest) = both(&shop).await;
        let silent = request(&guest, &ada, IfOpenCartExists::Unspecified);

        let refused = assign(&shop, silent.clone()).await.unwrap_err();
        let settings = pb::ShopSettings {
            if_open_cart_exists: IfOpenCartExists::Sum.into(),
            ..Default::default()
        };
        set(&shop, &["if_open_cart_exists"], settings).await;
        let answer = assign(&shop, silent).await.unwrap();

        assert_refused(&refused, Code::AlreadyExists, ErrorReason::OpenCartExists);
        assert_eq!(metadata(&refused)["open_cart"], own.name);
        assert_eq!(lines(&answer.cart.unwrap()), [("shirt", 5), ("hat", 1)]);
    }

    async fn a_repeated_sign_in_gets_the_first_answer(shop: Shop) {
        let (ada, own, guest) = both(&shop).await;
        let call = AssignCartRequest {
            request_id: format!("sign-in-{}", unique()),
            ..request(&guest, &ada, IfOpenCartExists::Sum)
        };
        let first = assign(&shop, call.clone()).await.unwrap();
        let grown = shop.add(named(&own.name), item("shoe", 1)).await;

        let replayed = assign(&shop, call.clone()).await.unwrap();
        let from_another_tab = AssignCartRequest { request_id: String::new(), ..call.clone() };
        let from_another_tab = assign(&shop, from_another_tab).await.unwrap();
        let other = AssignCartRequest { if_open_cart_exists: IfOpenCartExists::Max.into(), ..call };
        let reused = assign(&shop, other).await.unwrap_err();

        assert_eq!(replayed, first);
        assert_eq!((from_another_tab.lines, from_another_tab.cart), (first.lines, Some(grown)));
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn concurrent_sign_ins_with_the_same_cart_merge_once(shop: Shop) {
        let (ada, own, guest) = both(&shop).await;
        let calls = (0..20).map(|_| assign(&shop, request(&guest, &ada, IfOpenCartExists::Sum)));

        let answers = join_all(calls).await;

        let first = answers[0].as_ref().unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer == first)));
        let cart = shop.get(named(&own.name)).await;
        assert_eq!(lines(&cart), [("shirt", 5), ("hat", 1)]);
        assert_eq!(cart.version, own.version + 1);
    }

    /// The sign-ins come from two devices: no line is lost, and the customer has one cart.
    async fn concurrent_sign_ins_with_different_carts_leave_one_cart(shop: Shop) {
        let ada = new_customer(&shop).await;
        let mut guests = Vec::new();
        for number in 0..8 {
            guests.push(shop.add(of(&visitor()), item(&format!("p{number}"), 1)).await);
        }
        let calls = guests.iter().map(|guest| {
            assign(&shop, request(guest, &ada, IfOpenCartExists::Sum))
        });

        let answers = join_all(calls).await;

        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let cart = shop.get(of(&customer(&ada))).await;
        assert_eq!((cart.items.len(), cart.item_count), (8, 8));
    }

    async fn a_sign_in_that_cannot_merge_changes_nothing(shop: Shop) {
        let (ada, own, guest) = both(&shop).await;
        let mut dollars = item("hat", 1);
        dollars.price = Some(price(Some(money("USD", 1_000_000))));
        let dollars = shop.add(of(&visitor()), dollars).await;
        let stale = AssignCartRequest {
            etag: own.etag.clone(),
            ..request(&guest, &ada, IfOpenCartExists::Sum)
        };

        let currencies = assign(&shop, request(&dollars, &ada, IfOpenCartExists::Sum)).await.unwrap_err();
        let stale = assign(&shop, stale).await.unwrap_err();
        let bob = new_customer(&shop).await;
        assign(&shop, request(&guest, &ada, IfOpenCartExists::Sum)).await.unwrap();
        let anothers = assign(&shop, request(&guest, &bob, IfOpenCartExists::Sum)).await.unwrap_err();

        assert_refused(&currencies, Code::InvalidArgument, ErrorReason::CurrencyMismatch);
        assert_refused(&stale, Code::Aborted, ErrorReason::EtagMismatch);
        assert_refused(&anothers, Code::FailedPrecondition, ErrorReason::CartNotOpen);
        assert_eq!(metadata(&anothers)["merged_into"], own.name);
        assert_eq!(shop.get(named(&dollars.name)).await, dollars);
    }

    async fn a_visitor_who_registers_keeps_the_carts(shop: Shop) {
        let owner = visitor();
        let merged = guest(&shop, &visitor()).await;
        let open = guest(&shop, &owner).await;
        let merge = pb::MergeCartsRequest {
            source: named(&merged.name),
            target: named(&open.name),
            ..Default::default()
        };
        shop.carts().merge_carts(merge).await.unwrap();
        let Some(pb::cart_owner::Owner::Visitor(token)) = owner.owner else {
            panic!("a visitor");
        };
        let request = pb::CreateCustomerRequest {
            customer: Some(pb::Customer { email: "eva@example.test".into(), ..Default::default() }),
            visitor: token,
            ..Default::default()
        };

        let ada = shop.customers().create_customer(request).await.unwrap().into_inner();

        let cart = shop.get(of(&customer(&ada.name))).await;
        assert_eq!((&cart.name, lines(&cart)), (&open.name, vec![("shirt", 4), ("hat", 2)]));
    }
}
