//! A bare tonic broadcast. Each AddItem becomes a message to all streams of its cart and to all streams of
//! everything; each stream encodes it separately. Nothing is stored.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use clientela::clock::Clock;
use clientela::proto::pb::{self, watch_carts_response::Signal};
use futures::StreamExt as _;
use prost::Message;
use prost::encoding::{DecodeContext, WireType};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{Answer, unary};

/// Messages that wait for a slow stream.
const CAPACITY: usize = 4096;

/// The service.
#[derive(Clone)]
pub struct Broadcast(Arc<State>);

struct State {
    answer: pb::Cart,
    message: pb::WatchCartsResponse,
    clock: Clock,
    everything: broadcast::Sender<Shared>,
    by_cart: Mutex<HashMap<String, broadcast::Sender<Shared>>>,
}

/// A message that streams share: each pays for its encoding, and none for a copy.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<pb::WatchCartsResponse>);

impl Message for Shared {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        self.0.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: WireType,
        _: &mut impl Buf,
        _: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        unreachable!("the server only sends these")
    }

    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn clear(&mut self) {
        self.0 = Arc::default();
    }
}

type Messages = Pin<Box<dyn futures::Stream<Item = Result<Shared, Status>> + Send>>;

impl Broadcast {
    /// Answers AddItem with this cart and sends watches this response, both encoded.
    pub fn new(cart: &[u8], response: &[u8]) -> Result<Self, prost::DecodeError> {
        Ok(Self(Arc::new(State {
            answer: pb::Cart::decode(cart)?,
            message: pb::WatchCartsResponse::decode(response)?,
            clock: Clock::system(),
            everything: broadcast::Sender::new(CAPACITY),
            by_cart: Mutex::default(),
        })))
    }
}

impl State {
    fn publish(&self, cart: &str) {
        let mut message = self.message.clone();
        for change in &mut message.changes {
            cart.clone_into(&mut change.name);
            change.commit_time = Some(clientela::feed::timestamp(self.clock.now()));
        }
        let message = Shared(Arc::new(message));
        // There may be no receiver.
        let _ = self.everything.send(message.clone());
        let by_cart = self
            .by_cart
            .lock()
            .expect("no thread panics with the table");
        if let Some(sender) = by_cart.get(cart) {
            let _ = sender.send(message);
        }
    }

    fn listen(&self, cart: Option<&str>) -> Messages {
        let receiver = match cart {
            None => self.everything.subscribe(),
            Some(cart) => {
                let mut by_cart = self
                    .by_cart
                    .lock()
                    .expect("no thread panics with the table");
                let sender = by_cart
                    .entry(cart.to_owned())
                    .or_insert_with(|| broadcast::Sender::new(CAPACITY));
                sender.subscribe()
            }
        };
        let begin = Shared(Arc::new(pb::WatchCartsResponse {
            signal: Some(Signal::SnapshotEnd(pb::SnapshotEnd::default())),
            ..Default::default()
        }));
        let changes = BroadcastStream::new(receiver)
            .map(|message| message.map_err(|lagged| Status::data_loss(lagged.to_string())));
        Box::pin(futures::stream::once(async { Ok(begin) }).chain(changes))
    }
}

fn cart_of(target: Option<pb::CartTarget>) -> String {
    match target.and_then(|target| target.target) {
        Some(pb::cart_target::Target::Cart(name)) => name,
        _ => String::new(),
    }
}

impl NamedService for Broadcast {
    const NAME: &'static str = "clientela.v1.CartService";
}

impl tower::Service<http::Request<Body>> for Broadcast {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        match request.uri().path() {
            "/clientela.v1.CartService/AddItem" => {
                unary(request, move |sent: pb::AddItemRequest| {
                    state.publish(&cart_of(sent.target));
                    let answer = state.answer.clone();
                    async move { Ok(answer) }
                })
            }
            "/clientela.v1.CartService/WatchCart" => {
                streaming(request, move |sent: pb::WatchCartRequest| {
                    state.listen(Some(&cart_of(sent.target)))
                })
            }
            _ => streaming(request, move |_: pb::WatchCartsRequest| state.listen(None)),
        }
    }
}

/// Answers a streaming call as generated code does.
fn streaming<Q>(
    request: http::Request<Body>,
    handler: impl Fn(Q) -> Messages + Send + 'static,
) -> Answer
where
    Q: Message + Default + 'static,
{
    let handler = tower::service_fn(move |request: Request<Q>| {
        std::future::ready(Ok(Response::new(handler(request.into_inner()))))
    });
    Box::pin(async move {
        let codec = ProstCodec::<Shared, Q>::default();
        let mut grpc = tonic::server::Grpc::new(codec);
        Ok(grpc.server_streaming(handler, request).await)
    })
}
