//! The merge of two carts: pure, on the two documents.
//!
//! Invariant: every line, charge and adjustment of the source has exactly one outcome, and the target holds
//! the result of the outcomes. The source is not changed here. A line's id derives from its content, so the
//! same line has the same id in both carts.

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

/// The rule for a line that both carts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The quantities are added.
    Sum,
    /// The larger quantity wins.
    Max,
    /// The source's line wins.
    GuestWins,
    /// The target's line wins.
    CustomerWins,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The outcomes of everything in the source.
    pub outcomes: Outcomes,
    /// The causes for the target.
    pub causes: Vec<Cause>,
}

/// Merges the source into the target. The prices are not calculated.
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

/// Merges a line that both carts have.
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

/// Replaces the same line in the target, except for the time when it was first added.
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

/// Adds the extras that the target lacks, one of each kind and label, up to the limit.
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

/// Adds the missing keys, as long as they fit.
fn fill_attributes(source: &Map<String, Value>, target: &mut Map<String, Value>) {
    // The length of a structure is the sum of its entries.
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
