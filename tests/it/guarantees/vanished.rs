//! G13: a client that is gone without a word is found, and what its streams held is free again.

use std::time::Duration;

use clientela::proto::pb::WatchOptions;

use super::watched::{Connection, Subject};
use crate::faults::proxy::Proxy;
use crate::harness::{Setup, eventually};
use crate::on_both_engines;

/// A server that asks its silent connections often whether they live.
fn attentive() -> Setup {
    Setup {
        keepalive: (Duration::from_millis(200), Duration::from_secs(3)),
        ..Setup::default()
    }
}

on_both_engines! {
    /// Whether its streams were silent or amid many changes; and a client that only has nothing to say is
    /// left alone. The network to the client swallows all, and closes nothing.
    async fn the_streams_of_a_client_that_vanishes_are_freed(shop: Shop with attentive()) {
        let subjects = Subject::of_each_kind(&shop).await;
        let here = Connection::of(&shop);
        let mut living = subjects[0].watch(&here, subjects[0].kind.ways()[0], WatchOptions::default())
            .await
            .unwrap();
        living.snapshot().await;
        for busy in [false, true] {
            let proxy = Proxy::to(shop.address).await;
            let there = Connection::narrow(proxy.address, &shop.admin_key, 4 * 1024).await;
            let mut vanishing = Vec::new();
            for subject in &subjects {
                for way in subject.kind.ways() {
                    let watch = subject.watch(&there, *way, WatchOptions::default()).await;
                    vanishing.push(watch.unwrap());
                }
            }
            assert_eq!(shop.streams(), 1 + vanishing.len());

            proxy.silence();
            if busy {
                for subject in &subjects {
                    for _ in 0..50 {
                        subject.write(&shop).await;
                    }
                }
            }

            eventually("the end of the streams that vanished", async || {
                (shop.streams() == 1).then_some(())
            })
            .await;
            // Here nobody has noticed: the connection is still open on this side.
            drop(vanishing);
        }
        let (version, _) = subjects[0].write(&shop).await;
        living.until(version).await;
    }
}
