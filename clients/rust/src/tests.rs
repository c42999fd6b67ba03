//! What needs no server.

use super::*;

#[test]
fn waits_double_up_to_the_longest_and_begin_anew() {
    let mut backoff = Backoff::new(WATCH_WAITS);

    for doubled in 0..400 {
        let whole = (WATCH_WAITS.0 * 2_u32.pow(doubled.min(10))).min(WATCH_WAITS.1);
        let wait = backoff.next();
        assert!(wait >= whole / 2 && wait <= whole, "{doubled}: {wait:?}");
    }
    backoff.reset();
    assert!(backoff.next() <= WATCH_WAITS.0);
}

#[test]
fn a_request_id_is_put_only_where_there_is_none() {
    let framed = |message: &[u8]| {
        let mut bytes = BytesMut::from(&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..]);
        bytes.extend_from_slice(message);
        bytes.freeze()
    };
    let mine = framed(b"\x0a\x01a\x12\x01b");

    assert_eq!(identified(mine.clone(), 2), mine);
    let put = identified(mine.clone(), 7);
    assert_eq!(put.len(), mine.len() + 38);
    assert_eq!(usize::from(put[4]), put.len() - 5);
    assert_eq!(identified(put.clone(), 7), put);
    assert_eq!(identified(framed(b""), 1).len(), 5 + 38);
}

#[test]
fn only_addresses_of_this_machine_are_loopback() {
    for address in ["127.0.0.1:1", "localhost:1", "[::1]:1"] {
        assert!(is_loopback(address), "{address}");
    }
    for address in [
        "10.0.0.1:1",
        "localhost.example.test:1",
        "127.0.0.1.example.test:1",
        "[::2]:1",
        "",
    ] {
        assert!(!is_loopback(address), "{address}");
    }
}

#[test]
fn what_is_long_gone_takes_no_room() {
    let mut seen = Seen::default();
    seen.reset();
    for cart in 0..100_000 {
        assert!(seen.admit(true, &format!("carts/{cart}"), 1));
        assert!(seen.admit(false, &format!("carts/{cart}"), 2));
    }

    assert!(!seen.admit(true, "carts/99999", 1));
    assert!(seen.present.len() + seen.gone.len() + seen.gone_before.len() <= 20_000);
}
