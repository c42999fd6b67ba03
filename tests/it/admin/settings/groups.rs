//! Tests the special groups of the settings, and their effect on customers and carts.

use clientela::proto::pb::{self, ErrorReason, customer};
use tonic::Code;

use super::super::update;
use super::set;
use crate::carts::{Carts, EURO, customer as of_customer, item, named, of, total, visitor};
use crate::customers::{create, group, person};
use crate::harness::{Shop, assert_refused, eventually, violations};
use crate::on_both_engines;

async fn discounting(shop: &Shop, id: &str) -> String {
    let discount_percent = "50".to_owned();
    group(
        shop,
        id,
        pb::Group {
            discount_percent,
            ..Default::default()
        },
    )
    .await
}

on_both_engines! {
    async fn new_customers_and_guests_are_in_the_special_groups(shop: Shop) {
        let walk_in = discounting(&shop, "walk-in").await;
        let club = discounting(&shop, "club").await;
        let settings = pb::ShopSettings {
            guest_group: walk_in.clone(),
            customer_group: club.clone(),
            ..Default::default()
        };
        let early = create(&mut shop.customers(), person("Early")).await;
        set(&shop, settings, &[]).await;
        let mut customers = shop.customers();

        let guest = pb::Customer { kind: customer::Kind::Guest.into(), ..person("Bob") };
        let guest = create(&mut customers, guest).await;
        let registered = create(&mut customers, person("Ada")).await;

        assert_eq!((&guest.groups, &guest.default_group), (&vec![walk_in.clone()], &walk_in));
        assert_eq!((&registered.groups, &registered.default_group), (&vec![club.clone()], &club));
        let cart = shop.add(of(&of_customer(&registered.name)), item("shirt", 1)).await;
        assert_eq!((cart.pricing_group.as_str(), total(&cart)), ("groups/club", 5 * EURO));
        // Existing members stay, and a customer that leaves the last group gets the group that is special
        // now.
        let kept = pb::GetCustomerRequest { name: early.name.clone() };
        let kept = customers.get_customer(kept).await.unwrap().into_inner();
        assert_eq!(kept.groups, ["groups/customer"]);
        let request = pb::RemoveMembersRequest {
            group: "groups/customer".into(),
            members: vec![early.name.clone()],
            ..Default::default()
        };
        shop.groups().remove_members(request).await.unwrap();
        let moved = pb::GetCustomerRequest { name: early.name };
        let moved = customers.get_customer(moved).await.unwrap().into_inner();
        assert_eq!(moved.groups, std::slice::from_ref(&club));
        // A special group cannot be deleted, and a former one can.
        let delete = |name: &str| pb::DeleteGroupRequest { name: name.into(), ..Default::default() };
        let refused = shop.groups().delete_group(delete(&club)).await.unwrap_err();
        assert_refused(&refused, Code::FailedPrecondition, ErrorReason::GroupSpecial);
        shop.groups().delete_group(delete("groups/customer")).await.unwrap();
    }

    async fn carts_of_visitors_have_the_prices_of_their_group(shop: Shop) {
        let owner = visitor();
        let before = shop.add(of(&owner), item("shirt", 1)).await;
        assert_eq!((before.pricing_group.as_str(), total(&before)), ("groups/visitor", 10 * EURO));
        let visitor_group = discounting(&shop, "sale").await;

        set(&shop, pb::ShopSettings { visitor_group, ..Default::default() }, &[]).await;

        let fresh = shop.add(of(&visitor()), item("shirt", 1)).await;
        assert_eq!((fresh.pricing_group.as_str(), total(&fresh)), ("groups/sale", 5 * EURO));
        // A read of an open cart has the new prices at once; a job stores them.
        let seen = shop.get(of(&owner)).await;
        assert_eq!((seen.pricing_group.as_str(), total(&seen)), ("groups/sale", 5 * EURO));
        let repriced = eventually("the new prices", || async {
            let cart = shop.get(named(&before.name)).await;
            (cart.version > before.version).then_some(cart)
        });
        assert_eq!(total(&repriced.await), 5 * EURO);
    }

    async fn a_special_group_must_be_active_and_for_customers(shop: Shop) {
        let audience = pb::group::Audience::Staff.into();
        let staff = group(&shop, "staff", pb::Group { audience, ..Default::default() }).await;
        let state = pb::group::State::Disabled.into();
        let off = group(&shop, "off", pb::Group { state, ..Default::default() }).await;
        let before = shop.admin().get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        let sent = pb::ShopSettings {
            visitor_group: staff,
            guest_group: off,
            customer_group: "groups/nobody".into(),
            ..Default::default()
        };

        let refused = shop.admin().update_shop_settings(update(sent, &[])).await.unwrap_err();

        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidField);
        let named = [
            ("settings.visitor_group", "WRONG_AUDIENCE"),
            ("settings.guest_group", "DISABLED"),
            ("settings.customer_group", "NOT_FOUND"),
        ];
        let named = named.map(|(field, reason)| (field.to_owned(), reason.to_owned()));
        assert_eq!(violations(&refused), named);
        let after = shop.admin().get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
        assert_eq!(after.into_inner(), before.into_inner());
    }
}
