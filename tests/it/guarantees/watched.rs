//! Watches of every kind: of one cart, of an owner, of all resources of a kind, of names, and of the
//! matches of a filter. Each watches a subject that the test changes.

mod watch;

use std::sync::atomic::{AtomicU64, Ordering};

use clientela::proto::pb::WatchOptions;
use prost_reflect::{DynamicMessage, Value};
use tonic::Status;

use crate::harness::{Shop, unique};
use crate::specimens::{Carts, Rpcs as _, Specimen, answer, text, watched};
use crate::watch::visitor_token;

pub use crate::harness::Connection;
pub use crate::specimens::{Signal, Way};
pub use watch::Watch;

/// Returns the version of a resource from its etag.
fn version(resource: &DynamicMessage) -> i64 {
    let etag = text(resource, "etag");
    let version = etag.trim_matches('"').split('-').next();
    version
        .expect("an etag has a version")
        .parse()
        .expect("a version is a number")
}

/// A resource that a test watches and changes.
pub struct Subject {
    pub kind: &'static dyn Specimen,
    pub name: String,
    /// The visitor who owns it, for a cart.
    owner: String,
    /// The number of writes.
    written: AtomicU64,
}

impl Subject {
    /// Creates a subject.
    pub async fn make(shop: &Shop, kind: &'static dyn Specimen) -> Self {
        let id = format!("subject-{}", unique());
        let made = kind
            .create(&Connection::of(shop), kind.plain(&id), &id)
            .await;
        Self::of(kind, &text(&made, "name"), &id)
    }

    /// Returns a subject for an existing cart of this visitor.
    pub fn cart(name: &str, owner: &str) -> Self {
        Self::of(&Carts, name, owner)
    }

    fn of(kind: &'static dyn Specimen, name: &str, owner: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            owner: owner.to_owned(),
            written: AtomicU64::new(0),
        }
    }

    /// Creates a subject of each kind.
    pub async fn of_each_kind(shop: &Shop) -> Vec<Self> {
        let mut subjects = Vec::new();
        for kind in watched() {
            subjects.push(Self::make(shop, kind).await);
        }
        subjects
    }

    /// Writes the next version. Returns it with the revision of the answer.
    pub async fn write(&self, shop: &Shop) -> (i64, String) {
        self.write_at(&Connection::of(shop)).await
    }

    /// As [`write`](Self::write), through a given connection.
    pub async fn write_at(&self, connection: &Connection) -> (i64, String) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let (rpc, request) = self.kind.next(&self.name, number);
        let answer = answer(connection, &rpc, &request).await;
        let answer = answer.unwrap_or_else(|status| panic!("{}: {status:?}", self.name));
        let revision = answer.metadata().get("clientela-revision");
        let revision = revision.expect("every answer has a revision").to_str();
        (version(answer.get_ref()), revision.unwrap().to_owned())
    }

    /// Reads the current version.
    pub async fn read(&self, connection: &Connection) -> Result<i64, Status> {
        let read = self.kind.get(connection, &self.name).await?;
        Ok(version(&read))
    }

    /// Reads the current version from a list.
    pub async fn list(&self, connection: &Connection) -> Result<i64, Status> {
        let filter = Value::String(format!("name = \"{}\"", self.name));
        let page = self.kind.page(connection, &[("filter", filter)]).await?;
        let [listed] = page.rows.as_slice() else {
            panic!("the subject must be listed once: {:?}", page.rows);
        };
        Ok(version(listed))
    }

    /// Opens a watch that includes the subject.
    pub async fn watch(
        &self,
        connection: &Connection,
        way: Way,
        options: WatchOptions,
    ) -> Result<Watch, Status> {
        let filter = self.kind.always();
        self.watch_filtered(connection, way, filter, options).await
    }

    /// As [`watch`](Self::watch), with a given filter.
    pub async fn watch_filtered(
        &self,
        connection: &Connection,
        way: Way,
        filter: &str,
        options: WatchOptions,
    ) -> Result<Watch, Status> {
        let what = match way {
            Way::All => String::new(),
            Way::Owner => visitor_token(&self.owner),
            Way::One | Way::Names => self.name.clone(),
            Way::Filter => filter.to_owned(),
        };
        let stream = self.kind.watch(connection, way, &what, options).await?;
        let what = format!("{:?} by {way:?}", self.kind);
        let by_clock = filter.contains("now");
        Ok(Watch::of(what, self.name.clone(), stream, by_clock))
    }
}
