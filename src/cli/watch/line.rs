//! A change as a line for people: time, owner, event, amount and age.

use crate::{
    clock::Clock,
    proto::pb::{self, ChangeKind, cart_cause::Kind},
};

use super::super::{
    cart, customer,
    output::{self, cut, pad, plain},
};

/// A change of a cart: a line for each cause, with the new total and the age of the cart on the first.
pub fn cart(change: &pb::CartChange, who: &str, in_snapshot: bool) -> String {
    let now = Clock::system().now();
    let (total, age) = match &change.cart {
        Some(cart) => (output::money(cart.total.as_ref()), cart::age(cart, now)),
        None => (String::new(), String::new()),
    };
    let whats = event_texts(change, in_snapshot);
    let time = when(change.commit_time.as_ref(), now);
    let mut text = String::new();
    for (n, what) in whats.iter().enumerate() {
        let (shown, who, total, age) = match n {
            0 => (time.as_str(), who, total.as_str(), age.as_str()),
            _ => ("", "", "", ""),
        };
        let line = format!(
            "{}  {}  {}  {total:>14}  {age:>7}",
            pad(shown, time.len()),
            pad(&cut(&plain(who), 22), 22),
            pad(&cut(&plain(what), 44), 44)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The events of a change, with a text for each cause and at least one.
pub fn event_texts(change: &pb::CartChange, in_snapshot: bool) -> Vec<String> {
    let mut whats = match &change.cart {
        Some(cart) if in_snapshot => vec![standing(cart)],
        cart => change
            .causes
            .iter()
            .map(|cause| self::cause(cause, cart.as_ref()))
            .collect::<Vec<_>>(),
    };
    if whats.is_empty() {
        whats.push(fallback(change.kind()).to_owned());
    }
    if change.conflated > 0 {
        let before = output::count(change.conflated, "change");
        whats.push(format!("and {before} before"));
    }
    whats
}

/// The text for a cart that existed when the watch began.
fn standing(cart: &pb::Cart) -> String {
    let state = output::word(cart.state().as_str_name(), "STATE_");
    format!("{state}, {}", output::count(cart.item_count, "piece"))
}

fn cause(cause: &pb::CartCause, cart: Option<&pb::Cart>) -> String {
    let item = || cut(product_name(cause, cart), 24);
    let quantity = || format!("{} → {}", cause.quantity_before, cause.quantity_after);
    let what = match cause.kind() {
        Kind::Created => "new cart".to_owned(),
        Kind::ItemAdded => format!("+ {}  {}", item(), quantity()),
        Kind::ItemQuantityChanged => format!("= {}  {}", item(), quantity()),
        Kind::ItemRemoved => format!("- {}  {}", item(), quantity()),
        Kind::ItemPriceChanged => format!("  {}  has a new price", item()),
        Kind::Cleared => "emptied".to_owned(),
        Kind::Updated => "details changed".to_owned(),
        Kind::Assigned => "signed in".to_owned(),
        Kind::Reassigned => "given to another customer".to_owned(),
        Kind::Ordered => match cart.map(|cart| cart.order_reference.as_str()) {
            Some(reference) if !reference.is_empty() => format!("ordered: {reference}"),
            _ => "ordered".to_owned(),
        },
        Kind::Reopened => "reopened".to_owned(),
        Kind::Deleted => "deleted".to_owned(),
        Kind::Repriced => "new prices of the group".to_owned(),
        Kind::CustomerChanged => "customer changed".to_owned(),
        Kind::Expired => "expired".to_owned(),
        Kind::Frozen => "frozen".to_owned(),
        Kind::Unfrozen => "unfrozen".to_owned(),
        Kind::Locked => "locked by staff".to_owned(),
        Kind::Unlocked => "unlocked by staff".to_owned(),
        Kind::LockExpired => "unlocked: the lease expired".to_owned(),
        Kind::Merged => format!("merged into {}", output::id(&cause.cart)),
        Kind::MergedFrom => format!("merged from {}", output::id(&cause.cart)),
        Kind::ItemMoved => format!("~ {}  {}", item(), quantity()),
        Kind::Abandoned => "abandoned".to_owned(),
        Kind::Recovered => "recovered".to_owned(),
        Kind::Unspecified => "changed".to_owned(),
    };
    match cause.actor.is_empty() {
        true => what,
        false => format!("{what}  [{}]", cause.actor),
    }
}

/// The name of a line's product for people, also if the line was removed.
fn product_name<'a>(cause: &'a pb::CartCause, cart: Option<&'a pb::Cart>) -> &'a str {
    let item = cart.and_then(|cart| cart.items.iter().find(|item| item.name == cause.item));
    let shown = item.map_or(&cause.display_name, |item| &item.display_name);
    match shown.as_str() {
        "" => &cause.product,
        name => name,
    }
}

/// A change of a customer.
pub fn customer(change: &pb::CustomerChange, label: &str, in_snapshot: bool) -> String {
    let details = change.customer.as_ref().map(|customer| {
        format!(
            "{}  {}",
            output::id(&customer.default_group),
            customer.email
        )
    });
    line(
        change.commit_time.as_ref(),
        label,
        change.kind(),
        details,
        in_snapshot,
    )
}

/// A change of a group.
pub fn group(change: &pb::GroupChange, label: &str, in_snapshot: bool) -> String {
    let details = change.group.as_ref().map(|group| {
        let state = output::word(group.state().as_str_name(), "STATE_");
        match group.discount_percent.as_str() {
            "" | "0" => state,
            percent => format!("{state}  {percent} %"),
        }
    });
    line(
        change.commit_time.as_ref(),
        label,
        change.kind(),
        details,
        in_snapshot,
    )
}

fn line(
    time: Option<&prost_types::Timestamp>,
    label: &str,
    kind: ChangeKind,
    details: Option<String>,
    in_snapshot: bool,
) -> String {
    let time = when(time, Clock::system().now());
    let what = if in_snapshot {
        "is there"
    } else {
        fallback(kind)
    };
    let label = pad(&cut(&plain(label), 36), 36);
    let details = plain(&details.unwrap_or_default());
    let line = format!("{time}  {label}  {what:<9}  {details}");
    format!("{}\n", line.trim_end())
}

fn fallback(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Deleted => "deleted",
        ChangeKind::LeftFilter => "no match",
        ChangeKind::Upserted | ChangeKind::Unspecified => "changed",
    }
}

/// The name of a customer for people.
pub fn customer_label(customer: &pb::Customer) -> String {
    let name = customer::full_name(customer);
    if name.is_empty() {
        customer.name.clone()
    } else {
        name
    }
}

/// The name of a group for people.
pub fn group_label(group: &pb::Group) -> String {
    let name = group
        .display_names
        .get("en")
        .or_else(|| group.display_names.values().min());
    match name {
        Some(name) => format!("{name} ({})", output::id(&group.name)),
        None => group.name.clone(),
    }
}

/// The time of the commit; in a snapshot, the present time.
fn when(time: Option<&prost_types::Timestamp>, now: i64) -> String {
    let shown = prost_types::Timestamp {
        seconds: now.div_euclid(1_000_000),
        nanos: 0,
    };
    output::time_of_day(time.unwrap_or(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(causes: Vec<pb::CartCause>) -> pb::CartChange {
        let item = pb::Item {
            name: "carts/c/items/i".into(),
            display_name: "Linen shirt".into(),
            ..pb::Item::default()
        };
        let cart = pb::Cart {
            items: vec![item],
            total: Some(pb::Money {
                currency_code: "EUR".into(),
                micros: 89_700_000,
            }),
            ..pb::Cart::default()
        };
        pb::CartChange {
            kind: ChangeKind::Upserted.into(),
            cart: Some(cart),
            commit_time: Some(prost_types::Timestamp {
                seconds: 3_600,
                nanos: 0,
            }),
            causes,
            ..pb::CartChange::default()
        }
    }

    fn cause(kind: Kind, before: i32, after: i32) -> pb::CartCause {
        pb::CartCause {
            kind: kind.into(),
            item: "carts/c/items/i".into(),
            product: "shirt".into(),
            quantity_before: before,
            quantity_after: after,
            ..pb::CartCause::default()
        }
    }

    #[test]
    fn a_line_shows_the_customer_the_item_and_the_amount() {
        let text = cart(
            &change(vec![cause(Kind::ItemAdded, 1, 3)]),
            "Ada Brook",
            false,
        );

        assert!(
            text.contains("Ada Brook               + Linen shirt  1 → 3"),
            "{text}"
        );
        assert!(text.trim_end().ends_with("89.70 EUR"), "{text}");
    }

    #[test]
    fn further_causes_stand_below_the_first() {
        let removed = pb::CartCause {
            item: "carts/c/items/gone".into(),
            display_name: "Wool cap".into(),
            ..cause(Kind::ItemRemoved, 2, 0)
        };
        let causes = vec![cause(Kind::Created, 0, 0), removed];

        let text = cart(&change(causes), "Ada", false);

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].contains("new cart") && lines[0].contains("89.70 EUR"),
            "{text}"
        );
        assert_eq!(lines[1].trim(), "- Wool cap  2 → 0");
    }

    #[test]
    fn a_product_name_cannot_command_the_terminal() {
        let mut change = change(vec![cause(Kind::ItemAdded, 0, 1)]);
        change.cart.as_mut().unwrap().items[0].display_name = "\u{1b}[2Jx".into();

        assert!(!cart(&change, "\u{7}Ada", false).contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn the_end_of_a_cart_is_shown_without_its_body() {
        let change = pb::CartChange {
            kind: ChangeKind::Deleted.into(),
            name: "carts/c".into(),
            ..pb::CartChange::default()
        };

        assert!(cart(&change, "Ada", false).ends_with("Ada                     deleted\n"));
    }
}
