//! Tests the common path of every call: key, acting person, shop, deadline, the metadata of the answer, and
//! the other protocols of the port.

use std::io;

use clientela::proto::pb::{self, ErrorReason, Role};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    harness::{
        Engine, Places, Setup, Shop, assert_refused, eventually,
        raw::{self, Raw},
    },
    on_both_engines,
};

const SETTINGS: &str = "/clientela.v1.AdminService/GetShopSettings";
/// An empty message with its frame header.
const EMPTY: &[u8] = &[0; 5];

fn settings() -> pb::GetShopSettingsRequest {
    pb::GetShopSettingsRequest {}
}

/// Returns a request with metadata in addition to the key.
fn with<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (key, value) in metadata {
        request
            .metadata_mut()
            .append(*key, value.parse().expect("metadata is ASCII"));
    }
    request
}

async fn second_shop(shop: &Shop) {
    let request = pb::CreateShopRequest {
        shop_id: "second".into(),
        ..Default::default()
    };
    let request = pb::CreateShopRequest {
        shop: Some(pb::Shop::default()),
        ..request
    };
    shop.admin_as(&shop.operator_key)
        .create_shop(request)
        .await
        .expect("a second shop");
}

/// Sends a request in HTTP/1.1 and returns the whole answer as text.
async fn http1(shop: &Shop, head: &str, body: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(shop.address).await?;
    let length = body.len();
    let head =
        format!("{head}\r\nhost: shop\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

on_both_engines! {
    async fn two_keys_in_one_call_are_refused(shop: Shop) {
        let bearer = format!("Bearer {}", shop.admin_key);
        let head = format!(
            "POST {SETTINGS} HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\n\
             authorization: {bearer}\r\nauthorization: {bearer}"
        );

        let answer = http1(&shop, &head, EMPTY).await.unwrap();

        assert!(answer.contains("grpc-status: 16"), "{answer}");
    }

    async fn only_keys_with_that_right_may_name_an_acting_person(shop: Shop) {
        let api_key = pb::ApiKey { roles: vec![Role::Admin.into()], ..Default::default() };
        let request = pb::CreateApiKeyRequest { api_key: Some(api_key), ..Default::default() };
        let plain = shop.admin().create_api_key(request).await.unwrap().into_inner().secret;
        let may = shop.key(&[Role::Admin]).await;

        for metadata in ["clientela-actor", "clientela-on-behalf-of"] {
            let call = |key: &str, value: &str| {
                let mut client = shop.admin_as(key);
                let request = with(settings(), &[(metadata, value)]);
                async move { client.get_shop_settings(request).await }
            };
            let status = call(&plain, "staff/anna").await.unwrap_err();
            assert_refused(&status, Code::PermissionDenied, ErrorReason::ActorNotAllowed);
            call(&may, "staff/anna").await.unwrap();
            call(&may, &"a".repeat(128)).await.unwrap();
            let status = call(&may, &"a".repeat(129)).await.unwrap_err();
            assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidField);
        }
    }

    async fn an_operator_must_name_one_of_several_shops(shop: Shop) {
        let operator = shop.operator_key.clone();
        let get = |metadata: &[(&'static str, &str)]| {
            let mut client = shop.admin_as(&operator);
            let request = with(settings(), metadata);
            async move { client.get_shop_settings(request).await }
        };
        get(&[]).await.unwrap();

        second_shop(&shop).await;

        let status = get(&[]).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, ErrorReason::ShopRequired);
        get(&[("clientela-shop", "default")]).await.unwrap();
        get(&[("clientela-shop", "shops/second")]).await.unwrap();
        let status = get(&[("clientela-shop", "third")]).await.unwrap_err();
        assert_refused(&status, Code::NotFound, ErrorReason::NotFound);
        let mut client = shop.admin_as(&operator);
        client.list_shops(pb::ListShopsRequest::default()).await.unwrap();
    }

    async fn a_new_shop_can_be_named_at_once(shop: Shop) {
        second_shop(&shop).await;

        let request = with(settings(), &[("clientela-shop", "second")]);
        shop.admin_as(&shop.operator_key).get_shop_settings(request).await.unwrap();
    }

    async fn a_foreign_and_an_absent_shop_are_refused_alike(shop: Shop) {
        second_shop(&shop).await;
        let refused = |named: &'static str| {
            let mut client = shop.admin();
            let request = with(settings(), &[("clientela-shop", named)]);
            async move { client.get_shop_settings(request).await.unwrap_err() }
        };

        let (anothers, none) = (refused("second").await, refused("third").await);

        assert_refused(&anothers, Code::NotFound, ErrorReason::NotFound);
        assert_eq!(anothers.details(), none.details());
        assert_eq!(anothers.message(), none.message());
    }

    async fn every_answer_has_an_id_and_a_revision(shop: Shop) {
        let answer = shop.admin().get_shop_settings(settings()).await.unwrap();
        assert_eq!(answer.metadata().get("x-request-id").unwrap().len(), 16);
        let revision = answer.metadata().get("clientela-revision").unwrap().clone();

        let request = pb::GetShopRequest { name: "shops/none".into() };
        let status = shop.admin().get_shop(request).await.unwrap_err();
        assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 16);
        assert!(status.metadata().get("clientela-revision").is_some());

        let reached = with(settings(), &[("clientela-min-revision", revision.to_str().unwrap())]);
        shop.admin().get_shop_settings(reached).await.unwrap();
        let foreign = with(settings(), &[("clientela-min-revision", "yesterday")]);
        let status = shop.admin().get_shop_settings(foreign).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidRevision);
    }

    async fn a_passed_deadline_has_its_own_status(shop: Shop) {
        let never = Places::of(shop.store(), "default").never();
        let head = format!(
            "POST {SETTINGS} HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\n\
             authorization: Bearer {}\r\nclientela-min-revision: {never}\r\ngrpc-timeout: 50m",
            shop.admin_key
        );

        let answer = http1(&shop, &head, EMPTY).await.unwrap();

        assert!(answer.contains("grpc-status: 4"), "{answer}");
        let later = with(settings(), &[("clientela-min-revision", never.as_str())]);
        let status = shop.admin().get_shop_settings(later).await.unwrap_err();
        assert_refused(&status, Code::Unavailable, ErrorReason::RevisionNotReached);
    }

    async fn requests_beyond_the_limit_are_refused_after_the_role(shop: Shop) {
        let mut client = shop.admin();
        let request = pb::CreateShopRequest {
            shop: Some(pb::Shop { display_name: "a".repeat(1024 * 1024), ..Default::default() }),
            ..Default::default()
        };
        let status: Status = client.create_shop(request).await.unwrap_err();
        assert_refused(&status, Code::PermissionDenied, ErrorReason::RoleNotAllowed);

        let key = pb::ApiKey { display_name: "a".repeat(1024 * 1024), ..Default::default() };
        let request = pb::CreateApiKeyRequest { api_key: Some(key), ..Default::default() };
        let status = client.create_api_key(request).await.unwrap_err();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::RequestTooLarge);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["limit"], "1048576");
    }

    /// The length comes first, and the server does not wait for the rest.
    async fn a_request_that_is_too_large_is_refused_at_its_length(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let bearer = format!("Bearer {}", shop.admin_key);
        let head: &[u8] = &[0, 0, 0x20, 0, 0];

        let begun = raw.begin(SETTINGS, &[("authorization", &bearer)], head, false).await;

        let status = begun.answered().await.unwrap_err();
        assert_refused(&status, Code::ResourceExhausted, ErrorReason::RequestTooLarge);
    }

    async fn a_compressed_request_is_refused_with_the_reason(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let bearer = format!("Bearer {}", shop.admin_key);
        let key = ("authorization", bearer.as_str());
        let compressed: &[u8] = &[1, 0, 0, 0, 0];
        for method in [SETTINGS, "/grpc.health.v1.Health/Check"] {
            let flagged = raw.call(method, &[key], compressed).await.unwrap_err();
            assert_refused(&flagged, Code::Internal, ErrorReason::MalformedRequest);

            let gzip = [key, ("grpc-encoding", "gzip")];
            let named = raw.call(method, &gzip, compressed).await.unwrap_err();
            assert_refused(&named, Code::Unimplemented, ErrorReason::Unimplemented);
            let headers = raw.begin(method, &gzip, compressed, true).await.headers().await;
            assert_eq!(headers["grpc-accept-encoding"], "identity");

            let plain = [key, ("grpc-encoding", "identity")];
            drop(raw.call(method, &plain, EMPTY).await.unwrap());
        }
    }

    async fn a_call_whose_deadline_has_passed_does_nothing(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let bearer = format!("Bearer {}", shop.admin_key);
        let add = pb::AddItemRequest {
            target: Some(crate::watch::visitor("in no time")),
            item: Some(crate::watch::item("mug", 1)),
            ..Default::default()
        };
        for timeout in ["0S", "0n", "1n", "99n"] {
            let headers = [("authorization", bearer.as_str()), ("grpc-timeout", timeout)];
            let method = "/clientela.v1.CartService/AddItem";
            let status = raw.call(method, &headers, raw::framed(&add)).await.unwrap_err();
            assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
        }

        let list = pb::ListCartsRequest::default();
        let carts = shop.carts().list_carts(list).await.unwrap().into_inner().carts;
        assert!(carts.is_empty(), "{carts:?}");
    }

    /// The call ends with a reason in either case.
    async fn a_call_with_a_short_deadline_is_answered_or_refused_with_a_reason(shop: Shop) {
        let raw = Raw::connect(shop.address, 65_535).await;
        let bearer = format!("Bearer {}", shop.admin_key);
        for timeout in ["1u", "100u", "300u", "500u", "700u", "1m", "2m", "3m"].repeat(20) {
            let headers = [("authorization", bearer.as_str()), ("grpc-timeout", timeout)];
            if let Err(status) = raw.call(SETTINGS, &headers, EMPTY).await {
                assert_refused(&status, Code::DeadlineExceeded, ErrorReason::DeadlinePassed);
            }
        }
    }

    async fn health_needs_no_key_and_reflection_does(shop: Shop) {
        let mut health = tonic_health::pb::health_client::HealthClient::new(shop.channel());
        let service = tonic_health::pb::HealthCheckRequest {
            service: "clientela.v1.AdminService".into(),
        };
        eventually("readiness", || {
            let (mut health, service) = (health.clone(), service.clone());
            async move { health.check(service).await.ok() }
        })
        .await;
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();

        let reflect = |key: Option<&str>| {
            let key = key.map(|key| format!("\r\nauthorization: Bearer {key}")).unwrap_or_default();
            format!(
                "POST /grpc.reflection.v1.ServerReflection/ServerReflectionInfo HTTP/1.1\r\n\
                 content-type: application/grpc-web+proto{key}"
            )
        };
        let list = [0, 0, 0, 0, 2, 0x3a, 0];
        let answer = http1(&shop, &reflect(None), &list).await.unwrap();
        assert!(answer.contains("grpc-status: 16"), "{answer}");
        let answer = http1(&shop, &reflect(Some(&shop.admin_key)), &list).await.unwrap();
        assert!(answer.contains("clientela.v1.AdminService"), "{answer}");
    }

    async fn a_request_without_grpc_gets_an_answer_of_http(shop: Shop) {
        let status = |head: &'static str| {
            let shop = &shop;
            async move {
                let answer = http1(shop, head, EMPTY).await.unwrap();
                answer.lines().next().unwrap().to_owned()
            }
        };

        assert_eq!(status("GET / HTTP/1.1").await, "HTTP/1.1 200 OK");
        assert_eq!(status("GET /none HTTP/1.1").await, "HTTP/1.1 404 Not Found");
        let json = "POST /clientela.v1.AdminService/GetShop HTTP/1.1\r\ncontent-type: application/json";
        assert_eq!(status(json).await, "HTTP/1.1 415 Unsupported Media Type");
        let none = "POST /clientela.v1.AdminService/GetShop HTTP/1.1";
        assert_eq!(status(none).await, "HTTP/1.1 415 Unsupported Media Type");
        let json = "PUT /clientela.v1.AdminService/GetShop HTTP/1.1\r\ncontent-type: application/json";
        assert_eq!(status(json).await, "HTTP/1.1 404 Not Found");
    }

    async fn a_key_sees_only_the_fields_of_its_roles(shop: Shop) {
        let rated = pb::Customer {
            first_name: "Ada".into(),
            email: "ada@example.test".into(),
            risk: pb::customer::Risk::High.into(),
            payment_days: Some(30),
            accounting_number: "4711".into(),
            ..Default::default()
        };
        let request = pb::CreateCustomerRequest { customer: Some(rated), ..Default::default() };
        let name = shop.customers().create_customer(request).await.unwrap().into_inner().name;
        let seen_by = |role: Role| {
            let (shop, name) = (&shop, name.clone());
            async move {
                let mut customers = shop.customers_as(&shop.key(&[role]).await);
                let get = pb::GetCustomerRequest { name };
                let seen = customers.get_customer(get).await.unwrap().into_inner();
                (seen.first_name, seen.risk, seen.payment_days, seen.accounting_number)
            }
        };

        let high = i32::from(pb::customer::Risk::High);
        let ada = String::from("Ada");
        let all = (ada.clone(), high, Some(30), "4711".into());
        assert_eq!(seen_by(Role::Support).await, all);
        assert_eq!(seen_by(Role::Storefront).await, (ada.clone(), 0, Some(30), String::new()));
        assert_eq!(seen_by(Role::Monitor).await, (ada, 0, None, String::new()));
    }

    async fn an_unknown_rpc_is_unimplemented_with_a_reason(shop: Shop) {
        let head = "POST /clientela.v1.AdminService/Conquer HTTP/1.1\r\n\
                    content-type: application/grpc-web+proto";

        let answer = http1(&shop, head, EMPTY).await.unwrap();

        assert!(answer.contains("grpc-status: 12"), "{answer}");
        assert!(answer.contains("grpc-status-details-bin"), "{answer}");
    }
}

/// A call without a shop must not go to the shop that was the only one a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_shop_is_known_at_once_at_every_replica() {
    let shop = Shop::start(Engine::Postgres).await;
    let replica = shop.replica(Setup::default()).await;
    let list = || {
        let mut carts = replica.carts_as(&shop.operator_key);
        async move { carts.list_carts(pb::ListCartsRequest::default()).await }
    };
    list().await.unwrap();

    second_shop(&shop).await;

    let status = list().await.unwrap_err();
    assert_refused(&status, Code::InvalidArgument, ErrorReason::ShopRequired);
    replica.stop().await;
}
