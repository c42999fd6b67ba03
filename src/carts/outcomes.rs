//! Conversion of policies from the contract, and of the outcomes of merges and moves to the contract.

use super::convert::item_name;
use super::merging::Policy;
use super::model::{self, ExtraOutcome, ExtraReason, LineOutcome, LineReason, OutcomeKind};
use crate::limits::{CART_ITEMS_MAX, CHARGES_MAX, QUANTITY_MAX};
use crate::proto::pb;
use crate::proto::pb::assign_cart_request::IfOpenCartExists;

/// The policy that a request names; None if it names none.
pub fn policy(sent: pb::MergePolicy) -> Option<Policy> {
    match sent {
        pb::MergePolicy::Unspecified => None,
        pb::MergePolicy::Sum => Some(Policy::Sum),
        pb::MergePolicy::Max => Some(Policy::Max),
        pb::MergePolicy::GuestWins => Some(Policy::GuestWins),
        pb::MergePolicy::CustomerWins => Some(Policy::CustomerWins),
    }
}

/// The merge policy of an action at sign-in; None if the action is not a merge.
pub fn policy_of(otherwise: IfOpenCartExists) -> Option<Policy> {
    match otherwise {
        IfOpenCartExists::Unspecified
        | IfOpenCartExists::Fail
        | IfOpenCartExists::KeepBoth
        | IfOpenCartExists::Replace => None,
        IfOpenCartExists::Sum => Some(Policy::Sum),
        IfOpenCartExists::Max => Some(Policy::Max),
        IfOpenCartExists::GuestWins => Some(Policy::GuestWins),
        IfOpenCartExists::CustomerWins => Some(Policy::CustomerWins),
    }
}

/// The outcomes of lines that went from one cart into another.
pub fn lines(source: &str, target: &str, lines: &[LineOutcome]) -> Vec<pb::LineOutcome> {
    let (source, target) = (model::name(source), model::name(target));
    let count = |quantity| i32::try_from(quantity).unwrap_or(i32::MAX);
    lines
        .iter()
        .map(|line| pb::LineOutcome {
            source_item: item_name(&source, &line.item),
            target_item: match line.kind {
                OutcomeKind::Dropped => String::new(),
                _ => item_name(&target, &line.item),
            },
            product: line.product.clone(),
            kind: line.kind as i32,
            reason: text(line.reason),
            source_quantity: count(line.source),
            target_quantity_before: count(line.before),
            target_quantity_after: count(line.after),
        })
        .collect()
}

fn text(reason: LineReason) -> String {
    let text = match reason {
        LineReason::NewLine => "the target had no such line",
        LineReason::Sum => "both had the line: the quantities were added",
        LineReason::Max => "both had the line: the larger quantity counts",
        LineReason::GuestWins => "both had the line: the source's counts",
        LineReason::CustomerWins => "both had the line: the target's counts",
        LineReason::QuantityLimit => return format!("a line takes at most {QUANTITY_MAX} pieces"),
        LineReason::LineLimit => return format!("a cart takes at most {CART_ITEMS_MAX} lines"),
    };
    text.to_owned()
}

/// The outcomes of charges and adjustments.
pub fn extras(extras: &[ExtraOutcome]) -> Vec<pb::ExtraOutcome> {
    extras
        .iter()
        .map(|extra| pb::ExtraOutcome {
            kind: extra.kind.clone(),
            label: extra.label.clone(),
            carried: extra.reason.is_none(),
            reason: match extra.reason {
                None => String::new(),
                Some(ExtraReason::Known) => {
                    "the target has one of the same kind and label".to_owned()
                }
                Some(ExtraReason::Limit) => format!("a cart takes at most {CHARGES_MAX} of them"),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_contract_s_numbers() {
        use pb::line_outcome::Kind;
        for (kind, number) in [
            (OutcomeKind::Moved, Kind::Moved),
            (OutcomeKind::Summed, Kind::Summed),
            (OutcomeKind::Replaced, Kind::Replaced),
            (OutcomeKind::Kept, Kind::Kept),
            (OutcomeKind::Capped, Kind::Capped),
            (OutcomeKind::Dropped, Kind::Dropped),
        ] {
            assert_eq!(kind as i32, number as i32);
        }
    }

    #[test]
    fn a_line_that_was_dropped_is_in_no_target() {
        let outcome = |kind| LineOutcome {
            item: "x".to_owned(),
            product: "hat".to_owned(),
            kind,
            reason: LineReason::LineLimit,
            source: 1,
            before: 0,
            after: 0,
        };

        let messages = lines(
            "a",
            "b",
            &[outcome(OutcomeKind::Dropped), outcome(OutcomeKind::Moved)],
        );

        assert_eq!(messages[0].source_item, "carts/a/items/x");
        assert_eq!(
            (
                messages[0].target_item.as_str(),
                messages[1].target_item.as_str()
            ),
            ("", "carts/b/items/x")
        );
        assert_eq!(messages[0].reason, "a cart takes at most 500 lines");
    }
}
