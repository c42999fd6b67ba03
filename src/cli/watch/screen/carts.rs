//! The carts of the screen, built from changes: the last changed first.
//!
//! Pure: times are parameters. Carts that left stay for a moment, so that their end is seen. A copy shares
//! its rows, so that a paused screen costs little.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
};

use crate::{
    cli::{output, watch::line},
    feed::micros,
    filter::fold,
    proto::pb::{self, ChangeKind, cart::State},
};

/// How long a cart that left is still shown, in microseconds.
const LINGER: i64 = 5_000_000;
/// The most events that are kept of a cart.
const HISTORY_MAX: usize = 24;

/// A cart and its events since the watch began.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cart, or its last state before it left.
    pub cart: pb::Cart,
    /// The owner, for people.
    pub who: String,
    /// The last events.
    pub what: String,
    /// When it changed, in microseconds.
    pub changed: i64,
    /// When this program received its last change; None if it existed when the watch began.
    pub received: Option<i64>,
    /// When it left.
    pub left: Option<i64>,
    /// The events, the last first.
    pub history: VecDeque<Event>,
    /// The text for searches.
    folded: String,
}

impl Row {
    /// Whether the cart is open and has not left.
    pub fn is_open(&self) -> bool {
        self.left.is_none() && self.cart.state() == State::Open
    }

    /// Whether the search finds the cart.
    pub fn matches(&self, search: &Search) -> bool {
        self.folded.contains(&search.folded) || (search.is_id && self.has_id(&search.folded))
    }

    /// Whether a name or an id begins with this text.
    fn has_id(&self, folded: &str) -> bool {
        let names = [&self.cart.name, &self.cart.customer];
        names
            .into_iter()
            .any(|name| name.starts_with(folded) || output::id(name).starts_with(folded))
    }

    /// The number of the cart, or else its id.
    pub fn number(&self) -> &str {
        if self.cart.number.is_empty() {
            output::id(&self.cart.name)
        } else {
            &self.cart.number
        }
    }

    /// The unusual state of the cart, in a word.
    pub fn state(&self) -> String {
        let cart = &self.cart;
        if self.left.is_some() && cart.state() == State::Open {
            return "gone".to_owned();
        }
        match cart.state() {
            State::Open | State::Unspecified => {}
            state => return output::word(state.as_str_name(), "STATE_"),
        }
        let word = if cart.lock.is_some() {
            "held"
        } else if cart.freeze() != pb::cart::Freeze::Unspecified {
            "frozen"
        } else if cart.abandonment() == pb::cart::Abandonment::Abandoned {
            "abandoned"
        } else {
            ""
        };
        word.to_owned()
    }

    fn fold(&mut self) {
        let cart = &self.cart;
        let mut text = format!(
            "{} {} {} {}",
            self.who,
            cart.number,
            cart.storefront,
            self.state()
        );
        for item in &cart.items {
            text.push(' ');
            text.push_str(&item.product);
            text.push(' ');
            text.push_str(&item.display_name);
        }
        self.folded = fold(&text);
    }
}

/// A search text.
#[derive(Debug, Clone)]
pub struct Search {
    folded: String,
    is_id: bool,
}

/// The shortest prefix of an id that is searched for.
const ID_CHARS_MIN: usize = 4;

impl Search {
    /// Creates a search for a text; None if the text is empty.
    ///
    /// Ids are long and random, so short words would occur in them by accident. They are searched only if the
    /// text looks like a name (`carts/…`) or the prefix of an id: letters, hyphens and at least one digit,
    /// four characters or more.
    pub fn new(text: &str) -> Option<Self> {
        let folded = fold(text);
        let is_of_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_id = folded.contains('/')
            || (folded.len() >= ID_CHARS_MIN
                && folded.chars().all(is_of_id)
                && folded.bytes().any(|byte| byte.is_ascii_digit()));
        (!text.is_empty()).then_some(Self { folded, is_id })
    }
}

/// An event of a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was committed, in microseconds.
    pub time: i64,
    /// The text of the event.
    pub what: String,
}

/// The position of a row: by the changes that were received before it, then by time, because a snapshot has
/// no order.
type Place = Reverse<(u64, i64, u64)>;

/// All rows.
#[derive(Debug, Clone, Default)]
pub struct Carts {
    rows: BTreeMap<Place, Rc<Row>>,
    places: HashMap<String, Place>,
    leaving: VecDeque<(i64, String)>,
    sequence: u64,
    generation: u64,
}

impl Carts {
    /// Begins a snapshot. Its new carts come before all known ones.
    pub fn begin(&mut self) {
        self.sequence += 1;
        self.generation = self.sequence;
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.rows.clear();
        self.places.clear();
        self.leaving.clear();
    }

    /// Applies a change.
    pub fn change(&mut self, change: pb::CartChange, who: String, standing: bool, now: i64) {
        let whats = line::event_texts(&change, standing);
        let committed = change.commit_time.as_ref().map(micros);
        if change.kind() == ChangeKind::Upserted {
            let Some(cart) = change.cart else { return };
            let updated = cart.update_time.as_ref().map(micros);
            let changed = committed.or(updated).unwrap_or(now);
            self.upsert(cart, who, &whats, changed, (!standing).then_some(now));
        } else {
            let is_deleted = change.kind() == ChangeKind::Deleted;
            self.leave(&change.name, is_deleted.then_some(whats), now);
        }
        self.tidy(now);
    }

    fn upsert(
        &mut self,
        cart: pb::Cart,
        who: String,
        whats: &[String],
        changed: i64,
        received: Option<i64>,
    ) {
        let name = cart.name.clone();
        let mut row = match self.take(&name) {
            Some(row) => row,
            None => Rc::new(Row {
                cart: pb::Cart::default(),
                who: String::new(),
                what: String::new(),
                changed,
                received,
                left: None,
                history: VecDeque::new(),
                folded: String::new(),
            }),
        };
        // A paused screen may still hold the old row.
        let known = Rc::make_mut(&mut row);
        known.cart = cart;
        known.who = who;
        known.changed = changed;
        known.received = received;
        known.left = None;
        note_events(known, whats, changed);
        known.fold();
        let place = match received {
            Some(_) => self.next_place(),
            None => Reverse((self.generation, changed, self.next())),
        };
        self.put(name, place, row);
    }

    /// Marks a cart as gone, with the texts of its end, if there are any.
    pub fn leave(&mut self, name: &str, whats: Option<Vec<String>>, now: i64) {
        let Some(mut row) = self.take(name) else {
            return;
        };
        if row.left.is_some() || (whats.is_none() && !row.is_open()) {
            // A closed cart has already been shown as closed.
            return;
        }
        let known = Rc::make_mut(&mut row);
        known.left = Some(now);
        known.received = Some(now);
        known.changed = now;
        let whats = whats.unwrap_or_else(|| vec!["no longer matches".to_owned()]);
        note_events(known, &whats, now);
        self.leaving.push_back((now, name.to_owned()));
        let place = self.next_place();
        self.put(name.to_owned(), place, row);
    }

    /// Removes the carts that left long enough ago. Returns whether there were any.
    pub fn tidy(&mut self, now: i64) -> bool {
        let mut dropped = false;
        while let Some((left, _)) = self.leaving.front()
            && now - *left >= LINGER
        {
            let Some((left, name)) = self.leaving.pop_front() else {
                break;
            };
            let place = self.places.get(&name);
            let row = place.and_then(|place| self.rows.get(place));
            // The cart may have come back meanwhile.
            if row.is_some_and(|row| row.left == Some(left)) {
                self.take(&name);
                dropped = true;
            }
        }
        dropped
    }

    /// The rows, the last changed first.
    pub fn rows(&self) -> impl Iterator<Item = &Rc<Row>> {
        self.rows.values()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of a cart.
    pub fn get(&self, name: &str) -> Option<&Rc<Row>> {
        self.rows.get(self.places.get(name)?)
    }

    fn take(&mut self, name: &str) -> Option<Rc<Row>> {
        let place = self.places.remove(name)?;
        self.rows.remove(&place)
    }

    fn put(&mut self, name: String, place: Place, row: Rc<Row>) {
        self.places.insert(name, place);
        self.rows.insert(place, row);
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn next_place(&mut self) -> Place {
        let received = self.next();
        Reverse((received, 0, received))
    }
}

/// Notes events, for the row and its history.
fn note_events(row: &mut Row, whats: &[String], time: i64) {
    row.what = whats.join(", ");
    for what in whats {
        let what = what.clone();
        row.history.push_front(Event { time, what });
    }
    row.history.truncate(HISTORY_MAX);
}

#[cfg(test)]
mod tests;
