//! The outcomes of a merge for the content of the source. They are stored with the source.

use serde::{Deserialize, Serialize};

/// The outcomes of a merge for the content of the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// The outcomes of its lines, in their order.
    pub lines: Vec<LineOutcome>,
    /// The outcomes of its charges, then of its adjustments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<ExtraOutcome>,
}

/// The outcome of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOutcome {
    /// The line's id, which is the same in both carts.
    pub item: String,
    /// Its product.
    pub product: String,
    /// The action on the line.
    pub kind: OutcomeKind,
    /// The reason for the action.
    pub reason: LineReason,
    /// The quantity in the source.
    pub source: i64,
    /// The quantity in the target before.
    pub before: i64,
    /// The quantity in the target after.
    pub after: i64,
}

/// The action on a line. The numbers are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It is new in the target.
    Moved = 1,
    /// The quantities were added.
    Summed = 2,
    /// It replaced the target's line.
    Replaced = 3,
    /// The target's line stayed.
    Kept = 4,
    /// The quantities were added up to the limit.
    Capped = 5,
    /// It did not fit.
    Dropped = 6,
}

/// The reason for the action on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineReason {
    /// The target had no such line.
    NewLine,
    /// Both had it, and quantities are added.
    Sum,
    /// Both had it, and the larger quantity wins.
    Max,
    /// Both had it, and the source's wins.
    GuestWins,
    /// Both had it, and the target's wins.
    CustomerWins,
    /// The limit of pieces of a line.
    QuantityLimit,
    /// The limit of lines of a cart.
    LineLimit,
}

/// The outcome of a charge or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraOutcome {
    /// Its kind.
    pub kind: String,
    /// Its label.
    pub label: String,
    /// Why the target did not get it; None if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ExtraReason>,
}

/// Why a charge or an adjustment was not transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraReason {
    /// The target has one of the same kind and label.
    Known,
    /// The target has reached its limit.
    Limit,
}
