//! Connecting. Nothing leaves this machine in plaintext unless [`Builder::plaintext`] asks for it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
#[cfg(feature = "tls")]
use tonic::transport::ClientTlsConfig;
use tonic::transport::Endpoint;

use crate::{Client, Error, Transport, reconnect::Watching};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The options of a connection.
#[derive(Clone)]
pub struct Builder {
    address: String,
    key: String,
    headers: Vec<(&'static str, String)>,
    security: Security,
    watching: Watching,
}

#[derive(Debug, Clone)]
enum Security {
    /// Plaintext on this machine, TLS beyond it.
    ByAddress,
    Plaintext,
    #[cfg(feature = "tls")]
    Tls(ClientTlsConfig),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            address: std::env::var("CLIENTELA_SERVER")
                .ok()
                .filter(|address| !address.is_empty())
                .unwrap_or_else(|| "127.0.0.1:50051".to_owned()),
            key: std::env::var("CLIENTELA_API_KEY").unwrap_or_default(),
            headers: Vec::new(),
            security: Security::ByAddress,
            watching: Watching::new(),
        }
    }

    /// Sets the address, `host:port`. The default is the environment variable `CLIENTELA_SERVER`; without
    /// that, `127.0.0.1:50051`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Sets the API key. The default is the environment variable `CLIENTELA_API_KEY`.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets the shop of every call, for example `shops/berlin`. Only operator keys need it.
    pub fn shop(self, shop: impl Into<String>) -> Self {
        self.header("clientela-shop", shop)
    }

    /// Sets the acting person, for example `staff/anna`. Only keys that may name the actor can set it.
    pub fn actor(self, actor: impl Into<String>) -> Self {
        self.header("clientela-actor", actor)
    }

    /// Sets the person for whom the actor acts.
    pub fn on_behalf_of(self, person: impl Into<String>) -> Self {
        self.header("clientela-on-behalf-of", person)
    }

    /// Sends the key and all data without encryption. By default only connections to loopback do that.
    pub fn plaintext(mut self) -> Self {
        self.security = Security::Plaintext;
        self
    }

    /// Sets the TLS configuration, for example with other authorities than the system's.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.security = Security::Tls(tls);
        self
    }

    /// Sets the pause of a watch before a new connection: the first, and the longest. The defaults are
    /// 0.1 s and 10 s.
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.watching.waits = (first, longest);
        self
    }

    /// Sets a listener. It receives the error when a watch loses its connection, and `None` when it has a
    /// new one.
    pub fn on_connection(
        mut self,
        listener: impl Fn(Option<&Error>) + Send + Sync + 'static,
    ) -> Self {
        self.watching.listener = Arc::new(listener);
        self
    }

    #[doc(hidden)]
    pub fn silence(mut self, longest: Duration) -> Self {
        self.watching.silence = Some(longest);
        self
    }

    /// Returns a client. It connects at the first call, and again after an outage. Call it within a Tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// If there is no key ([`KeyMissing`](crate::v1::ErrorReason::KeyMissing)), or if the key or the
    /// address is malformed.
    pub fn connect(self) -> Result<Client, Error> {
        if self.key.is_empty() {
            return Err(Error::without_key());
        }
        let mut headers = HeaderMap::new();
        let key = ("authorization", format!("Bearer {}", self.key));
        for (name, value) in self.headers.into_iter().chain([key]) {
            // The text does not repeat the value: it may be the key.
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let value = HeaderValue::from_str(&value).ok().filter(|_| printable);
            let mut value = value.ok_or_else(|| {
                Error::usage(&format!("{name} has characters other than printable ASCII"))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let wrong = || Error::usage("the address is malformed: write it as 127.0.0.1:50051");
        let endpoint = |scheme: &str| -> Result<Endpoint, Error> {
            let uri: Uri = format!("{scheme}://{}", self.address)
                .parse()
                .map_err(|_| wrong())?;
            let whole = uri.port().is_some()
                && uri.host().is_some_and(|host| !host.is_empty())
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none();
            whole.then(|| Endpoint::from(uri)).ok_or_else(wrong)
        };
        let endpoint = match self.security {
            Security::ByAddress if is_loopback(&self.address) => endpoint("http")?,
            Security::Plaintext => endpoint("http")?,
            #[cfg(feature = "tls")]
            Security::ByAddress => with_tls(endpoint("https")?, default_tls())?,
            #[cfg(feature = "tls")]
            Security::Tls(tls) => with_tls(endpoint("https")?, tls)?,
            #[cfg(not(feature = "tls"))]
            Security::ByAddress => {
                return Err(Error::usage(
                    "this address needs TLS: build with the feature `tls`, or ask for plaintext",
                ));
            }
        };
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect_lazy();
        Ok(Client {
            transport: Transport::new(channel, headers),
            watching: self.watching,
        })
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(feature = "tls")]
fn default_tls() -> ClientTlsConfig {
    ClientTlsConfig::new().with_enabled_roots()
}

#[cfg(feature = "tls")]
fn with_tls(endpoint: Endpoint, tls: ClientTlsConfig) -> Result<Endpoint, Error> {
    endpoint
        .tls_config(tls)
        .map_err(|error| Error::usage(&format!("TLS cannot be set up: {error}")))
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || literal
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for address in ["127.0.0.1:1", "localhost:1", "[::1]:1"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in [
            "10.0.0.1:1",
            "localhost.example.test:1",
            "127.0.0.1.example.test:1",
            "[::2]:1",
            "",
        ] {
            assert!(!is_loopback(address), "{address}");
        }
    }
}
