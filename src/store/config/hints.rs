//! The settings of hints, with which replicas notify each other of their commits.

use std::fmt;

use url::Url;

use crate::store::open::OpenError;

/// How replicas notify each other of their commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hints {
    /// They do not; each one only polls.
    Off,
    /// Through the database (`LISTEN`, `NOTIFY`).
    Notify,
    /// Through a NATS server or cluster.
    Nats(NatsUrls),
}

/// The port of NATS servers whose URL names none; <https://docs.nats.io/running-a-nats-service/configuration>.
const DEFAULT_PORT: u16 = 4222;

/// The servers of a NATS cluster, or its single server.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrls(Vec<Url>);

impl NatsUrls {
    /// Reads URLs of the form `nats://…` or `tls://…`. At least one is needed.
    ///
    /// # Errors
    /// If there is none, one cannot be read, or the program was built without the feature `nats`.
    pub fn read<T: AsRef<str>>(urls: &[T]) -> Result<Self, OpenError> {
        if cfg!(not(feature = "nats")) {
            return Err(OpenError::BadNatsUrl(
                "this program was built without the feature `nats`".into(),
            ));
        }
        let mut servers = Vec::new();
        for url in urls {
            let url = url.as_ref().trim();
            if !url.starts_with("nats://") && !url.starts_with("tls://") {
                let text = "each must begin with nats:// or tls://";
                return Err(OpenError::BadNatsUrl(text.into()));
            }
            let server =
                Url::parse(url).map_err(|error| OpenError::BadNatsUrl(error.to_string()))?;
            if !server.has_host() {
                return Err(OpenError::BadNatsUrl("each must name a host".into()));
            }
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(OpenError::BadNatsUrl("at least one is needed".into()));
        }
        Ok(Self(servers))
    }

    /// The URLs, in the given order.
    #[cfg(feature = "nats")]
    pub(in crate::store) fn servers(&self) -> &[Url] {
        &self.0
    }
}

/// Never shows a password.
impl fmt::Debug for NatsUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.0.iter();
        f.debug_list()
            .entries(servers.map(|server| {
                let host = server.host_str().unwrap_or_default();
                format!("{host}:{}", server.port().unwrap_or(DEFAULT_PORT))
            }))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let urls = NatsUrls::read(&["nats://u:hunter2@127.0.0.1:4222", "tls://other.test"]);

        let shown = format!("{:?}", urls.unwrap());

        assert_eq!(shown, r#"["127.0.0.1:4222", "other.test:4222"]"#);
    }

    #[test]
    fn a_url_that_is_not_of_nats_is_refused() {
        for bad in [
            "",
            "127.0.0.1:4222",
            "http://127.0.0.1",
            "nats://[",
            "nats://",
            "ws://a",
        ] {
            let refused = NatsUrls::read(&[bad]);

            assert!(matches!(refused, Err(OpenError::BadNatsUrl(_))), "{bad}");
        }
        assert!(NatsUrls::read::<&str>(&[]).is_err());
    }
}
