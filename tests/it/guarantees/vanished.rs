//! G13: the streams of a client that vanishes without closing its connection are found and freed.

use std::time::Duration;

use clientela::proto::pb::WatchOptions;

use super::watched::{Connection, Subject};
use crate::faults::proxy::Proxy;
use crate::harness::{Setup, eventually};
use crate::on_both_engines;

/// A server that often sends keepalive pings on silent connections.
fn frequent_pings() -> Setup {
    Setup {
        keepalive: (Duration::from_millis(200), Duration::from_secs(3)),
        ..Setup::default()
    }
}

on_both_engines! {
    /// The streams may be silent or have many changes. A client that is only silent keeps its streams. The
    /// network to the vanished client drops all packets, and closes nothing.
    async fn the_streams_of_a_client_that_vanishes_are_freed(shop: Shop with frequent_pings()) {
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

            eventually("the end of the vanished client's streams", async || {
                (shop.streams() == 1).then_some(())
            })
            .await;
            // The client's side has not noticed: its connection is still open.
            drop(vanishing);
        }
        let (version, _) = subjects[0].write(&shop).await;
        living.until(version).await;
    }
}
