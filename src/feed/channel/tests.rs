//! Tests which inboxes a change reaches.

use std::sync::Arc;

use super::*;
use crate::feed::things::{Things, payload};

/// A change of a thing that has this topic; without one the thing is deleted.
fn change(id: &str, version: i64, topic: Option<&str>) -> Arrival {
    let payload = payload(topic);
    let (position, gone) = (Position::ORIGIN, topic.is_none());
    let entry = Entry::new(&Things, position, id.into(), version, gone, &payload, 0);
    Arrival::Entry(Arc::new(entry.unwrap()))
}

fn channel() -> Channel {
    Channel::new(&Things, Position::ORIGIN)
}

fn open(channel: &Channel, inbox: Inbox) -> Arc<Inbox> {
    let inbox = Arc::new(inbox);
    channel.open(&inbox);
    inbox
}

/// The ids and versions of the changes in an inbox.
fn taken(inbox: &Inbox) -> Vec<(String, i64)> {
    let Taken::Entries(entries) = inbox.take() else {
        panic!("nothing was dropped");
    };
    let found = entries
        .iter()
        .map(|entry| (entry.id.to_string(), entry.version));
    found.collect()
}

fn expected(changes: &[(&str, i64)]) -> Vec<(String, i64)> {
    let pairs = changes
        .iter()
        .map(|(id, version)| ((*id).to_owned(), *version));
    pairs.collect()
}

/// Both changes are delivered before the stream has taken the first.
#[test]
fn a_resource_that_gets_and_loses_its_topic_sends_both_changes() {
    let channel = channel();
    let ada = open(&channel, Inbox::of_topic("ada"));

    channel.push(vec![
        change("a", 1, Some("ada")),
        change("a", 2, Some("nobody")),
        change("a", 3, Some("nobody")),
    ]);

    assert_eq!(taken(&ada), expected(&[("a", 1), ("a", 2)]));
}

#[test]
fn a_resource_that_changes_its_topic_is_sent_to_both() {
    let channel = channel();
    let ada = open(&channel, Inbox::of_topic("ada"));
    let bob = open(&channel, Inbox::of_topic("bob"));

    channel.push(vec![
        change("a", 1, Some("ada")),
        change("a", 2, Some("bob")),
        change("a", 3, Some("bob")),
        change("a", 4, None),
    ]);

    assert_eq!(taken(&ada), expected(&[("a", 1), ("a", 2)]));
    assert_eq!(taken(&bob), expected(&[("a", 2), ("a", 3), ("a", 4)]));
}

#[test]
fn a_followed_resource_is_sent_once_more() {
    let channel = channel();
    let ada = open(&channel, Inbox::of_topic("ada"));
    channel.follow(&ada, "a");
    channel.follow(&ada, "a");

    channel.push(vec![change("a", 7, Some("nobody"))]);
    channel.push(vec![change("a", 8, Some("nobody"))]);

    assert_eq!(taken(&ada), expected(&[("a", 7)]));
}

#[test]
fn an_inbox_of_names_gets_each_change_once() {
    let channel = channel();
    let named = open(
        &channel,
        Inbox::of_ids(&["a".into(), "b".into(), "a".into()]),
    );
    let _topic = open(&channel, Inbox::of_topic("ada"));

    channel.push(vec![
        change("a", 1, Some("ada")),
        change("c", 1, Some("ada")),
        change("b", 1, None),
        change("a", 2, Some("nobody")),
    ]);

    assert_eq!(taken(&named), expected(&[("a", 1), ("b", 1), ("a", 2)]));
}

#[test]
fn a_closed_inbox_leaves_nothing_behind() {
    let channel = channel();
    let named = open(&channel, Inbox::of_ids(&["a".into()]));
    let topic = open(&channel, Inbox::of_topic("ada"));
    channel.push(vec![change("b", 1, Some("ada"))]);

    channel.close(&named);
    channel.close(&topic);

    let state = channel.state();
    assert!(state.inboxes.is_empty());
    assert_eq!(state.topics, 0);
}

/// Streams of other names continue: they cannot want the change.
#[test]
fn an_unreadable_change_sends_its_possible_streams_to_the_log() {
    let channel = channel();
    let ada = open(&channel, Inbox::of_topic("ada"));
    let named = open(&channel, Inbox::of_ids(&["a".into()]));
    let other = open(&channel, Inbox::of_ids(&["b".into()]));
    channel.push(vec![change("b", 1, Some("ada"))]);
    let end = channel.index_after(Position::ORIGIN).unwrap();

    let lost = Arrival::Unreadable {
        position: Position::ORIGIN,
        id: "a".into(),
    };
    let ring = channel.push(vec![lost, change("b", 2, Some("ada"))]);

    assert!(matches!(ada.take(), Taken::Outrun));
    assert!(matches!(named.take(), Taken::Outrun));
    assert_eq!(taken(&other), expected(&[("b", 1), ("b", 2)]));
    assert!(matches!(channel.read(end, 10), Taken::Outrun));
    assert!(ring.oldest.is_some(), "the change after it is kept");
}

/// Streams that have taken their changes continue.
#[test]
fn an_inbox_keeps_nothing_that_the_ring_let_go_of() {
    let channel = channel();
    let topic = open(&channel, Inbox::of_topic("ada"));
    let named = open(&channel, Inbox::of_ids(&["a".to_owned()]));
    let other = open(&channel, Inbox::of_ids(&["b".to_owned()]));
    let first = change("a", 1, Some("ada"));
    let Arrival::Entry(entry) = &first else {
        panic!("the change can be read");
    };
    let entry = Arc::downgrade(entry);
    // After the second change the resource is no longer followed.
    channel.push(vec![
        first,
        change("a", 2, Some("nobody")),
        change("b", 1, Some("nobody")),
    ]);

    channel.evict_oldest();

    assert!(entry.upgrade().is_none(), "an inbox keeps it");
    assert!(matches!(topic.take(), Taken::Outrun));
    assert!(matches!(named.take(), Taken::Outrun));
    channel.evict_oldest();
    assert_eq!(taken(&named), expected(&[]));
    assert_eq!(taken(&other), expected(&[("b", 1)]));
}
