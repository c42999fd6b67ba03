//! What the contract's options say, held against the server: every RPC with every role, generated from
//! the descriptors, so that a new RPC is tested without a line here.

use bytes::{Buf, BufMut, Bytes};
use clientela::proto::POOL;
use clientela::proto::pb::{self, ErrorReason, Role};
use prost_reflect::{DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

use crate::harness::{Shop, assert_refused};
use crate::on_both_engines;

const ROLES: [Role; 6] = [
    Role::Operator,
    Role::Admin,
    Role::Support,
    Role::Storefront,
    Role::Monitor,
    Role::Ingest,
];

/// Messages as they lie on the wire.
#[derive(Default, Clone, Copy)]
struct Raw;

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

/// Every RPC of the contract.
fn methods() -> Vec<MethodDescriptor> {
    POOL.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

/// The roles that an RPC names.
fn allowed(method: &MethodDescriptor) -> Vec<Role> {
    let option: ExtensionDescriptor = POOL
        .get_extension_by_name("clientela.v1.access")
        .expect("the contract defines the option");
    let options = method.options();
    assert!(
        options.has_extension(&option),
        "{} has no access option",
        method.full_name()
    );
    let Value::Message(access) = options.get_extension(&option).into_owned() else {
        panic!("the option is a message")
    };
    let Some(roles) = access
        .get_field_by_name("roles")
        .map(|roles| roles.into_owned())
    else {
        panic!("the option has roles")
    };
    let roles = roles.as_list().expect("roles are a list").to_vec();
    roles
        .iter()
        .map(|role| Role::try_from(role.as_enum_number().unwrap()).unwrap())
        .collect()
}

/// Calls an RPC with a message and, unless it is empty, a key.
async fn call(
    shop: &Shop,
    key: &str,
    method: &MethodDescriptor,
    message: Bytes,
) -> Result<Option<Bytes>, Status> {
    let mut client = tonic::client::Grpc::new(shop.channel());
    client.ready().await.expect("the server is there");
    let service = method.parent_service().full_name();
    let path = format!("/{service}/{}", method.name())
        .parse()
        .expect("names make a path");
    let mut request = tonic::Request::new(message);
    if !key.is_empty() {
        let bearer = format!("Bearer {key}").parse().expect("a key is ASCII");
        request.metadata_mut().insert("authorization", bearer);
    }
    if method.is_server_streaming() {
        let mut stream = client
            .server_streaming(request, path, Raw)
            .await?
            .into_inner();
        return stream.message().await;
    }
    client
        .unary(request, path, Raw)
        .await
        .map(|answer| Some(answer.into_inner()))
}

on_both_engines! {
    async fn every_rpc_is_open_to_the_roles_it_names_and_to_no_other(shop: Shop) {
        let mut cells = 0;
        for role in ROLES {
            let key = match role {
                Role::Operator => shop.operator_key.clone(),
                role => shop.key(&[role]).await,
            };
            for method in methods() {
                let answer = call(&shop, &key, &method, Bytes::new()).await;
                let name = format!("{} as {role:?}", method.full_name());
                if allowed(&method).contains(&role) {
                    if let Err(status) = answer {
                        let refused = [Code::PermissionDenied, Code::Unauthenticated];
                        // An empty request to VerifyPassword lacks its fields before anything else.
                        assert!(!refused.contains(&status.code()), "{name}: {status:?}");
                        assert_ne!(status.code(), Code::Internal, "{name}: {status:?}");
                        assert_ne!(status.code(), Code::Unimplemented, "{name}: {status:?}");
                    }
                } else {
                    let status = answer.expect_err(&name);
                    assert_refused(&status, Code::PermissionDenied, ErrorReason::RoleNotAllowed);
                }
                cells += 1;
            }
        }
        assert!(cells >= 6 * 55, "the contract has shrunk: {cells}");
    }

    async fn no_rpc_answers_without_a_live_key(shop: Shop) {
        let revoked = shop.key(&[Role::Admin]).await;
        let list = pb::ListApiKeysRequest::default();
        let keys = shop.admin().list_api_keys(list).await.unwrap().into_inner().api_keys;
        let name = keys.iter().find(|key| key.display_name == "a test").unwrap().name.clone();
        let revoke = pb::RevokeApiKeyRequest { name, request_id: String::new() };
        shop.admin().revoke_api_key(revoke).await.unwrap();
        let method = |name: &str| methods().into_iter().find(|m| m.name() == name).unwrap();
        crate::harness::eventually("the end of the key", || async {
            call(&shop, &revoked, &method("ListTitles"), Bytes::new()).await.err()
        })
        .await;

        for method in methods() {
            for key in ["", "nonsense", "clt_0000000000000000000000000000000000000000000", &revoked] {
                let status = call(&shop, key, &method, Bytes::new()).await.unwrap_err();
                assert_refused(&status, Code::Unauthenticated, ErrorReason::KeyMissing);
            }
        }
    }

    async fn bytes_that_are_no_message_are_refused_by_every_rpc(shop: Shop) {
        for method in methods() {
            // A length that runs past the end; then text that is no UTF-8 in field 1.
            for bytes in [&[0x0a, 0xff, 0x01][..], &[0xff, 0xff, 0xff]] {
                let message = Bytes::copy_from_slice(bytes);
                let answer = call(&shop, &shop.operator_key, &method, message).await;
                let status = answer.expect_err(method.full_name());
                assert_refused(&status, Code::InvalidArgument, ErrorReason::MalformedRequest);
            }
        }
    }

    async fn a_field_is_set_only_by_roles_that_may(shop: Shop) {
        let option = POOL.get_extension_by_name("clientela.v1.field_access").unwrap();
        let mut checked = 0;
        for method in methods() {
            for field in method.input().fields() {
                let Some(message) = field.kind().as_message().cloned() else { continue };
                for inner in message.fields().filter(|f| f.options().has_extension(&option)) {
                    let Value::Message(access) =
                        inner.options().get_extension(&option).into_owned()
                    else {
                        panic!("the option is a message")
                    };
                    let writers = access.get_field_by_name("writers").unwrap().into_owned();
                    let writers: Vec<i32> = writers
                        .as_list()
                        .unwrap()
                        .iter()
                        .map(|role| role.as_enum_number().unwrap())
                        .collect();
                    if writers.is_empty() {
                        continue;
                    }
                    let mut nested = DynamicMessage::new(message.clone());
                    nested.set_field(&inner, sample(&inner));
                    let mut request = DynamicMessage::new(method.input());
                    request.set_field(&field, Value::Message(nested));
                    let bytes = prost::Message::encode_to_vec(&request);
                    for role in allowed(&method) {
                        if writers.contains(&(role as i32)) || role == Role::Operator {
                            continue;
                        }
                        let key = shop.key(&[role]).await;
                        let message = Bytes::from(bytes.clone());
                        let status = call(&shop, &key, &method, message).await.unwrap_err();
                        let denied = ErrorReason::FieldNotWritable;
                        assert_refused(&status, Code::PermissionDenied, denied);
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked >= 15, "the contract has narrower fields: {checked}");
    }
}

/// A value that counts as set.
fn sample(field: &prost_reflect::FieldDescriptor) -> Value {
    if field.is_list() {
        return Value::List(vec![Value::String("groups/a".into())]);
    }
    match field.kind() {
        prost_reflect::Kind::String => Value::String("groups/a".into()),
        prost_reflect::Kind::Bool => Value::Bool(true),
        prost_reflect::Kind::Int32 => Value::I32(1),
        prost_reflect::Kind::Int64 => Value::I64(1),
        prost_reflect::Kind::Enum(_) => Value::EnumNumber(1),
        prost_reflect::Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
        other => panic!("no sample of {other:?}"),
    }
}
