//! What a watch of carts is sent.

use clientela_client::v1::{
    CartChange, ChangeKind, SnapshotBegin, SnapshotEnd, WatchCartsResponse, snapshot_begin::Cause,
    watch_carts_response::Signal,
};

/// A snapshot of one cart.
pub fn whole(cause: Cause, name: &str, version: i64, token: &str) -> [WatchCartsResponse; 3] {
    let there = change("", ChangeKind::Upserted, name, version);
    [begin(cause), there, end(token, 1)]
}

pub fn begin(cause: Cause) -> WatchCartsResponse {
    signal(
        "",
        Signal::SnapshotBegin(SnapshotBegin {
            cause: cause.into(),
        }),
    )
}

pub fn end(token: &str, count: i64) -> WatchCartsResponse {
    signal(token, Signal::SnapshotEnd(SnapshotEnd { count }))
}

pub fn change(token: &str, kind: ChangeKind, name: &str, version: i64) -> WatchCartsResponse {
    WatchCartsResponse {
        changes: vec![CartChange {
            kind: kind.into(),
            name: name.to_owned(),
            version,
            ..CartChange::default()
        }],
        resume_token: token.to_owned(),
        ..WatchCartsResponse::default()
    }
}

fn signal(token: &str, signal: Signal) -> WatchCartsResponse {
    WatchCartsResponse {
        resume_token: token.to_owned(),
        signal: Some(signal),
        ..WatchCartsResponse::default()
    }
}
