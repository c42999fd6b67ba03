//! Describes the fields of a table for `docs/FILTERS.md`.

use std::fmt::Write as _;

use super::Table;
use super::leads::{Index, Lead};
use crate::filter::{Field, Kind};

const HEAD: &str = "| field | holds | order | index |\n| --- | --- | --- | --- |\n";

impl<M> Table<M> {
    /// Returns a Markdown table with a row for each field that a filter may name.
    pub fn describe(&self) -> String {
        let mut page = HEAD.to_owned();
        let fields = self.schema().fields.iter();
        for field in fields.filter(|field| field.sorts.is_none()) {
            let contains = if field.folded_column.is_some() {
                ", `:` contains"
            } else {
                ""
            };
            let _ = writeln!(
                page,
                "| `{}` | {}{contains} | {} | {} |",
                field.path,
                holds(field),
                if field.sortable { "yes" } else { "" },
                self.indexes(field.path),
            );
        }
        page
    }

    /// Lists the comparisons with a field that indexes serve.
    fn indexes(&self, path: &str) -> String {
        let leads = self.leads.iter().filter(|lead| lead.path == path);
        let mut served: Vec<String> = Vec::new();
        for comparison in leads.flat_map(|lead| self.served(lead)) {
            if !served.contains(&comparison) {
                served.push(comparison);
            }
        }
        served.join(", ")
    }

    fn served(&self, lead: &Lead) -> Vec<String> {
        let comparisons: &[&str] = match &lead.index {
            Index::Value(value) => return vec![format!("`= {}`", self.value(lead.path, *value))],
            Index::Unique | Index::Equal => &["`=`"],
            Index::Range => &["`=`", "`<`", "`>`"],
            Index::Pairs(_) if self.is_list(lead.path) => &["`:`"],
            Index::Pairs(_) => &["`=`"],
            Index::Entries(_) => &["`=` of a key"],
            Index::Words(_) if self.is_searchable(lead.path) => &["`:` and `=` by words"],
            Index::Words(_) => &["`=` by words"],
        };
        comparisons.iter().map(|text| (*text).to_owned()).collect()
    }

    fn field(&self, path: &str) -> Option<&'static Field> {
        self.schema().fields.iter().find(|field| field.path == path)
    }

    fn is_searchable(&self, path: &str) -> bool {
        self.field(path)
            .is_some_and(|field| field.folded_column.is_some())
    }

    fn is_list(&self, path: &str) -> bool {
        let kind = self.field(path).map(|field| field.kind);
        matches!(kind, Some(Kind::NameList(_) | Kind::TextList))
    }

    fn value(&self, path: &str, number: i64) -> &'static str {
        let Some(Kind::Enum(values)) = self.field(path).map(|field| field.kind) else {
            return "";
        };
        let value = values.iter().find(|(_, value)| *value == number);
        value.map_or("", |(name, _)| *name)
    }
}

/// Describes the values of a field.
fn holds(field: &Field) -> String {
    match field.kind {
        Kind::Text if field.of_languages => "language tag".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Name(collection) => format!("name in `{collection}`"),
        Kind::Bool => "boolean".to_owned(),
        Kind::Int => "whole number".to_owned(),
        Kind::Decimal2 => "percentage".to_owned(),
        Kind::Money { .. } => "money".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Date => "date".to_owned(),
        Kind::Enum(values) => {
            let names: Vec<String> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
            names.join(", ")
        }
        Kind::TextList => "list".to_owned(),
        Kind::NameList(collection) => format!("list of names in `{collection}`"),
        Kind::TextMap if field.of_languages => "map by language tag".to_owned(),
        Kind::TextMap => "map".to_owned(),
    }
}
