//! Calls any RPC by its descriptor. Messages are raw bytes, so that a new RPC needs no line here.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes};
use clientela::proto::POOL;
use clientela::proto::pb::Role;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage as _};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::harness::{Connection, PATIENCE, PATIENT, Shop, Transport};

pub const ROLES: [Role; 6] = [
    Role::Operator,
    Role::Admin,
    Role::Support,
    Role::Storefront,
    Role::Monitor,
    Role::Ingest,
];

/// A codec that passes messages as raw bytes.
#[derive(Default, Clone, Copy)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

/// Returns every RPC of the contract.
pub fn methods() -> Vec<MethodDescriptor> {
    POOL.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// Returns the RPC with this name.
pub fn method(name: &str) -> MethodDescriptor {
    methods()
        .into_iter()
        .find(|method| method.name() == name)
        .unwrap_or_else(|| panic!("there is no RPC {name}"))
}

/// Returns the roles that may call an RPC.
pub fn allowed(method: &MethodDescriptor) -> Vec<Role> {
    let options = method.options();
    let roles = option(&options, "access", "roles");
    assert!(!roles.is_empty(), "{} names no role", method.full_name());
    roles
}

/// Returns the roles that may set a field. An empty list means every role that may call the RPC.
pub fn writers(field: &FieldDescriptor) -> Vec<Role> {
    option(&field.options(), "field_access", "writers")
}

/// Returns the roles that may see a field. An empty list means every role.
pub fn readers(field: &FieldDescriptor) -> Vec<Role> {
    option(&field.options(), "field_access", "readers")
}

fn option(options: &DynamicMessage, extension: &str, list: &str) -> Vec<Role> {
    let extension = POOL
        .get_extension_by_name(&format!("clientela.v1.{extension}"))
        .expect("the contract defines the option");
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let access = options.get_extension(&extension).into_owned();
    let access = access.as_message().expect("the option is a message");
    let roles = access
        .get_field_by_name(list)
        .expect("the option has the list")
        .into_owned();
    roles
        .as_list()
        .expect("the roles are a list")
        .iter()
        .map(|role| Role::try_from(role.as_enum_number().unwrap()).unwrap())
        .collect()
}

/// Returns a key of the shop for each role.
pub async fn keys(shop: &Shop) -> HashMap<Role, String> {
    let mut keys = HashMap::new();
    for role in ROLES {
        let key = match role {
            Role::Operator => shop.operator_key.clone(),
            role => shop.key(&[role]).await,
        };
        keys.insert(role, key);
    }
    keys
}

fn path(method: &MethodDescriptor) -> http::uri::PathAndQuery {
    let service = method.parent_service().full_name();
    format!("/{service}/{}", method.name())
        .parse()
        .expect("names make a path")
}

/// Calls an RPC, without a key if `key` is empty. A stream returns its first message.
pub async fn call(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    message: impl Into<Bytes>,
) -> Result<Option<Bytes>, Status> {
    if method.is_server_streaming() {
        let mut stream = open(shop, key, method, message).await?;
        return next(&mut stream).await;
    }
    call_with(shop, key, &[], method, message).await.map(Some)
}

/// Calls a unary RPC with metadata in addition to the key.
pub async fn call_with(
    shop: &Shop,
    key: &str,
    metadata: &[(&'static str, &str)],
    method: &MethodDescriptor,
    message: impl Into<Bytes>,
) -> Result<Bytes, Status> {
    let mut connection = Connection::with_key(shop, key);
    for (name, value) in metadata {
        connection = connection.and(name, value);
    }
    let answer = ask(&connection, method, message).await?;
    Ok(answer.into_inner())
}

/// Calls a unary RPC through a given connection.
pub async fn ask(
    connection: &Connection,
    method: &MethodDescriptor,
    message: impl Into<Bytes>,
) -> Result<Response<Bytes>, Status> {
    let mut client = ready(connection).await?;
    let mut request = Request::new(message.into());
    let patient = PATIENT.parse().expect("a deadline is ASCII");
    request.metadata_mut().insert("grpc-timeout", patient);
    client.unary(request, path(method), Raw).await
}

/// Opens a stream with a key.
pub async fn open(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    message: impl Into<Bytes>,
) -> Result<Streaming<Bytes>, Status> {
    let opened = stream(&Connection::with_key(shop, key), method, message).await?;
    Ok(opened.into_inner())
}

/// Opens a stream through a given connection.
pub async fn stream(
    connection: &Connection,
    method: &MethodDescriptor,
    message: impl Into<Bytes>,
) -> Result<Response<Streaming<Bytes>>, Status> {
    let mut client = ready(connection).await?;
    let request = Request::new(message.into());
    client.server_streaming(request, path(method), Raw).await
}

async fn ready(connection: &Connection) -> Result<Grpc<Transport>, Status> {
    let mut client = Grpc::new(connection.transport());
    let ready = client.ready().await;
    ready.map_err(|error| Status::unknown(format!("cannot connect to the server: {error}")))?;
    Ok(client)
}

/// Waits for the next message of a stream.
pub async fn next(stream: &mut Streaming<Bytes>) -> Result<Option<Bytes>, Status> {
    tokio::time::timeout(PATIENCE, stream.message())
        .await
        .expect("a message arrives in time")
}

/// Calls an RPC with a reflected message.
pub async fn send(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    message: &DynamicMessage,
) -> Result<Option<Bytes>, Status> {
    assert_eq!(message.descriptor(), method.input());
    call(shop, key, method, message.encode_to_vec()).await
}

/// Returns all texts of a refusal. Its metadata has no order, so it is sorted.
pub fn said(status: &Status) -> Vec<String> {
    let info = status
        .get_details_error_info()
        .expect("every refusal has an ErrorInfo");
    let mut metadata: Vec<String> = info
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    metadata.sort();
    let details = status.get_details_bad_request();
    let violations = details.map(|details| details.field_violations);
    let violations: Vec<String> = violations
        .into_iter()
        .flatten()
        .map(|violation| format!("{violation:?}"))
        .collect();
    let head = [
        format!("{:?}", status.code()),
        info.reason,
        info.domain,
        status.message().to_owned(),
    ];
    head.into_iter().chain(metadata).chain(violations).collect()
}
