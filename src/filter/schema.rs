//! The fields of a resource for filters and orders. A schema is made once for each resource, from text of the
//! program, and is the only source of column names in filters and orders.

/// The fields of one resource that a filter or an order may name.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The fields. The position of a field is its index for a [`super::Record`].
    pub fields: &'static [Field],
}

/// One field of a resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The path in the message, such as `state` or `customer_summary.kind`.
    pub path: &'static str,
    /// The type of the field, which decides the comparisons that it accepts.
    pub kind: Kind,
    /// The column (or SQL expression) of the field; for money, without the suffix `_micros`.
    pub column: &'static str,
    /// The column that holds [`super::fold`] of exactly this field. A text field without one cannot be
    /// searched with `:`.
    pub folded_column: Option<&'static str>,
    /// Whether an order may name the field.
    pub sortable: bool,
    /// Whether its value, or each key of it, is a language tag. These are stored in their canonical case, and
    /// a filter may write them in any case.
    pub of_languages: bool,
    /// The path of the text field whose sort key this is, in the language of the shop. Only an order uses
    /// this field, by naming that path.
    pub sorts: Option<&'static str>,
}

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared byte by byte; a TEXT column. Empty is absent.
    Text,
    /// A resource name of the given collection, for example `customers`; the column holds the bare id. The
    /// caller may write either, and a record may return either.
    Name(&'static str),
    /// True or false; a BOOLEAN column.
    Bool,
    /// A whole number; a BIGINT column.
    Int,
    /// A number with two decimals; a BIGINT column of hundredths.
    Decimal2,
    /// An amount of money; the BIGINT column `<column>_micros` and a TEXT column of the currency.
    Money {
        /// The column that holds the ISO 4217 code.
        currency_column: &'static str,
    },
    /// An instant; a BIGINT column of microseconds since 1970.
    Time,
    /// A calendar date; a TEXT column of `YYYY-MM-DD`. Empty is absent.
    Date,
    /// One of these values (name in the API, number in the BIGINT column).
    Enum(&'static [(&'static str, i64)]),
    /// A list of texts; a TEXT column in the form of [`super::pack_list`].
    TextList,
    /// A list of resource names of the given collection; a TEXT column of their bare ids in the form of
    /// [`super::pack_list`].
    NameList(&'static str),
    /// A map from text to text; a TEXT column in the form of [`super::pack_map`].
    TextMap,
}

impl Schema {
    /// The index of a field. In a constant an unknown path does not compile.
    ///
    /// # Panics
    /// If there is no such field.
    #[must_use]
    pub const fn index(&self, path: &str) -> usize {
        let mut index = 0;
        while index < self.fields.len() {
            if same_text(self.fields[index].path, path) {
                return index;
            }
            index += 1;
        }
        panic!("the schema has no field of this path")
    }

    pub(super) fn find(&self, path: &str, visible: &dyn Fn(&str) -> bool) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.path == path && field.sorts.is_none() && visible(field.path))
    }

    /// The sort key of the field at this path, if it has one.
    pub(super) fn find_sort_key(
        &self,
        path: &str,
        visible: &dyn Fn(&str) -> bool,
    ) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.sorts == Some(path) && visible(path))
    }

    pub(super) fn visible_paths(
        &self,
        visible: &dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .filter(|field| field.sorts.is_none())
            .map(|field| field.path)
            .filter(|path| visible(path))
    }
}

impl Field {
    /// A field that is neither searchable with `:` nor sortable.
    #[must_use]
    pub const fn new(path: &'static str, kind: Kind, column: &'static str) -> Self {
        Self {
            path,
            kind,
            column,
            folded_column: None,
            sortable: false,
            of_languages: false,
            sorts: None,
        }
    }

    /// The sort key of the text field at `path`, in the language of the shop. An order by `path` uses it, and
    /// an order by `bytes(path)` uses the field itself. A caller cannot write its own path.
    #[must_use]
    pub const fn sort_key(own: &'static str, path: &'static str, column: &'static str) -> Self {
        Self {
            sorts: Some(path),
            ..Self::new(own, Kind::Text, column)
        }
    }

    /// Makes the field searchable with `:` through this folded column.
    #[must_use]
    pub const fn searchable(mut self, folded_column: &'static str) -> Self {
        self.folded_column = Some(folded_column);
        self
    }

    /// Marks the field's value or keys as language tags.
    #[must_use]
    pub const fn of_languages(mut self) -> Self {
        self.of_languages = true;
        self
    }

    /// Makes the field sortable.
    #[must_use]
    pub const fn sortable(mut self) -> Self {
        self.sortable = true;
        self
    }
}

const fn same_text(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}
