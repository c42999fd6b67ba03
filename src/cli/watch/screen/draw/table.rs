//! The table of carts, with as many columns as fit.

use ratatui_core::{buffer::Buffer, layout::Rect, style::Style};

use crate::cli::{
    cart,
    output::{self, Align},
    watch::screen::{
        carts::Row,
        model::{Connection, Model},
        order::{Key, Order},
        text::{put, put_right},
        theme::Theme,
    },
};

/// How long a change is highlighted, in microseconds.
const FRESH: i64 = 1_500_000;
const GAP: u16 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Changed,
    Number,
    Who,
    What,
    State,
    Pieces,
    Total,
    Age,
}

impl Column {
    /// From left to right.
    const ALL: [Self; 8] = [
        Self::Changed,
        Self::Number,
        Self::Who,
        Self::What,
        Self::State,
        Self::Pieces,
        Self::Total,
        Self::Age,
    ];
    /// By importance: the first ones are kept if there is little room.
    const BY_NEED: [Self; 8] = [
        Self::Who,
        Self::Total,
        Self::What,
        Self::Changed,
        Self::Pieces,
        Self::State,
        Self::Age,
        Self::Number,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Number => "number",
            Self::Who => "who",
            Self::What => "what",
            Self::State => "state",
            Self::Pieces => "pieces",
            Self::Total => "total",
            Self::Age => "age",
        }
    }

    /// The key by which the column sorts.
    fn key(self) -> Option<Key> {
        match self {
            Self::Changed => Some(Key::Changed),
            Self::Who => Some(Key::Who),
            Self::Pieces => Some(Key::Pieces),
            Self::Total => Some(Key::Total),
            Self::Age => Some(Key::Age),
            Self::Number | Self::What | Self::State => None,
        }
    }

    fn width_min(self) -> u16 {
        match self {
            Self::Changed | Self::Number => 8,
            Self::Who => 12,
            Self::What => 18,
            Self::State => 9,
            Self::Pieces => 7,
            Self::Total => 14,
            Self::Age => 7,
        }
    }

    fn align(self) -> Align {
        match self {
            Self::Pieces | Self::Total | Self::Age => Align::Right,
            _ => Align::Left,
        }
    }

    fn text(self, row: &Row, now: i64) -> String {
        let cart = &row.cart;
        match self {
            Self::Changed => output::bare_time_of_day(&crate::feed::timestamp(row.changed)),
            Self::Number => row.number().to_owned(),
            Self::Who => row.who.clone(),
            Self::What => row.what.clone(),
            Self::State => row.state(),
            Self::Pieces => cart.item_count.to_string(),
            Self::Total => output::money(cart.total.as_ref()),
            Self::Age => cart::age(cart, now),
        }
    }
}

/// A column with its position.
#[derive(Debug, Clone, Copy)]
struct Placed {
    column: Column,
    x: u16,
    width: u16,
}

/// Draws headings and rows.
pub fn draw(buffer: &mut Buffer, area: Rect, model: &mut Model, theme: Theme, now: i64) {
    if area.is_empty() {
        return;
    }
    let columns = columns(area);
    for placed in &columns {
        let heading = heading(placed.column, model.order);
        write(buffer, area.y, *placed, &heading, theme.heading());
    }
    let page = area.height - 1;
    let selected = model.settle(usize::from(page));
    let top = model.top;
    let rows = model.rows();
    for (n, row) in rows.iter().enumerate().skip(top).take(usize::from(page)) {
        let y = area.y + 1 + u16::try_from(n - top).unwrap_or(page);
        let style = style(row, theme, now);
        for placed in &columns {
            let style = match placed.column {
                Column::State if row.is_open() => theme.odd(),
                _ => style,
            };
            write(buffer, y, *placed, &placed.column.text(row, now), style);
        }
        if selected == Some(n) {
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            buffer.set_style(line, theme.selected());
        }
    }
    if rows.is_empty() && page > 0 {
        let text = match (&model.connection, model.search.is_empty()) {
            (Connection::Filling, _) => "…",
            (_, true) => "no carts",
            (_, false) => "nothing is found",
        };
        put(
            buffer,
            (area.x, area.y + 1),
            area.width,
            text,
            theme.faint(),
        );
    }
}

/// The heading of a column, with an arrow if the rows are ordered by it.
fn heading(column: Column, order: Order) -> String {
    let name = column.heading();
    if column.key() != Some(order.key) {
        return name.to_owned();
    }
    // By default only names ascend; everything else begins with the largest.
    let up = (order.key == Key::Who) != order.reversed;
    let arrow = if up { "▲" } else { "▼" };
    format!("{name}{arrow}")
}

fn write(buffer: &mut Buffer, y: u16, placed: Placed, text: &str, style: Style) {
    let at = (placed.x, y);
    match placed.column.align() {
        Align::Left => {
            put(buffer, at, placed.width, text, style);
        }
        Align::Right => put_right(buffer, at, placed.width, text, style),
    }
}

fn style(row: &Row, theme: Theme, now: i64) -> Style {
    if !row.is_open() {
        theme.faint()
    } else if row.received.is_some_and(|received| now - received < FRESH) {
        theme.fresh()
    } else {
        theme.normal()
    }
}

/// The columns that fit, with their positions.
fn columns(area: Rect) -> Vec<Placed> {
    let mut chosen = Vec::new();
    let mut taken = 0;
    for column in Column::BY_NEED {
        let more = column.width_min() + if taken == 0 { 0 } else { GAP };
        if taken + more <= area.width {
            chosen.push(column);
            taken += more;
        } else if chosen.is_empty() {
            let (x, width) = (area.x, area.width);
            return vec![Placed { column, x, width }];
        } else {
            break;
        }
    }
    // The rest goes to names first, up to a length that is usually enough, then to events.
    let spare = area.width - taken;
    let for_who = match chosen.contains(&Column::What) {
        true => (spare / 3).min(16),
        false => spare,
    };
    let mut x = area.x;
    let mut placed = Vec::with_capacity(chosen.len());
    for column in Column::ALL {
        if !chosen.contains(&column) {
            continue;
        }
        let width = column.width_min()
            + match column {
                Column::Who => for_who,
                Column::What => spare - for_who,
                _ => 0,
            };
        placed.push(Placed { column, x, width });
        x += width + GAP;
    }
    placed
}
