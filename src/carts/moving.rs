//! Moves lines, or parts of them, from one cart into another: pure, on the two documents.
//!
//! Invariant: no piece is lost or created. If one line does not fit, the whole move is refused. A
//! [merge](super::merging) is different, because its source is closed.

use tonic::Code;

use super::edit::Cause;
use super::model::{Cart, LineOutcome, LineReason, OutcomeKind};
use crate::error::{Error, Result};
use crate::limits::{CART_ITEMS_MAX, QUANTITY_MAX};
use crate::proto::pb::{ErrorReason, cart_cause::Kind};

/// A line to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The line's id.
    pub item: String,
    /// The number of pieces; None for all.
    pub quantity: Option<i64>,
}

/// The result of moves.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    /// The outcome of each line, in the order of the moves.
    pub lines: Vec<LineOutcome>,
    /// The causes for the source.
    pub source_causes: Vec<Cause>,
    /// The causes for the target.
    pub target_causes: Vec<Cause>,
}

/// Moves lines. The prices are not calculated. On an error both carts must be dropped.
///
/// # Errors
/// If there is no such line, or not enough of it, or if the target cannot take it.
pub fn move_lines(source: &mut Cart, target: &mut Cart, moves: &[Move]) -> Result<Moved> {
    let mut moved = Moved {
        lines: Vec::with_capacity(moves.len()),
        source_causes: Vec::new(),
        target_causes: Vec::new(),
    };
    for (at, one) in moves.iter().enumerate() {
        let outcome = move_line(source, target, one, at, &mut moved)?;
        moved.lines.push(outcome);
    }
    Ok(moved)
}

fn move_line(
    source: &mut Cart,
    target: &mut Cart,
    one: &Move,
    at: usize,
    moved: &mut Moved,
) -> Result<LineOutcome> {
    let too_many =
        |text: String| Error::invalid_field(format!("items[{at}].quantity"), "OUT_OF_RANGE", text);
    let place = source
        .lines
        .iter()
        .position(|line| line.id == one.item)
        .ok_or_else(|| Error::not_found("item").with("field", format!("items[{at}].item")))?;
    let there = source.lines[place].quantity;
    let quantity = one.quantity.unwrap_or(there);
    if quantity > there {
        return Err(too_many(format!("there are only {there} of it")));
    }
    let whole = quantity == there;
    let mut line = source.lines[place].clone();
    let left = Cause::of_line(Kind::ItemMoved, &line, there, there - quantity);
    if whole {
        source.lines.remove(place);
    } else {
        source.lines[place].quantity = there - quantity;
        // A price by hand was set for the whole line, so a part that is moved loses it.
        line.price_override = None;
    }
    line.quantity = quantity;
    let (id, product) = (line.id.clone(), line.product.clone());
    let joined = target.lines.iter().position(|other| other.id == line.id);
    let before = joined.map_or(0, |place| target.lines[place].quantity);
    let after = before + quantity;
    let arrived = Cause::of_line(Kind::ItemMoved, &line, before, after);
    let (kind, reason) = match joined {
        Some(place) => {
            let other = &mut target.lines[place];
            if after > QUANTITY_MAX {
                return Err(too_many(format!(
                    "the target has {before} already and takes at most {QUANTITY_MAX}"
                )));
            }
            other.quantity = after;
            other.price = line.price;
            if line.price_override.is_some() {
                other.price_override = line.price_override;
            }
            (OutcomeKind::Summed, LineReason::Sum)
        }
        None if target.lines.len() >= CART_ITEMS_MAX => {
            let text = format!("a cart takes at most {CART_ITEMS_MAX} lines");
            return Err(
                Error::new(Code::FailedPrecondition, ErrorReason::CartTooLarge, text)
                    .with("limit", CART_ITEMS_MAX.to_string())
                    .with("field", format!("items[{at}]")),
            );
        }
        None => {
            target.lines.push(line);
            (OutcomeKind::Moved, LineReason::NewLine)
        }
    };
    moved.source_causes.push(left.with_cart(&target.id));
    moved.target_causes.push(arrived.with_cart(&source.id));
    Ok(LineOutcome {
        item: id,
        product,
        kind,
        reason,
        source: quantity,
        before,
        after,
    })
}

#[cfg(test)]
mod tests {
    use super::super::model::{Line, Price, PriceOverride};
    use super::*;

    fn line(product: &str, quantity: i64, list: i64) -> Line {
        Line {
            id: product.to_owned(),
            product: product.to_owned(),
            quantity,
            price: Price {
                list,
                ..Price::default()
            },
            ..Line::default()
        }
    }

    fn by_hand(amount: i64, line: Line) -> Line {
        Line {
            price_override: Some(PriceOverride {
                amount,
                ..PriceOverride::default()
            }),
            ..line
        }
    }

    fn cart(id: &str, lines: Vec<Line>) -> Cart {
        Cart {
            id: id.to_owned(),
            lines,
            ..Cart::default()
        }
    }

    fn some(item: &str, quantity: impl Into<Option<i64>>) -> Move {
        Move {
            item: item.to_owned(),
            quantity: quantity.into(),
        }
    }

    fn amount(line: &Line) -> Option<i64> {
        line.price_override.as_ref().map(|by_hand| by_hand.amount)
    }

    #[test]
    fn a_part_goes_without_the_price_given_by_hand_and_the_whole_with_it() {
        let mut source = cart("a", vec![by_hand(3, line("hat", 5, 7))]);
        let mut target = cart("b", Vec::new());

        move_lines(&mut source, &mut target, &[some("hat", 2)]).unwrap();
        assert_eq!(
            (source.lines[0].quantity, amount(&source.lines[0])),
            (3, Some(3))
        );
        assert_eq!(
            (target.lines[0].quantity, amount(&target.lines[0])),
            (2, None)
        );

        let moved = move_lines(&mut source, &mut target, &[some("hat", None)]).unwrap();
        assert!(source.lines.is_empty());
        assert_eq!(
            (target.lines[0].quantity, amount(&target.lines[0])),
            (5, Some(3))
        );
        let outcome = &moved.lines[0];
        assert_eq!(outcome.kind, OutcomeKind::Summed);
        assert_eq!((outcome.source, outcome.before, outcome.after), (3, 2, 5));
        let [from, to] = [&moved.source_causes[0], &moved.target_causes[0]];
        assert_eq!((from.before, from.after, from.cart.as_str()), (3, 0, "b"));
        assert_eq!((to.before, to.after, to.cart.as_str()), (2, 5, "a"));
    }

    #[test]
    fn the_price_of_what_is_moved_replaces_that_of_the_same_line() {
        let mut source = cart("a", vec![line("hat", 1, 7)]);
        let mut target = cart("b", vec![by_hand(4, line("hat", 1, 5))]);

        move_lines(&mut source, &mut target, &[some("hat", None)]).unwrap();

        assert_eq!(target.lines[0].price.list, 7);
        assert_eq!(amount(&target.lines[0]), Some(4));
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused_with_its_index() {
        let full = (0..CART_ITEMS_MAX).map(|n| line(&format!("p{n}"), 1, 5));
        let full = cart("b", full.collect());
        let lots = cart("b", vec![line("hat", QUANTITY_MAX, 5)]);
        let cases = [
            (
                cart("b", Vec::new()),
                some("shoe", None),
                ErrorReason::NotFound,
            ),
            (
                cart("b", Vec::new()),
                some("hat", 6),
                ErrorReason::InvalidField,
            ),
            (full, some("hat", 1), ErrorReason::CartTooLarge),
            (lots, some("hat", 1), ErrorReason::InvalidField),
        ];
        for (mut target, one, reason) in cases {
            let mut source = cart("a", vec![line("shirt", 1, 5), line("hat", 5, 7)]);
            let refusal = move_lines(&mut source, &mut target, &[one]).unwrap_err();
            assert_eq!(refusal.reason(), reason);
        }
    }
}
