//! Tests of the screen's appearance on an in-memory terminal.

use ratatui_core::{backend::TestBackend, buffer::CellWidth as _, terminal::Terminal};

use super::*;
use crate::cli::watch::{
    follower::{Link, News},
    screen::sample::{self, euros},
};
use crate::proto::pb::snapshot_begin::Cause;

const NOW: i64 = 100_000_000;

/// The lines that a terminal of this size shows.
fn lines(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame.buffer_mut(), model, Theme::new(true), NOW))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let mut lines = Vec::new();
    for y in 0..height {
        let (mut line, mut x) = (String::new(), 0);
        while x < width {
            let cell = &buffer[(x, y)];
            line.push_str(cell.symbol());
            x += cell.cell_width().max(1);
        }
        lines.push(line);
    }
    lines
}

/// Applies the news of somebody's cart with a product.
fn add(model: &mut Model, id: &str, who: &str, product: &str) {
    let mut change = sample::change(id, 90);
    if let Some(cart) = &mut change.cart {
        cart.items = vec![sample::item(product, 2)];
        cart.note = product.to_owned();
    }
    let news = News::Change {
        change,
        label: who.to_owned(),
        standing: false,
    };
    model.apply(news, NOW - 10_000_000);
}

fn model() -> Model {
    let mut model = Model::new("127.0.0.1:50051", "");
    model.apply(News::Begin(Cause::Initial), NOW);
    model.apply(News::Whole, NOW);
    add(&mut model, "1001", "Ada Ashford", "Linen shirt");
    add(&mut model, "1002", "Bruno Baker", "Mug");
    model
}

#[test]
fn a_row_shows_the_customer_the_item_the_amount_and_the_age() {
    let mut model = model();

    let lines = lines(&mut model, 110, 12);

    assert!(
        lines[0].starts_with("Clientela  2 carts  ● live"),
        "{lines:#?}"
    );
    assert!(
        lines[0].trim_end().ends_with("127.0.0.1:50051") && lines[0].contains("times in "),
        "{lines:#?}"
    );
    for heading in [
        "changed", "number", "who", "what", "state", "pieces", "total", "age",
    ] {
        assert!(lines[2].contains(heading), "{heading}: {lines:#?}");
    }
    let row = &lines[3];
    let at = |text: &str| row.find(text).unwrap_or_else(|| panic!("{text}: {row}"));
    assert!(at("#1002") < at("Bruno Baker") && at("Bruno Baker") < at("+ Mug  0 → 2"));
    assert!(row.trim_end().ends_with("14.00 EUR    1m40s"), "{row}");
    assert!(lines[4].contains("Ada Ashford"), "{lines:#?}");
    assert!(lines[11].contains("q quit"), "{lines:#?}");
}

#[test]
fn the_figures_are_those_of_the_shop() {
    let mut model = model();
    model.figures(pb::CartFigures {
        open_carts: 12_345,
        filling_carts: 4,
        abandoned_carts: 1,
        customers_online: 3,
        values: vec![pb::cart_figures::CurrencyValue {
            open: euros(120),
            at_risk: euros(20),
        }],
        ..pb::CartFigures::default()
    });

    let figures = &lines(&mut model, 120, 12)[1];

    assert!(
        figures.starts_with("12,345 open  4 being filled"),
        "{figures}"
    );
    assert!(
        figures.contains("120.00 EUR (20.00 EUR at risk)"),
        "{figures}"
    );
}

#[test]
fn the_selected_cart_is_shown_with_its_lines_and_what_happened() {
    let mut model = model();
    model.select(1);
    model.details = true;

    for (width, height) in [(100, 30), (60, 30), (100, 12)] {
        let text = lines(&mut model, width, height).join("\n");
        for part in [
            "carts/1001",
            "2 × Linen shirt",
            "note Linen shirt",
            "+ Linen shirt  0 → 2",
        ] {
            assert!(text.contains(part), "{part} at {width}x{height}:\n{text}");
        }
    }
}

#[test]
fn a_fault_of_the_connection_is_shown() {
    let mut model = model();
    let why = "the stream ended".to_owned();
    let lost = Link::Lost {
        why,
        announced: false,
    };
    model.apply(News::Link(lost), NOW);
    let title = lines(&mut model, 100, 12).remove(0);
    assert!(
        title.contains("connection lost (the stream ended), trying again"),
        "{title}"
    );

    model.apply(News::Link(Link::Back), NOW);
    model.pause();
    add(&mut model, "1001", "Ada", "Mug");
    let title = lines(&mut model, 100, 12).remove(0);
    assert!(title.contains("paused, 1 change since"), "{title}");
}

#[test]
fn a_search_and_a_filter_have_a_line() {
    let mut model = model();
    model.typing = true;
    model.search = "ada".to_owned();
    model.filter = "total > \"1 EUR\"".to_owned();

    let lines = lines(&mut model, 100, 12);

    assert!(lines[10].starts_with("Search: ada"), "{lines:#?}");
    assert!(
        lines[10].contains("1 found  Filter: total > \"1 EUR\""),
        "{lines:#?}"
    );
    assert!(!lines.join("\n").contains("Bruno"), "{lines:#?}");
}

#[test]
fn the_keys_are_explained_in_place_of_the_table() {
    let mut model = model();
    model.help = true;

    for (width, height) in [(110, 30), (40, 10), (1, 1), (9, 3)] {
        let text = lines(&mut model, width, height).join("\n");
        assert!(!text.contains("Ada"), "{text}");
    }
    let lines = lines(&mut model, 110, 30);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("sort by the next column")),
        "{lines:#?}"
    );
    assert!(lines[29].contains("any key goes back"), "{lines:#?}");
}

#[test]
fn an_arrow_shows_the_order() {
    let mut model = model();
    assert!(lines(&mut model, 110, 12)[2].starts_with("changed▼"));

    model.order = model.order.next().reverse();

    let headings = lines(&mut model, 110, 12).remove(2);
    assert!(
        headings.contains("total▲") && !headings.contains("changed▼"),
        "{headings}"
    );
}

/// Texts with which somebody could try to do harm.
fn harmful() -> Vec<String> {
    vec![
        "\u{1b}[2J\u{1b}[1;1H\u{7}owned\r\n\t".to_owned(),
        "<script>alert(1)</script> & {{x}} %s \\u001b[31m".to_owned(),
        "שלום עולם 123 مرحبا بالعالم".to_owned(),
        "\u{202e}reversed\u{202c}\u{2066}isolated\u{2069}".to_owned(),
        "👩‍👩‍👧‍👦 👍🏽 🇫🇷 ❤️ 1️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿".to_owned(),
        format!("a{}", "\u{300}\u{323}".repeat(5_000)),
        "x".repeat(10_000),
        "日本語の長い名前".repeat(1_000),
        "\u{200b}\u{200d}\u{feff}\u{ad}\u{115f}".to_owned(),
        "ﾊﾟﾎﾟ ก็ำ กำ한국어\u{1100}\u{1161} नमस्ते".to_owned(),
    ]
}

#[test]
fn no_name_moves_what_stands_beside_it() {
    for harm in harmful() {
        for width in [40, 60, 80, 110, 200] {
            let mut model = model();
            let mut expected = Vec::new();
            let total = |line: &str| {
                line.trim_end_matches("1m40s")
                    .trim_end()
                    .ends_with("14.00 EUR")
            };
            add(&mut model, "evil", &harm, &harm);
            for line in &lines(&mut model, width, 12)[3..6] {
                assert!(total(line.trim_end()), "{harm:?} at {width}: {line:?}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
                expected.push(line.clone());
            }
            assert!(expected[1].contains("Bruno"), "{expected:?}");
        }
    }
}

#[test]
fn no_size_and_no_text_is_too_much() {
    for harm in harmful() {
        let mut model = model();
        model.filter = harm.clone();
        model.search = String::new();
        add(&mut model, "evil", &harm, &harm);
        model.select(0);
        for details in [false, true] {
            model.details = details;
            for (width, height) in [
                (1, 1),
                (2, 9),
                (9, 2),
                (20, 5),
                (33, 7),
                (47, 24),
                (71, 40),
                (300, 90),
            ] {
                for line in lines(&mut model, width, height) {
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                }
            }
        }
    }
}

#[test]
fn narrow_terminals_keep_the_customer_and_the_amount() {
    let mut model = model();

    let narrow = lines(&mut model, 30, 8);
    assert!(narrow[3].starts_with("Bruno Baker"), "{narrow:#?}");
    assert!(narrow[3].trim_end().ends_with("14.00 EUR"), "{narrow:#?}");
    let narrower = lines(&mut model, 10, 8);
    assert!(narrower[3].starts_with("Bruno Bak…"), "{narrower:#?}");
}

#[test]
fn more_carts_than_lines_are_scrolled_through() {
    let mut model = Model::new("here", "");
    for n in 0..2_000 {
        add(&mut model, &format!("c{n}"), &format!("visitor {n}"), "Mug");
    }
    model.select(1_999);

    let lines = lines(&mut model, 100, 20);

    assert!(lines[0].contains("2,000 carts"), "{lines:#?}");
    assert!(lines[18].contains("visitor 0 "), "{lines:#?}");
}
