//! What became of what a cart had when it was merged; kept with the cart that went.

use serde::{Deserialize, Serialize};

/// What became of what a cart had when it was merged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    /// Of its lines, in their order.
    pub lines: Vec<LineOutcome>,
    /// Of its charges, then of its adjustments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<ExtraOutcome>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOutcome {
    /// The line's id, which is the same in both carts.
    pub item: String,
    /// Its product.
    pub product: String,
    /// What was done.
    pub kind: OutcomeKind,
    /// What decided.
    pub reason: LineReason,
    /// How many were to go.
    pub source: i64,
    /// How many there were.
    pub before: i64,
    /// How many there are.
    pub after: i64,
}

/// What was done with a line; the numbers are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It is new in the target.
    Moved = 1,
    /// The quantities were added.
    Summed = 2,
    /// It took the place of the target's.
    Replaced = 3,
    /// The target's stayed.
    Kept = 4,
    /// The quantities were added as far as they may be.
    Capped = 5,
    /// It did not fit.
    Dropped = 6,
}

/// What decided about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineReason {
    /// The target had no such line.
    NewLine,
    /// Both had it, and quantities are added.
    Sum,
    /// Both had it, and the larger quantity counts.
    Max,
    /// Both had it, and the source's counts.
    GuestWins,
    /// Both had it, and the target's counts.
    CustomerWins,
    /// A line takes only so many pieces.
    QuantityLimit,
    /// A cart takes only so many lines.
    LineLimit,
}

/// What became of a charge or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraOutcome {
    /// Its kind.
    pub kind: String,
    /// Its label.
    pub label: String,
    /// Why the target did not get it; none if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ExtraReason>,
}

/// Why a charge or an adjustment was not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraReason {
    /// The target has one of the same kind and label.
    Known,
    /// The target has as many as it may.
    Limit,
}
