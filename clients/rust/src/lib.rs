//! A client of Clientela: the generated clients with a key on every call, retries that do nothing
//! twice, refusals as values, and watches that go on by themselves.
//!
//! ```no_run
//! # async fn example() -> Result<(), clientela_client::Error> {
//! use clientela_client::{Client, Event, v1};
//! use futures::StreamExt as _;
//!
//! let client = Client::builder().key("clt_…").connect()?;
//! let mut carts = client.watch_carts(v1::WatchCartsRequest::default());
//! while let Some(event) = carts.next().await {
//!     match event? {
//!         Event::Changed(change) => println!("{} is at version {}", change.name, change.version),
//!         Event::Reset(_) => println!("from the beginning"),
//!         Event::Ready { count } => println!("{count} carts"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _, future::BoxFuture, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt as _, Full};
use prost::encoding::{self, DecodeContext};
use rand::RngExt as _;
use tonic::{
    Code, Status, Streaming,
    body::Body,
    codegen::StdError,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;
use tower::{Service, ServiceExt as _};

/// The messages and clients of the contract, generated from it.
#[expect(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("clientela.v1");
}

use v1::{
    ChangeKind, ErrorReason, WatchOptions, admin_service_client::AdminServiceClient,
    cart_service_client::CartServiceClient, customer_service_client::CustomerServiceClient,
    group_service_client::GroupServiceClient, operation_service_client::OperationServiceClient,
    snapshot_begin::Cause,
};

/// The contract as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clientela.fds"));

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: usize = 5;
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const WATCH_WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A connection to a server; cheap to clone. It opens with the first call, and again after an outage.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    watching: Watching,
}

impl Client {
    /// Where to connect to and as whom. Everything has a default.
    pub fn builder() -> Builder {
        Builder {
            address: "127.0.0.1:50051".to_owned(),
            key: std::env::var("CLIENTELA_API_KEY").unwrap_or_default(),
            headers: Vec::new(),
            security: Security::ByAddress,
            watching: Watching {
                waits: WATCH_WAITS,
                listener: Arc::new(|_| {}),
                silence: None,
            },
        }
    }

    /// The customers of the shop.
    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::new(self.transport.clone())
    }

    /// The groups of the shop.
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::new(self.transport.clone())
    }

    /// The carts of the shop.
    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::new(self.transport.clone())
    }

    /// Shops, keys and the audit.
    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport.clone())
    }

    /// Long work.
    pub fn operations(&self) -> OperationServiceClient<Transport> {
        OperationServiceClient::new(self.transport.clone())
    }

    /// What the clients call through, for calls that are not generated.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Follows carts, for ever: by a filter, by names, or all.
    pub fn watch_carts(&self, request: v1::WatchCartsRequest) -> Watch<v1::CartChange> {
        Watch::new(self, request)
    }

    /// Follows customers, for ever.
    pub fn watch_customers(&self, request: v1::WatchCustomersRequest) -> Watch<v1::CustomerChange> {
        Watch::new(self, request)
    }

    /// Follows groups, for ever.
    pub fn watch_groups(&self, request: v1::WatchGroupsRequest) -> Watch<v1::GroupChange> {
        Watch::new(self, request)
    }
}

/// What is said of a connection.
#[derive(Clone)]
pub struct Builder {
    address: String,
    key: String,
    headers: Vec<(&'static str, String)>,
    security: Security,
    watching: Watching,
}

#[derive(Debug, Clone)]
enum Security {
    /// Plaintext on this machine, TLS beyond it.
    ByAddress,
    Plaintext,
    #[cfg(feature = "tls")]
    Tls(tonic::transport::ClientTlsConfig),
}

impl Builder {
    /// `host:port`; `127.0.0.1:50051` by default.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// The API key; that in the environment's `CLIENTELA_API_KEY` by default.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The shop, where there are several; needs an operator key.
    pub fn shop(self, shop: impl Into<String>) -> Self {
        self.header("clientela-shop", shop)
    }

    /// Who is acting, as `staff/anna`; for keys that may say so.
    pub fn actor(self, actor: impl Into<String>) -> Self {
        self.header("clientela-actor", actor)
    }

    /// For whom the actor acts.
    pub fn on_behalf_of(self, person: impl Into<String>) -> Self {
        self.header("clientela-on-behalf-of", person)
    }

    /// No TLS, although the server is on another machine: the key and all data can be read.
    pub fn plaintext(mut self) -> Self {
        self.security = Security::Plaintext;
        self
    }

    /// TLS of your own making, as with your own authorities; by default those of the system.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: tonic::transport::ClientTlsConfig) -> Self {
        self.security = Security::Tls(tls);
        self
    }

    /// How long a watch waits before it connects again: at first, and at most. 0.1 s and 10 s by
    /// default.
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.watching.waits = (first, longest);
        self
    }

    /// Hears why the connection of a watch ended, and `None` when there is one again.
    pub fn on_connection(
        mut self,
        listener: impl Fn(Option<&Error>) + Send + Sync + 'static,
    ) -> Self {
        self.watching.listener = Arc::new(listener);
        self
    }

    #[doc(hidden)]
    pub fn silence(mut self, longest: Duration) -> Self {
        self.watching.silence = Some(longest);
        self
    }

    /// Makes the connection, which opens with the first call. Within a Tokio runtime.
    pub fn connect(self) -> Result<Client, Error> {
        if self.key.is_empty() {
            return Err(Error::usage("no key: give one, or set CLIENTELA_API_KEY"));
        }
        let mut headers = HeaderMap::new();
        let key = ("authorization", format!("Bearer {}", self.key));
        for (name, value) in self.headers.into_iter().chain([key]) {
            // The value is left out of the text: it may be the key.
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let value = HeaderValue::from_str(&value).ok().filter(|_| printable);
            let mut value =
                value.ok_or_else(|| Error::usage(&format!("{name} takes printable ASCII only")))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let wrong = || Error::usage("no address; write it as 127.0.0.1:50051");
        let endpoint = |scheme: &str| -> Result<Endpoint, Error> {
            let uri: Uri = format!("{scheme}://{}", self.address)
                .parse()
                .map_err(|_| wrong())?;
            let whole = uri.port().is_some()
                && uri.host().is_some_and(|host| !host.is_empty())
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none();
            whole.then(|| Endpoint::from(uri)).ok_or_else(wrong)
        };
        let endpoint = match self.security {
            Security::ByAddress if is_loopback(&self.address) => endpoint("http")?,
            Security::Plaintext => endpoint("http")?,
            #[cfg(feature = "tls")]
            Security::ByAddress => with_tls(endpoint("https")?, default_tls())?,
            #[cfg(feature = "tls")]
            Security::Tls(tls) => with_tls(endpoint("https")?, tls)?,
            #[cfg(not(feature = "tls"))]
            Security::ByAddress => return Err(Error::usage("built without the feature `tls`")),
        };
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect_lazy();
        Ok(Client {
            transport: Transport { channel, headers },
            watching: self.watching,
        })
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(feature = "tls")]
fn default_tls() -> tonic::transport::ClientTlsConfig {
    tonic::transport::ClientTlsConfig::new().with_enabled_roots()
}

#[cfg(feature = "tls")]
fn with_tls(endpoint: Endpoint, tls: tonic::transport::ClientTlsConfig) -> Result<Endpoint, Error> {
    endpoint
        .tls_config(tls)
        .map_err(|error| Error::usage(&format!("TLS cannot be set up: {error}")))
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || literal
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Carries calls: puts the key onto them, and repeats what the server was not there for.
#[derive(Debug, Clone)]
pub struct Transport {
    channel: Channel,
    headers: HeaderMap,
}

pub(crate) struct Method {
    /// Whether it is one question with one answer; streams are not repeated here.
    unary: bool,
    request_id: Option<i32>,
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, StdError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Box::pin(send(self.channel.clone(), request))
    }
}

async fn send(
    channel: Channel,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, StdError> {
    let method = method(request.uri().path());
    if !method.unary {
        return channel.oneshot(request).await.map_err(unreachable);
    }
    let (head, body) = request.into_parts();
    let message = body.collect().await?.to_bytes();
    let message = match method.request_id {
        Some(field) => identified(message, field.unsigned_abs()),
        None => message,
    };
    let mut backoff = Backoff::new(RETRY_WAITS);
    let mut attempt = 1;
    loop {
        let body = Body::new(Full::new(message.clone()));
        let answer = once(&channel, http::Request::from_parts(head.clone(), body)).await;
        if attempt == ATTEMPTS_MAX || !is_unavailable(&answer) {
            return Ok(answer?.map(Body::new));
        }
        attempt += 1;
        tokio::time::sleep(backoff.next()).await;
    }
}

type Answer = http::Response<http_body_util::Collected<Bytes>>;

async fn once(channel: &Channel, request: http::Request<Body>) -> Result<Answer, StdError> {
    let answer = channel
        .clone()
        .oneshot(request)
        .await
        .map_err(unreachable)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(unreachable)?;
    Ok(http::Response::from_parts(head, body))
}

/// A connection that fails is said in different ways; to the caller the server was not there.
fn unreachable(error: impl Into<StdError>) -> StdError {
    let status = Status::from_error(error.into());
    match status.code() {
        Code::Unknown | Code::Internal => Status::unavailable(status.message()).into(),
        _ => status.into(),
    }
}

fn is_unavailable(answer: &Result<Answer, StdError>) -> bool {
    let unavailable = |headers: &HeaderMap| {
        headers
            .get("grpc-status")
            .is_some_and(|status| status == "14")
    };
    match answer {
        Ok(answer) => {
            unavailable(answer.headers()) || answer.body().trailers().is_some_and(unavailable)
        }
        Err(error) => error
            .downcast_ref::<Status>()
            .is_some_and(|status| status.code() == Code::Unavailable),
    }
}

/// The message with a request id, so that a retry is answered and not done again.
fn identified(framed: Bytes, field: u32) -> Bytes {
    const HEAD: usize = 5;
    // A compressed message is left alone.
    if framed.len() < HEAD || framed[0] != 0 || has_field(&framed[HEAD..], field) {
        return framed;
    }
    let mut message = BytesMut::from(&framed[..]);
    encoding::string::encode(field, &uuid::Uuid::new_v4().to_string(), &mut message);
    let Ok(length) = u32::try_from(message.len() - HEAD) else {
        return framed;
    };
    (&mut message[1..HEAD]).put_u32(length);
    message.freeze()
}

fn has_field(mut message: &[u8], field: u32) -> bool {
    while let Ok((number, wire)) = encoding::decode_key(&mut message) {
        if number == field
            || encoding::skip_field(wire, number, &mut message, DecodeContext::default()).is_err()
        {
            return true;
        }
    }
    false
}

/// Why a call was refused, or could not be made.
#[derive(Debug, Clone)]
pub struct Error {
    /// The gRPC code.
    pub code: Code,
    /// What to switch on. Unspecified if the server did not say, as when there is none.
    pub reason: ErrorReason,
    /// For people.
    pub message: String,
    /// What saves a read: `current_etag`, `open_cart` and the like.
    pub metadata: HashMap<String, String>,
    /// The fields that break their rules, all of them.
    pub violations: Vec<Violation>,
    /// When to try again, if the server said so.
    pub retry_after: Option<Duration>,
}

/// One field that breaks its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its path, as `customer.email`.
    pub field: String,
    /// What is wrong, as `TOO_LONG`.
    pub reason: String,
    /// The same for people.
    pub description: String,
}

impl Error {
    fn usage(message: &str) -> Self {
        Status::invalid_argument(message).into()
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details
            .bad_request()
            .map(|request| &request.field_violations);
        Self {
            code: status.code(),
            reason: info
                .and_then(|info| ErrorReason::from_str_name(&info.reason))
                .unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            violations: violations
                .into_iter()
                .flatten()
                .map(|violation| Violation {
                    field: violation.field.clone(),
                    reason: violation.reason.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ErrorReason::Unspecified => write!(f, "{} ({:?})", self.message, self.code),
            reason => write!(f, "{} ({})", self.message, reason.as_str_name()),
        }
    }
}

impl std::error::Error for Error {}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<C> {
    /// A resource is there, has changed, is gone, or has left the filter: see its kind.
    Changed(C),
    /// Forget what you know: all that is there follows. Also the first event.
    Reset(Cause),
    /// Now you know all that is there.
    Ready {
        /// How many you hold.
        count: i64,
    },
}

/// Events, for ever. It connects again by itself, goes on after the last event, and tells nothing
/// twice; it ends with an error if trying again cannot help, or by being dropped.
pub struct Watch<C> {
    events: BoxStream<'static, Result<Event<C>, Error>>,
    told: Arc<Mutex<String>>,
}

impl<C: Watched> Watch<C> {
    fn new(client: &Client, request: C::Request) -> Self {
        let told = Arc::new(Mutex::new(String::new()));
        let follower = Follower::<C>::new(client.clone(), request, Arc::clone(&told));
        let events = futures::stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(event) => Some((Ok(event), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Self {
            events: events.boxed(),
            told,
        }
    }

    /// The place of the last event; a request with it goes on after that. Empty amid a snapshot.
    pub fn resume_token(&self) -> String {
        self.told
            .lock()
            .map(|told| told.clone())
            .unwrap_or_default()
    }
}

impl<C> Stream for Watch<C> {
    type Item = Result<Event<C>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl<C> fmt::Debug for Watch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Watching {
    waits: (Duration, Duration),
    listener: Arc<dyn Fn(Option<&Error>) + Send + Sync>,
    silence: Option<Duration>,
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

/// Follows one watch across any number of connections.
struct Follower<C: Watched> {
    client: Client,
    request: C::Request,
    stream: Option<Streaming<C::Response>>,
    pending: VecDeque<Event<C>>,
    seen: Seen,
    backoff: Backoff,
    away: bool,
    silence: Duration,
    received: String,
    told: Arc<Mutex<String>>,
}

impl<C: Watched> Follower<C> {
    fn new(client: Client, mut request: C::Request, told: Arc<Mutex<String>>) -> Self {
        let options = C::options(&mut request).get_or_insert_default();
        options.reset_on_expired_token = true;
        let heartbeat = options
            .heartbeat_interval
            .map_or(15, |interval| interval.seconds.clamp(1, 60));
        let follower = Self {
            received: options.resume_token.clone(),
            silence: client
                .watching
                .silence
                .unwrap_or(Duration::from_secs(3 * heartbeat.unsigned_abs())),
            backoff: Backoff::new(client.watching.waits),
            away: false,
            client,
            request,
            stream: None,
            pending: VecDeque::new(),
            seen: Seen::default(),
            told,
        };
        follower.note_place();
        follower
    }

    async fn next(&mut self) -> Result<Event<C>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.note_place();
                return Ok(event);
            }
            match tokio::time::timeout(self.silence, self.message()).await {
                Ok(Ok(message)) => self.take(message),
                Ok(Err(status)) => self.ended(status).await?,
                Err(_) => {
                    self.ended(Status::unavailable("the server is silent"))
                        .await?
                }
            }
        }
    }

    async fn message(&mut self) -> Result<C::Response, Status> {
        if self.stream.is_none() {
            let options = C::options(&mut self.request).get_or_insert_default();
            options.resume_token.clone_from(&self.received);
            options.skip_snapshot &= self.received.is_empty();
            self.stream = Some(C::open(self.client.transport(), self.request.clone()).await?);
        }
        let message = match &mut self.stream {
            Some(stream) => stream.message().await?,
            None => None,
        };
        // A stream has no end of its own, so one in good order is as good as a broken one.
        message.ok_or_else(|| Status::unavailable("the stream ended"))
    }

    fn take(&mut self, message: C::Response) {
        self.backoff.reset();
        if std::mem::take(&mut self.away) {
            (self.client.watching.listener)(None);
        }
        let (signal, changes, token) = C::split(message);
        let (before, after) = match signal {
            Some(begin @ Event::Reset(_)) => (Some(begin), None),
            other => (None, other),
        };
        if before.is_some() {
            self.seen.reset();
            self.received.clear();
        }
        self.pending.extend(before);
        for change in changes {
            let (kind, name, version) = change.head();
            if self.seen.admit(kind == ChangeKind::Upserted, name, version) {
                self.pending.push_back(Event::Changed(change));
            }
        }
        self.pending.extend(after);
        if !token.is_empty() {
            self.received = token;
        }
        self.note_place();
    }

    async fn ended(&mut self, status: Status) -> Result<(), Error> {
        self.stream = None;
        let error = Error::from(status);
        let forgotten = match error.code {
            Code::OutOfRange | Code::Aborted => true,
            _ => error.reason == ErrorReason::InvalidResumeToken && !self.received.is_empty(),
        };
        let mends = matches!(
            error.code,
            Code::Unavailable | Code::Internal | Code::Unknown
        ) || error.reason == ErrorReason::SlowConsumer;
        if forgotten {
            self.received.clear();
        } else if !mends {
            return Err(error);
        }
        self.away = true;
        (self.client.watching.listener)(Some(&error));
        tokio::time::sleep(self.backoff.next()).await;
        Ok(())
    }

    /// The place of a message counts when all of its events were told.
    fn note_place(&self) {
        if self.pending.is_empty()
            && let Ok(mut told) = self.told.lock()
        {
            told.clone_from(&self.received);
        }
    }
}

/// What can be watched: the changes of carts, customers and groups.
#[doc(hidden)]
pub trait Watched: Sized + Send + 'static {
    type Request: Clone + Send + Sync;
    type Response: Send;

    fn options(request: &mut Self::Request) -> &mut Option<WatchOptions>;
    fn open(
        transport: Transport,
        request: Self::Request,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;
    fn split(response: Self::Response) -> (Option<Event<Self>>, Vec<Self>, String);
    fn head(&self) -> (ChangeKind, &str, i64);
}

macro_rules! watched {
    ($change:ident, $request:ident, $response:ident, $signals:ident, $client:ident, $call:ident) => {
        impl Watched for v1::$change {
            type Request = v1::$request;
            type Response = v1::$response;

            fn options(request: &mut Self::Request) -> &mut Option<WatchOptions> {
                &mut request.options
            }

            async fn open(
                transport: Transport,
                request: Self::Request,
            ) -> Result<Streaming<Self::Response>, Status> {
                Ok($client::new(transport).$call(request).await?.into_inner())
            }

            fn split(response: Self::Response) -> (Option<Event<Self>>, Vec<Self>, String) {
                use v1::$signals::Signal;
                let signal = match response.signal {
                    Some(Signal::SnapshotBegin(begin)) => Some(Event::Reset(begin.cause())),
                    Some(Signal::SnapshotEnd(end)) => Some(Event::Ready { count: end.count }),
                    _ => None,
                };
                (signal, response.changes, response.resume_token)
            }

            fn head(&self) -> (ChangeKind, &str, i64) {
                (self.kind(), &self.name, self.version)
            }
        }
    };
}

watched!(
    CartChange,
    WatchCartsRequest,
    WatchCartsResponse,
    watch_carts_response,
    CartServiceClient,
    watch_carts
);
watched!(
    CustomerChange,
    WatchCustomersRequest,
    WatchCustomersResponse,
    watch_customers_response,
    CustomerServiceClient,
    watch_customers
);
watched!(
    GroupChange,
    WatchGroupsRequest,
    WatchGroupsResponse,
    watch_groups_response,
    GroupServiceClient,
    watch_groups
);

/// Which versions were told, so that what comes twice is told once.
#[derive(Debug, Default)]
struct Seen {
    present: HashMap<String, i64>,
    /// What is gone may come again only soon after a connection: that of long ago is let go.
    gone: HashMap<String, i64>,
    gone_before: HashMap<String, i64>,
    whole: bool,
}

impl Seen {
    const GONE_MAX: usize = 10_000;

    /// A whole state follows: what is not known from then on never was.
    fn reset(&mut self) {
        *self = Self {
            whole: true,
            ..Self::default()
        };
    }

    /// Whether a change is news.
    fn admit(&mut self, upserted: bool, name: &str, version: i64) -> bool {
        let left = self
            .gone
            .get(name)
            .or_else(|| self.gone_before.get(name))
            .copied();
        if upserted {
            // The clock lets a resource leave and enter with the version that it has.
            let news = match self.present.get_mut(name) {
                Some(known) => version > std::mem::replace(known, version.max(*known)),
                None => left.is_none_or(|left| version >= left),
            };
            if news {
                self.present.entry(name.to_owned()).or_insert(version);
            }
            return news;
        }
        let news = match self.present.get(name) {
            Some(known) => version >= *known,
            None => !self.whole && left.is_none_or(|left| version > left),
        };
        if news {
            self.present.remove(name);
            if self.gone.len() >= Self::GONE_MAX {
                self.gone_before = std::mem::take(&mut self.gone);
            }
            self.gone.insert(name.to_owned(), version);
        }
        news
    }
}

/// Waits that double, each cut at random so that many clients do not come back at once.
#[derive(Debug)]
struct Backoff {
    waits: (Duration, Duration),
    next: Duration,
}

impl Backoff {
    fn new(waits: (Duration, Duration)) -> Self {
        Self {
            waits,
            next: waits.0,
        }
    }

    /// Between half of the next wait and the whole.
    fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.waits.1);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    fn reset(&mut self) {
        self.next = self.waits.0;
    }
}

#[cfg(test)]
mod tests;
