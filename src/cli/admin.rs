//! The way from `clientela key` and `clientela shop` to AdminService: over the network, or, with `--offline`,
//! in a store that no server has open.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt as _, util::BoxCloneService};

use crate::{
    access::{Keys, wire},
    app,
    caller::{Caller, Roles},
    clock::Clock,
    contract::TABLES,
    error::{Error, Result as StoreResult},
    groups,
    proto::{
        pb::{Role, admin_service_client::AdminServiceClient},
        server::admin_service_server::AdminServiceServer,
    },
    shops,
    store::{DatabaseUrl, StoreConfig},
};

use super::{
    connection::{Connection, Need, user},
    failure::Failure,
};

/// AdminService, remote or in this process.
pub type AdminClient = AdminServiceClient<Calls>;

type Calls = BoxCloneService<http::Request<Body>, http::Response<Body>, BoxError>;

/// The place of AdminService.
#[derive(Debug, Args)]
pub struct AdminTarget {
    /// Works on the store itself, without a key; the server must be stopped
    #[arg(long, global = true)]
    offline: bool,

    /// With --offline: the PostgreSQL database, if the store is not in the data folder
    #[arg(
        long,
        env = "CLIENTELA_DATABASE_URL",
        hide_env_values = true,
        global = true
    )]
    database_url: Option<String>,

    #[command(flatten, next_help_heading = "Connection")]
    connection: Connection,
}

impl AdminTarget {
    /// Runs work with AdminService. A store that was opened for it is closed afterwards.
    pub async fn with(
        &self,
        work: impl AsyncFnOnce(AdminClient) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.offline {
            let transport = self.connection.open(Need::Operator).await?.transport();
            let calls = transport
                .map_response(|response| response.map(Body::new))
                .map_err(BoxError::from);
            return work(AdminServiceClient::new(BoxCloneService::new(calls))).await;
        }
        let database = match self.database_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => DatabaseUrl::postgres(url).map_err(|e| Failure::new(e.to_string()))?,
            None => {
                let data_dir = &self.connection.data_dir;
                // A store is opened here, but never created from a mistyped path.
                if !data_dir.join(crate::store::DATABASE_FILE).exists() {
                    let text = format!("there is no store in {}", data_dir.display());
                    return Err(Failure::new(text));
                }
                DatabaseUrl::embedded(data_dir)
            }
        };
        let store = app::open(&StoreConfig::new(database), Clock::system())
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        let shop = self
            .connection
            .shop
            .clone()
            .unwrap_or_else(|| shops::DEFAULT_SHOP.to_owned());
        let actor = self.connection.actor.clone().unwrap_or_else(user);
        let mut caller = Caller::system(Arc::from(shop), Some(Arc::from(actor)));
        caller.roles = Roles::of(Role::Operator);
        let keys = Keys::of(&store);
        let service = shops::Service::new(store.clone(), keys, Arc::new(groups::Hidden));
        let calls = Offline {
            inner: AdminServiceServer::new(service),
            caller,
        };
        let outcome = work(AdminServiceClient::new(BoxCloneService::new(calls))).await;
        store.close().await;
        outcome
    }
}

/// AdminService without a network. Requests are checked as the server checks them.
#[derive(Clone)]
struct Offline {
    inner: AdminServiceServer<shops::Service>,
    caller: Caller,
}

impl Service<http::Request<Body>> for Offline {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { mut inner, caller } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            if let Err(error) = check(parts.uri.path(), &bytes, caller.roles) {
                return Ok(tonic::Status::from(error).into_http());
            }
            parts.extensions.insert(caller);
            let body = Body::new(http_body_util::Full::new(bytes));
            Ok(inner.call(http::Request::from_parts(parts, body)).await?)
        })
    }
}

/// Bytes before the message of a gRPC frame: whether it is compressed, and its length.
const FRAME_HEADER: usize = 5;

fn check(path: &str, frame: &Bytes, roles: Roles) -> StoreResult<()> {
    let method = TABLES
        .method(path)
        .ok_or_else(|| Error::not_found("method"))?;
    wire::check(method, frame.get(FRAME_HEADER..).unwrap_or_default(), roles)
}
