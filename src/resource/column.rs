//! A field of a resource, and the columns that hold it.

use prost_types::Timestamp;

use super::leads::Index;
use crate::feed::micros;
use crate::filter::{Field, Kind, fold, pack_list};
use crate::proto::pb;
use crate::store::Bind;

/// One field of a resource.
pub struct Column<M> {
    pub(super) field: Field,
    pub(super) get: Get<M>,
    pub(super) leads: Vec<(Index, &'static str)>,
    pub(super) made_of: Option<&'static str>,
    pub(super) without: &'static [&'static str],
}

/// Reads the value of a field from a message. It must equal the value in the column of the row.
pub(super) enum Get<M> {
    Text(fn(&M) -> &str),
    Number(fn(&M) -> Option<i64>),
    Flag(fn(&M) -> bool),
    Time(fn(&M) -> Option<&Timestamp>),
    Money(fn(&M) -> Option<&pb::Money>),
    Names(fn(&M) -> &[String]),
    /// With its index among the packed fields of the table.
    Packed(fn(&M) -> String, usize),
    /// Only in the database.
    Nothing,
}

impl<M> Column<M> {
    fn new(path: &'static str, kind: Kind, get: Get<M>) -> Self {
        let field = Field::new(path, kind, qualified(path));
        Self {
            field,
            get,
            leads: Vec::new(),
            made_of: None,
            without: &[],
        }
    }

    /// The name of the resource itself.
    pub fn name(collection: &'static str, get: fn(&M) -> &str) -> Self {
        let name = Self::new("name", Kind::Name(collection), Get::Text(get));
        name.column("id").sortable().index(Index::Unique)
    }

    /// A text; empty is absent.
    pub fn text(path: &'static str, get: fn(&M) -> &str) -> Self {
        Self::new(path, Kind::Text, Get::Text(get))
    }

    /// The sort key of the field at `path`, in a column that only the database has. An order by the field uses it. It
    /// is the collation key of a text in the language of the shop, or the position of a resource in a list.
    pub fn sort_key(own: &'static str, path: &'static str, column: &'static str) -> Self {
        let field = Field::sort_key(own, path, qualified(column));
        Self {
            field,
            get: Get::Nothing,
            leads: Vec::new(),
            made_of: None,
            without: &[],
        }
    }

    /// The name of another resource.
    pub fn reference(path: &'static str, collection: &'static str, get: fn(&M) -> &str) -> Self {
        Self::new(path, Kind::Name(collection), Get::Text(get))
    }

    /// A date; empty is absent.
    pub fn date(path: &'static str, get: fn(&M) -> &str) -> Self {
        Self::new(path, Kind::Date, Get::Text(get))
    }

    /// A whole number.
    pub fn number(path: &'static str, get: fn(&M) -> Option<i64>) -> Self {
        Self::new(path, Kind::Int, Get::Number(get))
    }

    /// A number with two decimals, as hundredths.
    pub fn decimal(path: &'static str, get: fn(&M) -> Option<i64>) -> Self {
        Self::new(path, Kind::Decimal2, Get::Number(get))
    }

    /// A value of an enum of the contract. The column has its number.
    pub fn one_of(path: &'static str, get: fn(&M) -> Option<i64>) -> Self {
        Self::new(path, Kind::Enum(&[]), Get::Number(get))
    }

    /// True or false.
    pub fn flag(path: &'static str, get: fn(&M) -> bool) -> Self {
        Self::new(path, Kind::Bool, Get::Flag(get))
    }

    /// An instant.
    pub fn time(path: &'static str, get: fn(&M) -> Option<&Timestamp>) -> Self {
        Self::new(path, Kind::Time, Get::Time(get))
    }

    /// An amount, in the column `<column>_micros` and a column of the currency.
    pub fn money(
        path: &'static str,
        currency_column: &'static str,
        get: fn(&M) -> Option<&pb::Money>,
    ) -> Self {
        let currency_column = qualified(currency_column);
        Self::new(path, Kind::Money { currency_column }, Get::Money(get))
    }

    /// A list of names of other resources.
    pub fn names(path: &'static str, collection: &'static str, get: fn(&M) -> &[String]) -> Self {
        Self::new(path, Kind::NameList(collection), Get::Names(get))
    }

    /// A list of texts, packed as in the column.
    pub fn texts(path: &'static str, get: fn(&M) -> String) -> Self {
        Self::new(path, Kind::TextList, Get::Packed(get, 0))
    }

    /// A map from text to text, packed as in the column.
    pub fn map(path: &'static str, get: fn(&M) -> String) -> Self {
        Self::new(path, Kind::TextMap, Get::Packed(get, 0))
    }

    /// Sets another name for the column.
    #[must_use]
    pub fn column(mut self, column: &'static str) -> Self {
        self.field.column = qualified(column);
        self
    }

    /// Lets lists be ordered by the field: a text, a number or a time, never a flag. Its column must not be NULL. In
    /// a table that grows, it needs an index.
    #[must_use]
    pub fn sortable(mut self) -> Self {
        self.field = self.field.sortable();
        self
    }

    /// Lets filters search the field with `:`, in the column of the same name with the suffix `_folded`.
    #[must_use]
    pub fn searchable(mut self) -> Self {
        let folded = format!("{}_folded", self.field.column);
        self.field = self.field.searchable(folded.leak());
        self
    }

    /// Marks the value, or the keys of a map, as language tags.
    #[must_use]
    pub fn of_languages(mut self) -> Self {
        self.field = self.field.of_languages();
        self
    }

    /// Derives the field, which the message does not have, from the field at a path. Callers that see the source also
    /// see the field.
    #[must_use]
    pub fn made_of(mut self, source: &'static str) -> Self {
        self.made_of = Some(source);
        self
    }

    /// Removes values of an enum that no stored resource has.
    #[must_use]
    pub fn without(mut self, values: &'static [&'static str]) -> Self {
        self.without = values;
        self
    }

    /// Adds an index that serves the field. Of several, add the better first.
    #[must_use]
    pub fn index(self, index: Index) -> Self {
        self.index_of(index, "")
    }

    /// Adds a partial index. Statements repeat its condition, which begins with ` AND `.
    #[must_use]
    pub fn index_of(mut self, index: Index, condition: &'static str) -> Self {
        self.leads.push((index, condition));
        self
    }
}

/// Removes the alias of the table from a column.
fn unqualified(column: &'static str) -> &'static str {
    column.strip_prefix("c.").unwrap_or(column)
}

/// Adds the alias of the table to a column.
fn qualified(column: &str) -> &'static str {
    format!("c.{column}").leak()
}

impl<M> Get<M> {
    /// Adds the values of the columns of a field, in the order of [`columns_of`].
    pub(super) fn push(&self, field: &Field, message: &M, values: &mut Vec<Bind>) {
        match self {
            Self::Nothing => {}
            Self::Text(get) => {
                let text = get(message);
                values.push(match field.kind {
                    Kind::Name(_) => bare(text).into(),
                    _ => text.into(),
                });
                if field.folded_column.is_some() {
                    values.push(fold(text).into());
                }
            }
            Self::Number(get) => values.push(get(message).into()),
            Self::Flag(get) => values.push(get(message).into()),
            Self::Time(get) => values.push(get(message).map(micros).into()),
            Self::Names(get) => {
                let names = get(message).iter().map(|name| bare(name));
                values.push(pack_list(names).into());
            }
            Self::Packed(get, _) => values.push(get(message).into()),
            Self::Money(get) => {
                let money = get(message);
                values.push(money.map(|money| money.micros).into());
                values.push(money.map(|money| money.currency_code.clone()).into());
            }
        }
    }
}

/// Returns the columns of the fields, except that of the name and of sort keys, which a message does not have. A
/// searchable field adds its folded column, an amount that of its currency.
pub(super) fn columns_of<M>(fields: &[Field], getters: &[Get<M>]) -> Vec<&'static str> {
    let mut columns = Vec::new();
    for (field, get) in fields.iter().zip(getters) {
        if field.path == "name" || matches!(get, Get::Nothing) {
            continue;
        }
        match field.kind {
            Kind::Money { currency_column } => {
                columns.push(format!("{}_micros", unqualified(field.column)).leak() as &str);
                columns.push(unqualified(currency_column));
            }
            _ => columns.push(unqualified(field.column)),
        }
        columns.extend(field.folded_column.map(unqualified));
    }
    columns
}

/// The last part of a name.
pub(super) fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}
