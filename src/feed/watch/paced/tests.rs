//! Compares the answers with those of a plain model, which examines everything each time.

use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt as _;

use super::super::outgoing::Sending;
use super::*;
use crate::feed::entry::Entry;
use crate::feed::things::{Things, payload};

fn place(seq: i64) -> Position {
    Position {
        seq,
        ..Position::ORIGIN
    }
}

/// The change at a place, of a thing.
fn change(seq: i64, id: &str) -> Outgoing {
    let payload = payload(None);
    let entry = Entry::new(&Things, place(seq), id.into(), seq, true, &payload, 0);
    Outgoing {
        entry: Arc::new(entry.expect("an entry")),
        sending: Sending::Whole,
        before: place(seq - 1),
        conflated: 0,
    }
}

/// The plain model: the changes that wait, and when each resource was sent last.
#[derive(Default)]
struct Plain {
    /// In the order of the changes: id, place, place before the first, changes replaced.
    waiting: Vec<(String, i64, i64, i32)>,
    sent: HashMap<String, Instant>,
}

impl Plain {
    fn put(&mut self, id: &str, seq: i64) {
        let older = self.waiting.iter().position(|(other, ..)| other == id);
        let (before, conflated) = match older.map(|at| self.waiting.remove(at)) {
            Some((_, _, before, conflated)) => (before, conflated + 1),
            None => (seq - 1, 0),
        };
        self.waiting.push((id.to_owned(), seq, before, conflated));
    }

    fn at(&self, id: &str, now: Instant, interval: Duration) -> Instant {
        let sent = self.sent.get(id).map(|sent| *sent + interval);
        sent.filter(|at| *at > now).unwrap_or(now)
    }

    fn take(&mut self, now: Instant, interval: Duration) -> Vec<(i64, i32)> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut taken = Vec::new();
        for (id, seq, before, conflated) in waiting {
            if self.at(&id, now, interval) > now {
                self.waiting.push((id, seq, before, conflated));
            } else {
                self.sent.insert(id, now);
                taken.push((seq, conflated));
            }
        }
        taken
    }
}

#[test]
fn a_paced_stream_sends_the_same_changes_as_a_plain_one() {
    let interval = Duration::from_millis(100);
    let mut random = rand::rng();
    for _ in 0..50 {
        let (mut paced, mut plain) = (
            Paced::new(interval, KeptBytes::new(usize::MAX)),
            Plain::default(),
        );
        let mut now = Instant::now();
        for seq in 1..400 {
            match random.random_range(0..10) {
                0..6 => {
                    let id = format!("t{}", random.random_range(0..12));
                    paced.put(&id, change(seq, &id));
                    plain.put(&id, seq);
                }
                6..8 => now += Duration::from_millis(random.random_range(0..60)),
                8 => {
                    let taken = paced.take_due(now);
                    let taken: Vec<(i64, i32)> = taken
                        .iter()
                        .map(|it| (it.entry.position.seq, it.conflated))
                        .collect();
                    assert_eq!(taken, plain.take(now, interval));
                }
                _ if random.random_range(0..20) == 0 => {
                    paced.expedite_once();
                    plain.sent.clear();
                }
                _ => {}
            }
            let before = plain.waiting.iter().map(|(_, _, before, _)| *before).min();
            assert_eq!(paced.before(), before.map(place));
            let next = plain.waiting.iter();
            let next = next.map(|(id, ..)| plain.at(id, now, interval)).min();
            assert_eq!(paced.due(now).map(|at| at.max(now)), next);
        }
    }
}

#[test]
fn beyond_the_limit_of_waiting_resources_none_waits() {
    let mut paced = Paced::new(Duration::from_secs(60), KeptBytes::new(usize::MAX));
    let now = Instant::now();
    let put = |paced: &mut Paced, begin: i64| {
        for number in 0..=i64::try_from(WAITING_MAX).expect("it is small") {
            let id = format!("t{number}");
            paced.put(&id, change(begin + number, &id));
        }
    };
    put(&mut paced, 1);
    paced.take_due(now);
    paced.put("t0", change(100_000, "t0"));
    assert_eq!(paced.take_due(now).len(), 1, "too many had been waiting");
    assert!(paced.take_due(now).is_empty());

    put(&mut paced, 200_000);

    assert_eq!(paced.take_due(now).len(), WAITING_MAX + 1);
    assert_eq!((paced.before(), paced.due(now)), (None, None));
}

#[test]
fn nothing_waits_where_too_much_is_kept_back() {
    let one = change(1, "a").entry.size();
    let kept = KeptBytes::new(one);
    let interval = Duration::from_secs(60);
    let [mut first, mut second] = [(), ()].map(|()| Paced::new(interval, kept.clone()));
    let now = Instant::now();
    for paced in [&mut first, &mut second] {
        paced.put("a", change(1, "a"));
        assert_eq!(paced.take_due(now).len(), 1);
    }

    first.put("a", change(2, "a"));
    assert_eq!(first.take_due(now).len(), 0);
    second.put("a", change(2, "a"));

    assert_eq!(second.due(now), Some(now));
    assert_eq!(second.take_due(now).len(), 1);
    assert_eq!(first.take_due(now).len(), 0, "there is room again");
}
