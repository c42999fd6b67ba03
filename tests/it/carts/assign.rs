//! Tests AssignCart: the new owner of a cart, and the policy for a customer that has a cart already.

use clientela::proto::pb::{
    self, AssignCartRequest, CartOwner, ChangeKind, ErrorReason, Role,
    assign_cart_request::IfOpenCartExists, cart_cause,
};
use futures::future::join_all;
use tonic::{Code, Status};

use super::{Carts, EURO, customer, in_slot, item, lines, named, of, total, visitor};
use crate::customers::{self, metadata, person};
use crate::harness::{CartWatch, Shop, assert_refused, reason, unique};
use crate::on_both_engines;
use crate::watch::every;

fn assignment(cart: &pb::Cart, to: &pb::Customer) -> AssignCartRequest {
    AssignCartRequest {
        target: named(&cart.name),
        customer: to.name.clone(),
        ..Default::default()
    }
}

async fn assign(shop: &Shop, request: AssignCartRequest) -> Result<pb::Cart, Status> {
    shop.carts()
        .assign_cart(request)
        .await
        .map(|answer| answer.into_inner().cart.expect("the customer's cart"))
}

/// Repeats the assignment while other calls come first too often: a call that replaces a cart has to find
/// that cart under its lock.
async fn assign_with_retries(shop: &Shop, request: AssignCartRequest) -> Result<pb::Cart, Status> {
    let replaces = request.if_open_cart_exists() == IfOpenCartExists::Replace;
    loop {
        match assign(shop, request.clone()).await {
            Err(outrun) if replaces && outrun.code() == Code::Aborted => {
                assert_refused(&outrun, Code::Aborted, ErrorReason::Conflict);
            }
            answer => return answer,
        }
    }
}

async fn ada(shop: &Shop) -> pb::Customer {
    customers::create(&mut shop.customers(), person("Ada")).await
}

/// Opens a watch of every version and reads its snapshot.
async fn watch(shop: &Shop) -> CartWatch {
    let mut watch = CartWatch::open(&mut shop.carts(), every()).await.unwrap();
    watch.snapshot().await;
    watch
}

/// Opens a stream of the owner's open cart and reads its snapshot.
async fn watch_owner(shop: &Shop, owner: &CartOwner) -> CartWatch {
    let request = pb::WatchCartRequest {
        target: of(owner),
        options: every().options,
    };
    let stream = shop.carts().watch_cart(request).await.unwrap();
    let mut watch = CartWatch::of(stream.into_inner()).strict();
    watch.snapshot().await;
    watch
}

fn causes(change: &pb::CartChange) -> Vec<cart_cause::Kind> {
    change.causes.iter().map(pb::CartCause::kind).collect()
}

on_both_engines! {
    async fn a_visitor_who_signs_in_keeps_the_cart_at_the_prices_of_the_group(shop: Shop) {
        let vip = pb::Group { discount_percent: "12.5".into(), ..Default::default() };
        let vip = customers::group(&shop, "vip", vip).await;
        let ada = pb::Customer { groups: vec![vip.clone()], ..person("Ada") };
        let ada = customers::create(&mut shop.customers(), ada).await;
        let owner = visitor();
        shop.add(of(&owner), item("shirt", 3)).await;
        let mut fixed = item("voucher", 1);
        fixed.price.as_mut().unwrap().discountable = Some(false);
        let before = shop.add(of(&owner), fixed).await;
        let mut watch_all = watch(&shop).await;
        let storefront = shop.carts_as(&shop.key(&[Role::Storefront]).await);

        let request = AssignCartRequest { target: of(&owner), ..assignment(&before, &ada) };
        let answer = storefront.clone().assign_cart(request).await.unwrap().into_inner();

        let groups = answer.cart.unwrap().customer_summary.unwrap().groups;
        assert_eq!(groups, Vec::<String>::new(), "not for storefronts");
        let cart = shop.get(named(&before.name)).await;
        assert_eq!((&cart.customer, cart.visitor_id.as_str()), (&ada.name, ""));
        assert_eq!((cart.slot.as_str(), cart.version), ("main", before.version + 1));
        assert_eq!(cart.pricing_group, vip);
        let summary = cart.customer_summary.as_ref().unwrap();
        assert_eq!((summary.display_name.as_str(), &summary.groups), ("Ada", &vec![vip]));
        assert_eq!(cart.discount.as_ref().unwrap().micros, 3_750_000);
        assert_eq!((total(&before), total(&cart)), (40 * EURO, 36_250_000));
        watch_all.until("the assignment", |watch| !watch.changes.is_empty()).await;
        assert_eq!(watch_all.changes[0].cart.as_ref(), Some(&cart));
        let causes = causes(&watch_all.changes[0]);
        assert_eq!(causes[..2], [cart_cause::Kind::Assigned, cart_cause::Kind::Repriced]);
        assert_eq!(shop.get(of(&customer(&ada.name))).await, cart);
        let none = shop.try_get(of(&owner)).await.unwrap_err();
        assert_refused(&none, Code::NotFound, ErrorReason::NotFound);
        assert_ne!(shop.add(of(&owner), item("hat", 1)).await.name, cart.name);
        assert_eq!(shop.add(of(&customer(&ada.name)), item("hat", 1)).await.name, cart.name);
    }

    async fn a_storefront_gives_no_customer_s_cart_to_another(shop: Shop) {
        let ada = ada(&shop).await;
        let bob = customers::create(&mut shop.customers(), person("Bob")).await;
        let cart = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        let of_bob = shop.add(of(&in_slot(&customer(&bob.name), "gift")), item("hat", 1)).await;
        let mut storefront = shop.carts_as(&shop.key(&[Role::Storefront]).await);
        let mut watch_all = watch(&shop).await;

        let refused = storefront.assign_cart(assignment(&cart, &bob)).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
        let staff = "ROLE_OPERATOR, ROLE_ADMIN, ROLE_SUPPORT";
        assert_eq!(metadata(&refused, "allowed").as_deref(), Some(staff));
        let by_owner = AssignCartRequest {
            target: of(&customer(&ada.name)),
            if_open_cart_exists: IfOpenCartExists::Replace.into(),
            ..assignment(&cart, &bob)
        };
        let refused = storefront.assign_cart(by_owner).await.unwrap_err();
        assert_refused(&refused, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
        for target in [of_bob.name.clone(), shop.add(of(&visitor()), item("hat", 1)).await.name] {
            let merge = pb::MergeCartsRequest {
                source: named(&cart.name),
                target: named(&target),
                ..Default::default()
            };
            let refused = storefront.merge_carts(merge).await.unwrap_err();
            assert_refused(&refused, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
        }
        assert_eq!(shop.get(named(&cart.name)).await, cart);

        // The cart belongs to this customer already, as when two tabs sign in.
        let same = storefront.assign_cart(assignment(&cart, &ada)).await.unwrap().into_inner();
        assert_eq!(same.cart.unwrap().version, cart.version);
        let support = shop.key(&[Role::Support]).await;
        let moved = shop.carts_as(&support).assign_cart(assignment(&cart, &bob)).await.unwrap();
        let moved = moved.into_inner().cart.unwrap();
        assert_eq!((&moved.customer, moved.version), (&bob.name, cart.version + 1));
        watch_all.until("the move", |watch| {
            watch.changes.iter().any(|change| change.name == cart.name)
        })
        .await;
        let change = watch_all.changes.iter().find(|change| change.name == cart.name).unwrap();
        let kinds = causes(change);
        assert_eq!(kinds[0], cart_cause::Kind::Reassigned, "{kinds:?}");
        assert!(!kinds.contains(&cart_cause::Kind::Assigned));
    }

    async fn an_open_cart_of_the_customer_is_refused_without_a_policy(shop: Shop) {
        let ada = ada(&shop).await;
        let own = shop.add(of(&customer(&ada.name)), item("hat", 1)).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;

        for otherwise in [IfOpenCartExists::Unspecified, IfOpenCartExists::Fail] {
            let request = AssignCartRequest {
                if_open_cart_exists: otherwise.into(),
                ..assignment(&cart, &ada)
            };
            let refused = assign(&shop, request).await.unwrap_err();
            assert_refused(&refused, Code::AlreadyExists, ErrorReason::OpenCartExists);
            assert_eq!(metadata(&refused, "open_cart").as_ref(), Some(&own.name));
        }

        assert_eq!(shop.get(named(&cart.name)).await, cart);
        assert_eq!(shop.get(of(&customer(&ada.name))).await, own);
    }

    async fn both_carts_are_kept_in_separate_slots(shop: Shop) {
        let ada = ada(&shop).await;
        let owner = customer(&ada.name);
        let own = shop.add(of(&owner), item("hat", 1)).await;
        let keep = |cart: &pb::Cart| AssignCartRequest {
            if_open_cart_exists: IfOpenCartExists::KeepBoth.into(),
            ..assignment(cart, &ada)
        };

        let mut kept = Vec::new();
        for slot in ["main", "main", "main", "gift", "gift"] {
            let cart = shop.add(of(&in_slot(&visitor(), slot)), item("shirt", 1)).await;
            kept.push(assign(&shop, keep(&cart)).await.unwrap());
        }

        let slots: Vec<&str> = kept.iter().map(|cart| cart.slot.as_str()).collect();
        assert_eq!(slots, ["main-2", "main-3", "main-4", "gift", "gift-2"]);
        assert_eq!(shop.get(of(&owner)).await, own);
        for cart in &kept {
            assert_eq!(shop.get(of(&in_slot(&owner, &cart.slot))).await, *cart);
        }
        shop.try_order(of(&in_slot(&owner, "main-3")), &format!("order-{}", unique())).await.unwrap();
        let next = shop.add(of(&visitor()), item("sock", 1)).await;
        assert_eq!(assign(&shop, keep(&next)).await.unwrap().slot, "main-3", "a slot is used again");
    }

    async fn the_customer_s_own_cart_is_replaced_and_the_watch_receives_its_end(shop: Shop) {
        let ada = ada(&shop).await;
        let owner = customer(&ada.name);
        let own = shop.add(of(&owner), item("hat", 1)).await;
        let cart = shop.add(of(&visitor()), item("shirt", 2)).await;
        let (mut all, mut of_owner) = (watch(&shop).await, watch_owner(&shop, &owner).await);

        let request = AssignCartRequest {
            if_open_cart_exists: IfOpenCartExists::Replace.into(),
            ..assignment(&cart, &ada)
        };
        let assigned = assign(&shop, request).await.unwrap();

        assert_eq!((&assigned.name, assigned.slot.as_str()), (&cart.name, "main"));
        assert_eq!(lines(&assigned), [("shirt", 2)]);
        assert_eq!(shop.get(of(&owner)).await, assigned);
        let gone = shop.try_get(named(&own.name)).await.unwrap_err();
        assert_refused(&gone, Code::NotFound, ErrorReason::NotFound);
        for watch in [&mut all, &mut of_owner] {
            watch.until("both changes", |watch| watch.changes.len() == 2).await;
            assert_eq!(watch.carts.values().collect::<Vec<_>>(), [&assigned]);
            let deletion = watch.changes.iter().find(|change| change.name == own.name).unwrap();
            assert_eq!((deletion.kind(), deletion.version), (ChangeKind::Deleted, own.version + 1));
            assert_eq!(causes(deletion), [cart_cause::Kind::Deleted]);
        }
    }

    async fn a_cart_is_assigned_from_one_customer_to_another(shop: Shop) {
        let (ada, bob) = (ada(&shop).await, ada(&shop).await);
        let cart = shop.add(of(&customer(&ada.name)), item("shirt", 1)).await;
        let mut of_ada = watch_owner(&shop, &customer(&ada.name)).await;
        let mut of_bob = watch_owner(&shop, &customer(&bob.name)).await;

        let given = assign(&shop, assignment(&cart, &bob)).await.unwrap();
        let again = assign(&shop, assignment(&cart, &bob)).await.unwrap();

        assert_eq!(given.customer, bob.name);
        assert_eq!(again, given, "an assignment to its own customer changes nothing");
        of_ada.until("the cart to leave", |watch| watch.carts.is_empty()).await;
        assert_eq!(of_ada.changes[0].kind(), ChangeKind::LeftFilter);
        of_bob.until("the cart to come", |watch| !watch.carts.is_empty()).await;
        assert_eq!(of_bob.carts[&cart.name], given);
        let next = shop.add(of(&customer(&ada.name)), item("hat", 1)).await;
        of_ada.until("the next cart", |watch| watch.carts.contains_key(&next.name)).await;
    }

    async fn an_impossible_assignment_is_refused_and_changes_nothing(shop: Shop) {
        let (ada, gone) = (ada(&shop).await, ada(&shop).await);
        customers::delete(&mut shop.customers(), &gone.name).await;
        let first = shop.add(of(&visitor()), item("shirt", 1)).await;
        let cart = shop.add(named(&first.name), item("shirt", 1)).await;
        let reference = format!("order-{}", unique());
        let ordered = shop.add(of(&visitor()), item("shirt", 1)).await;
        let ordered = shop.try_order(named(&ordered.name), &reference).await.unwrap();
        let good = assignment(&cart, &ada);
        let cases = [
            (assignment(&cart, &gone), Code::FailedPrecondition, ErrorReason::CustomerDeleted),
            (
                AssignCartRequest { customer: "customers/nobody".into(), ..good.clone() },
                Code::NotFound,
                ErrorReason::NotFound,
            ),
            (
                AssignCartRequest { customer: String::new(), ..good.clone() },
                Code::InvalidArgument,
                ErrorReason::InvalidField,
            ),
            (
                AssignCartRequest { target: None, ..good.clone() },
                Code::InvalidArgument,
                ErrorReason::InvalidField,
            ),
            (
                AssignCartRequest { target: of(&visitor()), ..good.clone() },
                Code::NotFound,
                ErrorReason::NotFound,
            ),
            (
                AssignCartRequest { etag: first.etag.clone(), ..good.clone() },
                Code::Aborted,
                ErrorReason::EtagMismatch,
            ),
            (assignment(&ordered, &ada), Code::FailedPrecondition, ErrorReason::CartNotOpen),
        ];

        for (request, code, reason) in cases {
            let refused = assign(&shop, request).await.unwrap_err();
            assert_refused(&refused, code, reason);
            match reason {
                ErrorReason::EtagMismatch => {
                    assert_eq!(metadata(&refused, "current_etag").as_ref(), Some(&cart.etag));
                }
                ErrorReason::CartNotOpen => {
                    assert_eq!(metadata(&refused, "state").as_deref(), Some("STATE_ORDERED"));
                    assert_eq!(metadata(&refused, "order_reference").as_ref(), Some(&reference));
                }
                _ => {}
            }
        }

        assert_eq!(shop.get(named(&cart.name)).await, cart);
        assert_eq!(shop.get(named(&ordered.name)).await, ordered);
        let current = AssignCartRequest { etag: cart.etag.clone(), ..good };
        assert_eq!(assign(&shop, current).await.unwrap().customer, ada.name);
    }

    /// A sign-in that is repeated after the shopper went on does not replace the cart that was opened since.
    async fn a_repeated_assignment_gets_the_first_answer(shop: Shop) {
        let ada = ada(&shop).await;
        let owner = customer(&ada.name);
        shop.add(of(&owner), item("hat", 1)).await;
        let cart = shop.add(of(&visitor()), item("shirt", 1)).await;
        let request = AssignCartRequest {
            if_open_cart_exists: IfOpenCartExists::Replace.into(),
            request_id: format!("sign-in-{}", unique()),
            ..assignment(&cart, &ada)
        };
        let first = assign(&shop, request.clone()).await.unwrap();
        shop.try_order(of(&owner), &format!("order-{}", unique())).await.unwrap();
        let next = shop.add(of(&owner), item("sock", 1)).await;

        let again = assign(&shop, request.clone()).await.unwrap();
        let other = AssignCartRequest { if_open_cart_exists: 0, ..request };
        let reused = assign(&shop, other).await.unwrap_err();

        assert_eq!(again, first);
        assert_eq!(shop.get(of(&owner)).await, next);
        assert_refused(&reused, Code::InvalidArgument, ErrorReason::RequestIdReused);
    }

    async fn carts_assigned_at_once_share_no_slot(shop: Shop) {
        for (otherwise, taken, open) in [
            (IfOpenCartExists::Fail, 1, 1),
            (IfOpenCartExists::KeepBoth, 8, 8),
            (IfOpenCartExists::Replace, 8, 1),
        ] {
            let ada = ada(&shop).await;
            let carts = (0..8).map(|_| async { shop.add(of(&visitor()), item("shirt", 1)).await });
            let carts = join_all(carts).await;

            let answers = join_all(carts.iter().map(|cart| {
                let request = AssignCartRequest {
                    if_open_cart_exists: otherwise.into(),
                    ..assignment(cart, &ada)
                };
                assign_with_retries(&shop, request)
            }))
            .await;

            for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_eq!(reason(refused), "OPEN_CART_EXISTS");
            }
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), taken);
            let filter = format!("customer = {} AND state = OPEN", ada.name);
            let request = pb::ListCartsRequest { filter, ..Default::default() };
            let listed = shop.carts().list_carts(request).await.unwrap().into_inner().carts;
            assert_eq!(listed.len(), open, "{otherwise:?}");
            let mut slots: Vec<&str> = listed.iter().map(|cart| cart.slot.as_str()).collect();
            slots.sort_unstable();
            let more = (2..=open).map(|number| format!("main-{number}"));
            assert_eq!(slots, ["main".to_owned()].into_iter().chain(more).collect::<Vec<_>>());
        }
    }
}
