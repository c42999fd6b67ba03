//! G8: a caller reads, lists and watches its own writes at any replica if it names the revision that must be
//! reached. Otherwise the call is refused.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use clientela::feed::{FeedSettings, Tokens};
use clientela::proto::pb::{self, ErrorReason, Role, WatchOptions};
use clientela::revision::Position;
use tonic::{Code, Status};

use super::watched::{Connection, Subject};
use crate::harness::{Engine, Setup, Shop, assert_refused};
use crate::on_both_engines;
use crate::watch::writers::hold_the_log;

/// The metadata of a call that names the revision to be reached.
const MIN_REVISION: &str = "clientela-min-revision";
/// The metadata of an answer with the revision that it has seen.
const REVISION: &str = "clientela-revision";

/// Returns a revision that the store of this shop does not reach in a test.
fn future(shop: &Shop) -> String {
    let far = Position {
        xid: i64::MAX,
        seq: i64::MAX,
        mark: 0,
    };
    Tokens::new(*shop.store().meta().secret()).seal_revision(far)
}

/// Returns the revision of a read by a storefront.
async fn revision_of_a_read(shop: &Shop, key: &str) -> String {
    let read = shop
        .admin_as(key)
        .get_shop_settings(pb::GetShopSettingsRequest {})
        .await
        .unwrap();
    let revision = read.metadata().get(REVISION).unwrap();
    revision.to_str().unwrap().to_owned()
}

/// A server with a short limit for the wait for a revision.
fn short_revision_wait() -> Setup {
    let setup = Setup::default();
    let feed = FeedSettings {
        revision_wait: Duration::from_millis(20),
        ..setup.feed
    };
    Setup { feed, ..setup }
}

/// Returns how reading, listing and every kind of watch are refused.
async fn refusals(subject: &Subject, connection: &Connection) -> Vec<Status> {
    let mut refusals = vec![
        subject
            .read(connection)
            .await
            .expect_err("the read is refused"),
        subject
            .list(connection)
            .await
            .expect_err("the list is refused"),
    ];
    for way in subject.kind.ways() {
        let watch = subject
            .watch(connection, *way, WatchOptions::default())
            .await;
        refusals.push(watch.err().expect("the watch is refused"));
    }
    refusals
}

/// Asserts that reads, lists and watches of a connection show at least this version.
async fn assert_shows(subject: &Subject, connection: &Connection, version: i64) {
    assert_eq!(subject.read(connection).await.unwrap(), version);
    assert_eq!(subject.list(connection).await.unwrap(), version);
    for way in subject.kind.ways() {
        let watch = subject
            .watch(connection, *way, WatchOptions::default())
            .await;
        let mut watch = watch.unwrap();
        watch.snapshot().await;
        assert_eq!(watch.versions[&subject.name], version, "{}", watch.what);
    }
}

on_both_engines! {
    /// On PostgreSQL each version is written at one replica and read at the other, in turns.
    async fn a_write_is_read_listed_and_watched_with_its_revision(shop: Shop) {
        let replica = match shop.engine {
            Engine::Postgres => Some(shop.replica(Setup::default()).await),
            Engine::Sqlite => None,
        };
        let here = Connection::of(&shop);
        let there = match &replica {
            Some(replica) => Connection::narrow(replica.address, &shop.admin_key, 64 * 1024).await,
            None => here.clone(),
        };
        for subject in Subject::of_each_kind(&shop).await {
            for (writer, reader) in [(&here, &there), (&there, &here)] {
                for _ in 0..5 {
                    let (version, revision) = subject.write_at(writer).await;

                    let reader = reader.clone().and(MIN_REVISION, &revision);
                    assert_shows(&subject, &reader, version).await;
                }
            }
        }
        if let Some(replica) = replica {
            replica.stop().await;
        }
    }

    async fn a_call_is_refused_if_its_revision_is_not_reached(shop: Shop with short_revision_wait()) {
        for subject in Subject::of_each_kind(&shop).await {
            let connection = Connection::of(&shop).and(MIN_REVISION, &future(&shop));
            for refused in refusals(&subject, &connection).await {
                assert_refused(&refused, Code::Unavailable, ErrorReason::RevisionNotReached);
            }
        }
    }

    /// All shops of a store share its log. A caller that could read or compare positions would see how much
    /// other shops write.
    async fn neither_revisions_nor_tokens_reveal_writes_of_others(shop: Shop) {
        let key = shop.key(&[Role::Storefront]).await;
        let mut revisions = Vec::new();
        let mut tokens = Vec::new();
        for _ in 0..3 {
            // No write happens in between.
            revisions.push(revision_of_a_read(&shop, &key).await);
            let request = pb::WatchGroupsRequest::default();
            let mut groups = shop.groups().watch_groups(request).await.unwrap().into_inner();
            let token = loop {
                let message = groups.message().await.unwrap().unwrap();
                if !message.resume_token.is_empty() {
                    break message.resume_token;
                }
            };
            tokens.push(token.split('.').next().unwrap().to_owned());
        }

        for texts in [revisions, tokens] {
            let bytes: Vec<Vec<u8>> = texts.iter().map(|text| BASE64.decode(text).unwrap()).collect();
            for (one, other) in [(0, 1), (1, 2), (0, 2)] {
                let (one, other) = (&bytes[one], &bytes[other]);
                assert_eq!(one.len(), other.len());
                let same = one.iter().zip(other).filter(|(one, other)| one == other).count();
                assert!(same < one.len() / 4, "{texts:?}");
            }
        }
    }

    async fn an_invalid_revision_is_refused(shop: Shop) {
        for subject in Subject::of_each_kind(&shop).await {
            for nonsense in ["0", "Pz8_Pz8_Pz8_Pz8_Pz8_Pw", "Pz8_Pz8_Pz8_Pz8_Pz8_P", "Pz8/Pz8/Pz8/Pz8/Pz8/Pw"] {
                let connection = Connection::of(&shop).and(MIN_REVISION, nonsense);
                for refused in refusals(&subject, &connection).await {
                    assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidRevision);
                }
            }
        }
    }
}

/// SQLite has one process, so no replica can be behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_misses_a_write_refuses_its_revision_until_it_has_it() {
    let shop = Shop::start_with(Engine::Postgres, Setup::default()).await;
    let replica = shop.replica(short_revision_wait()).await;
    for subject in Subject::of_each_kind(&shop).await {
        let held = hold_the_log(&shop).await;
        let (version, revision) = subject.write(&shop).await;
        let there = Connection::narrow(replica.address, &shop.admin_key, 64 * 1024).await;
        let there = there.and(MIN_REVISION, &revision);

        for refused in refusals(&subject, &there).await {
            assert_refused(&refused, Code::Unavailable, ErrorReason::RevisionNotReached);
        }

        drop(held);
        crate::harness::eventually("the revision", || async { subject.read(&there).await.ok() })
            .await;
        assert_shows(&subject, &there, version).await;
    }
    replica.stop().await;
}
