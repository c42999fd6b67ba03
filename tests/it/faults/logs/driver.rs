//! A client that notes its calls for the test of the log.

use bytes::Bytes;
use clientela::proto::pb::{ErrorReason, Role};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use super::super::process::Server;
use crate::contract::call::{allowed, ask, method, methods, stream};
use crate::contract::world::World;
use crate::harness::{Connection, Keyed, Shop};

/// An answered call, with the parts of its line in the log.
pub struct Call {
    pub method: String,
    pub code: Code,
    pub reason: String,
    pub id: String,
    /// The id in the metadata of an internal error.
    pub internal: Option<String>,
}

/// A client that makes calls and notes the expected log lines.
pub struct Driver {
    channel: Channel,
    pub connection: Connection,
    pub operator: Connection,
    pub calls: Vec<Call>,
    /// Keys and tokens that were sent or received.
    pub secrets: Vec<String>,
}

impl Driver {
    pub async fn of(server: &Server) -> Self {
        let secrets = vec![server.key("admin"), server.key("operator")];
        let channel = server.connect().await;
        let key = server.keyed().and("clientela-actor", "staff/zebra");
        let operator = Shop::with_key(&server.key("operator"));
        Self {
            connection: Connection::over(channel.clone(), key),
            operator: Connection::over(channel.clone(), operator),
            channel,
            calls: Vec::new(),
            secrets,
        }
    }

    /// Returns a connection with another key on the same channel.
    pub fn with(&self, key: Keyed) -> Connection {
        Connection::over(self.channel.clone(), key)
    }

    pub async fn call(
        &mut self,
        rpc: &str,
        request: &impl prost::Message,
    ) -> Result<DynamicMessage, Status> {
        self.call_by(&self.connection.clone(), rpc, request).await
    }

    /// Calls an RPC through a given connection.
    pub async fn call_by(
        &mut self,
        connection: &Connection,
        rpc: &str,
        request: &impl prost::Message,
    ) -> Result<DynamicMessage, Status> {
        let rpc = method(rpc);
        let answer = ask(connection, &rpc, request.encode_to_vec()).await;
        let bytes = self.noted(&rpc, answer)?;
        Ok(DynamicMessage::decode(rpc.output(), bytes).expect("an answer decodes"))
    }

    /// Calls an RPC that must succeed.
    pub async fn done(&mut self, rpc: &str, request: &impl prost::Message) -> DynamicMessage {
        let answer = self.call(rpc, request).await;
        answer.unwrap_or_else(|status| panic!("{rpc}: {status:?}"))
    }

    /// Opens a stream.
    pub async fn open(&mut self, rpc: &str, request: &impl prost::Message) -> Streaming<Bytes> {
        let rpc = method(rpc);
        let opened = stream(&self.connection, &rpc, request.encode_to_vec()).await;
        self.noted(&rpc, opened).expect("a stream")
    }

    /// Calls an RPC that must be refused with this reason.
    pub async fn refused(&mut self, rpc: &str, reason: ErrorReason, request: &impl prost::Message) {
        self.refused_by(&self.connection.clone(), rpc, reason, request)
            .await;
    }

    /// As [`refused`](Self::refused), through a given connection.
    pub async fn refused_by(
        &mut self,
        connection: &Connection,
        rpc: &str,
        reason: ErrorReason,
        request: &impl prost::Message,
    ) {
        let refusal = match method(rpc).is_server_streaming() {
            true => {
                let opened = stream(connection, &method(rpc), request.encode_to_vec()).await;
                self.noted(&method(rpc), opened).map(drop)
            }
            false => self.call_by(connection, rpc, request).await.map(drop),
        };
        let status = refusal.expect_err(rpc);
        let info = status.get_details_error_info();
        let said = info.map(|info| info.reason).unwrap_or_default();
        assert_eq!(said, reason.as_str_name(), "{rpc}: {status:?}");
    }

    /// Notes the expected log line of an answered call.
    fn noted<T>(
        &mut self,
        rpc: &MethodDescriptor,
        answer: Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let method = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name());
        let (metadata, code) = match &answer {
            Ok(response) => (response.metadata(), Code::Ok),
            Err(status) => (status.metadata(), status.code()),
        };
        let id = metadata.get("x-request-id");
        let id = id.unwrap_or_else(|| panic!("{method} has no x-request-id"));
        let refused = answer.as_ref().err();
        let info = refused.and_then(|status| status.get_details_error_info());
        self.calls.push(Call {
            method,
            code,
            reason: info
                .as_ref()
                .map_or_else(String::new, |info| info.reason.clone()),
            id: id.to_str().expect("an id is ASCII").to_owned(),
            internal: info.and_then(|info| info.metadata.get("request").cloned()),
        });
        answer.map(Response::into_inner)
    }

    /// Calls every unary RPC with a valid request whose names and texts have personal data.
    pub async fn call_every_rpc(&mut self) {
        let (connection, operator) = (self.connection.clone(), self.operator.clone());
        let world = World::over(connection.clone(), operator.clone(), "zebra");
        for rpc in methods() {
            if rpc.is_server_streaming() {
                continue;
            }
            let request = world.request(rpc.name()).await;
            let by = match allowed(&rpc).contains(&Role::Admin) {
                true => &connection,
                false => &operator,
            };
            // An operation that has ended cannot be cancelled.
            let answer = self.call_by(by, rpc.name(), &request).await;
            let done = answer.is_ok() || rpc.name() == "CancelOperation";
            assert!(done, "{}: {answer:?}", rpc.name());
        }
    }
}
