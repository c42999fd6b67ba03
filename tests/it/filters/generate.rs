//! Generates random filters from the table of fields and from values to compare them with.

use std::collections::HashMap;

use clientela::filter::{Field, Kind, Schema};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// A filter may have 2,048 bytes. The tests add some text to the generated one.
const BYTES_MAX: usize = 1_900;
const DEPTH: usize = 3;
const COMPARISONS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

/// Generates filters, the same ones for the same seed.
pub(super) struct Generator {
    rng: StdRng,
    schema: &'static Schema,
    literals: HashMap<&'static str, Vec<String>>,
}

impl Generator {
    pub(super) fn new(
        seed: u64,
        schema: &'static Schema,
        literals: HashMap<&'static str, Vec<String>>,
    ) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            schema,
            literals,
        }
    }

    /// Returns the next filter.
    pub(super) fn filter(&mut self) -> String {
        loop {
            let filter = self.expression(DEPTH);
            if filter.len() <= BYTES_MAX {
                return filter;
            }
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        let kind = if depth == 0 {
            0
        } else {
            self.rng.random_range(0..10)
        };
        match kind {
            0..4 => self.term(),
            4 | 5 => {
                let not = self.pick(&["NOT ", "-", "- "]);
                format!("{not}({})", self.expression(depth - 1))
            }
            _ => {
                let joint = self.pick(&[" AND ", " OR "]);
                let parts: Vec<String> = (0..self.rng.random_range(2..=3))
                    .map(|_| self.part(depth - 1))
                    .collect();
                parts.join(joint)
            }
        }
    }

    /// Most parts are in parentheses. The others test the precedence of the operators.
    fn part(&mut self, depth: usize) -> String {
        let part = self.expression(depth);
        if self.rng.random_ratio(3, 4) {
            format!("({part})")
        } else {
            part
        }
    }

    fn term(&mut self) -> String {
        // Sort keys have no path that a filter could name.
        let field = loop {
            let field = self.schema.fields.choose(&mut self.rng);
            let field = field.expect("there are fields");
            if field.sorts.is_none() {
                break field;
            }
        };
        let path = field.path;
        if self.rng.random_ratio(1, 10) {
            return format!("{path}:*");
        }
        match field.kind {
            Kind::Text if field.folded_column.is_some() && self.rng.random() => {
                let needle = self.needle(path);
                format!("{path}:{}", self.spelled(&needle))
            }
            Kind::Text | Kind::Date | Kind::Int | Kind::Decimal2 | Kind::Money { .. } => {
                let (operator, value) = (self.pick(&COMPARISONS), self.value(path));
                format!("{path} {operator} {}", self.spelled(&value))
            }
            Kind::Time => self.time(path),
            Kind::Name(collection) => {
                let (operator, name) = (self.pick(&["=", "!="]), self.name(collection, path));
                format!("{path} {operator} {}", self.spelled(&name))
            }
            Kind::Bool => {
                format!(
                    "{path} {} {}",
                    self.pick(&["=", "!="]),
                    self.pick(&["true", "false"])
                )
            }
            Kind::Enum(values) => {
                let (name, _) = values.choose(&mut self.rng).expect("an enum has values");
                format!("{path} {} {name}", self.pick(&["=", "!="]))
            }
            Kind::TextList => {
                let element = self.value(path);
                format!("{path}:{}", self.spelled(&element))
            }
            Kind::NameList(collection) => {
                let name = self.name(collection, path);
                format!("{path}:{}", self.spelled(&name))
            }
            Kind::TextMap => self.entry(field),
        }
    }

    fn entry(&mut self, field: &Field) -> String {
        let entry = self.value(field.path);
        let (key, value) = entry.split_once('\t').expect("an entry has a key");
        // Sometimes the value of another key.
        let other = self.value(field.path);
        let value = match other.split_once('\t') {
            Some((_, other)) if self.rng.random_ratio(1, 4) => other,
            _ => value,
        };
        let plain = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
        let written = if key.chars().all(plain) {
            key.to_owned()
        } else {
            self.quoted(key)
        };
        match self.rng.random_range(0..6) {
            0 => format!("{}.{written}:*", field.path),
            1 => format!("{}:{}", field.path, self.spelled(key)),
            2 => format!("{}.{written} != {}", field.path, self.spelled(value)),
            _ => format!("{}.{written} = {}", field.path, self.spelled(value)),
        }
    }

    fn time(&mut self, path: &str) -> String {
        let operator = self.pick(&COMPARISONS);
        if self.rng.random() {
            let value = self.value(path);
            return format!("{path} {operator} {}", self.spelled(&value));
        }
        let offset = self.pick(&["", " - 3h", "-90m", " - 5h", " + 2d", " -6h", " - 14400s"]);
        format!("{path} {operator} now{offset}")
    }

    fn name(&mut self, collection: &str, path: &str) -> String {
        let name = self.value(path);
        match name.strip_prefix(collection) {
            Some(id) if self.rng.random() => id.trim_start_matches('/').to_owned(),
            _ => name,
        }
    }

    /// Returns a part of a value, sometimes in another case.
    fn needle(&mut self, path: &str) -> String {
        let value = self.value(path);
        let letters: Vec<char> = value.chars().collect();
        let from = self.rng.random_range(0..letters.len());
        let to = self.rng.random_range(from..letters.len());
        let needle: String = letters[from..=to].iter().collect();
        match self.rng.random_range(0..4) {
            // A search for accents alone matches nothing.
            _ if !needle.chars().any(char::is_alphanumeric) => value,
            0 => needle.to_uppercase(),
            1 => needle.to_lowercase(),
            _ => needle,
        }
    }

    fn value(&mut self, path: &str) -> String {
        let values = self.literals.get(path).filter(|values| !values.is_empty());
        let values = values.unwrap_or_else(|| panic!("add values to compare {path} with"));
        values.choose(&mut self.rng).expect("not empty").clone()
    }

    fn pick(&mut self, texts: &[&'static str]) -> &'static str {
        texts.choose(&mut self.rng).expect("there are texts")
    }

    /// Writes a value in quotes where it needs them, and at random where it does not.
    fn spelled(&mut self, text: &str) -> String {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._/@:+-".contains(letter);
        let word = !["AND", "OR", "NOT", "now"].contains(&text);
        if word && text.chars().all(plain) && self.rng.random() {
            text.to_owned()
        } else {
            self.quoted(text)
        }
    }

    fn quoted(&mut self, text: &str) -> String {
        let quote = *['"', '\''].choose(&mut self.rng).expect("there are two");
        let mut quoted = String::from(quote);
        for letter in text.chars() {
            match letter {
                '\n' => quoted.push_str("\\n"),
                '\\' => quoted.push_str("\\\\"),
                _ if letter == quote => quoted.extend(['\\', quote]),
                _ => quoted.push(letter),
            }
        }
        quoted.push(quote);
        quoted
    }
}
