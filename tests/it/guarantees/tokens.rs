//! G5, G6 and G7 for tokens that cannot be resumed, for every kind of watch: foreign tokens, tokens of
//! another history, and invalid tokens.

use std::time::Duration;

use clientela::proto::pb::{self, ErrorReason, Role, WatchOptions, snapshot_begin::Cause};
use tonic::{Code, Status};

use super::watched::{Connection, Signal, Subject, Watch, Way};
use crate::carts::set;
use crate::harness::{Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;
use crate::watch::history::forgetful;

fn resume(token: &str, reset: bool) -> WatchOptions {
    WatchOptions {
        resume_token: token.to_owned(),
        reset_on_expired_token: reset,
        ..Default::default()
    }
}

/// Opens watches of every kind and reads their snapshots.
async fn watches<'s>(
    subjects: &'s [Subject],
    connection: &Connection,
) -> Vec<(&'s Subject, Way, Watch)> {
    let mut watches = Vec::new();
    for subject in subjects {
        for way in subject.kind.ways() {
            let watch = subject
                .watch(connection, *way, WatchOptions::default())
                .await;
            let mut watch = watch.expect("a stream");
            watch.snapshot().await;
            watches.push((subject, *way, watch));
        }
    }
    watches
}

/// Resumes a watch after a token and returns its refusal or its first message.
async fn first(
    subject: &Subject,
    connection: &Connection,
    way: Way,
    options: WatchOptions,
) -> Result<Option<Signal>, Status> {
    let mut watch = subject.watch(connection, way, options).await?;
    Ok(watch.next().await?.signal)
}

/// Asserts that each of these tokens is refused at its own watch, with and without a requested reset.
async fn assert_all_refused(connection: &Connection, tokens: &[(&Subject, Way, String)]) {
    for (subject, way, token) in tokens {
        for reset in [false, true] {
            let refused = first(subject, connection, *way, resume(token, reset)).await;
            let refused = refused.expect_err(token);
            assert_refused(
                &refused,
                Code::InvalidArgument,
                ErrorReason::InvalidResumeToken,
            );
        }
    }
}

/// Asserts that none of these tokens can be resumed, for this reason. If a reset is requested each leads to a
/// snapshot with this cause.
async fn assert_all_past(
    connection: &Connection,
    tokens: &[(&Subject, Way, String)],
    (code, reason): (Code, ErrorReason),
    cause: Cause,
) {
    for (subject, way, token) in tokens {
        let refused = first(subject, connection, *way, resume(token, false)).await;
        assert_refused(&refused.expect_err(token), code, reason);
        let begun = first(subject, connection, *way, resume(token, true)).await;
        assert_eq!(begun.unwrap(), Some(Signal::Begin(cause)));
    }
}

on_both_engines! {
    async fn a_token_that_was_cut_or_altered_is_refused(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let connection = Connection::of(&shop);
        let mut bad = Vec::new();
        for (subject, way, watch) in watches(&subjects, &connection).await {
            let token = watch.token;
            let dot = token.find('.').expect("it has two halves");
            // The changed character is in the first half or in the second. The texts below swap, repeat or
            // cut the halves.
            let (left, right) = (&token[..dot], &token[dot + 1..]);
            for place in [0, dot / 2, dot + 1, token.len() - 2] {
                let other = if &token[place..=place] == "A" { "B" } else { "A" };
                bad.push((subject, way, format!("{}{other}{}", &token[..place], &token[place + 1..])));
            }
            for text in [
                token[..token.len() - 1].to_owned(),
                left.to_owned(),
                format!("{right}.{left}"),
                format!("{left}.{left}"),
                format!("{token}A"),
                ".".to_owned(),
            ] {
                bad.push((subject, way, text));
            }
        }

        assert_all_refused(&connection, &bad).await;
    }

    async fn a_token_of_another_shop_is_refused(shop: Shop) {
        let request = pb::CreateShopRequest {
            shop: Some(pb::Shop { display_name: "Trade".into(), ..Default::default() }),
            shop_id: "trade".into(),
            ..Default::default()
        };
        shop.admin_as(&shop.operator_key).create_shop(request).await.unwrap();
        let there = Connection::with_key(&shop, &shop.key_of("trade", &[Role::Admin]).await);
        let subjects = Subject::of_each_kind(&shop).await;
        let tokens: Vec<_> = watches(&subjects, &there).await.into_iter()
            .map(|(subject, way, watch)| (subject, way, watch.token))
            .collect();

        assert_all_refused(&Connection::of(&shop), &tokens).await;
    }

    async fn a_token_of_another_store_is_refused(shop: Shop) {
        let other = Shop::start(shop.engine).await;
        let subjects = Subject::of_each_kind(&shop).await;
        let tokens: Vec<_> = watches(&subjects, &Connection::of(&other)).await.into_iter()
            .map(|(subject, way, watch)| (subject, way, watch.token))
            .collect();

        assert_all_refused(&Connection::of(&shop), &tokens).await;
    }

    /// A token of another kind is refused. A token of the same kind with another filter or other names leads
    /// to a snapshot.
    async fn a_token_of_another_watch_is_refused_or_leads_to_a_snapshot(shop: Shop) {
        let subjects = Subject::of_each_kind(&shop).await;
        let connection = Connection::of(&shop);
        let watches = watches(&subjects, &connection).await;
        for (subject, way, _) in &watches {
            for (other, by, watch) in &watches {
                // WatchCart of a name, and WatchCarts of just this name, are the same watch.
                let named = [Way::One, Way::Names];
                let same = way == by || (named.contains(way) && named.contains(by));
                if subject.kind == other.kind && same {
                    continue;
                }
                let went_on = first(subject, &connection, *way, resume(&watch.token, false)).await;
                match went_on {
                    Ok(begun) if subject.kind == other.kind => {
                        assert_eq!(begun, Some(Signal::Begin(Cause::FilterChanged)), "{}", watch.what);
                    }
                    Ok(begun) => panic!("{} was resumed: {begun:?}", watch.what),
                    Err(refused) => {
                        assert_ne!(subject.kind, other.kind);
                        assert_refused(&refused, Code::InvalidArgument, ErrorReason::InvalidResumeToken);
                    }
                }
            }
        }
    }

    /// The store was restored from an earlier backup.
    async fn a_token_of_the_future_is_of_another_history(shop: Shop) {
        let mut shop = shop;
        let subjects = Subject::of_each_kind(&shop).await;
        shop.stop().await;
        let backup = shop.back_up().await;
        shop.start_again(Setup::default()).await;
        for subject in &subjects {
            subject.write(&shop).await;
        }
        let tokens: Vec<_> = watches(&subjects, &Connection::of(&shop)).await.into_iter()
            .map(|(subject, way, watch)| (subject, way, watch.token))
            .collect();

        shop.stop().await;
        shop.restore(&backup).await;
        shop.start_again(Setup::default()).await;

        let refusal = (Code::Aborted, ErrorReason::StoreEpochChanged);
        assert_all_past(&Connection::of(&shop), &tokens, refusal, Cause::EpochChanged).await;
    }

    async fn a_token_whose_history_is_gone_has_expired(shop: Shop with forgetful()) {
        // Time alone changes no cart.
        let never = pb::ShopSettings { cart_abandoned_after_minutes: Some(0), ..Default::default() };
        set(&shop, &["cart_abandoned_after_minutes"], never).await;
        let subjects = Subject::of_each_kind(&shop).await;
        let tokens: Vec<_> = watches(&subjects, &Connection::of(&shop)).await.into_iter()
            .map(|(subject, way, watch)| (subject, way, watch.token))
            .collect();
        for subject in &subjects {
            subject.write(&shop).await;
        }
        shop.clock.advance(Duration::from_secs(30 * 3_600));
        for subject in &subjects {
            subject.write(&shop).await;
        }
        let (subject, way, token) = &tokens[0];
        eventually("the end of the old history", async || {
            let went_on = first(subject, &Connection::of(&shop), *way, resume(token, false)).await;
            went_on.is_err().then_some(())
        })
        .await;

        let refusal = (Code::OutOfRange, ErrorReason::ResumeTokenExpired);
        assert_all_past(&Connection::of(&shop), &tokens, refusal, Cause::TokenExpired).await;
    }
}
