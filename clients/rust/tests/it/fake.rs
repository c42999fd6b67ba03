//! A server with scripted answers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clientela_client::{
    Builder, Client,
    v1::{
        AddItemRequest, Cart, ListCartsRequest, ListCartsResponse, WatchCartRequest,
        WatchCartsRequest, WatchCustomersRequest, WatchGroupsRequest, WatchOptions,
    },
};
use futures::StreamExt as _;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost::Message;
use tokio::net::{TcpListener, TcpSocket};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status, body::Body, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The messages of a watch of any kind, and its end; without an end it stays open.
type Script = (Vec<Bytes>, Option<Status>);

#[derive(Default)]
struct State {
    scripts: VecDeque<Script>,
    answers: VecDeque<Option<Code>>,
    tokens: Vec<String>,
    calls: Vec<(String, String)>,
    pages: VecDeque<Result<ListCartsResponse, Status>>,
    listed: Vec<(String, i32)>,
}

pub struct Fake {
    state: Arc<Mutex<State>>,
    socket: Mutex<Option<TcpSocket>>,
    address: String,
}

impl Fake {
    /// A server with a port on which it does not listen.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            address: socket.local_addr().unwrap().to_string(),
            socket: Mutex::new(Some(socket)),
            state: Arc::default(),
        }
    }

    pub async fn start() -> Self {
        let fake = Self::new();
        fake.serve().await;
        fake
    }

    /// Starts the server.
    pub async fn serve(&self) {
        self.serve_by(Server::builder());
    }

    /// A server with a certificate of the tests' own authority.
    #[cfg(feature = "tls")]
    pub async fn start_with_tls() -> Self {
        let certificate = include_str!("certificates/server.pem");
        let key = include_str!("certificates/server.test-key.pem");
        let identity = tonic::transport::Identity::from_pem(certificate, key);
        let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
        let fake = Self::new();
        fake.serve_by(Server::builder().tls_config(tls).unwrap());
        fake
    }

    fn serve_by(&self, mut server: Server) {
        let socket = self.socket.lock().unwrap().take().unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let state = || Arc::clone(&self.state);
        tokio::spawn(
            server
                .add_service(Service::<0>(state()))
                .add_service(Service::<1>(state()))
                .add_service(Service::<2>(state()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
    }

    #[cfg(feature = "tls")]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// An address of the server that does not count as loopback.
    pub fn address_elsewhere(&self) -> String {
        self.address.replace("127.0.0.1", "0.0.0.0")
    }

    pub fn builder(&self) -> Builder {
        Client::builder()
            .address(&self.address)
            .key("clt_test")
            .waits(Duration::from_millis(1), Duration::from_millis(4))
    }

    pub fn client(&self) -> Client {
        self.builder().connect().unwrap()
    }

    /// The next watch gets these messages and is cut.
    pub fn cut_after(&self, messages: &[impl Message]) {
        self.script(messages, Some(refusal(Code::Unavailable, "DRAINING")));
    }

    /// The next watch gets these messages and nothing more.
    pub fn stay_after(&self, messages: &[impl Message]) {
        self.script(messages, None);
    }

    /// The next watch is refused.
    pub fn refuse(&self, status: Status) {
        self.script::<()>(&[], Some(status));
    }

    fn script<M: Message>(&self, messages: &[M], end: Option<Status>) {
        let mut state = self.state.lock().unwrap();
        let messages = messages.iter().map(framed).collect();
        state.scripts.push_back((messages, end));
    }

    /// The refusals of the next calls of AddItem, if any.
    pub fn answer_items(&self, answers: &[Option<Code>]) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    /// The answers of the next calls of ListCarts.
    pub fn answer_lists(&self, pages: Vec<Result<ListCartsResponse, Status>>) {
        self.state.lock().unwrap().pages.extend(pages);
    }

    /// Page token and page size of each call of ListCarts.
    pub fn listed(&self) -> Vec<(String, i32)> {
        self.state.lock().unwrap().listed.clone()
    }

    /// The resume tokens of the watches so far.
    pub fn tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().tokens.clone()
    }

    /// Key and request id of each call of AddItem.
    pub fn calls(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().calls.clone()
    }
}

/// The services, without generated servers, which the crate does not have. All behave alike; the server finds
/// them by name.
#[derive(Clone)]
struct Service<const NUMBER: usize>(Arc<Mutex<State>>);

impl tonic::server::NamedService for Service<0> {
    const NAME: &'static str = "clientela.v1.CartService";
}

impl tonic::server::NamedService for Service<1> {
    const NAME: &'static str = "clientela.v1.CustomerService";
}

impl tonic::server::NamedService for Service<2> {
    const NAME: &'static str = "clientela.v1.GroupService";
}

impl<const NUMBER: usize> tower::Service<http::Request<Body>> for Service<NUMBER> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let message = body.collect().await.unwrap().to_bytes().slice(5..);
            let mut state = state.lock().unwrap();
            Ok(match head.uri.path().rsplit('/').next().unwrap() {
                "WatchCarts" => state.watch(WatchCartsRequest::decode(message).unwrap().options),
                "WatchCart" => state.watch(WatchCartRequest::decode(message).unwrap().options),
                "WatchCartFigures" => state.watch(Some(WatchOptions::default())),
                "ListCarts" => state.list(&ListCartsRequest::decode(message).unwrap()),
                "WatchCustomers" => {
                    state.watch(WatchCustomersRequest::decode(message).unwrap().options)
                }
                "WatchGroups" => state.watch(WatchGroupsRequest::decode(message).unwrap().options),
                "AddItem" => state.add_item(&head.headers, &message),
                other => panic!("nobody calls {other}"),
            })
        })
    }
}

impl State {
    fn watch(&mut self, options: Option<WatchOptions>) -> http::Response<Body> {
        self.tokens.push(options.unwrap().resume_token);
        match self.scripts.pop_front() {
            Some((messages, Some(end))) if messages.is_empty() => end.into_http::<Body>(),
            Some((messages, end)) => stream(messages, end),
            None => stream(Vec::new(), None),
        }
    }

    fn add_item(&mut self, headers: &HeaderMap, message: &[u8]) -> http::Response<Body> {
        let request = AddItemRequest::decode(message).unwrap();
        let key = headers["authorization"].to_str().unwrap().to_owned();
        self.calls.push((key, request.request_id));
        match self.answers.pop_front().unwrap() {
            Some(code) => refusal(code, "EMAIL_TAKEN").into_http::<Body>(),
            None => whole(&Cart {
                name: "carts/a".to_owned(),
                ..Default::default()
            }),
        }
    }

    fn list(&mut self, request: &ListCartsRequest) -> http::Response<Body> {
        let asked = (request.page_token.clone(), request.page_size);
        self.listed.push(asked);
        match self.pages.pop_front().unwrap() {
            Ok(page) => whole(&page),
            Err(status) => status.into_http::<Body>(),
        }
    }
}

/// The answer of a call.
fn whole(message: &impl Message) -> http::Response<Body> {
    let trailers = trailers(Status::ok(""));
    let body = Full::new(framed(message)).with_trailers(async move { Some(Ok(trailers)) });
    answer(Body::new(body))
}

fn stream(messages: Vec<Bytes>, end: Option<Status>) -> http::Response<Body> {
    let data = messages
        .into_iter()
        .map(|message| Ok(http_body::Frame::data(message)));
    let trailers = end.map(|end| Ok(http_body::Frame::trailers(trailers(end))));
    let stays = trailers.is_none();
    let frames: Vec<Result<_, Status>> = data.chain(trailers).collect();
    let frames = futures::stream::iter(frames);
    let rest = futures::stream::pending();
    let rest = if stays {
        rest.left_stream()
    } else {
        futures::stream::empty().right_stream()
    };
    answer(Body::new(StreamBody::new(frames.chain(rest))))
}

fn trailers(status: Status) -> HeaderMap {
    let mut headers = status.into_http::<Body>().headers().clone();
    headers.remove("content-type");
    headers
}

fn answer(body: Body) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    let kind = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

pub fn refusal(code: Code, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    let metadata = HashMap::from([("customer".to_owned(), "customers/ada".to_owned())]);
    details.set_error_info(reason, "clientela.v1", metadata);
    details.set_retry_info(Some(Duration::from_secs(2)));
    details.set_bad_request(vec![tonic_types::FieldViolation {
        field: "customer.email".to_owned(),
        description: "is too long".to_owned(),
        reason: "TOO_LONG".to_owned(),
        localized_message: None,
    }]);
    Status::with_error_details(code, "no", details)
}
