//! Tests how revoked keys end: at once at the replica of the call, and soon at every other replica.

use std::time::Duration;

use clientela::proto::pb::{self, ErrorReason, cart_service_client::CartServiceClient};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{end, ends, is_taken, polled_often, try_make};
use crate::carts::{Carts as _, item, of, visitor};
use crate::faults::{health_turns, other_session, run};
use crate::harness::taken::take_all;
use crate::harness::{Engine, Setup, Transport, assert_refused, eventually};
use crate::on_both_engines;

/// A setup that polls keys once in an hour, so only the revocation itself can end one.
fn rarely_polled() -> Setup {
    Setup {
        key_poll_interval: Duration::from_secs(3_600),
        ..Setup::idle()
    }
}

on_both_engines! {
    /// On PostgreSQL another replica learns of the revocation too.
    async fn the_streams_of_a_revoked_key_end_and_no_others(shop: Shop with polled_often()) {
        let (made, other) = (
            try_make(&shop, None).await.unwrap(),
            try_make(&shop, None).await.unwrap(),
        );
        let mut ends = ends(&shop, &made.secret).await;
        let setup = Setup {
            key_poll_interval: Duration::from_millis(20),
            ..Setup::default()
        };
        let replica = match shop.engine {
            Engine::Postgres => Some(shop.replica(setup).await),
            Engine::Sqlite => None,
        };
        if let Some(replica) = &replica {
            let mut carts = replica.carts_as(&made.secret);
            let watch = carts
                .watch_carts(pb::WatchCartsRequest::default())
                .await
                .unwrap();
            ends.push(tokio::spawn(end(watch.into_inner())));
        }
        let mut carts = shop.carts_as(&other.secret);
        let mut goes_on = carts
            .watch_carts(pb::WatchCartsRequest::default())
            .await
            .unwrap()
            .into_inner();

        let name = made.api_key.unwrap().name;
        let revoke = pb::RevokeApiKeyRequest {
            name,
            ..Default::default()
        };
        shop.admin().revoke_api_key(revoke).await.unwrap();

        for end in ends {
            assert_refused(
                &end.await.unwrap(),
                Code::Unauthenticated,
                ErrorReason::KeyRevoked,
            );
        }
        let refused = eventually("the end of the key", || async {
            is_taken(&shop, &made.secret).await.err()
        });
        assert_refused(
            &refused.await,
            Code::Unauthenticated,
            ErrorReason::KeyMissing,
        );
        let added = shop.add(of(&visitor()), item("hat", 1)).await;
        loop {
            let message = goes_on
                .message()
                .await
                .expect("the stream of another key continues")
                .unwrap();
            if message
                .changes
                .iter()
                .any(|change| change.name == added.name)
            {
                break;
            }
        }
        drop(goes_on);
        if let Some(replica) = replica {
            replica.stop().await;
        }
    }

    async fn a_revocation_acts_at_once_at_its_replica(shop: Shop with rarely_polled()) {
        let made = try_make(&shop, None).await.unwrap();
        is_taken(&shop, &made.secret).await.expect("it is live");
        let ends = ends(&shop, &made.secret).await;

        let name = made.api_key.unwrap().name;
        let revoke = pb::RevokeApiKeyRequest {
            name,
            ..Default::default()
        };
        shop.admin().revoke_api_key(revoke).await.unwrap();

        let refused = is_taken(&shop, &made.secret).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
        for end in ends {
            let end = end.await.unwrap();
            assert_refused(&end, Code::Unauthenticated, ErrorReason::KeyRevoked);
        }
    }

    /// Calls, lists and streams occupy all readers of the database while the key is valid.
    async fn a_key_is_revoked_while_all_readers_are_taken(shop: Shop with Setup::idle()) {
        let replica = match shop.engine {
            Engine::Postgres => Some(shop.replica(Setup::idle()).await),
            Engine::Sqlite => None,
        };
        let made = try_make(&shop, None).await.unwrap();
        let mut clients = vec![shop.carts_as(&made.secret)];
        clients.extend(replica.iter().map(|replica| replica.carts_as(&made.secret)));
        let mut ends = Vec::new();
        for mut carts in clients {
            let watch = carts.watch_carts(pb::WatchCartsRequest::default()).await;
            ends.push(tokio::spawn(end(watch.unwrap().into_inner())));
        }
        let taken = take_all(&shop).await;

        // The key belongs to an operator, so the shop has to be read, and it was never used before.
        let revoke = pb::RevokeApiKeyRequest {
            name: made.api_key.unwrap().name,
            ..Default::default()
        };
        let mut operator = shop.admin_as(&shop.operator_key);
        operator.revoke_api_key(revoke).await.unwrap();

        for end in ends {
            let end = end.await.unwrap();
            assert_refused(&end, Code::Unauthenticated, ErrorReason::KeyRevoked);
        }
        let refused = is_taken(&shop, &made.secret).await.unwrap_err();
        assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
        health_turns(&shop, ServingStatus::Serving).await;
        drop(taken);
        if let Some(replica) = replica {
            replica.stop().await;
        }
    }

    /// All of these many keys are used, so one poll of the keys does not read all.
    async fn a_key_among_very_many_is_revoked_everywhere(shop: Shop with Setup::idle()) {
        let many = "INSERT INTO api_keys (id, digest, doc, create_time)
            SELECT 'many-' || n, $digest, '{\"roles\":[2]}', 1 FROM ";
        let (digest, numbers) = match shop.engine {
            Engine::Sqlite => (
                "randomblob(32)",
                "(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000)
                  SELECT n FROM c)",
            ),
            Engine::Postgres => (
                "sha256(n::text::bytea)",
                "generate_series(1, 100000) AS numbers (n)",
            ),
        };
        let statement = many.replace("$digest", digest) + numbers;
        match shop.engine {
            Engine::Sqlite => {
                let url = format!("sqlite://{}/clientela.db", shop.folder().display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let statement = sqlx::raw_sql(AssertSqlSafe(statement));
                statement.execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Engine::Postgres => run(&mut other_session(&shop).await, &statement).await,
        }
        let replica = match shop.engine {
            Engine::Postgres => Some(shop.replica(Setup::idle()).await),
            Engine::Sqlite => None,
        };
        let made = try_make(&shop, None).await.unwrap();
        let clients = [
            Some(shop.carts_as(&made.secret)),
            replica
                .as_ref()
                .map(|replica| replica.carts_as(&made.secret)),
        ];
        let list = |client: &CartServiceClient<Transport>| {
            let mut client = client.clone();
            async move { client.list_carts(pb::ListCartsRequest::default()).await }
        };
        for client in clients.iter().flatten() {
            list(client).await.expect("a new key works at once");
        }

        let revoke = pb::RevokeApiKeyRequest {
            name: made.api_key.unwrap().name,
            ..Default::default()
        };
        shop.admin().revoke_api_key(revoke).await.unwrap();

        for client in clients.iter().flatten() {
            let refused = eventually("the end of the key", || async { list(client).await.err() });
            let refused = refused.await;
            assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);
        }
        if let Some(replica) = replica {
            replica.stop().await;
        }
    }
}
