//! Tests invalid page tokens: altered, cut, of another list, of another request, of another shop.

use clientela::limits::Rule;
use clientela::proto::pb::{self, ErrorReason, Role, admin_service_client::AdminServiceClient};
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::{Code, Status};

use crate::contract::call::{method, methods};
use crate::contract::messages::{set, table};
use crate::contract::world::World;
use crate::harness::{Connection, Shop, assert_refused};
use crate::on_both_engines;
use crate::specimens::{Addresses, Customers, Specimen as _, answer, text};

/// A list of the contract, with the name of its parent.
#[derive(Clone, Debug, PartialEq)]
struct List {
    method: MethodDescriptor,
    parent: Option<(&'static str, String)>,
}

impl List {
    /// Returns a list without a parent.
    fn of(name: &str) -> Self {
        Self {
            method: method(name),
            parent: None,
        }
    }
}

/// Reads a page from `page_token` and returns the token of the next page.
async fn ask(
    connection: &Connection,
    list: &List,
    page_size: i32,
    page_token: &str,
) -> Result<String, Status> {
    let mut request = DynamicMessage::new(list.method.input());
    if let Some((field, name)) = &list.parent {
        set(&mut request, field, Value::String(name.clone()));
    }
    set(&mut request, "page_size", Value::I32(page_size));
    set(
        &mut request,
        "page_token",
        Value::String(page_token.to_owned()),
    );
    let page = answer(connection, &list.method, &request).await?;
    Ok(text(page.get_ref(), "next_page_token"))
}

/// Fills every list of the contract with at least two rows, and returns the lists. A list within a
/// parent is returned for two parents.
async fn filled(shop: &Shop) -> Vec<List> {
    let mut worlds = Vec::new();
    for tag in ["ada", "bob"] {
        let world = World::new(shop, &shop.admin_key, tag);
        world.make_all().await;
        let second = format!("{tag}-2");
        Customers.make(&world, &second).await;
        Addresses.make(&world, &second).await;
        worlds.push(world);
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

    let mut lists = Vec::new();
    for method in methods()
        .into_iter()
        .filter(|method| method.name().starts_with("List"))
    {
        let table = table(&method.input()).expect("requests are in the tables");
        let parent = table.fields().find_map(|field| match field.rule {
            Some(Rule::Name(pattern)) => Some((field.name.as_str(), pattern)),
            _ => None,
        });
        let Some((field, pattern)) = parent else {
            lists.push(List {
                method,
                parent: None,
            });
            continue;
        };
        for world in &worlds {
            let parent = Some((field, world.name(pattern).await));
            lists.push(List {
                method: method.clone(),
                parent,
            });
        }
    }
    assert!(lists.len() >= 12, "only {} lists", lists.len());
    lists
}

fn operator(shop: &Shop, of: &str) -> Connection {
    Connection::with_key(shop, &shop.operator_key).and("clientela-shop", of)
}

fn assert_token_refused(refused: Result<String, Status>) {
    let refused = refused.expect_err("the token is refused");
    assert_refused(
        &refused,
        Code::InvalidArgument,
        ErrorReason::InvalidPageToken,
    );
}

on_both_engines! {
    async fn a_token_belongs_to_one_list(shop: Shop) {
        let lists = filled(&shop).await;
        let connection = operator(&shop, "default");
        let mut tokens = Vec::new();
        for list in &lists {
            let token = ask(&connection, list, 1, "").await.unwrap();
            assert!(!token.is_empty(), "{list:?} has only one page");
            tokens.push((list, token));
        }

        for (list, token) in &tokens {
            for other in &lists {
                let answer = ask(&connection, other, 1, token).await;
                if other == *list {
                    answer.unwrap();
                } else {
                    assert_token_refused(answer);
                }
            }
        }
    }

    async fn an_altered_or_cut_token_is_refused(shop: Shop) {
        let connection = operator(&shop, "default");
        for list in &filled(&shop).await {
            let token = ask(&connection, list, 1, "").await.unwrap();
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
                assert_token_refused(ask(&connection, list, 1, &other).await);
            }
        }
    }

    async fn a_token_belongs_to_one_shop(shop: Shop) {
        for list in &filled(&shop).await {
            let token = ask(&operator(&shop, "default"), list, 1, "").await.unwrap();
            let elsewhere = ask(&operator(&shop, "second"), list, 1, &token).await;
            match list.method.name() {
                // Every shop sees the same list of shops.
                "ListShops" => drop(elsewhere.unwrap()),
                _ => assert_token_refused(elsewhere),
            }
        }
    }

    async fn a_token_belongs_to_one_filter_and_order_and_fits_any_page_size(shop: Shop) {
        filled(&shop).await;
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

    /// The list of a storefront lacks hidden groups, so a position in the full list is not valid there.
    async fn a_token_belongs_to_callers_with_the_same_view(shop: Shop) {
        filled(&shop).await;
        let storefront = Connection::with_key(&shop, &shop.key(&[Role::Storefront]).await);
        let admin = Connection::of(&shop);
        let groups = List::of("ListGroups");
        let token = ask(&admin, &groups, 1, "").await.unwrap();

        assert_token_refused(ask(&storefront, &groups, 1, &token).await);
        // The list of saved filters depends on the actor.
        let saved = List::of("ListSavedFilters");
        let anna = admin.clone().and("clientela-actor", "staff/anna");
        let token = ask(&admin, &saved, 1, "").await.unwrap();
        assert_token_refused(ask(&anna, &saved, 1, &token).await);
    }
}

/// Swaps upper and lower case.
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
