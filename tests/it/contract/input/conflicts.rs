//! Tests well-formed requests that conflict with the state: the value is taken, the customer is deleted,
//! the cart is not open, the group is special or for another account type.

use clientela::proto::pb::{self, ErrorReason, cart_edit::Edit};
use prost_reflect::DynamicMessage;
use tonic::Code;

use super::super::call::method;
use super::super::messages::reflect;
use super::super::world::World;
use super::{Bad, metadata, refused};
use crate::carts::{customer as of_customer, euros, in_slot, item, named, visitor};
use crate::customers::{create, creation, delete, group, person};
use crate::harness::{Shop, violations};
use crate::on_both_engines;

/// A request that conflicts, and metadata that saves the caller a read.
struct Case {
    bad: Bad,
    expected: Option<(&'static str, String)>,
}

impl Case {
    fn new(rpc: &str, request: DynamicMessage, code: Code, reason: ErrorReason) -> Self {
        let bad = Bad::new(&method(rpc), request, reason).with(code);
        Self {
            bad,
            expected: None,
        }
    }

    fn with_metadata(self, key: &'static str, value: &str) -> Self {
        let expected = Some((key, value.to_owned()));
        Self { expected, ..self }
    }
}

async fn assert_refused(shop: &Shop, world: &World, cases: Vec<Case>) {
    let cases = cases.into_iter().map(|case| (case.bad, case.expected));
    let (bad, expected): (Vec<_>, Vec<_>) = cases.unzip();
    for ((bad, status), expected) in refused(shop, world, bad).await.into_iter().zip(expected) {
        if let Some((key, value)) = expected {
            let rpc = bad.method.name().to_owned();
            assert_eq!(metadata(&status, key), value, "{rpc}: {status:?}");
        }
    }
}

fn change(name: &str, customer: pb::Customer) -> DynamicMessage {
    let customer = pb::Customer {
        name: name.to_owned(),
        ..customer
    };
    reflect(&pb::UpdateCustomerRequest {
        customer: Some(customer),
        ..Default::default()
    })
}

fn ordering(cart: &str, reference: &str, expected_total: Option<pb::Money>) -> DynamicMessage {
    reflect(&pb::OrderCartRequest {
        target: named(cart),
        order_reference: reference.to_owned(),
        expected_total,
        ..Default::default()
    })
}

on_both_engines! {
    async fn a_unique_value_of_one_customer_is_refused_for_another(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "taken");
        let mut customers = shop.customers();
        let holder = pb::GetCustomerRequest { name: world.name("customers/{id}").await };
        let holder = customers.get_customer(holder).await.unwrap().into_inner();
        let bob = create(&mut customers, person("Bob")).await.name;
        let taken = Code::AlreadyExists;
        let mut cases = Vec::new();
        for (has, reason, key) in [
            (
                pb::Customer { email: holder.email.to_uppercase(), ..Default::default() },
                ErrorReason::EmailTaken,
                "customer",
            ),
            (
                pb::Customer { number: holder.number.clone(), ..Default::default() },
                ErrorReason::NumberTaken,
                "name",
            ),
            (
                pb::Customer { external_ids: holder.external_ids.clone(), ..Default::default() },
                ErrorReason::ExternalIdTaken,
                "customer",
            ),
        ] {
            let email = match has.email.as_str() {
                "" => person("Cem").email,
                email => email.to_owned(),
            };
            let new = reflect(&creation(pb::Customer { email, ..has.clone() }));
            cases.push(Case::new("CreateCustomer", new, taken, reason).with_metadata(key, &holder.name));
            let update = change(&bob, has);
            let case = Case::new("UpdateCustomer", update, taken, reason);
            cases.push(case.with_metadata(key, &holder.name));
        }

        assert_refused(&shop, &world, cases).await;
    }

    async fn groups_that_do_not_fit_the_customer_are_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "groups");
        let audience = pb::group::Audience::Staff.into();
        let staff = group(&shop, "counter", pb::Group { audience, ..Default::default() }).await;
        let other = group(&shop, "other", pb::Group::default()).await;
        let name = world.name("customers/{id}").await;
        let foreign_default = pb::Customer {
            groups: vec!["groups/customer".into()],
            default_group: other.clone(),
            ..Default::default()
        };
        let of_staff = pb::Customer { groups: vec![staff.clone()], ..Default::default() };
        let only_default = pb::Customer { default_group: other.clone(), ..Default::default() };
        let email = person("Ada").email;
        let named = |customer: &pb::Customer| {
            reflect(&creation(pb::Customer { email: email.clone(), ..customer.clone() }))
        };
        let disabled = pb::UpdateGroupRequest {
            group: Some(pb::Group {
                name: "groups/visitor".into(),
                state: pb::group::State::Disabled.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let deleted = pb::DeleteGroupRequest { name: "groups/guest".into(), ..Default::default() };
        let not_member = |rpc: &str, request: DynamicMessage| {
            Case::new(rpc, request, Code::InvalidArgument, ErrorReason::DefaultGroupNotMember)
                .with_metadata("default_group", &other)
        };
        let unfit = |rpc: &str, request: DynamicMessage, reason: ErrorReason| {
            Case::new(rpc, request, Code::FailedPrecondition, reason)
        };
        let (not_for, special) = (ErrorReason::GroupNotForAccount, ErrorReason::GroupSpecial);
        let cases = vec![
            not_member("CreateCustomer", named(&foreign_default)),
            not_member("UpdateCustomer", change(&name, foreign_default)),
            not_member("UpdateCustomer", change(&name, only_default)),
            unfit("CreateCustomer", named(&of_staff), not_for).with_metadata("group", &staff),
            unfit("UpdateCustomer", change(&name, of_staff), not_for).with_metadata("group", &staff),
            unfit("UpdateGroup", reflect(&disabled), special),
            unfit("DeleteGroup", reflect(&deleted), special),
        ];

        assert_refused(&shop, &world, cases).await;
    }

    /// The server may sort the groups, but a refusal names their index in the request.
    async fn an_absent_group_is_named_by_its_index(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "absent");
        let ada = world.name("customers/{id}").await;
        let groups = ["groups/zero", "groups/customer", "groups/none"].map(str::to_owned).to_vec();
        let several = pb::Customer { groups, ..person("Ada") };
        let only_default = pb::Customer { default_group: "groups/none".into(), ..person("Ada") };
        let new = |customer: &pb::Customer| reflect(&creation(customer.clone()));
        for (rpc, request, expected) in [
            ("CreateCustomer", new(&several), &["customer.groups[0]", "customer.groups[2]"][..]),
            ("UpdateCustomer", change(&ada, several), &["customer.groups[0]", "customer.groups[2]"]),
            ("CreateCustomer", new(&only_default), &["customer.default_group"]),
        ] {
            let bad = Bad::new(&method(rpc), request, ErrorReason::InvalidField);
            let (_, status) = refused(&shop, &world, vec![bad]).await.remove(0);
            let mut named = violations(&status);
            named.sort();
            let expected = expected.iter().map(|field| ((*field).into(), "NOT_FOUND".into()));
            assert!(named.iter().cloned().eq(expected), "{rpc}: {named:?}");
        }
    }

    async fn a_deleted_customer_is_not_changed(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "deleted");
        let mut customers = shop.customers();
        let gone = create(&mut customers, person("Gone")).await.name;
        let address = pb::CreateAddressRequest {
            customer: gone.clone(),
            address: Some(pb::Address::default()),
            ..Default::default()
        };
        let address = customers.create_address(address).await.unwrap().into_inner().name;
        delete(&mut customers, &gone).await;
        let cart = world.cart("").await.name;
        let owner = Some(of_customer(&gone));
        let target = crate::carts::of(&of_customer(&gone));
        let requests = [
            ("UpdateCustomer", change(&gone, person("Ada"))),
            ("CreateAddress", reflect(&pb::CreateAddressRequest {
                customer: gone.clone(),
                address: Some(pb::Address::default()),
                ..Default::default()
            })),
            ("UpdateAddress", reflect(&pb::UpdateAddressRequest {
                address: Some(pb::Address {
                    name: address,
                    city: "Nice".into(),
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ("CreateCart", reflect(&pb::CreateCartRequest { owner, ..Default::default() })),
            ("AddItem", reflect(&pb::AddItemRequest {
                target: target.clone(),
                item: Some(item("shirt", 1)),
                ..Default::default()
            })),
            ("EditCart", reflect(&pb::EditCartRequest {
                target,
                edits: vec![pb::CartEdit { edit: Some(Edit::Add(item("shirt", 1))) }],
                ..Default::default()
            })),
            ("AssignCart", reflect(&pb::AssignCartRequest {
                target: named(&cart),
                customer: gone,
                ..Default::default()
            })),
        ];
        let unfit = Code::FailedPrecondition;
        let mut cases: Vec<Case> = requests
            .into_iter()
            .map(|(rpc, request)| Case::new(rpc, request, unfit, ErrorReason::CustomerDeleted))
            .collect();
        let undelete = pb::UndeleteCustomerRequest {
            name: world.name("customers/{id}").await,
            ..Default::default()
        };
        let not_deleted = ErrorReason::CustomerNotDeleted;
        cases.push(Case::new("UndeleteCustomer", reflect(&undelete), unfit, not_deleted));

        assert_refused(&shop, &world, cases).await;
    }

    async fn a_second_open_cart_or_order_is_refused(shop: Shop) {
        let world = World::new(&shop, &shop.admin_key, "orders");
        let (taken, unfit) = (Code::AlreadyExists, Code::FailedPrecondition);
        let open = world.cart("").await;
        let owner = in_slot(&of_customer(&open.customer), &open.slot);
        let ordered = world.ordered_cart().await;
        let in_its_slot = in_slot(&of_customer(&ordered.customer), &ordered.slot);
        let request = pb::CreateCartRequest { owner: Some(in_its_slot), ..Default::default() };
        let next = shop.carts().create_cart(request).await.unwrap().into_inner();
        let anothers = in_slot(&visitor(), &open.slot);
        let request = pb::CreateCartRequest { owner: Some(anothers), ..Default::default() };
        let anothers = shop.carts().create_cart(request).await.unwrap().into_inner();
        let exists = ErrorReason::OpenCartExists;
        let create = |owner: pb::CartOwner, number: &str| {
            let cart = pb::Cart { number: number.into(), ..Default::default() };
            reflect(&pb::CreateCartRequest {
                owner: Some(owner),
                cart: Some(cart),
                ..Default::default()
            })
        };
        let assign = reflect(&pb::AssignCartRequest {
            target: named(&anothers.name),
            customer: open.customer.clone(),
            ..Default::default()
        });
        let reopen = |name: &str| {
            reflect(&pb::ReopenCartRequest { name: name.into(), ..Default::default() })
        };
        let total = open.total.as_ref().unwrap().micros.to_string();
        let reference = ordered.order_reference.as_str();
        let (other, reopened) = (ordering(&open.name, "new", euros(1)), reopen(&ordered.name));
        let (case, used) = (Case::new, ErrorReason::OrderReferenceTaken);
        let cases = vec![
            case("CreateCart", create(owner, ""), taken, exists).with_metadata("open_cart", &open.name),
            case("CreateCart", create(visitor(), &open.number), taken, ErrorReason::NumberTaken)
                .with_metadata("name", &open.name),
            case("AssignCart", assign, taken, exists).with_metadata("open_cart", &open.name),
            case("ReopenCart", reopened, taken, exists).with_metadata("open_cart", &next.name),
            case("ReopenCart", reopen(&open.name), unfit, ErrorReason::CartNotOrdered)
                .with_metadata("state", "STATE_OPEN"),
            case("OrderCart", ordering(&open.name, reference, None), taken, used)
                .with_metadata("cart", &ordered.name),
            case("OrderCart", other, Code::Aborted, ErrorReason::TotalChanged)
                .with_metadata("total", &total),
            case("OrderCart", ordering(&next.name, "new", None), unfit, ErrorReason::CartEmpty),
        ];

        assert_refused(&shop, &world, cases).await;
    }
}
