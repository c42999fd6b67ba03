//! Connecting: where to, as whom, and whether in plaintext. Nothing is sent in plaintext beyond this
//! machine unless that was asked for by name.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
#[cfg(feature = "tls")]
use tonic::transport::ClientTlsConfig;
use tonic::transport::Endpoint;

use crate::{Client, Error, Transport, watch::Watching};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is said of a connection.
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
            address: "127.0.0.1:50051".to_owned(),
            key: std::env::var("CLIENTELA_API_KEY").unwrap_or_default(),
            headers: Vec::new(),
            security: Security::ByAddress,
            watching: Watching::new(),
        }
    }

    /// `host:port`; `127.0.0.1:50051` by default.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// The API key; that in the environment's `CLIENTELA_API_KEY` by default.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The shop, where there are several; needs an operator key.
    pub fn shop(self, shop: impl Into<String>) -> Self {
        self.header("clientela-shop", shop)
    }

    /// Who is acting, as `staff/anna`; for keys that may say so.
    pub fn actor(self, actor: impl Into<String>) -> Self {
        self.header("clientela-actor", actor)
    }

    /// For whom the actor acts.
    pub fn on_behalf_of(self, person: impl Into<String>) -> Self {
        self.header("clientela-on-behalf-of", person)
    }

    /// No TLS, although the server is on another machine: the key and all data can be read.
    pub fn plaintext(mut self) -> Self {
        self.security = Security::Plaintext;
        self
    }

    /// TLS of your own making, as with your own authorities; by default those of the system.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.security = Security::Tls(tls);
        self
    }

    /// How long a watch waits before it connects again: at first, and at most. 0.1 s and 10 s by
    /// default.
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.watching.waits = (first, longest);
        self
    }

    /// Hears why the connection of a watch ended, and `None` when there is one again.
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

    /// Makes the connection, which opens with the first call. Within a Tokio runtime.
    pub fn connect(self) -> Result<Client, Error> {
        if self.key.is_empty() {
            return Err(Error::usage("no key: give one, or set CLIENTELA_API_KEY"));
        }
        let mut headers = HeaderMap::new();
        let key = ("authorization", format!("Bearer {}", self.key));
        for (name, value) in self.headers.into_iter().chain([key]) {
            // The value is left out of the text: it may be the key.
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let value = HeaderValue::from_str(&value).ok().filter(|_| printable);
            let mut value =
                value.ok_or_else(|| Error::usage(&format!("{name} takes printable ASCII only")))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let wrong = || Error::usage("no address; write it as 127.0.0.1:50051");
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
            Security::ByAddress => return Err(Error::usage("built without the feature `tls`")),
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
