//! Health and reflection have limits like all other services.

use std::time::Duration;

use clientela::feed::FeedSettings;
use clientela::limits;
use clientela::proto::pb::ErrorReason;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt as _;

use crate::harness::raw::{Raw, framed, read};
use crate::harness::{Setup, assert_refused, eventually};
use crate::on_both_engines;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn short_lived() -> Setup {
    let usual = Setup {
        open_reflection: true,
        ..Setup::default()
    };
    let feed = FeedSettings {
        stream_age: Duration::from_millis(300),
        ..usual.feed.clone()
    };
    Setup { feed, ..usual }
}

fn open() -> Setup {
    Setup {
        open_reflection: true,
        ..Setup::default()
    }
}

on_both_engines! {
    async fn a_connection_has_only_so_many_streams_of_health_and_reflection(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let watch = framed(&HealthCheckRequest::default());
        let mut streams = Vec::new();
        for _ in 0..limits::SIDE_STREAMS_PER_CONNECTION_MAX {
            streams.push(raw.call(WATCH, &[], watch.clone()).await.unwrap());
        }

        for method in [WATCH, REFLECT] {
            let status = raw.call(method, &[], watch.clone()).await.unwrap_err();
            assert_refused(&status, Code::ResourceExhausted, ErrorReason::TooManyStreams);
            assert!(status.get_details_retry_info().is_some());
        }
        drop(raw.call(CHECK, &[], watch.clone()).await.unwrap());
        let other = Raw::connect(shop.address, 65_535).await;
        drop(other.call(WATCH, &[], watch.clone()).await.unwrap());

        drop(streams.pop());
        let again = eventually("the place of the stream that went", async || {
            raw.clone().call(WATCH, &[], watch.clone()).await.ok()
        });
        drop(again.await);
    }

    async fn streams_of_health_and_reflection_end_at_their_age(shop: Shop with short_lived()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let watch = raw.call(WATCH, &[], framed(&HealthCheckRequest::default())).await.unwrap();
        let (_, status) = read(watch).await;
        assert_refused(&status, Code::Unavailable, ErrorReason::Draining);

        // What a client goes on sending is no reason to go on.
        let list: &[u8] = &[0, 0, 0, 0, 2, 0x3a, 0];
        let mut begun = raw.begin(REFLECT, &[], list, false).await;
        begun.request.send_data(list.into(), false).unwrap();
        let (answer, _request) = begun.answered_open().await.unwrap();
        let (_, status) = read(answer).await;
        assert_refused(&status, Code::Unavailable, ErrorReason::Draining);
    }

    async fn health_keeps_the_deadline_of_its_caller(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let soon = [("grpc-timeout", "100m")];
        // The rest of the request never comes.
        let begun = raw.begin(CHECK, &soon, &[0, 0, 0][..], false).await;
        let status = begun.answered().await.unwrap_err();
        assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);

        let watch = framed(&HealthCheckRequest::default());
        let watch = raw.call(WATCH, &soon, watch).await.unwrap();
        let (_, status) = read(watch).await;
        assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
    }

    async fn refusals_of_health_have_a_reason(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let unknown = HealthCheckRequest { service: "clientela.v1.NoService".into() };

        let status = raw.call(CHECK, &[], framed(&unknown)).await.unwrap_err();
        assert_refused(&status, Code::NotFound, ErrorReason::NotFound);
        let status = raw.call(CHECK, &[], vec![0, 0, 0, 0, 1, 0xff]).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, ErrorReason::MalformedRequest);
        let status = raw.call("/grpc.health.v1.Health/Heal", &[], vec![0; 5]).await.unwrap_err();
        assert_refused(&status, Code::Unimplemented, ErrorReason::Unimplemented);
    }
}
