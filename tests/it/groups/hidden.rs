//! Tests that storefronts see nothing of groups that may be hidden.

use clientela::proto::pb::{self, Role, customer_key::Key, group::State};
use tonic::Code;

use super::create as create_group;
use crate::customers::{Client, change, client_as, create, get, person};
use crate::harness::{Setup, Shop, unique};
use crate::on_both_engines;

/// Text that no message to a storefront may contain.
const SECRET: &str = "zanzibar";

fn group(state: State) -> pb::Group {
    pb::Group {
        display_names: [("en".to_owned(), "Zanzibar".to_owned())].into(),
        state: state.into(),
        ..Default::default()
    }
}

async fn set_state(shop: &Shop, state: State) {
    let request = pb::UpdateGroupRequest {
        group: Some(pb::Group {
            name: format!("groups/{SECRET}"),
            ..group(state)
        }),
        ..Default::default()
    };
    shop.groups().update_group(request).await.unwrap();
}

async fn delete(shop: &Shop) {
    let request = pb::DeleteGroupRequest {
        name: format!("groups/{SECRET}"),
        ..Default::default()
    };
    shop.groups().delete_group(request).await.unwrap();
}

/// Creates a customer whose default group is the secret one, with the password `correct horse`.
async fn member(shop: &Shop) -> pb::Customer {
    let groups = vec!["groups/customer".to_owned(), format!("groups/{SECRET}")];
    let ada = pb::Customer {
        default_group: groups[1].clone(),
        groups,
        password: Some("correct horse".to_owned()),
        ..person("Ada")
    };
    create(&mut shop.customers(), ada).await
}

/// Returns a change of the telephone number with a request id, as a storefront sends it.
fn call(name: &str, request_id: &str) -> pb::UpdateCustomerRequest {
    let customer = pb::Customer {
        name: name.to_owned(),
        phone: "1".to_owned(),
        ..Default::default()
    };
    pb::UpdateCustomerRequest {
        request_id: request_id.to_owned(),
        ..change(customer, &["phone"])
    }
}

/// Returns the customer from each call of a storefront. `request_id` belongs to an earlier call.
async fn shown(client: &mut Client, ada: &pb::Customer, request_id: &str) -> Vec<pb::Customer> {
    let by_name = get(client, &ada.name).await;
    let names = vec![ada.name.clone()];
    let batch = client
        .batch_get_customers(pb::BatchGetCustomersRequest { names })
        .await;
    let key = Some(pb::CustomerKey {
        key: Some(Key::Email(ada.email.clone())),
    });
    let found = client
        .lookup_customer(pb::LookupCustomerRequest { key })
        .await;
    let sign_in = pb::VerifyPasswordRequest {
        email: ada.email.clone(),
        password: "correct horse".to_owned(),
    };
    let signed_in = client.verify_password(sign_in).await.unwrap().into_inner();
    let replayed = client.update_customer(call(&ada.name, request_id)).await;
    let updated = client
        .update_customer(call(&ada.name, &format!("updated-{}", unique())))
        .await;
    vec![
        by_name,
        batch.unwrap().into_inner().customers.remove(0),
        found.unwrap().into_inner(),
        signed_in.customer.unwrap(),
        replayed.unwrap().into_inner(),
        updated.unwrap().into_inner(),
    ]
}

on_both_engines! {
    /// The job that removes the members does not run here, so they keep the group's id.
    async fn a_hidden_group_stays_hidden_when_it_is_deleted(shop: Shop with Setup::idle()) {
        create_group(&shop, SECRET, group(State::Active)).await;
        let ada = member(&shop).await;
        let mut storefront = client_as(&shop, Role::Storefront).await;
        let request_id = format!("hidden-{}", unique());
        let first = storefront.update_customer(call(&ada.name, &request_id)).await.unwrap();
        assert_eq!(first.into_inner().groups, ada.groups, "it is not hidden yet");

        for state in [State::Hidden, State::Unspecified] {
            match state {
                State::Hidden => set_state(&shop, state).await,
                _ => delete(&shop).await,
            }

            for customer in shown(&mut storefront, &ada, &request_id).await {
                assert_eq!(customer.groups, ["groups/customer"], "{state:?}");
                assert_eq!(customer.default_group, "", "{state:?}");
            }
        }
        let known = get(&mut shop.customers(), &ada.name).await;
        assert_eq!(known.groups, ada.groups, "the job has not run");
    }

    async fn a_repeated_request_shows_a_visible_group_that_the_customer_has_left(shop: Shop) {
        create_group(&shop, SECRET, group(State::Active)).await;
        let ada = member(&shop).await;
        let mut storefront = client_as(&shop, Role::Storefront).await;
        let request_id = format!("left-{}", unique());
        let first = storefront.update_customer(call(&ada.name, &request_id)).await.unwrap();
        let request = pb::RemoveMembersRequest {
            group: format!("groups/{SECRET}"),
            members: vec![ada.name.clone()],
            ..Default::default()
        };
        shop.groups().remove_members(request).await.unwrap();

        let again = storefront.update_customer(call(&ada.name, &request_id)).await.unwrap();

        assert_eq!(again.into_inner().groups, first.into_inner().groups);
        assert_eq!(get(&mut storefront, &ada.name).await.groups, ["groups/customer"]);
    }

    async fn settings_do_not_name_a_hidden_special_group_to_storefronts(shop: Shop) {
        create_group(&shop, SECRET, group(State::Hidden)).await;
        let settings = pb::ShopSettings {
            visitor_group: format!("groups/{SECRET}"),
            ..Default::default()
        };
        let request = pb::UpdateShopSettingsRequest {
            settings: Some(settings),
            ..Default::default()
        };
        shop.admin().update_shop_settings(request).await.unwrap();
        let key = shop.key(&[Role::Storefront]).await;
        let ask = pb::GetShopSettingsRequest::default();

        let seen = shop.admin_as(&key).get_shop_settings(ask).await.unwrap().into_inner();
        let known = shop.admin().get_shop_settings(ask).await.unwrap().into_inner();

        assert_eq!(known.visitor_group, format!("groups/{SECRET}"));
        assert_eq!(seen.visitor_group, "");
        assert_eq!((seen.guest_group, seen.customer_group), (known.guest_group, known.customer_group));
        set_state(&shop, State::Active).await;
        let shown = shop.admin_as(&key).get_shop_settings(ask).await.unwrap().into_inner();
        assert_eq!(shown.visitor_group, known.visitor_group);
    }

    /// Other work of the server may add statements to an attempt, but never removes any.
    async fn a_hidden_a_deleted_and_an_absent_group_take_the_same_statements(shop: Shop with Setup::quiet()) {
        create_group(&shop, SECRET, group(State::Hidden)).await;
        create_group(&shop, "gone", group(State::Hidden)).await;
        let request = pb::DeleteGroupRequest { name: "groups/gone".to_owned(), ..Default::default() };
        shop.groups().delete_group(request).await.unwrap();
        let mut storefront = shop.groups_as(&shop.key(&[Role::Storefront]).await);
        let mut refusals = Vec::new();
        for id in [SECRET, "gone", "absent"] {
            let mut fewest = u64::MAX;
            let mut refusal = None;
            for _ in 0..20 {
                let request = pb::GetGroupRequest {
                    name: format!("groups/{id}"),
                    ..Default::default()
                };
                let before = shop.store().statements();
                refusal = storefront.get_group(request).await.err();
                fewest = fewest.min(shop.store().statements() - before);
            }
            let refusal = refusal.expect("there is no such group for a storefront");
            assert_eq!(refusal.code(), Code::NotFound);
            refusals.push((fewest, refusal.message().to_owned(), refusal.details().to_owned()));
        }
        assert_eq!(refusals[0], refusals[2]);
        assert_eq!(refusals[1], refusals[2]);
    }
}
