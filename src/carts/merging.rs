//! What becomes of two carts that are merged: pure arithmetic over the two documents.
//!
//! Invariant: every line, charge and adjustment of the source has exactly one outcome, and the target
//! holds what the outcomes say. The source is not changed here. A line's id follows from what it is, so
//! the same line has the same id in both carts.

use std::collections::{HashMap, HashSet};

use prost::Message as _;
use serde_json::{Map, Value};

use super::edit::Cause;
use super::model::{
    Cart, Extra, ExtraOutcome, ExtraReason, Line, LineOutcome, LineReason, OutcomeKind, Outcomes,
};
use crate::attributes;
use crate::limits::{ATTRIBUTES_BYTES_MAX, CART_ITEMS_MAX, CHARGES_MAX, QUANTITY_MAX};
use crate::proto::pb::cart_cause::Kind;

/// What becomes of a line that both carts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The quantities are added.
    Sum,
    /// The larger quantity counts.
    Max,
    /// The source's line counts.
    GuestWins,
    /// The target's line counts.
    CustomerWins,
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What became of everything that the source had.
    pub outcomes: Outcomes,
    /// What happened to the lines of the target.
    pub causes: Vec<Cause>,
}

/// Puts what the source has into the target. The prices are not worked out.
pub fn merge(source: &Cart, target: &mut Cart, policy: Policy) -> Merged {
    let mut causes = Vec::new();
    let lines = merge_lines(source, target, policy, &mut causes);
    let mut extras = merge_extras(&source.charges, &mut target.charges);
    extras.extend(merge_extras(&source.adjustments, &mut target.adjustments));
    fill_gaps(source, target);
    Merged {
        outcomes: Outcomes { lines, extras },
        causes,
    }
}

fn merge_lines(
    source: &Cart,
    target: &mut Cart,
    policy: Policy,
    causes: &mut Vec<Cause>,
) -> Vec<LineOutcome> {
    let places: HashMap<String, usize> = target
        .lines
        .iter()
        .enumerate()
        .map(|(place, line)| (line.id.clone(), place))
        .collect();
    let mut outcomes = Vec::with_capacity(source.lines.len());
    for line in &source.lines {
        let place = places.get(&line.id);
        let before = place.map_or(0, |place| target.lines[*place].quantity);
        let (kind, reason) = match place {
            Some(place) => join(line, &mut target.lines[*place], policy, causes),
            None if target.lines.len() >= CART_ITEMS_MAX => {
                (OutcomeKind::Dropped, LineReason::LineLimit)
            }
            None => {
                causes.push(Cause::of_line(Kind::ItemAdded, line, 0, line.quantity));
                target.lines.push(line.clone());
                (OutcomeKind::Moved, LineReason::NewLine)
            }
        };
        let after = match (kind, place) {
            (OutcomeKind::Dropped, _) => 0,
            (_, Some(place)) => target.lines[*place].quantity,
            (_, None) => line.quantity,
        };
        outcomes.push(LineOutcome {
            item: line.id.clone(),
            product: line.product.clone(),
            kind,
            reason,
            source: line.quantity,
            before,
            after,
        });
    }
    outcomes
}

/// Decides about a line that both have.
fn join(
    line: &Line,
    there: &mut Line,
    policy: Policy,
    causes: &mut Vec<Cause>,
) -> (OutcomeKind, LineReason) {
    match policy {
        Policy::Sum => {
            let before = there.quantity;
            let wanted = before + line.quantity;
            there.quantity = wanted.min(QUANTITY_MAX);
            if there.quantity != before {
                causes.push(Cause::of_line(
                    Kind::ItemAdded,
                    there,
                    before,
                    there.quantity,
                ));
            }
            if wanted > QUANTITY_MAX {
                (OutcomeKind::Capped, LineReason::QuantityLimit)
            } else {
                (OutcomeKind::Summed, LineReason::Sum)
            }
        }
        Policy::Max if line.quantity <= there.quantity => (OutcomeKind::Kept, LineReason::Max),
        Policy::Max => {
            replace(line, there, causes);
            (OutcomeKind::Replaced, LineReason::Max)
        }
        Policy::GuestWins => {
            replace(line, there, causes);
            (OutcomeKind::Replaced, LineReason::GuestWins)
        }
        Policy::CustomerWins => (OutcomeKind::Kept, LineReason::CustomerWins),
    }
}

/// Puts a line in the place of the one that is the same; when it was first added stays.
fn replace(line: &Line, there: &mut Line, causes: &mut Vec<Cause>) {
    let before = there.quantity;
    let repriced = there.price != line.price || there.price_override != line.price_override;
    *there = Line {
        add_time: there.add_time.min(line.add_time),
        amounts: there.amounts,
        ..line.clone()
    };
    let after = there.quantity;
    if before != after {
        causes.push(Cause::of_line(
            Kind::ItemQuantityChanged,
            there,
            before,
            after,
        ));
    }
    if repriced {
        causes.push(Cause::of_line(Kind::ItemPriceChanged, there, after, after));
    }
}

/// Carries what the target has not: one of each kind and label, and as many as it may have.
fn merge_extras(source: &[Extra], target: &mut Vec<Extra>) -> Vec<ExtraOutcome> {
    let mut known: HashSet<(String, String)> = target
        .iter()
        .map(|extra| (extra.kind.clone(), extra.label.clone()))
        .collect();
    let outcomes = source.iter().map(|extra| {
        let key = (extra.kind.clone(), extra.label.clone());
        let reason = if known.contains(&key) {
            Some(ExtraReason::Known)
        } else if target.len() >= CHARGES_MAX {
            Some(ExtraReason::Limit)
        } else {
            known.insert(key);
            target.push(extra.clone());
            None
        };
        ExtraOutcome {
            kind: extra.kind.clone(),
            label: extra.label.clone(),
            reason,
        }
    });
    outcomes.collect()
}

fn fill_gaps(source: &Cart, target: &mut Cart) {
    for (from, to) in [
        (&source.language_code, &mut target.language_code),
        (&source.note, &mut target.note),
        (&source.shipping_method, &mut target.shipping_method),
    ] {
        if to.is_empty() {
            to.clone_from(from);
        }
    }
    for (from, to) in [
        (&source.delivery_address, &mut target.delivery_address),
        (&source.billing_address, &mut target.billing_address),
    ] {
        if to.is_none() {
            to.clone_from(from);
        }
    }
    fill_attributes(&source.attributes, &mut target.attributes);
}

/// Takes the keys over that are not there, as long as they fit.
fn fill_attributes(source: &Map<String, Value>, target: &mut Map<String, Value>) {
    // A structure is as long as its entries together.
    let mut bytes = attributes::to_struct(target).encoded_len();
    for (key, value) in source {
        if target.contains_key(key) {
            continue;
        }
        let entry = Map::from_iter([(key.clone(), value.clone())]);
        let more = attributes::to_struct(&entry).encoded_len();
        if bytes + more <= ATTRIBUTES_BYTES_MAX {
            bytes += more;
            target.extend(entry);
        }
    }
}

#[cfg(test)]
mod tests;
