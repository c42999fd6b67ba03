//! Hints by core NATS, where a message reaches the subscribers of that moment and no others.
//!
//! A connection is used until it is lost, and then made anew to whichever server of the list answers. So
//! there is one way to begin, after which everybody reads the log once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use futures::StreamExt as _;
use percent_encoding::percent_decode_str;
use rand::seq::SliceRandom as _;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Outage, RETRY, SPACING};
use crate::store::config::NatsUrls;
use crate::store::wake::Wake;

/// How often a silent connection is pinged.
const PING: Duration = Duration::from_secs(10);
/// The most received hints that wait. More are dropped, because one hint says as much as a thousand.
const PENDING_MAX: usize = 256;

/// Passes hints on, without end.
pub(super) async fn pass(urls: NatsUrls, subject: String, own: String, wake: Wake) {
    let mut commits = wake.here();
    let mut outage = Outage::new("NATS");
    loop {
        match Link::open(&urls, &subject).await {
            Ok(link) => {
                outage.ends();
                let since = Instant::now();
                link.serve(&subject, &own, &mut commits, &wake).await;
                tracing::debug!("the connection to NATS was lost");
                // A server that closes connections at once is not asked again at once.
                if since.elapsed() < RETRY {
                    tokio::time::sleep(RETRY).await;
                }
            }
            Err(error) => {
                outage.lasts(&error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// A connection with a subscription.
struct Link {
    client: Client,
    hints: Subscriber,
    lost: Arc<Notify>,
}

impl Link {
    /// Connects to one of the servers: asks them in random order, and takes the first that answers.
    async fn open(urls: &NatsUrls, subject: &str) -> Result<Self, async_nats::Error> {
        let mut servers = urls.servers().to_vec();
        servers.shuffle(&mut rand::rng());
        let mut failed = async_nats::Error::from("no server is known");
        for server in servers {
            let server = ServerAddr::from_url(server)?;
            match Self::to(server, subject).await {
                Ok(link) => return Ok(link),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn to(server: ServerAddr, subject: &str) -> Result<Self, async_nats::Error> {
        let lost = Arc::new(Notify::new());
        let (loses, refused) = (Arc::clone(&lost), AtomicBool::new(false));
        let options = ConnectOptions::new()
            .name("clientela")
            .ping_interval(PING)
            .subscription_capacity(PENDING_MAX)
            // The client's own reconnect is not used: see the head of this file.
            .max_reconnects(1)
            .ignore_discovered_servers()
            .event_callback(move |event| {
                watch_over(event, &loses, &refused);
                async {}
            });
        let options = match (decoded(server.username()), decoded(server.password())) {
            (Some(user), Some(password)) => options.user_and_password(user, password),
            (Some(token), None) => options.token(token),
            (None, _) => options,
        };
        let client = options.connect(server).await?;
        let hints = client.subscribe(subject.to_owned()).await?;
        Ok(Self {
            client,
            hints,
            lost,
        })
    }

    /// Sends and receives hints until the connection is lost.
    async fn serve(
        self,
        subject: &str,
        own: &str,
        commits: &mut watch::Receiver<u64>,
        wake: &Wake,
    ) {
        let Self {
            client,
            mut hints,
            lost,
        } = self;
        // Others may have missed commits of this process, so a hint is sent first. This process may have
        // missed commits of others, so it reads the log when that hint comes back: from then on it receives
        // theirs.
        commits.mark_changed();
        let mut hears = false;
        let send = async {
            while commits.changed().await.is_ok() {
                let hint = own.to_owned().into();
                if client.publish(subject.to_owned(), hint).await.is_err() {
                    return;
                }
                tokio::time::sleep(SPACING).await;
            }
            // The process writes no more. It receives hints of others until the store has closed.
            std::future::pending().await
        };
        let hear = async {
            while let Some(hint) = hints.next().await {
                if hint.payload != own.as_bytes() {
                    wake.hinted();
                } else if !hears {
                    hears = true;
                    wake.committed_elsewhere();
                }
            }
        };
        tokio::select! {
            () = lost.notified() => {}
            () = send => {}
            () = hear => {}
        }
    }
}

/// Decodes a percent-encoded part of a URL.
fn decoded(part: Option<&str>) -> Option<String> {
    let part = part.filter(|part| !part.is_empty())?;
    Some(percent_decode_str(part).decode_utf8_lossy().into_owned())
}

fn watch_over(event: Event, lost: &Notify, refused: &AtomicBool) {
    match event {
        Event::Disconnected | Event::Closed | Event::LameDuckMode => lost.notify_one(),
        // For example if the user may not publish. Logged once, because every hint would cause it.
        Event::ServerError(error) if !refused.swap(true, Ordering::Relaxed) => {
            tracing::warn!(%error, "NATS refuses hints; replicas poll");
        }
        _ => {}
    }
}
