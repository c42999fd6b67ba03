//! The layer around all RPCs: key, role, request, handler, answer, in this order.
//!
//! The handler finds a [`Caller`] in the request. The answer is either the handler's, without the fields that
//! the key's roles may not see, or a status with a reason of the contract. Each call is logged once.

mod answer;
mod call;
mod ending;
mod refusal;
mod request;
mod side;
mod unsent;

use crate::contract::{Method, TABLES};
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::body::Body;
use futures::{FutureExt as _, future::Either};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::{
    access::{
        keys::{Key, Keys},
        turns::in_turn,
        wire,
    },
    caller::{Caller, RequestId},
    connection::Connection,
    error::{Error, Result},
    feed::Feed,
    limits,
    proto::pb::ErrorReason,
    revision::Reached,
};
use answer::Answer;
use call::Call;
use ending::{Ending, Ends};
use refusal::{
    deadline_passed, is_undetailed, key_missing, not_grpc, refusal, undetailed, unimplemented,
};
use unsent::{Recipient, Unsent};

/// Wraps routes in the access layer.
#[derive(Clone)]
pub struct AccessLayer(Arc<Access>);

struct Access {
    keys: Keys,
    /// Makes the digests of requests. It is keyed, so that a stored digest reveals nothing about its request.
    digest: Hmac<Sha256>,
    feed: Feed,
    open_reflection: bool,
    unsent: Unsent,
    /// The turns of all writes.
    writes: Arc<Semaphore>,
    side_streams: side::Streams,
}

/// Routes behind the access layer.
#[derive(Clone)]
pub struct Guarded<S> {
    access: Arc<Access>,
    inner: S,
}

impl fmt::Debug for AccessLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLayer").finish_non_exhaustive()
    }
}

impl AccessLayer {
    /// Creates a layer for these keys. `secret` is the store's.
    #[must_use]
    pub fn new(keys: Keys, secret: &[u8; 32], feed: Feed, open_reflection: bool) -> Self {
        let mut digest = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        digest.update(b"request");
        Self(Arc::new(Access {
            keys,
            digest,
            feed,
            open_reflection,
            unsent: Unsent::default(),
            writes: Arc::new(Semaphore::new(limits::WRITES_MAX)),
            side_streams: side::Streams::default(),
        }))
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        // The tables are built before the first call and not during it.
        std::sync::LazyLock::force(&TABLES);
        Guarded {
            access: Arc::clone(&self.0),
            inner,
        }
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that reported to be ready is the one to be called.
        let other = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, other);
        let access = Arc::clone(&self.access);
        Box::pin(async move { Ok(access.answer(inner, request).await) })
    }
}

impl Access {
    async fn answer<S>(self: Arc<Self>, inner: S, request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        if let Some(refusal) = not_grpc(&request) {
            return refusal;
        }
        let path = request.uri().path();
        if let Some(method) = TABLES.method(path) {
            return self.guarded(method, inner, request).await;
        }
        if !path.starts_with(side::REFLECTION) && !path.starts_with(side::HEALTH) {
            return Status::from(unimplemented()).into_http();
        }
        match self.beside(inner, request).await {
            Ok(response) => response,
            Err(error) => refusal(error),
        }
    }

    /// Answers a call of health or reflection.
    async fn beside<S>(&self, inner: S, request: Request<Body>) -> Result<Response<Body>>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let reflects = path.starts_with(side::REFLECTION);
        let streams = side::streams(path);
        let started = Instant::now();
        let (deadline, ends) = request::deadlines(&parts.headers, started, streams);
        if reflects && !self.open_reflection {
            before(deadline, self.authenticate(&parts.headers)).await??;
        }
        let connection = parts.extensions.get::<Connection>().cloned();
        let permit = if streams {
            let connection = connection.unwrap_or_default();
            Some(side::take(&self.side_streams, &connection)?)
        } else {
            None
        };
        // A client of reflection sends requests as long as its stream is open.
        let (body, requests) = if reflects {
            request::check_encoding(&parts.headers)?;
            let requests = side::Requests::new(body);
            let outcome = requests.outcome();
            (Body::new(requests), Some(outcome))
        } else {
            let arrives = deadline.min(started + limits::REQUEST_BODY_TIME_MAX);
            let max = limits::SIDE_REQUEST_BYTES_MAX;
            let received = request::receive(&parts.headers, body, max, |_| Ok(()));
            (Body::from(before(arrives, received).await??.0), None)
        };
        let passed = Box::pin(pass(inner, Request::from_parts(parts, body)));
        let response = before(deadline, passed).await?;
        if let Some(status) = Status::from_header_map(response.headers())
            && is_undetailed(&status)
        {
            return Err(side::detailed(&status));
        }
        let Some(permit) = permit else {
            return Ok(response);
        };
        let ends = Ends {
            draining: self.feed.draining().clone(),
            age: self.feed.stream_age(),
            deadline: ends,
        };
        let guarded = |body| {
            let body = Body::new(Ending::new(body, ends, requests, permit));
            unsent::stream(&self.feed, body)
        };
        Ok(response.map(guarded))
    }

    async fn guarded<S>(
        &self,
        method: &'static Method,
        inner: S,
        request: Request<Body>,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let call = Call::new(method);
        call.id.cover(self.logged(call, inner, request)).await
    }

    /// Answers a call and logs it.
    async fn logged<S>(&self, mut call: Call, inner: S, request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let reached = Reached::default();
        let answered = self.checked(&mut call, &reached, inner, request).await;
        let mut response = match answered {
            Ok(response) => response,
            Err(error) => refusal(error),
        };
        if let Some(status) = response.extensions().get::<Status>()
            && is_undetailed(status)
        {
            response = Status::from(undetailed(status)).into_http();
        }
        let headers = response.headers_mut();
        headers.insert("x-request-id", unique_header(call.header()));
        if call.key.is_some()
            && let Ok(revision) = HeaderValue::from_str(&self.feed.revision(&reached))
        {
            // A handler may set an older revision, for the answer of an earlier call.
            headers
                .entry("clientela-revision")
                .or_insert(unique_header(revision));
        }
        call.answered(response)
    }

    /// Runs everything before the handler, and the handler.
    async fn checked<S>(
        &self,
        call: &mut Call,
        reached: &Reached,
        inner: S,
        request: Request<Body>,
    ) -> Result<Response<Body>>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let method = call.method;
        let (mut parts, body) = request.into_parts();
        let (deadline, ends) = request::deadlines(&parts.headers, call.started, method.streams);
        let key = before(deadline, self.authenticate(&parts.headers)).await??;
        call.key = Some(Arc::clone(&key));
        if !key.roles.intersects(method.roles) {
            let text = format!("no role of the key may call {}", method.path);
            return Err(
                Error::new(Code::PermissionDenied, ErrorReason::RoleNotAllowed, text)
                    .with("allowed", method.roles.names()),
            );
        }
        let _under_way = key.turns.begin()?;
        let recipient = Recipient {
            connection: parts.extensions.get().cloned().unwrap_or_default(),
            of_key: Arc::clone(&key.unsent_bytes),
        };
        self.unsent.admit(&recipient)?;
        let caller = self.caller(method, &key, &parts.headers);
        let mut caller = before(deadline, caller).await??;
        caller.deadline = ends;
        caller.revision = reached.clone();

        let arrives = deadline.min(call.started + limits::REQUEST_BODY_TIME_MAX);
        let max = limits::REQUEST_BYTES_MAX;
        let count = |bytes| self.unsent.take_request(&recipient, bytes);
        let received = request::receive(&parts.headers, body, max, count);
        let (bytes, message, counted) = before(arrives, received).await??;
        wire::check(method, &message, key.roles)?;
        caller.request = self.request_id(method, &message)?;
        if let Some(revision) = request::metadata(&parts.headers, "clientela-min-revision")? {
            before(deadline, self.feed.reach(revision)).await??;
        }

        // The key may have ended while the request arrived.
        if key.ended.is_cancelled() {
            return Err(key_missing());
        }
        parts.extensions.insert(caller);
        // Boxed: the futures around it would contain it by value, and moving them would copy it.
        let handled = Box::pin(pass(inner, Request::from_parts(parts, Body::from(bytes))));
        let handled = async {
            // A write that has begun is carried out, and its caller has to learn of it. So room for its
            // answer is kept first.
            let room = match method.reads_only {
                true => None,
                false => Some(self.unsent.keep_room(&recipient)?),
            };
            Ok::<_, Error>((room, AssertUnwindSafe(handled).catch_unwind().await))
        };
        let handled = in_turn(&key, method, &self.writes, counted, handled);
        let (room, response) = before(deadline, handled).await?.ok_or_else(key_missing)??;
        let response = response.map_err(|_| Error::internal("a handler panicked"))?;
        let answer = TABLES.message(method.response);
        let view = answer
            .is_narrowed_for(key.roles)
            .then_some((method.response, key.roles));
        if method.streams {
            return Ok(response.map(|body| Body::new(Answer::new(body, view))));
        }
        if response.extensions().get::<Status>().is_some() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = if view.is_some() {
            Body::new(Answer::new(body, view))
        } else {
            body
        };
        let (message, trailers) = answer::whole(body).await?;
        let charge = match room {
            None => self.unsent.take(recipient, message.len())?,
            Some(_) => self.unsent.charge(recipient, message.len()),
        };
        // Released only now, so that no other answer takes the room.
        drop(room);
        let body = unsent::body(&self.feed, message, trailers, charge);
        Ok(Response::from_parts(parts, body))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Key>> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        // With two headers, a proxy and this server might not take the same one.
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(key_missing());
        };
        let secret = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret)
            .ok_or_else(key_missing)?;
        self.keys.find(secret).await?.ok_or_else(key_missing)
    }

    async fn caller(
        &self,
        method: &'static Method,
        key: &Arc<Key>,
        headers: &HeaderMap,
    ) -> Result<Caller> {
        let actor = request::metadata(headers, "clientela-actor")?;
        let on_behalf_of = request::metadata(headers, "clientela-on-behalf-of")?;
        if (actor.is_some() || on_behalf_of.is_some()) && !key.may_act {
            let text = "the key may not name the acting person";
            return Err(Error::new(
                Code::PermissionDenied,
                ErrorReason::ActorNotAllowed,
                text,
            ));
        }
        Ok(Caller {
            key_id: Arc::clone(&key.id),
            roles: key.roles,
            shop: self.shop(method, key, headers).await?,
            actor: actor.map(Arc::from),
            on_behalf_of: on_behalf_of.map(Arc::from),
            request: None,
            deadline: None,
            call_time: self.feed.clock().now(),
            method: &method.path,
            revision: Reached::default(),
            key_ended: key.ended.clone(),
            turns: Arc::clone(&key.turns),
        })
    }

    async fn shop(&self, method: &Method, key: &Key, headers: &HeaderMap) -> Result<Arc<str>> {
        let named = request::metadata(headers, "clientela-shop")?
            .map(|name| name.strip_prefix("shops/").unwrap_or(name));
        match (&key.shop, named) {
            (Some(shop), None) => Ok(Arc::clone(shop)),
            (Some(shop), Some(named)) if **shop == *named => Ok(Arc::clone(shop)),
            // A key cannot distinguish a foreign shop from one that does not exist.
            (Some(_), Some(_)) => Err(Error::not_found("shop")),
            (None, Some(named)) => self
                .keys
                .shop(named)
                .await?
                .ok_or_else(|| Error::not_found("shop")),
            (None, None) => match self.keys.only_shop().await? {
                Some(shop) => Ok(shop),
                None if method.without_shop => Ok(Arc::from("")),
                None => Err(Error::new(
                    Code::InvalidArgument,
                    ErrorReason::ShopRequired,
                    "the metadata clientela-shop must name the shop, as there are several",
                )),
            },
        }
    }

    fn request_id(&self, method: &Method, message: &[u8]) -> Result<Option<RequestId>> {
        let malformed = |wire::Malformed| wire::malformed();
        let Some(id) = wire::request_id(method, message).map_err(malformed)? else {
            return Ok(None);
        };
        let mut digest = self.digest.clone();
        digest.update(method.path.as_bytes());
        digest.update(&[0]);
        digest.update(&wire::canonical(method, message).map_err(malformed)?);
        Ok(Some(RequestId {
            id: Arc::from(id),
            digest: digest.finalize().into_bytes().into(),
        }))
    }
}

/// Runs `future` until the given moment. Work that was begun in the store continues.
///
/// After the moment nothing is begun.
fn before<T>(moment: Instant, future: impl Future<Output = T>) -> impl Future<Output = Result<T>> {
    if moment <= Instant::now() {
        return Either::Left(std::future::ready(Err(deadline_passed())));
    }
    let passed = tokio::time::timeout_at(moment.into(), future);
    Either::Right(passed.map(|passed| passed.map_err(|_| deadline_passed())))
}

/// Marks a value that no other answer has as sensitive, so that HPACK does not put it into its table. There
/// it would evict the headers that repeat.
fn unique_header(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

async fn pass<S>(mut inner: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match inner.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
