//! The sets of rows that a list reads.

use crate::store::{Bind, Statement};

/// The rows in which some columns have given values: by default, the rows of a shop.
#[derive(Clone, Debug)]
pub struct Partition(Vec<(&'static str, Bind)>);

impl Partition {
    /// All rows of a table.
    #[must_use]
    pub fn all() -> Self {
        Self(Vec::new())
    }

    /// The rows of a shop.
    #[must_use]
    pub fn shop(shop: &str) -> Self {
        Self::all().of("shop_id", shop)
    }

    /// Keeps only rows in which a column has this value. [`Bind::NoText`] stands for NULL.
    #[must_use]
    pub fn of(mut self, column: &'static str, value: impl Into<Bind>) -> Self {
        self.0.push((column, value.into()));
        self
    }

    /// The columns with their values.
    pub(super) fn into_columns(self) -> Vec<(&'static str, Bind)> {
        self.0
    }

    /// Adds the condition that a row of the table with this alias is in the partition.
    pub(super) fn push(&self, alias: &'static str, statement: &mut Statement) {
        if self.0.is_empty() {
            statement.push("TRUE");
        }
        for (place, (column, value)) in self.0.iter().enumerate() {
            statement.push(if place == 0 { "" } else { " AND " });
            statement.push(alias).push(".").push(column);
            match value {
                Bind::NoText => statement.push(" IS NULL"),
                value => statement.push(" = ").bind(value.clone()),
            };
        }
    }

    /// Adds the condition that a row is in one of the partitions.
    pub(super) fn push_any(partitions: &[Self], alias: &'static str, statement: &mut Statement) {
        for (place, partition) in partitions.iter().enumerate() {
            partition.push(alias, statement.push(if place == 0 { "(" } else { " OR " }));
        }
        statement.push(")");
    }
}
