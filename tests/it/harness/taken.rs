//! Occupies all connections of a server for calls, lists and streams.

use clientela::error::Error;
use clientela::store::{Purpose, StoreConfig};
use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};

use super::Shop;

/// Takes every connection with which a shop's server reads for calls, lists and streams, until the result is
/// dropped. The shop's setup must not change their number.
pub async fn take_all(shop: &Shop) -> watch::Sender<()> {
    let config = StoreConfig::new(shop.database());
    let purposes = [
        (Purpose::Calls, config.read_connections),
        (Purpose::Lists, config.list_connections),
        (Purpose::Streams, config.stream_connections),
    ];
    let (leave, left) = watch::channel(());
    let (taking, mut takes) = mpsc::unbounded_channel();
    for (purpose, connections) in purposes {
        for _ in 0..connections {
            let store = shop.store().reserved_for(purpose);
            let (mut left, taking) = (left.clone(), taking.clone());
            tokio::spawn(async move {
                let held = store.read(|_| {
                    async move {
                        taking.send(()).map_err(Error::internal)?;
                        // Fails when the sender is dropped.
                        let _ = left.changed().await;
                        Ok(())
                    }
                    .boxed()
                });
                held.await
            });
        }
    }
    for _ in 0..purposes.iter().map(|(_, connections)| connections).sum() {
        takes.recv().await.expect("a connection is free");
    }
    leave
}
