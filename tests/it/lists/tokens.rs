//! Page tokens that do not fit: altered, cut, of another list, of another request, of another shop.

use clientela::proto::pb::{
    self, ErrorReason, Role, admin_service_client::AdminServiceClient,
    cart_service_client::CartServiceClient, customer_service_client::CustomerServiceClient,
    group_service_client::GroupServiceClient, operation_service_client::OperationServiceClient,
    saved_filter_service_client::SavedFilterServiceClient,
};
use tonic::{Code, Status};

use crate::carts::{Carts as _, item, of, visitor};
use crate::customers::{self, person};
use crate::harness::{Keyed, Shop, assert_refused};
use crate::{on_both_engines, saved_filters};

/// Every list of the contract; of those within a parent two.
#[derive(Clone, Copy, Debug, PartialEq)]
enum List {
    Customers,
    Addresses(&'static str),
    Titles,
    Groups,
    Members(&'static str),
    Carts,
    Operations,
    SavedFilters,
    Shops,
    ApiKeys,
}

const LISTS: [List; 12] = [
    List::Customers,
    List::Addresses("customers/ada"),
    List::Addresses("customers/bob"),
    List::Titles,
    List::Groups,
    List::Members("groups/vip"),
    List::Members("groups/club"),
    List::Carts,
    List::Operations,
    List::SavedFilters,
    List::Shops,
    List::ApiKeys,
];

/// The token of the page after one of this size that begins where `page_token` says.
async fn ask(
    shop: &Shop,
    keyed: &Keyed,
    list: List,
    page_size: i32,
    page_token: &str,
) -> Result<String, Status> {
    let page_token = page_token.to_owned();
    macro_rules! next {
        ($client:ident::$call:ident($request:expr)) => {{
            let mut client = $client::with_interceptor(shop.channel(), keyed.clone());
            let answer = client.$call($request).await?;
            Ok(answer.into_inner().next_page_token)
        }};
    }
    match list {
        List::Customers => next!(CustomerServiceClient::list_customers(
            pb::ListCustomersRequest {
                page_size,
                page_token,
                ..Default::default()
            }
        )),
        List::Addresses(customer) => {
            next!(CustomerServiceClient::list_addresses(
                pb::ListAddressesRequest {
                    page_size,
                    page_token,
                    customer: customer.into(),
                }
            ))
        }
        List::Titles => next!(CustomerServiceClient::list_titles(pb::ListTitlesRequest {
            page_size,
            page_token,
        })),
        List::Groups => next!(GroupServiceClient::list_groups(pb::ListGroupsRequest {
            page_size,
            page_token,
            ..Default::default()
        })),
        List::Members(group) => next!(GroupServiceClient::list_members(pb::ListMembersRequest {
            page_size,
            page_token,
            group: group.into(),
        })),
        List::Carts => next!(CartServiceClient::list_carts(pb::ListCartsRequest {
            page_size,
            page_token,
            ..Default::default()
        })),
        List::Operations => {
            next!(OperationServiceClient::list_operations(
                pb::ListOperationsRequest {
                    page_size,
                    page_token,
                    ..Default::default()
                }
            ))
        }
        List::SavedFilters => {
            next!(SavedFilterServiceClient::list_saved_filters(
                pb::ListSavedFiltersRequest {
                    page_size,
                    page_token,
                    ..Default::default()
                }
            ))
        }
        List::Shops => next!(AdminServiceClient::list_shops(pb::ListShopsRequest {
            page_size,
            page_token,
        })),
        List::ApiKeys => next!(AdminServiceClient::list_api_keys(pb::ListApiKeysRequest {
            page_size,
            page_token,
            ..Default::default()
        })),
    }
}

/// Two rows at the least in every list.
async fn fill(shop: &Shop) {
    for id in ["vip", "club"] {
        customers::group(shop, id, pb::Group::default()).await;
    }
    let groups = vec!["groups/vip".to_owned(), "groups/club".to_owned()];
    for id in ["ada", "bob"] {
        let address = |city: &str| pb::Address {
            city: city.into(),
            ..Default::default()
        };
        let request = pb::CreateCustomerRequest {
            customer_id: id.into(),
            addresses: vec![address("Lyon"), address("Nice")],
            ..customers::creation(pb::Customer {
                groups: groups.clone(),
                ..person(id)
            })
        };
        shop.customers().create_customer(request).await.unwrap();
        shop.add(of(&visitor()), item("shirt", 1)).await;
        shop.key(&[Role::Support]).await;
        let saved = saved_filters::sent(id, true);
        let mut client = shop.saved_filters();
        saved_filters::create(&mut client, id, saved).await.unwrap();
        // Deleting a group is an operation.
        let name = customers::group(shop, &format!("of-{id}"), pb::Group::default()).await;
        let request = pb::DeleteGroupRequest {
            name,
            ..Default::default()
        };
        shop.groups().delete_group(request).await.unwrap();
    }
    let operator = Shop::with_key(&shop.operator_key);
    let display_name = "The second".to_owned();
    let request = pb::CreateShopRequest {
        shop: Some(pb::Shop {
            display_name,
            ..Default::default()
        }),
        shop_id: "second".into(),
        ..Default::default()
    };
    let mut admin = AdminServiceClient::with_interceptor(shop.channel(), operator);
    admin.create_shop(request).await.unwrap();
}

fn operator(shop: &Shop, of: &str) -> Keyed {
    Shop::with_key(&shop.operator_key).and("clientela-shop", of)
}

fn assert_token_refused(refused: Result<String, Status>) {
    let refused = refused.expect_err("the token does not fit");
    assert_refused(
        &refused,
        Code::InvalidArgument,
        ErrorReason::InvalidPageToken,
    );
}

on_both_engines! {
    async fn a_token_is_of_one_list(shop: Shop) {
        fill(&shop).await;
        let keyed = operator(&shop, "default");
        let mut tokens = Vec::new();
        for list in LISTS {
            let token = ask(&shop, &keyed, list, 1, "").await.unwrap();
            assert!(!token.is_empty(), "{list:?} has a second page");
            tokens.push((list, token));
        }

        for (list, token) in &tokens {
            for other in LISTS {
                let answer = ask(&shop, &keyed, other, 1, token).await;
                if other == *list {
                    answer.unwrap();
                } else {
                    assert_token_refused(answer);
                }
            }
        }
    }

    async fn a_token_that_was_altered_or_cut_is_refused(shop: Shop) {
        fill(&shop).await;
        let keyed = operator(&shop, "default");
        for list in LISTS {
            let token = ask(&shop, &keyed, list, 1, "").await.unwrap();
            let mut others = vec![
                "nonsense".to_owned(),
                "?".to_owned(),
                format!("{token}A"),
                format!("A{token}"),
                format!("{token}{token}"),
                format!("{token}="),
                token.chars().rev().collect(),
                token.swapcase(),
            ];
            for place in (0..token.len()).step_by(7) {
                let mut altered = token.clone().into_bytes();
                altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
                others.push(String::from_utf8(altered).unwrap());
                if place > 0 {
                    others.push(token[..place].to_owned());
                }
            }
            for other in others {
                assert_token_refused(ask(&shop, &keyed, list, 1, &other).await);
            }
        }
    }

    async fn a_token_is_of_one_shop(shop: Shop) {
        fill(&shop).await;
        for list in LISTS {
            let token = ask(&shop, &operator(&shop, "default"), list, 1, "").await.unwrap();
            let elsewhere = ask(&shop, &operator(&shop, "second"), list, 1, &token).await;
            match list {
                // The shops are the same from everywhere.
                List::Shops => drop(elsewhere.unwrap()),
                _ => assert_token_refused(elsewhere),
            }
        }
    }

    async fn a_token_is_of_one_filter_and_order_and_of_any_size(shop: Shop) {
        fill(&shop).await;
        let first = pb::ListCartsRequest { page_size: 1, ..Default::default() };
        let token = shop.carts().list_carts(first.clone()).await.unwrap().into_inner().next_page_token;
        let next = pb::ListCartsRequest { page_token: token, ..first };
        for other in [
            pb::ListCartsRequest { filter: "state = OPEN".into(), ..next.clone() },
            pb::ListCartsRequest { order_by: "name desc".into(), ..next.clone() },
            pb::ListCartsRequest { order_by: "create_time".into(), ..next.clone() },
        ] {
            let refused = shop.carts().list_carts(other).await.unwrap_err();
            assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidPageToken);
        }
        for page_size in [0, 1, 2, 1_000, 5_000] {
            let count = pb::CountMode::Exact.into();
            let request = pb::ListCartsRequest { page_size, count, ..next.clone() };
            let page = shop.carts().list_carts(request).await.unwrap().into_inner();
            assert_eq!((page.carts.len(), page.count.unwrap().value), (1, 2));
        }
    }

    /// A storefront does not see hidden groups: a place in the list of who does is none in its own.
    async fn a_token_is_of_those_who_see_the_same(shop: Shop) {
        fill(&shop).await;
        let storefront = Shop::with_key(&shop.key(&[Role::Storefront]).await);
        let admin = Shop::with_key(&shop.admin_key);
        let token = ask(&shop, &admin, List::Groups, 1, "").await.unwrap();

        assert_token_refused(ask(&shop, &storefront, List::Groups, 1, &token).await);
        // Each actor has a list of saved filters of its own.
        let anna = admin.clone().and("clientela-actor", "staff/anna");
        let token = ask(&shop, &admin, List::SavedFilters, 1, "").await.unwrap();
        assert_token_refused(ask(&shop, &anna, List::SavedFilters, 1, &token).await);
    }
}

/// Letters in the other case.
trait Swapcase {
    fn swapcase(&self) -> String;
}

impl Swapcase for String {
    fn swapcase(&self) -> String {
        let swap = |letter: char| {
            if letter.is_ascii_lowercase() {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            }
        };
        self.chars().map(swap).collect()
    }
}
