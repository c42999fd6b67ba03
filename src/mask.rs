//! The fields that an update changes: those in its mask or, without a mask, those that are set.

use prost::{Message, Name};
use prost_types::FieldMask;

use crate::contract::records::Reader;
use crate::contract::{Field, TABLES};
use crate::error::{Error, Result};

/// Returns the fields of a resource that a caller may set, in the order of their numbers.
pub fn writable<M: Name>() -> Vec<&'static str> {
    fields::<M>(true)
}

/// Returns the writable fields that an update changes, by its mask or by the fields that were sent.
///
/// # Errors
/// As [`changed`].
pub fn of<M: Message + Name>(mask: Option<&FieldMask>, sent: &M) -> Result<Vec<&'static str>> {
    of_also(mask, sent, |_| false)
}

/// As [`of`]. `is_sent` returns whether a field was sent that is no longer in the message.
///
/// # Errors
/// As [`changed`].
pub fn of_also<M: Message + Name>(
    mask: Option<&FieldMask>,
    sent: &M,
    is_sent: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>> {
    let message = TABLES.find(M::NAME).map(|id| TABLES.message(id));
    // Fields that are not set are not on the wire.
    let bytes = match mask {
        None => sent.encode_to_vec(),
        Some(_) => Vec::new(),
    };
    let mut records = Reader::new(&bytes);
    let mut set = Vec::new();
    while let Ok(Some(record)) = records.next() {
        let field = message.and_then(|message| message.field(record.number));
        set.extend(field.map(|field| field.name.as_str()));
    }
    let (writable, ignored) = (fields::<M>(true), fields::<M>(false));
    changed(mask, &writable, &ignored, |path| {
        is_sent(path) || set.contains(&path)
    })
}

fn fields<M: Name>(writable: bool) -> Vec<&'static str> {
    let message = TABLES.find(M::NAME).map(|id| TABLES.message(id));
    let message = message.expect("a message of the contract");
    let is_writable =
        |field: &&Field| !field.output_only && !["name", "etag"].contains(&field.name.as_str());
    let fields = message
        .fields()
        .filter(|field| is_writable(field) == writable);
    fields.map(|field| field.name.as_str()).collect()
}

/// Returns the paths of `writable` that an update changes, in the order of `writable`.
///
/// Paths are in snake_case or lowerCamel; `*` stands for all. Paths in `ignored` (output-only and derived fields)
/// change nothing. Without a mask, the fields for which `is_set` returns true change.
///
/// # Errors
/// INVALID_FIELD for unknown paths, and for an update that changes no field.
pub fn changed(
    mask: Option<&FieldMask>,
    writable: &[&'static str],
    ignored: &[&'static str],
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>> {
    let changed: Vec<&'static str> = match mask {
        None => writable
            .iter()
            .copied()
            .filter(|path| is_set(path))
            .collect(),
        Some(mask) if mask.paths.iter().any(|path| path == "*") => writable.to_vec(),
        Some(mask) => {
            let known = |path: &String| {
                writable
                    .iter()
                    .chain(ignored)
                    .any(|known| is_written(known, path))
            };
            if let Some(unknown) = mask.paths.iter().find(|path| !known(path)) {
                let shown: String = unknown.chars().take(64).collect();
                let text = format!("{shown:?} is not a field that can be updated");
                return Err(Error::invalid_field("update_mask", "UNKNOWN_FIELD", text));
            }
            let named = |path: &&'static str| mask.paths.iter().any(|sent| is_written(path, sent));
            writable.iter().copied().filter(named).collect()
        }
    };
    if changed.is_empty() {
        let text = "the update changes no field: name one in the mask, or send one";
        return Err(Error::invalid_field("update_mask", "REQUIRED", text));
    }
    Ok(changed)
}

/// Whether `sent` is the path `known` in either spelling.
fn is_written(known: &str, sent: &str) -> bool {
    if known == sent {
        return true;
    }
    let mut upper = false;
    let mut camel = String::with_capacity(known.len());
    for letter in known.chars() {
        match letter {
            '_' => upper = true,
            letter if std::mem::take(&mut upper) => camel.push(letter.to_ascii_uppercase()),
            letter => camel.push(letter),
        }
    }
    camel == sent
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITABLE: [&str; 2] = ["first_name", "phone"];
    const IGNORED: [&str; 1] = ["create_time"];

    fn of(paths: &[&str]) -> Result<Vec<&'static str>> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        changed(Some(&FieldMask { paths }), &WRITABLE, &IGNORED, |_| false)
    }

    #[test]
    fn both_spellings_name_a_field_once() {
        assert_eq!(of(&["firstName", "first_name"]).unwrap(), ["first_name"]);
        assert_eq!(of(&["*"]).unwrap(), WRITABLE);
        assert_eq!(of(&["phone", "createTime"]).unwrap(), ["phone"]);
    }

    #[test]
    fn an_update_without_a_mask_changes_the_fields_that_are_set() {
        let changed = changed(None, &WRITABLE, &IGNORED, |path| path == "phone").unwrap();

        assert_eq!(changed, ["phone"]);
    }

    #[test]
    fn unknown_paths_and_updates_without_a_field_are_refused() {
        for paths in [
            &["shoe_size"][..],
            &["first_Name"],
            &["phone.x"],
            &[""],
            &[],
            &["create_time"],
        ] {
            let error = of(paths).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{paths:?}");
        }
    }
}
