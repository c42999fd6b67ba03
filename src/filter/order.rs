//! The order of a list: `update_time desc, name`. It may name only fields that the schema marks sortable. A
//! text with a sort key is ordered by that key, and by its bytes as `bytes(last_name)`.

use super::error::{FilterError, echo};
use super::schema::Schema;
use crate::limits::{ORDER_BY_BYTES_MAX, ORDER_KEYS_MAX};

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The smallest first, which is the default.
    Ascending,
    /// The largest first.
    Descending,
}

/// Reads an order: the index of each field and its direction. An empty text is no order.
///
/// # Errors
/// The first fault of the text, with its position.
pub fn parse_order_by(
    text: &str,
    schema: &Schema,
    visible: &dyn Fn(&str) -> bool,
) -> Result<Vec<(usize, Direction)>, FilterError> {
    if text.len() > ORDER_BY_BYTES_MAX {
        let message = format!(
            "the text has {} bytes, at most {ORDER_BY_BYTES_MAX}",
            text.len()
        );
        return Err(FilterError::new(ORDER_BY_BYTES_MAX, message));
    }
    let mut keys: Vec<(usize, Direction)> = Vec::new();
    if text.trim().is_empty() {
        return Ok(keys);
    }
    let mut start = 0;
    for part in text.split(',') {
        let position = start + (part.len() - part.trim_start().len());
        start += part.len() + 1;
        let (field, direction) = key(part, position, schema, visible)?;
        if keys.iter().any(|(earlier, _)| *earlier == field) {
            let field = named_by(schema, field);
            let message = format!("{field} is named twice");
            return Err(FilterError::new(position, message));
        }
        if keys.len() == ORDER_KEYS_MAX {
            let message = format!("there are more than {ORDER_KEYS_MAX} fields");
            return Err(FilterError::new(position, message));
        }
        keys.push((field, direction));
    }
    Ok(keys)
}

fn key(
    part: &str,
    position: usize,
    schema: &Schema,
    visible: &dyn Fn(&str) -> bool,
) -> Result<(usize, Direction), FilterError> {
    let mut words = part.split_whitespace();
    let Some(path) = words.next() else {
        return Err(FilterError::new(position, "expected the name of a field"));
    };
    let direction = match words.next() {
        None | Some("asc") => Direction::Ascending,
        Some("desc") => Direction::Descending,
        Some(other) => {
            let message = format!("expected asc or desc after {path:?}, not {}", echo(other));
            return Err(FilterError::new(position, message));
        }
    };
    if let Some(further) = words.next() {
        let message = format!("expected a comma before {}", echo(further));
        return Err(FilterError::new(position, message));
    }
    let sortable = || {
        let fields = schema
            .fields
            .iter()
            .filter(|field| field.sortable && visible(field.path));
        fields.map(|field| field.path)
    };
    if let Some(index) = schema.find_sort_key(path, visible) {
        return Ok((index, direction));
    }
    let bytes_of = path
        .strip_prefix("bytes(")
        .and_then(|path| path.strip_suffix(')'))
        .filter(|path| schema.find_sort_key(path, visible).is_some());
    let Some(index) = schema.find(bytes_of.unwrap_or(path), visible) else {
        return Err(FilterError::unknown_field(position, path, sortable()));
    };
    if !schema.fields[index].sortable {
        let message = format!("{path} cannot be sorted by");
        return Err(FilterError::new(position, message).allowing(sortable().collect()));
    }
    Ok((index, direction))
}

/// The path by which an order names a field.
fn named_by(schema: &Schema, field: usize) -> &'static str {
    let field = &schema.fields[field];
    field.sorts.unwrap_or(field.path)
}
