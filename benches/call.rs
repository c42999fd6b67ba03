//! Calls of any RPC by its name.

use clientela::proto::POOL;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::{Message, Name};
use prost_reflect::MethodDescriptor;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::shop::Transport;

/// A call that starts when it is first polled. It fails if it is refused.
pub type Call = BoxFuture<'static, ()>;

/// The field of a stream's answer that ends its snapshot. All streams have it under this number.
#[derive(Clone, PartialEq, Message)]
struct Seen {
    #[prost(message, optional, tag = "4")]
    snapshot_end: Option<()>,
}

/// All RPCs.
pub fn methods() -> impl Iterator<Item = MethodDescriptor> {
    POOL.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
}

/// Makes a call now.
pub async fn ask<Q, A>(transport: &Transport, rpc: &str, request: Q) -> A
where
    Q: Message + Name + 'static,
    A: Message + Default + 'static,
{
    let answer = try_ask(transport, rpc, request).await;
    answer.unwrap_or_else(|refusal| panic!("{rpc}: {refusal}"))
}

async fn try_ask<Q, A>(transport: &Transport, rpc: &str, request: Q) -> Result<A, Status>
where
    Q: Message + Name + 'static,
    A: Message + Default + 'static,
{
    let (_, path) = find::<Q>(rpc);
    let mut client = Grpc::new(transport.clone());
    client.ready().await.expect("the server is there");
    let codec = ProstCodec::<Q, A>::default();
    let answer = client.unary(Request::new(request), path, codec).await;
    answer.map(Response::into_inner)
}

/// Prepares a call that is refused because of the state of its resource.
pub fn refused<Q: Message + Name + 'static>(transport: &Transport, rpc: &str, request: Q) -> Call {
    let (transport, rpc) = (transport.clone(), rpc.to_owned());
    async move {
        let refusal = try_ask::<Q, ()>(&transport, &rpc, request).await;
        let code = refusal.expect_err("a refusal").code();
        assert_eq!(code, Code::FailedPrecondition);
    }
    .boxed()
}

/// Prepares a call without decoding its answer. A stream is read up to the end of its snapshot, or to its
/// first message if it has no snapshot.
pub fn later<Q: Message + Name + 'static>(transport: &Transport, rpc: &str, request: Q) -> Call {
    let (method, path) = find::<Q>(rpc);
    let (transport, rpc) = (transport.clone(), rpc.to_owned());
    if !method.is_server_streaming() {
        return async move { ask(&transport, &rpc, request).await }.boxed();
    }
    let answer = method.output();
    let has_snapshot = answer.get_field_by_name("snapshot_end").is_some();
    async move {
        if !has_snapshot {
            let mut stream = open::<Q, ()>(transport, request, path).await;
            next(&mut stream, &rpc).await;
            return;
        }
        let mut stream = open::<Q, Seen>(transport, request, path).await;
        while next(&mut stream, &rpc).await.snapshot_end.is_none() {}
    }
    .boxed()
}

async fn open<Q, A>(transport: Transport, request: Q, path: PathAndQuery) -> Streaming<A>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut client = Grpc::new(transport);
    client.ready().await.expect("the server is there");
    let codec = ProstCodec::<Q, A>::default();
    let stream = client.server_streaming(Request::new(request), path, codec);
    stream.await.expect("a stream").into_inner()
}

async fn next<A>(stream: &mut Streaming<A>, rpc: &str) -> A {
    let message = stream.message().await;
    let message = message.unwrap_or_else(|refusal| panic!("{rpc}: {refusal}"));
    message.unwrap_or_else(|| panic!("{rpc}: a message comes"))
}

fn find<Q: Name>(rpc: &str) -> (MethodDescriptor, PathAndQuery) {
    let method = methods().find(|method| method.name() == rpc);
    let method = method.unwrap_or_else(|| panic!("there is no RPC {rpc}"));
    assert_eq!(method.input().full_name(), Q::full_name());
    let service = method.parent_service();
    let path = format!("/{}/{rpc}", service.full_name());
    (method, path.parse().expect("names make a path"))
}
