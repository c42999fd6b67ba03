//! The yardsticks of the product: the same calls, answered only by the parts that the yardstick is named
//! after. A client cannot distinguish them from the product.

mod broadcast;
mod echo;
mod group_commit;
mod row;
mod statements;

use std::convert::Infallible;
use std::future::Future;

use futures::future::BoxFuture;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use group_commit::GroupCommit;
pub use statements::StatementLoop;

/// The answer of a service.
type Answer = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

/// Answers a unary call as generated code does.
fn unary<Q, A, F>(request: http::Request<Body>, handler: impl Fn(Q) -> F + Send + 'static) -> Answer
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let handler = tower::service_fn(move |request: Request<Q>| {
        let answer = handler(request.into_inner());
        async move { answer.await.map(Response::new) }
    });
    Box::pin(async move {
        let codec = ProstCodec::<A, Q>::default();
        Ok(tonic::server::Grpc::new(codec)
            .unary(handler, request)
            .await)
    })
}
