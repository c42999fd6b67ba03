//! Parses a text into a tree of restrictions, by the grammar of AIP-160 without functions and without
//! comparisons implied by juxtaposition. It knows no fields and no types.
//!
//! Invariant: recursion is bounded by [`FILTER_DEPTH_MAX`] and the tree by [`FILTER_TERMS_MAX`], whatever the
//! text.

use super::error::{FilterError, echo};
use super::expression::Comparison;
use super::literal;
use crate::limits::{FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_TERMS_MAX};

/// A part of a filter, as written.
#[derive(Debug)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Restriction(Restriction),
}

/// `path operator argument`.
#[derive(Debug)]
pub(super) struct Restriction {
    pub(super) segments: Vec<String>,
    pub(super) position: usize,
    pub(super) operator: Operator,
    pub(super) operator_position: usize,
    pub(super) argument: Argument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Has,
    Compare(Comparison),
}

#[derive(Debug)]
pub(super) enum Argument {
    /// `*`, which stands for any value.
    Any,
    Literal(Literal),
}

#[derive(Debug)]
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) position: usize,
}

/// Reads a filter; `None` if the text holds nothing but white space.
pub(super) fn parse(text: &str) -> Result<Option<Node>, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        let message = format!(
            "the text has {} bytes, at most {FILTER_BYTES_MAX}",
            text.len()
        );
        return Err(FilterError::new(FILTER_BYTES_MAX, message));
    }
    let mut parser = Parser {
        text,
        position: 0,
        depth: 0,
        terms: 0,
    };
    parser.skip_space();
    if parser.peek().is_none() {
        return Ok(None);
    }
    let node = parser.conjunction()?;
    match parser.peek() {
        None => Ok(Some(node)),
        Some(')') => Err(parser.fault("there is no open parenthesis to close")),
        Some(_) => Err(parser.misplaced()),
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    /// `disjunction {AND disjunction}`: in AIP-160 `OR` binds tighter than `AND`.
    fn conjunction(&mut self) -> Result<Node, FilterError> {
        let mut parts = vec![self.disjunction()?];
        while self.take_keyword("AND") {
            parts.push(self.disjunction()?);
        }
        Ok(only_or(parts, Node::And))
    }

    fn disjunction(&mut self) -> Result<Node, FilterError> {
        let mut parts = vec![self.negation()?];
        while self.take_keyword("OR") {
            parts.push(self.negation()?);
        }
        Ok(only_or(parts, Node::Or))
    }

    fn negation(&mut self) -> Result<Node, FilterError> {
        self.skip_space();
        let start = self.position;
        if self.take_keyword("NOT") || self.take('-') {
            self.enter(start)?;
            let inner = self.negation()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(inner)));
        }
        if self.take('(') {
            self.enter(start)?;
            let inner = self.conjunction()?;
            if !self.take(')') {
                return Err(match self.peek() {
                    None => FilterError::new(start, "this parenthesis is never closed"),
                    Some(_) => self.misplaced(),
                });
            }
            self.depth -= 1;
            self.skip_space();
            return Ok(inner);
        }
        self.restriction()
    }

    fn restriction(&mut self) -> Result<Node, FilterError> {
        let position = self.position;
        let segments = self.path()?;
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            let message = format!("there are more than {FILTER_TERMS_MAX} comparisons");
            return Err(FilterError::new(position, message));
        }
        self.skip_space();
        let operator_position = self.position;
        let Some(operator) = self.operator() else {
            return Err(self.fault("expected one of = != < <= > >= : after the field"));
        };
        self.skip_space();
        let argument = self.argument()?;
        self.skip_space();
        Ok(Node::Restriction(Restriction {
            segments,
            position,
            operator,
            operator_position,
            argument,
        }))
    }

    fn path(&mut self) -> Result<Vec<String>, FilterError> {
        let start = self.position;
        let mut segments = Vec::new();
        loop {
            if matches!(self.peek(), Some('"' | '\'')) {
                segments.push(self.quoted()?);
            } else {
                let segment = self.take_while(literal::is_segment_character);
                if segment.is_empty() {
                    return Err(self.fault("expected the name of a field"));
                }
                if segments.is_empty() && matches!(segment, "AND" | "OR" | "NOT") {
                    let message = format!("a comparison is missing beside {segment}");
                    return Err(FilterError::new(start, message));
                }
                segments.push(segment.to_owned());
            }
            if !self.take('.') {
                return Ok(segments);
            }
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        // Longer ones first: "<" is the beginning of "<=".
        const OPERATORS: [(&str, Operator); 7] = [
            ("!=", Operator::Compare(Comparison::NotEqual)),
            ("<=", Operator::Compare(Comparison::LessOrEqual)),
            (">=", Operator::Compare(Comparison::GreaterOrEqual)),
            ("=", Operator::Compare(Comparison::Equal)),
            ("<", Operator::Compare(Comparison::Less)),
            (">", Operator::Compare(Comparison::Greater)),
            (":", Operator::Has),
        ];
        let (symbol, operator) = OPERATORS
            .iter()
            .find(|(symbol, _)| self.rest().starts_with(symbol))?;
        self.position += symbol.len();
        Some(*operator)
    }

    fn argument(&mut self) -> Result<Argument, FilterError> {
        let position = self.position;
        if matches!(self.peek(), Some('"' | '\'')) {
            let text = self.quoted()?;
            return Ok(Argument::Literal(Literal { text, position }));
        }
        let mut text = self.take_while(is_value_character).to_owned();
        match text.as_str() {
            "*" => return Ok(Argument::Any),
            "" => return Err(self.fault("expected a value")),
            "AND" | "OR" | "NOT" => {
                let message = format!("a value is missing before {text}; quote it if it is meant");
                return Err(FilterError::new(position, message));
            }
            "now" => self.append_offset(&mut text),
            _ => {}
        }
        Ok(Argument::Literal(Literal { text, position }))
    }

    /// `now - 30m` is the one value that may be written with spaces and without quotes.
    fn append_offset(&mut self, text: &mut String) {
        let before = self.position;
        self.skip_space();
        match self.peek() {
            Some(sign @ ('+' | '-')) => {
                self.position += 1;
                self.skip_space();
                text.push(sign);
                text.push_str(self.take_while(|character| character.is_ascii_alphanumeric()));
            }
            _ => self.position = before,
        }
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.position;
        let quote = self.peek().expect("called at a quotation mark");
        self.position += quote.len_utf8();
        let mut text = String::new();
        while let Some(character) = self.peek() {
            let at = self.position;
            self.position += character.len_utf8();
            match character {
                _ if character == quote => return Ok(text),
                '\\' => text.push(self.escaped(at)?),
                '\n' | '\t' => text.push(character),
                _ if character.is_control() => {
                    return Err(FilterError::new(
                        at,
                        "control characters cannot be compared",
                    ));
                }
                _ => text.push(character),
            }
        }
        Err(FilterError::new(start, "this quotation is never closed"))
    }

    fn escaped(&mut self, backslash: usize) -> Result<char, FilterError> {
        let character = self.peek();
        self.position += character.map_or(0, char::len_utf8);
        match character {
            Some('"' | '\'' | '\\') => Ok(character.expect("matched above")),
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            _ => Err(FilterError::new(
                backslash,
                r#"after a backslash only \" \' \\ \n and \t are known"#,
            )),
        }
    }

    fn enter(&mut self, position: usize) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            let message = format!("nested more than {FILTER_DEPTH_MAX} deep");
            return Err(FilterError::new(position, message));
        }
        Ok(())
    }

    /// The fault of a text that continues after a comparison.
    fn misplaced(&self) -> FilterError {
        let word: String = self
            .rest()
            .chars()
            .take_while(|character| is_value_character(*character))
            .collect();
        let upper = word.to_ascii_uppercase();
        if word != upper && matches!(upper.as_str(), "AND" | "OR" | "NOT") {
            return self.fault(format!("write {upper} in capitals"));
        }
        let seen = match self.rest().chars().next() {
            Some(other) if word.is_empty() => other.to_string(),
            _ => word,
        };
        self.fault(format!(
            "expected AND, OR or the end instead of {}; a value with spaces needs quotes",
            echo(&seen)
        ))
    }

    fn fault(&self, message: impl Into<String>) -> FilterError {
        FilterError::new(self.position, message)
    }

    /// Takes the keyword if it stands here as a whole word, and the space after it.
    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let Some(after) = self.rest().strip_prefix(keyword) else {
            return false;
        };
        if after.starts_with(|next: char| !next.is_whitespace() && next != '(') {
            return false;
        }
        self.position += keyword.len();
        self.skip_space();
        true
    }

    fn take(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        if found {
            self.position += character.len_utf8();
        }
        found
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.position..];
        let length = rest
            .find(|character| !belongs(character))
            .unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &str {
        &self.text[self.position..]
    }
}

fn only_or(mut parts: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if parts.len() == 1 {
        parts.pop().expect("it has one element")
    } else {
        many(parts)
    }
}

/// Whether a value may contain the character without quotes: those of names, times, e-mail addresses and
/// numbers.
fn is_value_character(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(
            character,
            '(' | ')' | '"' | '\'' | ',' | '=' | '<' | '>' | '!' | '\\'
        )
}
