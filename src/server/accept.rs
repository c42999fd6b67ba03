//! Accepts connections within their limits.
//!
//! Invariant: an `accept` that fails for lack of handles or memory is followed by a pause. The connection
//! stays in the system's queue, so without the pause the next `accept` would fail at once, again and again.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::limits;
use crate::quota::{Full, Permit, Quota};

/// The first and the longest pause after a failed `accept`.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often the same failure is logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The limits of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The limit of the process.
    pub total: usize,
    /// The limit of one address, or of one /64 network for IPv6. None means
    /// [`limits::CONNECTIONS_PER_ADDRESS_MAX`], and no limit for loopback, because all clients of a proxy on
    /// this machine come from there.
    pub per_address: Option<usize>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: limits::CONNECTIONS_MAX,
            per_address: None,
        }
    }
}

impl ConnectionLimits {
    fn of(self, address: IpAddr) -> usize {
        let usual = if address.is_loopback() {
            usize::MAX
        } else {
            limits::CONNECTIONS_PER_ADDRESS_MAX
        };
        self.per_address.unwrap_or(usual)
    }
}

/// Accepts the connections of a listener.
pub struct Acceptor {
    listener: TcpListener,
    table: Table,
    pause: Duration,
    full: Warning,
    failing: Warning,
}

impl Acceptor {
    /// Creates an acceptor with these limits.
    pub fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        Self {
            listener,
            table: Table::new(limits),
            pause: PAUSE_MIN,
            full: Warning::default(),
            failing: Warning::default(),
        }
    }

    /// Accepts the next connection, with its place in the count of open ones. Connections beyond the limits
    /// are closed at once: their clients can try another server.
    pub async fn next(&mut self) -> (TcpStream, Place) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.pause = PAUSE_MIN;
                    match self.table.take(peer.ip()) {
                        Ok(place) => {
                            prepare(&stream);
                            return (stream, place);
                        }
                        Err(text) => {
                            if self.full.is_due() {
                                tracing::warn!("{text}; further connections are closed");
                            }
                        }
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.failing.is_due() {
                        tracing::warn!(
                            %error,
                            "connections cannot be accepted; if the process has too many open files, \
                             raise its limit (ulimit -n) or lower --max-connections"
                        );
                    }
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}

/// Whether the error concerns only this connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(limits::TCP_KEEPALIVE);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    // The connection works without the options. If its client has already gone, it has none.
    if let Err(error) = set {
        tracing::debug!(%error, "an option of a connection was not set");
    }
}

/// Logs the same failure once in a while.
#[derive(Default)]
struct Warning(Option<Instant>);

impl Warning {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.0.is_none_or(|last| now - last >= WARNING_INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// A place in the count of open connections. Dropping it frees the place.
pub type Place = Permit<IpAddr>;

/// The open connections.
struct Table {
    limits: ConnectionLimits,
    open: Quota<IpAddr>,
}

impl Table {
    fn new(limits: ConnectionLimits) -> Self {
        let open = Quota::default();
        Self { limits, open }
    }

    /// Takes a place, or returns the reason why there is none.
    fn take(&self, peer: IpAddr) -> Result<Place, String> {
        let address = counted_as(peer);
        let (total, max) = (self.limits.total, self.limits.of(address));
        self.open
            .take(address, total, max)
            .map_err(|full| match full {
                Full::All => {
                    format!("{total} connections are open, which is the limit (--max-connections)")
                }
                Full::OfKey => format!(
                    "{address} has {max} connections, as many as one address may have \
                     (--max-connections-per-address)"
                ),
            })
    }
}

/// The address under which a peer is counted. The owner of an IPv6 address has its whole /64 network.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn table(total: usize, per_address: Option<usize>) -> Table {
        Table::new(ConnectionLimits { total, per_address })
    }

    #[test]
    fn an_address_has_no_more_places_than_it_may() {
        let table = table(10, Some(2));
        let first = table.take(address("192.0.2.1")).unwrap();
        let _second = table.take(address("::ffff:192.0.2.1")).unwrap();

        assert!(table.take(address("192.0.2.1")).is_err());
        let _other = table.take(address("192.0.2.2")).unwrap();
        drop(first);
        assert!(table.take(address("192.0.2.1")).is_ok());
    }

    #[test]
    fn all_addresses_of_a_network_are_counted_together() {
        let table = table(10, Some(1));
        let _first = table.take(address("2001:db8:0:1::1")).unwrap();

        assert!(table.take(address("2001:db8:0:1:ffff::2")).is_err());
        assert!(table.take(address("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn loopback_has_the_places_of_the_process_unless_told_otherwise() {
        let total = limits::CONNECTIONS_PER_ADDRESS_MAX + 1;
        let usual = table(total, None);
        let taken: Vec<_> = (0..total)
            .map(|_| usual.take(address("127.0.0.1")))
            .collect();

        assert!(taken.iter().all(Result::is_ok));
        assert!(usual.take(address("192.0.2.1")).is_err(), "none is left");
        let told = table(total, Some(1));
        let _one = told.take(address("::1")).unwrap();
        assert!(told.take(address("::1")).is_err());
    }
}
