//! Removes the fields of an answer that its reader may not see.

use crate::access::wire::Malformed;
use crate::caller::Roles;
use crate::contract::records::{Reader, put_varint};
use crate::contract::{Kind, Message, MessageId, TABLES};

/// The message without the fields that these roles may not see; None if they see all of it, which is usual.
pub fn view(message: MessageId, bytes: &[u8], roles: Roles) -> Result<Option<Vec<u8>>, Malformed> {
    narrow(TABLES.message(message), bytes, roles)
}

fn narrow(message: &Message, bytes: &[u8], roles: Roles) -> Result<Option<Vec<u8>>, Malformed> {
    if !message.is_narrowed_for(roles) {
        return Ok(None);
    }
    // The changed copy, if there is one; the bytes up to `kept` are in it.
    let mut out: Option<Vec<u8>> = None;
    let mut kept = 0;
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        let Some(field) = message.field(record.number) else {
            continue;
        };
        let hidden = !field.readers.intersects(roles);
        let inner = match (&field.kind, hidden) {
            (Kind::Message(id), false) => {
                let nested = TABLES.message(*id);
                if !nested.is_narrowed_for(roles) {
                    continue;
                }
                narrow(nested, record.value.bytes()?, roles)?
            }
            _ => None,
        };
        if !hidden && inner.is_none() {
            continue;
        }
        let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
        out.extend_from_slice(bytes.get(kept..record.start).ok_or(Malformed)?);
        kept = record.end;
        if let Some(inner) = inner {
            put_varint(out, u64::from(record.number) << 3 | 2);
            put_varint(out, inner.len() as u64);
            out.extend_from_slice(&inner);
        }
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(bytes.get(kept..).ok_or(Malformed)?);
    }
    Ok(out)
}
