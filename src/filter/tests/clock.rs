//! Tests filters with `now`, and when time alone changes their result.

use super::*;

#[test]
fn now_takes_offsets_in_every_unit() {
    for (text, canonical) in [
        ("update_time > now - 30m", "update_time > now - 30m"),
        ("update_time > now-30m", "update_time > now - 30m"),
        ("update_time > \"now - 30m\"", "update_time > now - 30m"),
        ("update_time > now + 2d", "update_time > now + 2d"),
        ("update_time > now+14d", "update_time > now + 2w"),
        ("update_time > now -90s", "update_time > now - 90s"),
        ("update_time > now - 0h", "update_time > now"),
        ("update_time > now", "update_time > now"),
        (
            "update_time > now AND count = 1",
            "update_time > now AND count = 1",
        ),
    ] {
        assert_eq!(filter(text).to_string(), canonical, "{text}");
        assert!(filter(text).uses_clock(), "{text}");
    }
    assert!(!filter("title = now AND update_time = 2026-01-01T00:00:00Z").uses_clock());
}

#[test]
fn the_next_flip_is_the_instant_at_which_the_answer_changes() {
    let item = Item::default()
        .int("update_time", NOW - 10 * MINUTE)
        .int("count", 1);
    let flip = |text: &str| filter(text).next_flip(&item, NOW);
    let twenty = NOW + 20 * MINUTE;

    assert_eq!(flip("update_time > now - 30m"), Some(twenty));
    assert_eq!(flip("update_time >= now - 30m"), Some(twenty + 1));
    assert_eq!(flip("update_time < now - 30m"), Some(twenty + 1));
    assert_eq!(flip("update_time <= now - 30m"), Some(twenty));
    assert_eq!(flip("update_time = now - 30m"), Some(twenty));
    assert_eq!(
        filter("update_time = now - 30m").next_flip(&item, twenty),
        Some(twenty + 1)
    );
    assert_eq!(flip("update_time != now - 30m"), Some(twenty));
    assert_eq!(flip("update_time > now - 5m"), None, "it is over");
    assert_eq!(flip("count = 1"), None);
    assert_eq!(
        flip("count = 2 AND update_time > now - 30m"),
        None,
        "it cannot match anyway"
    );
    assert_eq!(
        flip("update_time < now - 20m AND update_time > now - 30m"),
        Some(NOW + 10 * MINUTE + 1)
    );
    assert_eq!(
        filter("update_time > now").next_flip(&Item::default(), NOW),
        None
    );
}

#[test]
fn comparisons_with_the_time_can_be_left_out_of_a_filter() {
    let timeless = |text: &str| filter(text).timeless().to_string();

    assert_eq!(
        timeless("count > 1 AND update_time < now - 1h AND gift = true"),
        filter("count > 1 AND gift = true").to_string()
    );
    for text in [
        "update_time < now",
        "count > 1 OR update_time < now",
        "NOT (count > 1 AND update_time < now)",
    ] {
        assert!(filter(text).timeless().is_everything(), "{text}");
    }
}
