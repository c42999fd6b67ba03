//! Tests of the displayed state after news and keys.

use super::*;
use crate::cli::watch::screen::sample;
use crate::proto::pb::snapshot_begin::Cause;

const SECOND: i64 = 1_000_000;

fn change(id: &str, second: i64, standing: bool) -> News<pb::CartChange> {
    News::Change {
        change: sample::change(id, second),
        label: format!("visitor {id}"),
        standing,
    }
}

fn model() -> Model {
    let mut model = Model::new("here", "");
    model.apply(News::Begin(Cause::Initial), 0);
    for (id, second) in [("a", 3), ("b", 2), ("c", 1)] {
        model.apply(change(id, second, true), 10 * SECOND);
    }
    model.apply(News::Whole, 10 * SECOND);
    model
}

fn shown(model: &Model) -> Vec<String> {
    let rows = model.rows();
    rows.iter().map(|row| row.cart.number.clone()).collect()
}

#[test]
fn a_paused_screen_stands_still_and_catches_up() {
    let mut model = model();
    model.pause();

    model.apply(change("c", 11, false), 11 * SECOND);
    model.apply(change("d", 11, false), 11 * SECOND);
    assert_eq!(shown(&model), ["#a", "#b", "#c"]);
    assert_eq!(model.missed(), Some(2));

    model.pause();
    assert_eq!(shown(&model), ["#d", "#c", "#a", "#b"]);
    assert_eq!(model.missed(), None);
}

#[test]
fn the_connection_is_lost_and_comes_back() {
    let mut model = model();
    assert_eq!(model.connection, Connection::Live);

    let why = "the stream ended".to_owned();
    model.apply(
        News::Link(Link::Lost {
            why: why.clone(),
            announced: false,
        }),
        0,
    );
    assert_eq!(model.connection, Connection::Lost(why));
    assert_eq!(shown(&model).len(), 3);

    model.apply(News::Link(Link::Back), 0);
    assert_eq!(model.connection, Connection::Live);
}

#[test]
fn another_store_takes_the_place_of_the_first() {
    let mut model = model();

    model.apply(News::Forget, 0);
    model.apply(News::Begin(Cause::EpochChanged), 0);
    model.apply(change("x", 1, true), 0);

    assert_eq!(shown(&model), ["#x"]);
}

#[test]
fn a_selected_cart_stays_selected_wherever_it_moves() {
    let mut model = model();
    model.step(1);
    model.step(2);
    assert_eq!(model.selected().unwrap().cart.number, "#c");
    assert_eq!(model.settle(2), Some(2));
    assert_eq!(model.top, 1);

    model.apply(change("c", 12, false), 12 * SECOND);

    assert_eq!(model.settle(2), Some(0));
    assert_eq!(model.top, 0);
    model.step(-5);
    assert_eq!(model.selected().unwrap().cart.number, "#c");
}

#[test]
fn a_selected_cart_that_is_gone_gives_way_to_its_neighbour() {
    let mut model = model();
    model.select(1);
    let left = News::Change {
        change: sample::left("b"),
        label: "b".into(),
        standing: false,
    };
    model.settle(5);
    model.apply(left, 12 * SECOND);
    model.settle(5);
    model.tidy(60 * SECOND);

    assert_eq!(model.settle(5), Some(0));
    assert_eq!(model.selected().unwrap().cart.number, "#a");
}

#[test]
fn a_search_leaves_what_holds_it() {
    let mut model = model();
    model.search = "Visitor B".into();
    assert_eq!(shown(&model), ["#b"]);

    model.search = "nobody".into();
    model.select(0);
    assert!(shown(&model).is_empty() && model.selected().is_none());
    assert_eq!(model.settle(5), None);
}

#[test]
fn the_rate_is_that_of_the_last_whole_seconds() {
    let mut model = model();
    for second in 20..25 {
        for _ in 0..10 {
            model.apply(change("a", second, false), second * SECOND);
        }
    }

    assert_eq!(model.rate(25 * SECOND), 10);
    assert_eq!(model.rate(28 * SECOND), 4);
    assert_eq!(model.rate(60 * SECOND), 0);
}
