//! The messages of a watch of a kind, and its events in words.

use clientela_client::{Event, Watch, Watched, v1::ChangeKind};
use futures::StreamExt as _;

macro_rules! kind {
    ($kind:ident, $response:ident, $change:ident, $signals:ident) => {
        pub mod $kind {
            use clientela_client::v1::{
                ChangeKind, SnapshotBegin, SnapshotEnd, snapshot_begin::Cause, $change, $response,
                $signals::Signal,
            };

            /// A snapshot of one resource.
            pub fn whole(cause: Cause, name: &str, version: i64, token: &str) -> [$response; 3] {
                let there = change("", ChangeKind::Upserted, name, version);
                [begin(cause), there, end(token, 1)]
            }

            pub fn begin(cause: Cause) -> $response {
                let cause = cause.into();
                signal("", Signal::SnapshotBegin(SnapshotBegin { cause }))
            }

            pub fn end(token: &str, count: i64) -> $response {
                signal(token, Signal::SnapshotEnd(SnapshotEnd { count }))
            }

            pub fn change(token: &str, kind: ChangeKind, name: &str, version: i64) -> $response {
                let change = $change {
                    kind: kind.into(),
                    name: name.to_owned(),
                    version,
                    ..$change::default()
                };
                $response {
                    changes: vec![change],
                    resume_token: token.to_owned(),
                    ..$response::default()
                }
            }

            fn signal(token: &str, signal: Signal) -> $response {
                $response {
                    resume_token: token.to_owned(),
                    signal: Some(signal),
                    ..$response::default()
                }
            }
        }
    };
}

kind!(carts, WatchCartsResponse, CartChange, watch_carts_response);
kind!(
    customers,
    WatchCustomersResponse,
    CustomerChange,
    watch_customers_response
);
kind!(
    groups,
    WatchGroupsResponse,
    GroupChange,
    watch_groups_response
);

pub async fn told<C: Watched>(watch: &mut Watch<C>, events: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < events {
        told.push(match watch.next().await.unwrap().unwrap() {
            Event::Changed(change) => {
                let (kind, name, version) = change.head();
                let end = match kind {
                    ChangeKind::Deleted => " deleted",
                    ChangeKind::LeftFilter => " left",
                    _ => "",
                };
                format!("{name}@{version}{end}")
            }
            Event::Reset(cause) => format!("reset {}", cause.as_str_name()),
            Event::Ready { count } => format!("ready {count}"),
        });
    }
    told
}
