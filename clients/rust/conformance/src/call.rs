//! Calls an RPC by its name, with a request of JSON.

use std::sync::LazyLock;

use clientela_client::{Client, Error};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{PATIENCE, Why};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(clientela_client::FILE_DESCRIPTOR_SET).expect("the contract can be read")
});

/// The answer as JSON, or the refusal.
pub async fn ask(
    client: &Client,
    call: &str,
    request: &Value,
) -> Result<Result<Value, Error>, Why> {
    let (service, name) = call.split_once('.').ok_or("a call has no service")?;
    let service = POOL.get_service_by_name(&format!("clientela.v1.{service}"));
    let service = service.ok_or_else(|| format!("there is no {call}"))?;
    let method = service.methods().find(|method| method.name() == name);
    let method = method.ok_or_else(|| format!("there is no {call}"))?;
    let message = DynamicMessage::deserialize(method.input(), request);
    let mut request = Request::new(message.map_err(|error| error.to_string())?);
    request.set_timeout(PATIENCE);
    let path = format!("/{}/{name}", service.full_name());
    let path: PathAndQuery = path.parse().map_err(|_| "a call has no path")?;
    match Grpc::new(client.transport())
        .unary(request, path, Dynamic(method.output()))
        .await
    {
        Ok(answer) => {
            let options = SerializeOptions::new();
            let json = answer
                .get_ref()
                .serialize_with_options(serde_json::value::Serializer, &options);
            json.map(Ok).map_err(|error| error.to_string())
        }
        Err(status) => Ok(Err(Error::from(status))),
    }
}

/// A code's name in the contract's spelling.
pub fn code(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Writer;
    type Decoder = Reader;

    fn encoder(&mut self) -> Writer {
        Writer
    }

    fn decoder(&mut self) -> Reader {
        Reader(self.0.clone())
    }
}

struct Writer;

impl Encoder for Writer {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message
            .encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

struct Reader(MessageDescriptor);

impl Decoder for Reader {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
