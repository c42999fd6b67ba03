//! Tests which changes of the log stay in memory, and when streams must stop relying on them.

use super::*;
use crate::feed::things::{Things, payload};
use crate::proto::pb::ErrorReason;

fn place(seq: i64) -> Position {
    let mark = seq * 7;
    Position { xid: 0, seq, mark }
}

fn row(shop: &str, seq: i64) -> LogRow {
    let Position { xid, seq, mark } = place(seq);
    LogRow {
        xid,
        seq,
        mark,
        shop_id: shop.to_owned(),
        kind: Things.kind().number(),
        resource_id: format!("r{seq}"),
        version: 1,
        deleted: false,
        payload: Some(payload(Some(&"x".repeat(1_000)))),
        commit_time: 0,
        left_topic: None,
    }
}

fn hub(bytes_max: usize) -> Arc<Hub> {
    Arc::new(Hub::new(Position::ORIGIN, bytes_max))
}

fn lend(hub: &Arc<Hub>, shop: &str) -> Lease {
    hub.lend(&Arc::from(shop), &Things)
}

#[test]
fn the_oldest_change_of_any_shop_goes_first() {
    let hub = hub(10_000);
    let (one, two) = (lend(&hub, "one"), lend(&hub, "two"));
    hub.hand_over(vec![row("one", 1), row("two", 2), row("one", 3)])
        .unwrap();
    assert!(one.index_after(Position::ORIGIN).is_some());

    hub.hand_over((4..7).map(|seq| row("two", seq)).collect())
        .unwrap();

    let (channels, bytes) = hub.held();
    assert!(channels == 2 && bytes <= 10_000, "{bytes} bytes");
    let reaches = |lease: &Lease, seq| lease.index_after(place(seq)).is_some();
    assert!(
        !reaches(&one, 0) && !reaches(&two, 0),
        "the first change is evicted"
    );
    assert!(
        reaches(&one, 3) && reaches(&two, 5),
        "the last change is kept"
    );
}

#[test]
fn a_shop_is_kept_as_long_as_it_has_a_stream() {
    let hub = hub(usize::MAX);
    let (first, second) = (lend(&hub, "one"), lend(&hub, "one"));
    hub.hand_over(vec![row("one", 1), row("two", 2)]).unwrap();
    assert_eq!(hub.held().0, 1);

    drop(first);
    assert!(hub.held().1 > 0);
    drop(second);

    assert_eq!(hub.held(), (0, 0));
    assert!(!hub.is_watched());
}

#[test]
fn rows_that_lack_what_a_stream_has_read_are_of_another_history() {
    for lost in [
        // The change is missing.
        vec![row("two", 1), row("two", 3)],
        // Another change has its position.
        vec![LogRow {
            mark: 1,
            ..row("one", 2)
        }],
    ] {
        let hub = hub(usize::MAX);
        let stream = lend(&hub, "one");
        hub.note_ahead(place(2));
        assert!(hub.hand_over(vec![row("two", 1)]).is_ok());

        let error = hub.hand_over(lost).unwrap_err();

        assert_eq!(error.reason(), ErrorReason::StoreEpochChanged);
        assert_eq!(hub.position(), place(1), "nothing was handed over");
        hub.replace(place(1));
        assert!(stream.has_ended() && hub.held() == (0, 0));
        let new = lend(&hub, "one");
        hub.hand_over(vec![row("one", 3)]).unwrap();
        drop(stream);
        assert!(!new.has_ended() && hub.held().0 == 1);
    }
}

#[test]
fn rows_that_hold_what_streams_have_read_are_handed_over() {
    let hub = hub(usize::MAX);
    let _stream = lend(&hub, "one");
    for seq in [2, 4, 2] {
        hub.note_ahead(place(seq));
    }

    hub.hand_over((1..5).map(|seq| row("one", seq)).collect())
        .unwrap();
    hub.note_ahead(place(3));
    hub.hand_over(vec![row("one", 6)]).unwrap();

    assert_eq!(hub.position(), place(6));
}
