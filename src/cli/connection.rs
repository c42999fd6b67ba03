//! The connection of a command to the server: its address, its key, and the acting person.
//!
//! On loopback the keys of the first start are read from the data folder, so that a fresh store needs no
//! option. These keys are never used for another machine. No key is sent to another machine without
//! encryption unless an option allows it.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use http::Uri;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::proto::pb::{
    ErrorReason, ListTitlesRequest, cart_service_client::CartServiceClient,
    customer_service_client::CustomerServiceClient, group_service_client::GroupServiceClient,
    operation_service_client::OperationServiceClient,
};
use crate::shops::KEYS_FILE;

use super::failure::{self, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before it is pinged.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// The address of the server and the key for it.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server's address
    #[arg(
        long,
        env = "CLIENTELA_SERVER",
        default_value = "127.0.0.1:50051",
        global = true
    )]
    pub server: String,

    /// The API key; without it, on loopback, the key of the first start is read from the data
    /// folder
    #[arg(long, env = "CLIENTELA_API_KEY", hide_env_values = true, global = true)]
    pub api_key: Option<String>,

    /// The data folder of the server on this machine
    #[arg(
        long,
        env = "CLIENTELA_DATA_DIR",
        default_value = "./data",
        global = true
    )]
    pub data_dir: PathBuf,

    /// The shop, needed only if there are several; calls then need an operator key
    #[arg(long, env = "CLIENTELA_SHOP", global = true)]
    pub shop: Option<String>,

    /// Sends the API key to a server on another machine although the connection is not encrypted
    #[arg(long, global = true)]
    pub allow_plaintext: bool,

    /// The acting person, for example `staff/anna`; by default the name of the user, if the key may name one
    #[arg(long, env = "CLIENTELA_ACTOR", global = true)]
    pub actor: Option<String>,
}

/// The key of the first start that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The admin key of the shop.
    Admin,
    /// The operator key of the installation.
    Operator,
}

/// The headers of every call.
#[derive(Debug, Clone)]
pub struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
    shop: Option<MetadataValue<Ascii>>,
    actor: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in [
            ("authorization", &self.authorization),
            ("clientela-shop", &self.shop),
            ("clientela-actor", &self.actor),
        ] {
            if let Some(value) = value {
                request.metadata_mut().insert(name, value.clone());
            }
        }
        Ok(request)
    }
}

/// A channel whose calls carry the credentials.
pub type Transport = InterceptedService<Channel, Credentials>;

/// A connection to a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    credentials: Credentials,
    transport: Transport,
}

impl Client {
    fn new(channel: Channel, credentials: Credentials) -> Self {
        let transport = InterceptedService::new(channel.clone(), credentials.clone());
        Self {
            channel,
            credentials,
            transport,
        }
    }

    /// The client without an acting person.
    fn without_actor(self) -> Self {
        Self::new(
            self.channel,
            Credentials {
                actor: None,
                ..self.credentials
            },
        )
    }
}

impl Client {
    /// The customers of the shop.
    pub fn customers(&self) -> CustomerServiceClient<Transport> {
        CustomerServiceClient::new(self.transport.clone())
    }

    /// The groups of the shop.
    pub fn groups(&self) -> GroupServiceClient<Transport> {
        GroupServiceClient::new(self.transport.clone())
    }

    /// The carts of the shop.
    pub fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::new(self.transport.clone())
    }

    /// The operations that continue after calls were answered.
    pub fn operations(&self) -> OperationServiceClient<Transport> {
        OperationServiceClient::new(self.transport.clone())
    }

    /// The transport of the calls.
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }
}

impl Connection {
    /// Connects with the given key, or with the needed one of the first start.
    pub async fn open(&self, need: Need) -> Result<Client, Failure> {
        let address = uri(&self.server)?;
        let given = self.api_key.clone().filter(|key| !key.is_empty());
        let here = is_loopback(&address).await;
        if !here && !self.allow_plaintext {
            return Err(Failure::usage(format!(
                "{} is not a loopback address, and the connection is not encrypted, so that everybody on \
                 the way could read the API key: use a tunnel that encrypts, or say --allow-plaintext",
                self.server
            )));
        }
        let key = match &given {
            Some(key) => key.clone(),
            None if here => self.stored_key(need)?,
            None => {
                return Err(Failure::usage(format!(
                    "a server on another machine needs a key: give one with --api-key or \
                     CLIENTELA_API_KEY. The keys in {} are for this machine only.",
                    self.data_dir.display()
                )));
            }
        };
        let credentials = Credentials {
            authorization: Some(ascii(&format!("Bearer {key}"), "the API key")?),
            shop: self
                .shop
                .as_deref()
                .map(|shop| ascii(shop, "the shop"))
                .transpose()?,
            actor: Some(ascii(
                &self.actor.clone().unwrap_or_else(user),
                "the acting person",
            )?),
        };
        let channel = channel(&address, &self.server).await?;
        let client = Client::new(channel, credentials);
        // The keys of the first start may name the acting person. Whether a given key may do so is unknown,
        // and a command must not fail because of a default.
        if given.is_none() || self.actor.is_some() || may_act(&client).await {
            return Ok(client);
        }
        Ok(client.without_actor())
    }

    /// Connects as the shop's backend, which acts for shoppers and not for its user.
    pub async fn open_as_shopper(&self, need: Need) -> Result<Client, Failure> {
        let client = self.open(need).await?;
        Ok(if self.actor.is_none() {
            client.without_actor()
        } else {
            client
        })
    }

    /// Opens a channel for calls that need no key.
    pub async fn open_without_key(&self) -> Result<Channel, Failure> {
        channel(&uri(&self.server)?, &self.server).await
    }

    fn stored_key(&self, need: Need) -> Result<String, Failure> {
        // The admin key belongs to one shop. A named shop needs an operator key.
        let role = match need {
            Need::Admin if self.shop.is_none() => "admin",
            Need::Admin | Need::Operator => "operator",
        };
        let path = self.data_dir.join(KEYS_FILE);
        stored_key(&path, role).map_err(|why| {
            Failure::usage(format!(
                "no API key: {why}. Give one with --api-key or CLIENTELA_API_KEY, or name the \
                 server's data folder with --data-dir."
            ))
        })
    }
}

/// Reads the key of a role from the file of the first start.
fn stored_key(path: &Path, role: &str) -> Result<String, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read ({error})", path.display()))?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == role)
        .map(|(_, key)| key.trim().to_owned())
        .ok_or_else(|| format!("{} holds no {role} key", path.display()))
}

fn uri(server: &str) -> Result<Uri, Failure> {
    let text = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let wrong = || {
        Failure::usage(format!(
            "{server} is no address; write it as 127.0.0.1:50051"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(wrong()),
    }
}

/// Whether traffic to a server stays on this machine.
async fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    if !host.eq_ignore_ascii_case("localhost") {
        return false;
    }
    // The settings of this machine resolve a name.
    let port = uri.port_u16().unwrap_or_default();
    match tokio::net::lookup_host((host, port)).await {
        Ok(mut found) => found.all(|address| address.ip().to_canonical().is_loopback()),
        Err(_) => false,
    }
}

async fn channel(uri: &Uri, server: &str) -> Result<Channel, Failure> {
    Endpoint::from(uri.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| Failure::unreachable(server, &error))
}

fn ascii(text: &str, what: &str) -> Result<MetadataValue<Ascii>, Failure> {
    text.parse()
        .map_err(|_| Failure::usage(format!("{what} holds characters that cannot be sent")))
}

async fn may_act(client: &Client) -> bool {
    // Every role may call this.
    let probe = ListTitlesRequest {
        page_size: 1,
        ..ListTitlesRequest::default()
    };
    match client.customers().list_titles(probe).await {
        Ok(_) => true,
        Err(status) => failure::reason(&status) != Some(ErrorReason::ActorNotAllowed),
    }
}

/// The user of this machine as an acting person.
pub fn user() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(user_id);
    let name: String = name
        .chars()
        .filter(char::is_ascii_graphic)
        .take(100)
        .collect();
    format!("staff/{name}")
}

#[cfg(unix)]
fn user_id() -> String {
    format!("uid-{}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_id() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_addresses_of_this_machine_are_loopback() {
        for here in [
            "127.0.0.1:50051",
            "127.8.9.1:50051",
            "http://localhost:1",
            "LOCALHOST:1",
            "[::1]:50051",
            "[::ffff:127.0.0.1]:50051",
        ] {
            assert!(is_loopback(&uri(here).unwrap()).await, "{here}");
        }
        for elsewhere in [
            "10.0.0.1:50051",
            "0.0.0.0:50051",
            "[::]:50051",
            "localhost.example.test:50051",
            "http://localhost@10.0.0.1:50051",
            "127.1:50051",
        ] {
            assert!(!is_loopback(&uri(elsewhere).unwrap()).await, "{elsewhere}");
        }
    }

    #[test]
    fn a_malformed_address_is_refused() {
        for wrong in ["", "http://", "https://127.0.0.1:1", "a b"] {
            assert!(uri(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_file_of_keys_is_read_by_role() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEYS_FILE);
        fs::write(&path, "# keys\noperator=clt_o\nadmin=clt_a\n").unwrap();

        assert_eq!(stored_key(&path, "admin"), Ok("clt_a".to_owned()));
        assert_eq!(stored_key(&path, "operator"), Ok("clt_o".to_owned()));
        assert!(stored_key(&path, "support").is_err());
    }
}
