//! The parts of a request that its digest covers, so that a repeated request is recognized.

use crate::contract::records::{Reader, put_varint};
use crate::contract::{Kind, Message, Method, Shape, TABLES};
use crate::{access::wire::Malformed, limits::Rule};

/// The request id, if there is one.
pub fn request_id<'a>(method: &Method, request: &'a [u8]) -> Result<Option<&'a str>, Malformed> {
    let Some(field) = TABLES.message(method.request).named("request_id") else {
        return Ok(None);
    };
    let mut found = None;
    let mut records = Reader::new(request);
    while let Some(record) = records.next()? {
        if record.number == field.number {
            found = Some(record.value.text()?).filter(|text| !text.is_empty());
        }
    }
    Ok(found)
}

/// The request without its request id, in a form that does not depend on the order in which a client writes
/// fields and map entries.
///
/// Of a password it only contains that there is one. The key of the digest is in the same database. With a
/// copy of it, passwords could be tried against the digest, far faster than against the account's Argon2id
/// digest. The password of a repeated request is compared with that instead; see `customers/rpc/secret.rs`.
/// The token of a visitor is random, and carts have a digest of it anyway.
pub fn canonical(method: &Method, request: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(request.len());
    let message = TABLES.message(method.request);
    let own = message.named("request_id").map(|field| field.number);
    write(message, request, own, &mut out)?;
    Ok(out)
}

fn write(
    message: &Message,
    bytes: &[u8],
    left_out: Option<u32>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut all = Vec::new();
    let mut records = Reader::new(bytes);
    while let Some(record) = records.next()? {
        all.push(record);
    }
    // Stable, so that lists keep their order.
    all.sort_by_key(|record| record.number);
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for (at, record) in all.iter().enumerate() {
        let field = message.field(record.number);
        if left_out == Some(record.number) {
            continue;
        }
        if field.is_some_and(|field| matches!(field.rule, Some(Rule::Password(..)))) {
            put(record.number, &[], out);
            continue;
        }
        let Some((field, nested)) = field.and_then(|field| match field.kind {
            Kind::Message(id) => Some((field, TABLES.message(id))),
            _ => None,
        }) else {
            out.extend_from_slice(bytes.get(record.start..record.end).ok_or(Malformed)?);
            continue;
        };
        let mut inner = Vec::new();
        write(nested, record.value.bytes()?, None, &mut inner)?;
        if field.shape == Shape::Map {
            entries.push(inner);
            let more = all
                .get(at + 1)
                .is_some_and(|next| next.number == record.number);
            if !more {
                entries.sort();
                entries
                    .drain(..)
                    .for_each(|entry| put(record.number, &entry, out));
            }
        } else {
            put(record.number, &inner, out);
        }
    }
    Ok(())
}

fn put(number: u32, inner: &[u8], out: &mut Vec<u8>) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, inner.len() as u64);
    out.extend_from_slice(inner);
}
