//! A kind of resource for the tests of the feed, whose body is its topic.

use std::sync::Arc;

use futures::future::BoxFuture;
use prost::Message as _;

use super::log::{Kind, Payload};
use super::{Decoded, PageQuery, Resource, Rows};
use crate::error::Result;
use crate::filter::{Record, Value};
use crate::store::Conn;

/// Resources whose body is their topic.
pub struct Things;

impl Resource for Things {
    fn kind(&self) -> Kind {
        Kind::new(3)
    }

    fn collection(&self) -> &'static str {
        "things"
    }

    fn decode(&self, body: &[u8]) -> Result<Arc<dyn Decoded>> {
        Ok(Arc::new(Thing(String::from_utf8_lossy(body).into_owned())))
    }

    fn page<'c>(&self, _conn: &'c mut Conn, _query: PageQuery) -> BoxFuture<'c, Result<Rows>> {
        unreachable!("nothing is read")
    }
}

struct Thing(String);

impl Record for Thing {
    fn value(&self, _field: usize) -> Value<'_> {
        Value::Absent
    }
}

impl Decoded for Thing {
    fn topics(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// The payload of a change to a topic; without one the thing is deleted.
pub fn payload(topic: Option<&str>) -> Vec<u8> {
    let resource = topic.map(|topic| topic.as_bytes().to_vec().into());
    let causes = Vec::new();
    Payload { resource, causes }.encode_to_vec()
}
