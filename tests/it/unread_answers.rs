//! Tests answers that clients do not read: their memory is limited, and they are dropped after a time.

use clientela::limits;
use clientela::proto::pb::{self, ErrorReason, ListCartsRequest};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::raw::{Raw, framed, read};
use crate::harness::{Setup, assert_refused, eventually};
use crate::large_answers::large_cart;
use crate::on_both_engines;

const LIST: &str = "/clientela.v1.CartService/ListCarts";

on_both_engines! {
    /// The unread answers of a connection are bounded, dropped in time, and harm no other connection.
    async fn unread_answers_are_bounded_and_dropped(shop: Shop with Setup::held()) {
        for number in 0..16 {
            large_cart(&shop, number).await;
        }
        let bearer = format!("Bearer {}", shop.admin_key);
        let key = [("authorization", bearer.as_str())];
        let list = framed(&ListCartsRequest::default());
        let deaf = Raw::connect(shop.address, 1024).await;
        let (mut unread, mut refusal) = (Vec::new(), None);
        while refusal.is_none() {
            assert!(unread.len() < 60, "every answer waits in memory");
            match deaf.call(LIST, &key, list.clone()).await {
                Ok(answer) => unread.push(answer),
                Err(status) => refusal = Some(status),
            }
        }

        let status = refusal.unwrap();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
        assert!(status.get_details_retry_info().is_some());
        let status = deaf.call(LIST, &key, list.clone()).await.unwrap_err();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::Overloaded);
        let others = shop.carts().list_carts(ListCartsRequest::default()).await.unwrap();
        assert!(!others.into_inner().carts.is_empty(), "another connection has its own memory");

        let answer = eventually("free memory for answers", async || {
            shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            deaf.clone().call(LIST, &key, list.clone()).await.ok()
        })
        .await;

        let (bytes, status) = read(answer).await;
        assert_eq!(status.code(), Code::Ok, "an answer that is read is whole: {status:?}");
        let page = <pb::ListCartsResponse as prost::Message>::decode(&bytes[5..]).unwrap();
        assert!(!page.carts.is_empty());
        let (bytes, status) = read(unread.swap_remove(0)).await;
        assert!(bytes.len() <= 4 * limits::ANSWER_CHUNK_BYTES, "{}", bytes.len());
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::SlowConsumer);
    }

    /// The transport takes small answers at once, and holds them while their client does nothing.
    async fn a_connection_that_reads_none_of_many_answers_is_cut(shop: Shop with Setup::held()) {
        let bearer = format!("Bearer {}", shop.admin_key);
        let key = [("authorization", bearer.as_str())];
        let deaf = Raw::connect(shop.address, 0).await;
        let mut unread = Vec::new();
        for _ in 0..limits::ABANDONED_ANSWERS_MAX {
            let settings = "/clientela.v1.AdminService/GetShopSettings";
            unread.push(deaf.call(settings, &key, vec![0; 5]).await.unwrap());
        }

        let mut last = unread.pop().unwrap();
        let ended = tokio::spawn(async move { last.data().await });
        eventually("the end of the connection", async || {
            shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
            ended.is_finished().then_some(())
        })
        .await;
        let error = ended.await.unwrap().and_then(Result::err).expect("it was cut");
        let kind = error.get_io().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset), "{error}");

        shop.admin().get_shop_settings(pb::GetShopSettingsRequest {}).await.unwrap();
    }

    /// Answers that it cancels no longer count.
    async fn a_connection_that_cancels_some_answers_stays_open(shop: Shop with Setup::held()) {
        let bearer = format!("Bearer {}", shop.admin_key);
        let key = [("authorization", bearer.as_str())];
        let settings = "/clientela.v1.AdminService/GetShopSettings";
        let slow = Raw::connect(shop.address, 0).await;
        for _ in 0..3 {
            let mut unread = Vec::new();
            for _ in 0..limits::ABANDONED_ANSWERS_MAX / 2 {
                unread.push(slow.call(settings, &key, vec![0; 5]).await.expect("the connection is open"));
            }
            // A later connection that is cut shows that the earlier answers were dropped.
            let deaf = Raw::connect(shop.address, 0).await;
            let mut ignored = Vec::new();
            for _ in 0..limits::ABANDONED_ANSWERS_MAX {
                ignored.push(deaf.call(settings, &key, vec![0; 5]).await.unwrap());
            }
            let mut last = ignored.pop().unwrap();
            let ended = tokio::spawn(async move { last.data().await });
            eventually("the end of the other connection", async || {
                shop.clock.advance(limits::WATCH_STALLED_MAX / 10);
                ended.is_finished().then_some(())
            })
            .await;
            drop(unread);
        }

        let last = slow.call(settings, &key, vec![0; 5]).await;
        assert!(last.is_ok(), "the connection is open");
    }
}
