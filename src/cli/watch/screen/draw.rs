//! Draws the model: a title line, a line of figures, the table, the selected cart, a help line.
//!
//! Everything is written by `text::put`, which stays within its cells. Text that does not fit is left out.

mod details;
mod help;
mod table;

use ratatui_core::{buffer::Buffer, layout::Rect, style::Style};

use crate::{cli::output, proto::pb};

use super::{
    keys,
    model::{Connection, Model},
    text::{put, wide},
    theme::Theme,
};

/// The height below which the table and the selected cart are not shown together.
const BOTH_MIN: u16 = 18;

/// Draws the whole screen as of `now`.
pub fn draw(buffer: &mut Buffer, model: &mut Model, theme: Theme, now: i64) {
    let area = *buffer.area();
    if area.is_empty() {
        return;
    }
    let mut lines = Lines::new(area);
    if let Some(line) = lines.first() {
        title(buffer, line, model, theme, now);
    }
    if area.height >= 6
        && let Some(line) = lines.first()
    {
        figures(buffer, line, model, theme);
    }
    if area.height >= 4
        && let Some(line) = lines.last()
    {
        help_line(buffer, line, model, theme);
    }
    let narrowed = model.typing || !model.search.is_empty() || !model.filter.is_empty();
    if narrowed && let Some(line) = lines.last() {
        search(buffer, line, model, theme);
    }
    let room = lines.rest();
    if model.help {
        help::draw(buffer, room, theme);
        return;
    }
    let (rows, details) = if !model.details || !model.has_selection() {
        (room, Rect::ZERO)
    } else if room.height < BOTH_MIN {
        (Rect::ZERO, room)
    } else {
        let height = (room.height * 2 / 5).min(16);
        let rows = Rect {
            height: room.height - height,
            ..room
        };
        let details = Rect {
            y: rows.bottom(),
            height,
            ..room
        };
        (rows, details)
    };
    table::draw(buffer, rows, model, theme, now);
    if let Some(row) = model.selected() {
        details::draw(buffer, details, row, theme, now);
    }
}

/// Takes lines from an area, from above and from below.
struct Lines(Rect);

impl Lines {
    fn new(area: Rect) -> Self {
        Self(area)
    }

    fn first(&mut self) -> Option<Rect> {
        let line = self.line(self.0.y)?;
        self.0.y += 1;
        self.0.height -= 1;
        Some(line)
    }

    fn last(&mut self) -> Option<Rect> {
        let line = self.line(self.0.bottom().saturating_sub(1))?;
        self.0.height -= 1;
        Some(line)
    }

    fn line(&self, y: u16) -> Option<Rect> {
        (self.0.height > 0).then_some(Rect {
            y,
            height: 1,
            ..self.0
        })
    }

    fn rest(self) -> Rect {
        self.0
    }
}

/// Writes parts one after the other. Parts without room are left out.
fn parts(buffer: &mut Buffer, line: Rect, parts: &[(String, Style)]) {
    let mut x = line.x;
    for (text, style) in parts {
        if x >= line.right() {
            return;
        }
        x += put(buffer, (x, line.y), line.right() - x, text, *style);
    }
}

fn title(buffer: &mut Buffer, line: Rect, model: &Model, theme: Theme, now: i64) {
    let status = match (model.missed(), &model.connection) {
        (_, Connection::Lost(why)) => (
            format!("● connection lost ({why}), trying again"),
            theme.bad(),
        ),
        (Some(missed), _) => (
            format!("❚❚ paused, {} since", counted(missed, "change")),
            theme.odd(),
        ),
        (None, Connection::Filling) => ("● being filled".to_owned(), theme.odd()),
        (None, Connection::Live) => ("● live".to_owned(), theme.fresh()),
    };
    let shown = model.shown().len();
    let rate = model.rate(now);
    let carts = format!("  {}  ", counted(shown as u64, "cart"));
    let mut left = vec![
        ("Clientela".to_owned(), theme.title()),
        (carts, theme.normal()),
        status,
    ];
    left.push((format!("  {}/s", counted(rate, "change")), theme.faint()));
    parts(buffer, line, &left);
    let taken: u16 = left.iter().map(|(text, _)| wide(text, line.width)).sum();
    let place = format!("times in {}  {}", output::zone(now), model.server);
    // If there is no room for both, the server is more important.
    for text in [&place, &model.server] {
        let room = wide(text, line.width);
        if taken + 2 + room <= line.width {
            let at = (line.right() - room, line.y);
            put(buffer, at, room, text, theme.faint());
            return;
        }
    }
}

fn figures(buffer: &mut Buffer, line: Rect, model: &Model, theme: Theme) {
    let Some(figures) = &model.figures else {
        return;
    };
    let (plain, faint) = (theme.normal(), theme.faint());
    let mut shown = Vec::new();
    let mut add = |count: i64, what: &str, style: Style| {
        if !shown.is_empty() {
            shown.push(("  ".to_owned(), plain));
        }
        shown.push((grouped(count.unsigned_abs()), style));
        shown.push((format!(" {what}"), faint));
    };
    add(figures.open_carts, "open", theme.title());
    add(figures.filling_carts, "being filled", theme.fresh());
    add(figures.idle_carts, "idle", plain);
    add(figures.abandoned_carts, "abandoned", theme.odd());
    for value in &figures.values {
        shown.extend(worth(value, theme));
    }
    let online = [
        (figures.customers_online, "customer", ""),
        (figures.visitors_online, "visitor", " online"),
    ];
    for (count, what, more) in online {
        let count = count.unsigned_abs();
        shown.push((format!("  {}", grouped(count)), plain));
        let plural = if count == 1 { "" } else { "s" };
        shown.push((format!(" {what}{plural}{more}"), faint));
    }
    parts(buffer, line, &shown);
}

fn worth(value: &pb::cart_figures::CurrencyValue, theme: Theme) -> Vec<(String, Style)> {
    let open = format!("  {}", output::money(value.open.as_ref()));
    let mut shown = vec![(open, theme.title())];
    let at_risk = value.at_risk.as_ref();
    if at_risk.is_some_and(|money| money.micros != 0) {
        let text = format!(" ({} at risk)", output::money(at_risk));
        shown.push((text, theme.odd()));
    }
    shown
}

fn search(buffer: &mut Buffer, line: Rect, model: &Model, theme: Theme) {
    let mut shown = Vec::new();
    if model.typing || !model.search.is_empty() {
        shown.push(("Search: ".to_owned(), theme.heading()));
        shown.push((model.search.clone(), theme.normal()));
        let cursor = if model.typing { " " } else { "" };
        shown.push((cursor.to_owned(), theme.selected()));
        shown.push((format!("  {} found  ", model.rows().len()), theme.faint()));
    }
    if !model.filter.is_empty() {
        shown.push(("Filter: ".to_owned(), theme.heading()));
        shown.push((model.filter.clone(), theme.faint()));
    }
    parts(buffer, line, &shown);
}

fn help_line(buffer: &mut Buffer, line: Rect, model: &Model, theme: Theme) {
    let text = match (model.typing, model.missed()) {
        _ if model.help => keys::CLOSE_HELP.to_owned(),
        (true, _) => keys::SEARCH_HELP.to_owned(),
        (false, Some(_)) => keys::HELP.replace("Space pause", "Space go on"),
        (false, None) => keys::HELP.to_owned(),
    };
    put(buffer, (line.x, line.y), line.width, &text, theme.faint());
}

/// A number with separated thousands, and its unit: `1 cart`, `2,000 carts`.
fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(count))
}

/// A count with separated thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
