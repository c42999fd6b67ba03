//! The selected cart: its fields and lines at the left, its events at the right.

use ratatui_core::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    cli::{
        cart, output,
        watch::screen::{
            carts::Row,
            text::{put, put_right},
            theme::Theme,
        },
    },
    feed::timestamp,
    proto::pb,
};

/// The width below which one half is below the other.
const BESIDE_MIN: u16 = 70;

/// Draws the cart.
pub fn draw(buffer: &mut Buffer, area: Rect, row: &Row, theme: Theme, now: i64) {
    if area.is_empty() {
        return;
    }
    let rule = "─".repeat(usize::from(area.width));
    put(buffer, (area.x, area.y), area.width, &rule, theme.faint());
    let name = format!(" {}  {} ", row.cart.name, row.who);
    let room = area.width.saturating_sub(4);
    put(buffer, (area.x + 2, area.y), room, &name, theme.heading());
    let below = Rect {
        y: area.y + 1,
        height: area.height - 1,
        ..area
    };
    let (left, right) = halves(below, row);
    cart_lines(buffer, left, row, theme, now);
    history(buffer, right, row, theme);
}

fn halves(area: Rect, row: &Row) -> (Rect, Rect) {
    if area.width >= BESIDE_MIN {
        let width = area.width / 2 - 1;
        let left = Rect { width, ..area };
        let right = Rect {
            x: area.x + width + 2,
            width: area.width - width - 2,
            ..area
        };
        return (left, right);
    }
    let wanted = u16::try_from(row.history.len()).unwrap_or(u16::MAX);
    let below = wanted.min(area.height / 2);
    let left = Rect {
        height: area.height - below,
        ..area
    };
    let right = Rect {
        y: left.bottom(),
        height: below,
        ..area
    };
    (left, right)
}

/// Draws the fields of the cart, then its lines. If not all fit, it adds how many are left out.
fn cart_lines(buffer: &mut Buffer, area: Rect, row: &Row, theme: Theme, now: i64) {
    let mut y = area.y;
    for (name, value) in facts(&row.cart, now) {
        if y >= area.bottom() {
            return;
        }
        let taken = put(buffer, (area.x, y), area.width, name, theme.faint()) + 1;
        let room = area.width.saturating_sub(taken);
        put(buffer, (area.x + taken, y), room, &value, theme.normal());
        y += 1;
    }
    let items = &row.cart.items;
    let room = usize::from(area.bottom() - y);
    let shown = match items.len() <= room {
        true => items.len(),
        false => room.saturating_sub(1),
    };
    for item in &items[..shown] {
        line(buffer, (area.x, y), area.width, item, theme.normal());
        y += 1;
    }
    if shown < items.len() && room > 0 {
        let text = format!("and {} more", output::count(items.len() - shown, "line"));
        put(buffer, (area.x, y), area.width, &text, theme.faint());
    }
}

fn line(buffer: &mut Buffer, (x, y): (u16, u16), width: u16, item: &pb::Item, style: Style) {
    let total = output::money(item.total.as_ref());
    let for_total = 14.min(width);
    let name = match item.display_name.is_empty() {
        true => &item.product,
        false => &item.display_name,
    };
    let text = format!("{:>4} × {name}", item.quantity);
    let for_name = width.saturating_sub(for_total + 1);
    put(buffer, (x, y), for_name, &text, style);
    let at = (x + width - for_total, y);
    put_right(buffer, at, for_total, &total, style);
}

fn facts(cart: &pb::Cart, now: i64) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |name, value: String| {
        if !value.is_empty() {
            facts.push((name, value));
        }
    };
    let pieces = format!(
        "{}, {}, {} old",
        output::count(cart.item_count, "piece"),
        output::money(cart.total.as_ref()),
        cart::age(cart, now)
    );
    add("cart", pieces);
    add("customer", cart.customer.clone());
    add("called", cart.display_name.clone());
    add("storefront", cart.storefront.clone());
    add("order", cart.order_reference.clone());
    add("merged into", cart.merged_into.clone());
    add("note", cart.note.clone());
    if let Some(lock) = &cart.lock {
        let until = output::time(lock.expire_time.as_ref());
        add("held by", format!("{} until {until}", cart::holder(lock)));
    }
    facts
}

fn history(buffer: &mut Buffer, area: Rect, row: &Row, theme: Theme) {
    let lines = area.y..area.bottom();
    for (y, event) in lines.zip(&row.history) {
        let time = output::bare_time_of_day(&timestamp(event.time));
        let taken = put(buffer, (area.x, y), area.width, &time, theme.faint()) + 2;
        let room = area.width.saturating_sub(taken);
        put(
            buffer,
            (area.x + taken, y),
            room,
            &event.what,
            theme.normal(),
        );
    }
}
