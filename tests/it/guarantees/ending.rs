//! G10 and G11: a stream of any kind ends when its caller loses access, and at the caller's deadline.

use std::time::Duration;

use clientela::proto::pb::{self, ErrorReason, Role, WatchOptions};
use tonic::Code;

use super::watched::{Connection, Subject, Watch};
use crate::harness::store::START;
use crate::harness::{Setup, Shop, assert_refused};
use crate::on_both_engines;

/// Creates a key, with an expiry after some seconds if one is given. Returns its name and its secret.
async fn key(shop: &Shop, seconds: Option<i64>) -> (String, String) {
    let api_key = pb::ApiKey {
        roles: vec![Role::Support.into()],
        expire_time: seconds.map(|seconds| prost_types::Timestamp {
            seconds: START / 1_000_000 + seconds,
            nanos: 0,
        }),
        ..Default::default()
    };
    let request = pb::CreateApiKeyRequest {
        api_key: Some(api_key),
        ..Default::default()
    };
    let made = shop.admin().create_api_key(request).await.expect("a key");
    let made = made.into_inner();
    (made.api_key.expect("the key is returned").name, made.secret)
}

/// Opens watches of every kind and reads their snapshots.
async fn watches(subjects: &[Subject], connection: &Connection) -> Vec<Watch> {
    let mut watches = Vec::new();
    for subject in subjects {
        for way in subject.kind.ways() {
            let watch = subject
                .watch(connection, *way, WatchOptions::default())
                .await;
            let mut watch = watch.expect("a stream");
            watch.snapshot().await;
            watches.push(watch);
        }
    }
    watches
}

on_both_engines! {
    /// G10. The streams of another key continue.
    async fn a_stream_ends_when_its_key_is_revoked(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let (name, secret) = key(&shop, None).await;
        let mut ending = watches(&subjects, &Connection::with_key(&shop, &secret)).await;
        let mut going_on = watches(&subjects, &Connection::of(&shop)).await;

        let request = pb::RevokeApiKeyRequest { name, ..Default::default() };
        shop.admin().revoke_api_key(request).await.unwrap();

        for watch in &mut ending {
            assert_refused(&watch.end().await, Code::Unauthenticated, ErrorReason::KeyRevoked);
        }
        let mut going_on = going_on.iter_mut();
        for subject in &subjects {
            let (version, _) = subject.write(&shop).await;
            for watch in going_on.by_ref().take(subject.kind.ways().len()) {
                watch.until(version).await;
            }
        }
    }

    /// G10.
    async fn a_stream_ends_when_its_key_expires(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let (_, secret) = key(&shop, Some(20)).await;
        let mut ending = watches(&subjects, &Connection::with_key(&shop, &secret)).await;

        shop.clock.advance(Duration::from_secs(21));

        for watch in &mut ending {
            assert_refused(&watch.end().await, Code::Unauthenticated, ErrorReason::KeyRevoked);
        }
    }

    /// G11. Nothing else happens to the stream, and its clock stands still.
    async fn a_stream_ends_at_the_deadline_of_its_caller(shop: Shop with Setup::held()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let connection = Connection::of(&shop).and("grpc-timeout", "5000m");
        let mut ending = watches(&subjects, &connection).await;

        for watch in &mut ending {
            assert_refused(&watch.end().await, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
        }
    }
}
