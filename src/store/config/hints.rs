//! The settings of hints, with which replicas notify each other of their commits.

use std::fmt;
use std::str::FromStr as _;

use async_nats::ServerAddr;

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

/// The servers of a NATS cluster, or its single server.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrls(Vec<ServerAddr>);

impl NatsUrls {
    /// Reads URLs of the form `nats://…` or `tls://…`. At least one is needed.
    ///
    /// # Errors
    /// If there is none, or one cannot be read.
    pub fn read<T: AsRef<str>>(urls: &[T]) -> Result<Self, OpenError> {
        let mut servers = Vec::new();
        for url in urls {
            let url = url.as_ref().trim();
            if !url.starts_with("nats://") && !url.starts_with("tls://") {
                let text = "each must begin with nats:// or tls://";
                return Err(OpenError::BadNatsUrl(text.into()));
            }
            let server = ServerAddr::from_str(url)
                .map_err(|error| OpenError::BadNatsUrl(error.to_string()))?;
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(OpenError::BadNatsUrl("at least one is needed".into()));
        }
        Ok(Self(servers))
    }

    /// The addresses, in the given order.
    pub(in crate::store) fn servers(&self) -> &[ServerAddr] {
        &self.0
    }
}

/// Never shows a password.
impl fmt::Debug for NatsUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.0.iter();
        f.debug_list()
            .entries(servers.map(|server| format!("{}:{}", server.host(), server.port())))
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
    fn what_is_no_url_of_nats_is_refused() {
        for bad in [
            "",
            "127.0.0.1:4222",
            "http://127.0.0.1",
            "nats://[",
            "ws://a",
        ] {
            let refused = NatsUrls::read(&[bad]);

            assert!(matches!(refused, Err(OpenError::BadNatsUrl(_))), "{bad}");
        }
        assert!(NatsUrls::read::<&str>(&[]).is_err());
    }
}
