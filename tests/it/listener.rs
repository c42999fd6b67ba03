//! Tests the port: gRPC, gRPC-Web with CORS, other requests, health and reflection.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use clientela::proto::pb::{self, ErrorReason, watch_carts_response::Signal};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_types::StatusExt as _;

use crate::harness::raw::framed;
use crate::harness::{Engine, PATIENCE, Places, Setup, Shop, assert_refused, eventually};
use crate::on_both_engines;
use crate::watch::{add, every, visitor};

/// Sends one HTTP/1.1 request.
pub async fn http(
    shop: &Shop,
    request: http::Request<Full<Bytes>>,
) -> (http::response::Parts, Bytes) {
    let stream = tokio::net::TcpStream::connect(shop.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

/// Begins a request.
pub fn request(method: &str, path: &str) -> http::request::Builder {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
}

/// A stream over gRPC-Web, as a page reads it.
struct Page {
    body: hyper::body::Incoming,
    received: Vec<u8>,
}

impl Page {
    /// Returns the flag and the content of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let [flag, a, b, c, d, rest @ ..] = self.received.as_slice() {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if rest.len() >= length {
                    let frame = (*flag, rest[..length].to_vec());
                    self.received.drain(..5 + length);
                    return frame;
                }
            }
            let more = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let more = more.expect("a frame comes").expect("the stream continues");
            if let Ok(data) = more.unwrap().into_data() {
                self.received.extend_from_slice(&data);
            }
        }
    }

    async fn message(&mut self) -> pb::WatchCartsResponse {
        let (flag, message) = self.frame().await;
        assert_eq!(flag, 0, "a message");
        prost::Message::decode(message.as_slice()).unwrap()
    }

    async fn trailers(&mut self) -> String {
        let (flag, trailers) = self.frame().await;
        assert_eq!(flag, 0x80, "trailers");
        String::from_utf8(trailers).unwrap()
    }
}

const ORIGIN: &str = "https://shop.example";
const GET_TITLE: &str = "/clientela.v1.CustomerService/GetTitle";

on_both_engines! {
    async fn a_page_of_an_allowed_origin_can_call_over_grpc_web(shop: Shop) {
        let ask = request("OPTIONS", GET_TITLE)
            .header("origin", ORIGIN)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-grpc-web,traceparent");
        let (asked, _) = http(&shop, ask.body(Full::default()).unwrap()).await;
        assert_eq!(asked.headers["access-control-allow-origin"], ORIGIN);
        let allowed = asked.headers["access-control-allow-headers"].to_str().unwrap();
        for header in ["authorization", "x-grpc-web", "traceparent", "tracestate"] {
            assert!(allowed.split(',').any(|name| name == header), "{allowed}");
        }

        let get = pb::GetTitleRequest { name: "titles/mr".into() };
        let call = request("POST", GET_TITLE)
            .header("origin", ORIGIN)
            .header("content-type", "application/grpc-web+proto")
            .header("x-grpc-web", "1")
            .header("authorization", format!("Bearer {}", shop.admin_key));
        let (answer, body) = http(&shop, call.body(Full::new(Bytes::from(framed(&get)))).unwrap()).await;

        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
        let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("grpc-status-details-bin"));
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        let title: pb::Title = prost::Message::decode(&body[5..5 + length]).unwrap();
        assert_eq!(title.name, "titles/mr");
        let trailers = String::from_utf8_lossy(&body[5 + length..]).into_owned();
        assert!(trailers.contains("grpc-status:0"), "{trailers}");
    }

    /// Only pages get headers that name the readable parts of an answer.
    async fn a_call_without_an_origin_has_no_headers_for_pages(shop: Shop) {
        for origin in [None, Some(ORIGIN)] {
            let mut get = tonic::Request::new(pb::GetTitleRequest { name: "titles/mr".into() });
            if let Some(origin) = origin {
                get.metadata_mut().insert("origin", origin.parse().unwrap());
            }

            let answer = shop.customers().get_title(get).await.unwrap();

            let headers = answer.metadata();
            let exposed = headers.contains_key("access-control-expose-headers");
            assert_eq!(exposed, origin.is_some(), "{headers:?}");
            for own in ["x-request-id", "clientela-revision"] {
                assert!(headers.contains_key(own), "{own}");
            }
        }
    }

    /// A page watches like any other client: messages arrive one by one, and the end of the stream has a
    /// token to resume.
    async fn a_page_can_watch_over_grpc_web(shop: Shop) {
        let mut shop = shop;
        let store = shop.store().clone();
        let watch = request("POST", "/clientela.v1.CartService/WatchCarts")
            .header("origin", ORIGIN)
            .header("content-type", "application/grpc-web+proto")
            .header("x-grpc-web", "1")
            .header("authorization", format!("Bearer {}", shop.admin_key));
        let stream = tokio::net::TcpStream::connect(shop.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(watch.body(Full::new(Bytes::from(framed(&every())))).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
        // With this header nginx forwards each message at once.
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let mut page = Page { body: answer.into_body(), received: Vec::new() };

        loop {
            let message = page.message().await;
            if let Some(Signal::SnapshotEnd(end)) = message.signal {
                assert_eq!(end.count, 0);
                break;
            }
        }
        let cart = add(&mut shop.carts(), &visitor("of the page"), "mug").await;
        let message = page.message().await;
        assert_eq!(message.changes[0].cart.as_ref(), Some(&cart));
        let token = message.resume_token;

        let (_, trailers) = tokio::join!(shop.stop(), async {
            let draining = page.message().await;
            assert!(matches!(draining.signal, Some(Signal::Draining(_))), "{draining:?}");
            page.trailers().await
        });

        assert!(trailers.contains("grpc-status:14"), "{trailers}");
        let details = trailers.lines().find_map(|line| line.strip_prefix("grpc-status-details-bin:"));
        let details = STANDARD_NO_PAD.decode(details.unwrap().trim()).unwrap();
        let status = Status::with_details(Code::Unavailable, "", details.into());
        assert_refused(&status, Code::Unavailable, ErrorReason::Draining);
        let info = status.get_details_error_info().unwrap();
        let places = Places::of(&store, "default");
        assert_eq!(places.place(&info.metadata["resume_token"]), places.place(&token));
    }

    async fn a_page_of_another_origin_is_refused(shop: Shop) {
        let ask = request("OPTIONS", GET_TITLE)
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "POST");

        let (asked, _) = http(&shop, ask.body(Full::default()).unwrap()).await;

        assert!(!asked.headers.contains_key("access-control-allow-origin"));
    }

    async fn a_request_without_grpc_gets_a_plain_answer(shop: Shop) {
        for path in ["/nothing/here", "/index.html", "/monitor.js.gz", "/monitor.css/", "//"] {
            let (other, body) =
                http(&shop, request("GET", path).body(Full::default()).unwrap()).await;

            assert_eq!((other.status.as_u16(), &body[..]), (404, &b"not found\n"[..]), "{path}");
        }
    }

    async fn health_answers_without_a_key_for_each_service(shop: Shop) {
        let mut health = HealthClient::new(shop.channel());
        for service in ["", "clientela.v1.CartService", "clientela.v1.CustomerService"] {
            let health = &mut health;
            let serving = || {
                let mut health = health.clone();
                let request = HealthCheckRequest { service: service.into() };
                async move {
                    let status = health.check(request).await.ok()?.into_inner().status();
                    (status == ServingStatus::Serving).then_some(())
                }
            };
            eventually("health", serving).await;
        }

        let unknown = HealthCheckRequest { service: "clientela.v1.NoService".into() };
        assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    }

    async fn a_call_may_require_a_revision_but_not_an_invented_one(shop: Shop) {
        let title = pb::CreateTitleRequest {
            title: Some(pb::Title {
                display_names: [("en".to_owned(), "Dr.".to_owned())].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = shop.customers().create_title(title).await.unwrap();
        let revision = created.metadata().get("clientela-revision").unwrap().clone();
        let name = created.into_inner().name;

        let mut get = tonic::Request::new(pb::GetTitleRequest { name: name.clone() });
        get.metadata_mut().insert("clientela-min-revision", revision);
        assert_eq!(shop.customers().get_title(get).await.unwrap().into_inner().name, name);

        let mut invented = tonic::Request::new(pb::GetTitleRequest { name: name.clone() });
        invented.metadata_mut().insert("clientela-min-revision", "nonsense".parse().unwrap());
        let status = shop.customers().get_title(invented).await.unwrap_err();
        assert_refused(&status, Code::InvalidArgument, ErrorReason::InvalidRevision);

        let never = Places::of(shop.store(), "default").never();
        let mut future = tonic::Request::new(pb::GetTitleRequest { name });
        future.metadata_mut().insert("clientela-min-revision", never.parse().unwrap());
        let status = shop.customers().get_title(future).await.unwrap_err();
        assert_refused(&status, Code::Unavailable, ErrorReason::RevisionNotReached);
    }
}

/// The reflection services list the contract, in both versions that tools use. They need no key only if they
/// are open.
macro_rules! reflection_lists_the_services {
    ($name:ident, $version:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let list = || {
                let message_request = Some(MessageRequest::ListServices(String::new()));
                let request = ServerReflectionRequest {
                    host: String::new(),
                    message_request,
                };
                futures::stream::iter([request])
            };
            let closed = Shop::start(Engine::Sqlite).await;
            let open = Setup {
                open_reflection: true,
                ..Default::default()
            };
            let open = Shop::start_with(Engine::Sqlite, open).await;

            let mut keyless = ServerReflectionClient::new(closed.channel());
            let refused = keyless.server_reflection_info(list()).await.unwrap_err();
            assert_refused(&refused, Code::Unauthenticated, ErrorReason::KeyMissing);

            let key = Shop::with_key(&closed.key(&[pb::Role::Monitor]).await);
            let mut keyed = ServerReflectionClient::with_interceptor(closed.channel(), key);
            let mut keyless = ServerReflectionClient::new(open.channel());
            for answers in [
                keyed.server_reflection_info(list()).await,
                keyless.server_reflection_info(list()).await,
            ] {
                let answer = answers
                    .unwrap()
                    .into_inner()
                    .message()
                    .await
                    .unwrap()
                    .unwrap();
                let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response
                else {
                    panic!("{answer:?}")
                };
                let names: Vec<String> = services
                    .service
                    .into_iter()
                    .map(|service| service.name)
                    .collect();
                for service in clientela::proto::POOL.services() {
                    assert!(names.contains(&service.full_name().to_owned()), "{names:?}");
                }
            }
        }
    };
}

reflection_lists_the_services!(reflection_lists_the_services_for_any_live_key, v1);
reflection_lists_the_services!(old_reflection_lists_the_services_for_any_live_key, v1alpha);

/// Tools that know the contract only by reflection must find the types of a refusal's details, with all their
/// dependencies. Otherwise they cannot print the details.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_knows_the_details_of_refusals() {
    use prost::Message as _;
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let shop = Shop::start(Engine::Sqlite).await;
    let keyed = Shop::with_key(&shop.admin_key);
    let mut reflection = ServerReflectionClient::with_interceptor(shop.channel(), keyed);
    let mut asked = Vec::new();
    let mut wanted: Vec<MessageRequest> = ["Status", "ErrorInfo", "BadRequest", "RetryInfo"]
        .map(|name| MessageRequest::FileContainingSymbol(format!("google.rpc.{name}")))
        .into();
    while let Some(message_request) = wanted.pop() {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message_request.clone()),
        };
        let stream = futures::stream::iter([request]);
        let answers = reflection.server_reflection_info(stream).await.unwrap();
        let answer = answers.into_inner().message().await.unwrap().unwrap();
        let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
            panic!("{message_request:?}: {answer:?}")
        };
        for bytes in files.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(&*bytes).unwrap();
            for name in file.dependency {
                if !asked.contains(&name) {
                    asked.push(name.clone());
                    wanted.push(MessageRequest::FileByFilename(name));
                }
            }
        }
    }
}
