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
    let message = DynamicMessage::deserialize(method.input(), helped(request)?);
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

/// Reads a message of the contract from the JSON of the story.
pub fn parsed<M: prost::Message + Default>(name: &str, value: &Value) -> Result<M, Why> {
    DynamicMessage::deserialize(message(name)?, helped(value)?)
        .map_err(|error| error.to_string())?
        .transcode_to()
        .map_err(|error| error.to_string())
}

/// Returns a message as JSON.
pub fn json(name: &str, value: &impl prost::Message) -> Result<Value, Why> {
    DynamicMessage::decode(message(name)?, value.encode_to_vec().as_slice())
        .map_err(|error| error.to_string())?
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|error| error.to_string())
}

fn message(name: &str) -> Result<MessageDescriptor, Why> {
    POOL.get_message_by_name(&format!("clientela.v1.{name}"))
        .ok_or_else(|| format!("there is no {name}"))
}

/// Replaces `{"$money": …}` and the like by the result of the client's own function of that name.
pub fn helped(value: &Value) -> Result<Value, Why> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match value {
        Value::Array(values) => values.iter().map(helped).collect(),
        Value::Object(fields) => match fields.iter().next() {
            Some((name, cart)) if name == "$cart" => {
                json("CartTarget", &clientela_client::cart(text(cart)))
            }
            Some((name, customer)) if name == "$customerCart" => json(
                "CartTarget",
                &clientela_client::customer_cart(text(customer)),
            ),
            Some((name, token)) if name == "$visitorCart" => {
                json("CartTarget", &clientela_client::visitor_cart(text(token)))
            }
            Some((name, amount)) if name == "$money" => {
                let money = clientela_client::money(text(&amount[0]), &text(&amount[1]));
                json("Money", &money.map_err(|error| error.to_string())?)
            }
            _ => fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), helped(value)?)))
                .collect::<Result<_, Why>>()
                .map(Value::Object),
        },
        other => Ok(other.clone()),
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
