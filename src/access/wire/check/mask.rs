//! The mask of an update: it must name existing fields that the key may set.

use super::{Malformed, Mode, Path, Walk};
use crate::contract::records::Reader;
use crate::contract::{Field, Message};

/// The most paths of a mask.
const MASK_PATHS_MAX: usize = 100;

impl Walk<'_> {
    pub(super) fn mask(
        &mut self,
        path: &Path<'_>,
        message: &Message,
        bytes: &[u8],
        mode: Mode,
    ) -> Result<(), Malformed> {
        let mut records = Reader::new(bytes);
        let mut count = 0;
        while let Some(record) = records.next()? {
            if message.field(record.number).is_none() {
                continue;
            }
            let name = record.value.text()?;
            count += 1;
            if mode.ignored || count > MASK_PATHS_MAX + 1 {
                continue;
            }
            if count > MASK_PATHS_MAX {
                let text = format!("must name at most {MASK_PATHS_MAX} fields");
                self.broken(path, Some(("TOO_MANY", text.into())));
            } else {
                self.mask_path(path, name);
            }
        }
        Ok(())
    }

    fn mask_path(&mut self, path: &Path<'_>, name: &str) {
        let method = self.method;
        let Some((resource, id)) = &method.masked else {
            return;
        };
        let masked = self.tables.message(*id);
        if name == "*" {
            // It names all fields, also those that the key may not set.
            let fields = masked.fields();
            for field in fields.filter(|field| !field.output_only) {
                self.writable(resource, field);
            }
            return;
        }
        let Some(field) = masked.named(name) else {
            let text = unknown_path(name, masked);
            return self.broken(path, Some(("UNKNOWN_FIELD", text.into())));
        };
        if !field.output_only {
            self.writable(resource, field);
        }
    }

    /// Checks a field of the resource that a mask names.
    fn writable(&mut self, resource: &str, field: &Field) {
        if !field.writers.intersects(self.roles) {
            self.deny(|| format!("{resource}.{}", field.name), field.writers);
        }
    }
}

fn unknown_path(name: &str, resource: &Message) -> String {
    let echo: String = name
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(64)
        .collect();
    match name
        .split_once('.')
        .and_then(|(first, _)| resource.named(first))
    {
        Some(whole) => format!(
            "`{echo}`: only whole fields can be named, as `{}`",
            whole.name
        ),
        None => format!("`{echo}` is not a field of {}", resource.name),
    }
}
