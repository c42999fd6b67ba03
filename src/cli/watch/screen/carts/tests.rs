//! Tests of the rows when carts change.

use super::*;
use crate::cli::watch::screen::sample;

const SECOND: i64 = 1_000_000;

fn names(carts: &Carts) -> Vec<&str> {
    carts.rows().map(|row| output::id(&row.cart.name)).collect()
}

fn filled() -> Carts {
    let mut carts = Carts::default();
    carts.begin();
    for (id, updated) in [("a", 3), ("b", 5), ("c", 4)] {
        carts.change(sample::change(id, updated), id.into(), true, 10 * SECOND);
    }
    carts
}

#[test]
fn a_whole_state_stands_in_the_order_of_its_times() {
    assert_eq!(names(&filled()), ["b", "c", "a"]);
}

#[test]
fn a_changed_cart_comes_first_whatever_its_time_is() {
    let mut carts = filled();

    carts.change(sample::change("a", 1), "Ada".into(), false, 11 * SECOND);

    assert_eq!(names(&carts), ["a", "b", "c"]);
    assert_eq!(carts.get("carts/a").unwrap().who, "Ada");
    assert_eq!(carts.get("carts/a").unwrap().history.len(), 2);
}

#[test]
fn a_second_whole_state_does_not_move_what_it_does_not_change() {
    let mut carts = filled();
    carts.change(sample::change("a", 6), "a".into(), false, 11 * SECOND);

    carts.begin();
    carts.change(sample::change("c", 7), "c".into(), true, 12 * SECOND);

    assert_eq!(names(&carts), ["c", "a", "b"]);
}

#[test]
fn a_cart_that_left_is_shown_for_a_moment() {
    let mut carts = filled();

    carts.change(sample::left("b"), "b".into(), false, 20 * SECOND);
    assert_eq!(names(&carts), ["b", "c", "a"]);
    assert_eq!(carts.get("carts/b").unwrap().state(), "gone");
    assert!(!carts.tidy(24 * SECOND));
    assert!(carts.tidy(25 * SECOND));

    assert_eq!(names(&carts), ["c", "a"]);
}

#[test]
fn a_cart_that_returns_in_time_stays() {
    let mut carts = filled();
    carts.change(sample::left("b"), "b".into(), false, 20 * SECOND);
    carts.change(sample::change("b", 21), "b".into(), false, 21 * SECOND);

    assert!(!carts.tidy(60 * SECOND));
    assert_eq!(carts.len(), 3);
}

#[test]
fn an_ordered_cart_goes_without_another_word() {
    let mut carts = filled();
    let mut ordered = sample::change("b", 9);
    ordered.cart.as_mut().unwrap().state = State::Ordered.into();
    carts.change(ordered, "b".into(), false, 11 * SECOND);
    assert_eq!(carts.get("carts/b").unwrap().state(), "ordered");

    carts.change(sample::left("b"), "b".into(), false, 12 * SECOND);

    assert!(carts.get("carts/b").is_none());
}

#[test]
fn a_copy_keeps_what_was() {
    let mut carts = filled();
    let copy = carts.clone();

    carts.change(sample::change("b", 9), "Bruno".into(), false, 11 * SECOND);

    assert_eq!(copy.get("carts/b").unwrap().who, "b");
    assert_eq!(carts.get("carts/b").unwrap().who, "Bruno");
}

#[test]
fn a_search_finds_names_numbers_and_products_without_accents() {
    let mut carts = Carts::default();
    let mut change = sample::change("a", 1);
    change.cart.as_mut().unwrap().items = vec![sample::item("Chapeau d'été", 1)];
    carts.change(change, "Zoë".into(), false, 1);

    let row = carts.get("carts/a").unwrap();
    for found in ["zoe", "ETE", "#a", "carts/a", "carts/"] {
        assert!(row.matches(&Search::new(found).unwrap()), "{found}");
    }
    assert!(!row.matches(&Search::new("hat").unwrap()));
    assert!(Search::new("").is_none());
}

#[test]
fn an_id_is_found_by_its_beginning_and_by_nothing_else() {
    let mut carts = Carts::default();
    let id = "0199c0de-ada5-7bad-8cafe-decade000017";
    let mut change = sample::change(id, 1);
    let cart = change.cart.as_mut().unwrap();
    cart.number = "1001".into();
    cart.customer = "customers/9aba1e55-1815".into();
    carts.change(change, "Zoë".into(), false, 1);

    let row = carts.get(&format!("carts/{id}")).unwrap();
    for found in [
        "0199c0",
        "0199",
        "9aba1e55",
        "carts/0199",
        "customers/9aba",
        id,
    ] {
        assert!(row.matches(&Search::new(found).unwrap()), "{found}");
    }
    for absent in ["ada", "bad", "17", "ada5", "019", "e55-1815", "cafe"] {
        assert!(!row.matches(&Search::new(absent).unwrap()), "{absent}");
    }
}
