//! Tests of the effects of edits on a cart, and of their refusals.

use serde_json::json;

use super::*;

fn price(list: i64) -> NewPrice {
    NewPrice {
        price: Price {
            list,
            ..Price::default()
        },
        currency: "EUR".to_owned(),
        reduction_currency: None,
    }
}

fn new_line(product: &str, quantity: i64) -> NewLine {
    NewLine {
        product: product.to_owned(),
        variant: String::new(),
        attributes: Map::new(),
        display_name: String::new(),
        image_uri: String::new(),
        category_ids: Vec::new(),
        price: price(1_000_000),
        quantity,
    }
}

fn cart() -> Cart {
    Cart {
        currency: "EUR".to_owned(),
        ..Cart::default()
    }
}

fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

fn kinds(edit: &Edit<'_>) -> Vec<Kind> {
    edit.causes.iter().map(|cause| cause.kind).collect()
}

#[test]
fn adding_the_same_product_again_grows_its_line() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");

    edit.add(&new_line("shirt", 2), "item").unwrap();
    edit.add(&new_line("shirt", 3), "item").unwrap();

    assert_eq!(kinds(&edit), [Kind::ItemAdded, Kind::ItemAdded]);
    assert_eq!((edit.causes[1].before, edit.causes[1].after), (2, 5));
    assert_eq!(cart.lines.len(), 1);
    assert_eq!(cart.lines[0].quantity, 5);
}

#[test]
fn a_later_price_replaces_the_earlier_one_and_is_a_cause() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");
    edit.add(&new_line("shirt", 1), "item").unwrap();

    let dearer = NewLine {
        price: price(2_000_000),
        ..new_line("shirt", 1)
    };
    edit.add(&dearer, "item").unwrap();

    assert_eq!(kinds(&edit)[1..], [Kind::ItemAdded, Kind::ItemPriceChanged]);
    assert_eq!(cart.lines[0].price.list, 2_000_000);
}

#[test]
fn an_engraving_makes_a_line_of_its_own_whatever_the_order_of_its_keys() {
    let one = attributes(json!({"text": "Ada", "font": {"size": 12, "bold": true}}));
    let same = attributes(json!({"font": {"bold": true, "size": 12.0}, "text": "Ada"}));
    let other = attributes(json!({"text": "Eva", "font": {"size": 12, "bold": true}}));

    assert_eq!(item_id("ring", "", &one), item_id("ring", "", &same));
    assert_ne!(item_id("ring", "", &one), item_id("ring", "", &other));
    assert_ne!(item_id("ring", "", &one), item_id("ring", "", &Map::new()));
    assert_ne!(
        item_id("ab", "c", &Map::new()),
        item_id("a", "bc", &Map::new())
    );
    let zeros = [json!({"x": 0.0}), json!({"x": -0.0})].map(attributes);
    assert_eq!(
        item_id("ring", "", &zeros[0]),
        item_id("ring", "", &zeros[1])
    );
}

#[test]
fn an_id_is_the_same_in_every_release() {
    let engraving = attributes(json!({"text": "Ada", "size": 12}));

    assert_eq!(
        item_id("ring", "gold", &Map::new()),
        "a36a20ced21b9bceab49d50d"
    );
    assert_eq!(
        item_id("ring", "gold", &engraving),
        "5c4ac92c7896dcd8acbbadbd"
    );
}

#[test]
fn another_currency_is_refused_with_its_place() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");
    let mut line = new_line("shirt", 1);
    line.price.currency = "USD".to_owned();

    let refusal = edit.add(&line, "edits[3].add").unwrap_err();

    assert_eq!(refusal.reason(), ErrorReason::CurrencyMismatch);
    assert_eq!(refusal.metadata("currency_code"), Some("EUR"));
    assert_eq!(
        refusal.metadata("field"),
        Some("edits[3].add.price.list_price.currency_code")
    );
}

#[test]
fn a_line_takes_a_million_pieces_and_a_cart_five_hundred_lines() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");
    edit.add(&new_line("screw", QUANTITY_MAX), "item").unwrap();

    let refusal = edit.add(&new_line("screw", 1), "item").unwrap_err();
    assert_eq!(refusal.reason(), ErrorReason::InvalidField);

    for number in 1..CART_ITEMS_MAX {
        edit.add(&new_line(&format!("p{number}"), 1), "item")
            .unwrap();
    }
    let refusal = edit.add(&new_line("one more", 1), "item").unwrap_err();
    assert_eq!(refusal.reason(), ErrorReason::CartTooLarge);
    assert_eq!(edit.causes.len(), CAUSES_MAX);
    edit.add(&new_line("p1", 1), "item").unwrap();
}

#[test]
fn prices_reach_the_lines_of_their_product_or_variant() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");
    for variant in ["red", "blue"] {
        let line = NewLine {
            variant: variant.to_owned(),
            ..new_line("shirt", 1)
        };
        edit.add(&line, "item").unwrap();
    }
    edit.causes.clear();
    let product = |variant: Option<&str>, list| ProductPrice {
        product: "shirt".to_owned(),
        variant: variant.map(str::to_owned),
        price: price(list),
    };
    let absent = ProductPrice {
        product: "hat".to_owned(),
        ..product(None, 1)
    };

    edit.set_prices(&[product(None, 5), product(Some("blue"), 6), absent])
        .unwrap();

    assert_eq!(
        kinds(&edit),
        [Kind::ItemPriceChanged, Kind::ItemPriceChanged]
    );
    assert_eq!((cart.lines[0].price.list, cart.lines[1].price.list), (5, 6));
}

#[test]
fn an_edit_without_an_effect_has_no_cause() {
    let mut cart = cart();
    let mut edit = Edit::new(&mut cart, 7, "");
    edit.add(&new_line("shirt", 2), "item").unwrap();
    edit.causes.clear();
    let item = edit.cart.lines[0].id.clone();

    edit.set_quantity(&item, 2).unwrap();
    edit.set_override(&item, None).unwrap();
    edit.set_attributes(&Map::new());
    assert!(edit.causes.is_empty());

    edit.clear();
    edit.clear();
    assert_eq!(kinds(&edit), [Kind::Cleared]);
}
