//! Tests that health and reflection have limits like all other services.

use std::time::Duration;

use bytes::Bytes;
use clientela::feed::FeedSettings;
use clientela::limits;
use clientela::proto::pb::ErrorReason;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_types::StatusExt as _;

use crate::harness::raw::{Begun, Raw, framed, read};
use crate::harness::{Setup, assert_refused, eventually};
use crate::on_both_engines;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const OLD_REFLECT: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

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

/// Returns a request of reflection to list the services, with a `host` of this many bytes.
fn list(host: usize) -> Vec<u8> {
    framed(&ServerReflectionRequest {
        host: "h".repeat(host),
        message_request: Some(MessageRequest::ListServices(String::new())),
    })
}

/// Returns the length of the `host` in each answer, and the status at the end.
async fn hosts(begun: Begun) -> (Vec<usize>, Status) {
    // The request stays open or ended, as it is.
    let (answer, _request) = begun.answered_open().await.unwrap();
    let (received, status) = read(answer).await;
    let (mut hosts, mut rest) = (Vec::new(), &received[..]);
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let (message, after) = after.split_at(usize::try_from(length).unwrap());
        let answer = ServerReflectionResponse::decode(message).unwrap();
        assert!(answer.message_response.is_some(), "{answer:?}");
        hosts.push(answer.valid_host.len());
        rest = after;
    }
    (hosts, status)
}

on_both_engines! {
    async fn a_connection_has_a_limit_of_streams_of_health_and_reflection(shop: Shop with open()) {
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
        let again = eventually("the place of the ended stream", async || {
            raw.clone().call(WATCH, &[], watch.clone()).await.ok()
        });
        drop(again.await);
    }

    async fn streams_of_health_and_reflection_end_at_their_age(shop: Shop with short_lived()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let watch = raw.call(WATCH, &[], framed(&HealthCheckRequest::default())).await.unwrap();
        let (_, status) = read(watch).await;
        assert_refused(&status, Code::Unavailable, ErrorReason::Draining);

        // Further requests of a client do not keep its stream open.
        let list: &[u8] = &[0, 0, 0, 0, 2, 0x3a, 0];
        let mut begun = raw.begin(REFLECT, &[], list, false).await;
        begun.send(list, false);
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

    /// The length comes first, and the server does not wait for the rest.
    async fn a_request_of_reflection_that_is_too_large_is_refused_at_its_length(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let beyond = u32::try_from(limits::SIDE_REQUEST_BYTES_MAX + 1).unwrap();
        let head = [&[0], &beyond.to_be_bytes()[..]].concat();
        let after_others = [list(0), list(0), head.clone()].concat();
        for method in [REFLECT, OLD_REFLECT] {
            for (request, end) in [
                (list(5 * 1024), true),
                (list(5_000_000), true),
                (head.clone(), false),
                (after_others.clone(), false),
            ] {
                let begun = raw.begin(method, &[], request, end).await;
                let (_, status) = hosts(begun).await;

                assert_refused(&status, Code::ResourceExhausted, ErrorReason::RequestTooLarge);
                let info = status.get_details_error_info().unwrap();
                assert_eq!(info.metadata["limit"], "4096");
            }
        }
    }

    async fn an_invalid_request_of_reflection_is_refused(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        for (request, end, code) in [
            (&[1, 0, 0, 0, 0][..], false, Code::Internal),
            (&[7, 0, 0, 0, 0], false, Code::InvalidArgument),
            (&[0, 0, 0, 0, 1, 0xff], false, Code::InvalidArgument),
            (&[0, 0, 0, 0, 1, 0xff], true, Code::InvalidArgument),
            (&[0, 0, 0, 0, 0], false, Code::InvalidArgument),
            (&[0, 0, 0, 0, 2, 0x3a], true, Code::InvalidArgument),
            (&[0, 0], true, Code::InvalidArgument),
        ] {
            let begun = raw.begin(REFLECT, &[], request, end).await;
            let (answered, status) = hosts(begun).await;

            assert_refused(&status, code, ErrorReason::MalformedRequest);
            assert!(answered.is_empty(), "{request:?}");
        }
    }

    async fn reflection_names_the_encoding_that_it_takes(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let gzip = [("grpc-encoding", "gzip")];
        for method in [REFLECT, OLD_REFLECT] {
            let status = raw.call(method, &gzip, list(0)).await.unwrap_err();
            assert_refused(&status, Code::Unimplemented, ErrorReason::Unimplemented);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.metadata["accepted"], "identity");
            let headers = raw.begin(method, &gzip, list(0), true).await.headers().await;
            assert_eq!(headers["grpc-accept-encoding"], "identity");

            let plain = [("grpc-encoding", "identity")];
            let (answered, status) = hosts(raw.begin(method, &plain, list(3), true).await).await;
            assert_eq!((answered, status.code()), (vec![3], Code::Ok));
        }
    }

    async fn reflection_answers_requests_up_to_the_limit_in_any_pieces(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        // The frame header, and the key and the length of each field.
        let around = list(1000).len() - 1000;
        let largest = limits::SIDE_REQUEST_BYTES_MAX + 5 - around;
        assert_eq!(list(largest).len(), limits::SIDE_REQUEST_BYTES_MAX + 5);
        let sent = [list(1), list(largest), list(3)].concat();

        let mut begun = raw.begin(REFLECT, &[], vec![], false).await;
        for piece in sent.chunks(7) {
            begun.send(piece.to_vec(), false);
        }
        begun.send(Bytes::new(), true);
        let (answered, status) = hosts(begun).await;

        assert_eq!((answered, status.code()), (vec![1, largest, 3], Code::Ok));
    }

    /// The rest of a begun request must come in time. Between two requests there is no limit.
    async fn the_rest_of_a_request_of_reflection_has_a_time_limit(shop: Shop with open()) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let mut patient = raw.begin(REFLECT, &[], list(1), false).await;

        let whole_and_half = [&list(2)[..], &[0, 0, 0, 0, 0x14, 0]].concat();
        let begun = raw.begin(REFLECT, &[], whole_and_half, false).await;
        let (answered, status) = hosts(begun).await;

        assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
        assert_eq!(answered, [2]);
        patient.send(list(3), true);
        let (answered, status) = hosts(patient).await;
        assert_eq!((answered, status.code()), (vec![1, 3], Code::Ok));
    }
}
