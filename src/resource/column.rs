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

/// How a message answers for a field. It must be what the column of its row holds.
pub(super) enum Get<M> {
    Text(fn(&M) -> &str),
    Number(fn(&M) -> Option<i64>),
    Flag(fn(&M) -> bool),
    Time(fn(&M) -> Option<&Timestamp>),
    Money(fn(&M) -> Option<&pb::Money>),
    Names(fn(&M) -> &[String]),
    /// With its place among the packed fields of the table.
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

    /// The sort key of the field at `path`, a column that only the database has. An order by the field means it: the
    /// place of a text in the language of the shop, or of a resource among its sisters.
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

    /// A value of an enum of the contract, whose number is in the column.
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

    /// A list of texts, packed as the column has it.
    pub fn texts(path: &'static str, get: fn(&M) -> String) -> Self {
        Self::new(path, Kind::TextList, Get::Packed(get, 0))
    }

    /// A map from text to text, packed as the column has it.
    pub fn map(path: &'static str, get: fn(&M) -> String) -> Self {
        Self::new(path, Kind::TextMap, Get::Packed(get, 0))
    }

    /// The same field, in a column of another name.
    #[must_use]
    pub fn column(mut self, column: &'static str) -> Self {
        self.field.column = qualified(column);
        self
    }

    /// The same field, by which lists are ordered: a text, a number or a time, never a flag. Its column is never NULL;
    /// in a table that grows, an index has it.
    #[must_use]
    pub fn sortable(mut self) -> Self {
        self.field = self.field.sortable();
        self
    }

    /// The same field, searched with `:` in the column of the same name that ends with `_folded`.
    #[must_use]
    pub fn searchable(mut self) -> Self {
        let folded = format!("{}_folded", self.field.column);
        self.field = self.field.searchable(folded.leak());
        self
    }

    /// The same field, whose value or keys are language tags.
    #[must_use]
    pub fn of_languages(mut self) -> Self {
        self.field = self.field.of_languages();
        self
    }

    /// The same field, which is none of the message but made of the field at a path. It is visible to those that see
    /// that one.
    #[must_use]
    pub fn made_of(mut self, source: &'static str) -> Self {
        self.made_of = Some(source);
        self
    }

    /// The same field, an enum of which no stored resource has these values.
    #[must_use]
    pub fn without(mut self, values: &'static [&'static str]) -> Self {
        self.without = values;
        self
    }

    /// The same field, served by an index. Of several the better comes first.
    #[must_use]
    pub fn index(self, index: Index) -> Self {
        self.index_of(index, "")
    }

    /// The same field, served by an index that has only the rows which meet a condition. A statement repeats it,
    /// from ` AND ` on.
    #[must_use]
    pub fn index_of(mut self, index: Index, condition: &'static str) -> Self {
        self.leads.push((index, condition));
        self
    }
}

/// A column of the database without the alias of its table.
fn unqualified(column: &'static str) -> &'static str {
    column.strip_prefix("c.").unwrap_or(column)
}

/// A column of the database with the alias of its table.
fn qualified(column: &str) -> &'static str {
    format!("c.{column}").leak()
}

impl<M> Get<M> {
    /// Adds what the columns of a field hold, in the order of [`columns_of`].
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

/// The columns of the fields, but for that of the name. A field that is searched has a folded one, an amount one for
/// its currency, and a sort key is none of the message.
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
