//! What the screen shows: carts, figures, the connection, and where the reader is. No terminal in it.
//!
//! News are taken in whether or not the screen is paused: a paused one shows a copy of the carts, so that
//! going on is only a matter of dropping it.

use std::{collections::VecDeque, rc::Rc};

use crate::{
    cli::watch::follower::{Link, News},
    proto::pb,
};

use super::{
    carts::{Carts, Row, Search},
    order::Order,
};

/// Over how many seconds the rate of changes is taken.
const RATE_SECONDS: i64 = 5;

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// What is there is still coming.
    Filling,
    /// Every change is shown as it happens.
    Live,
    /// It is tried again.
    Lost(String),
}

/// The screen's state.
#[derive(Debug)]
pub struct Model {
    /// Where the server is.
    pub server: String,
    /// The filter that was asked for, if one was.
    pub filter: String,
    /// How the connection stands.
    pub connection: Connection,
    /// The figures of the shop's carts, when they are known.
    pub figures: Option<pb::CartFigures>,
    /// What is looked for.
    pub search: String,
    /// Whether keys go into the search.
    pub typing: bool,
    /// Whether the selected cart is shown whole.
    pub details: bool,
    /// Whether the keys are explained in place of the table.
    pub help: bool,
    /// The order of the rows.
    pub order: Order,
    /// The first row that is shown.
    pub top: usize,
    /// How many rows fit; known from the last drawing.
    pub page: usize,
    /// Whether something changed since the last drawing.
    pub dirty: bool,
    carts: Carts,
    paused: Option<Carts>,
    missed: u64,
    selected: Option<String>,
    /// Where the selected row stood, for when it is gone.
    stood: usize,
    seconds: VecDeque<(i64, u64)>,
}

impl Model {
    /// Nothing is known yet.
    pub fn new(server: &str, filter: &str) -> Self {
        Self {
            server: server.to_owned(),
            filter: filter.to_owned(),
            connection: Connection::Filling,
            figures: None,
            search: String::new(),
            typing: false,
            details: false,
            help: false,
            order: Order::default(),
            top: 0,
            page: 1,
            dirty: true,
            carts: Carts::default(),
            paused: None,
            missed: 0,
            selected: None,
            stood: 0,
            seconds: VecDeque::new(),
        }
    }

    /// Takes in what the follower tells, at this time.
    pub fn hear(&mut self, news: News<pb::CartChange>, now: i64) {
        match news {
            News::Change {
                change,
                label,
                standing,
            } => {
                if !standing {
                    let count = 1 + u64::try_from(change.conflated).unwrap_or_default();
                    self.count(count, now);
                }
                self.carts.change(change, label, standing, now);
            }
            News::Gone { name, .. } => {
                let what = vec!["went while the server was away".to_owned()];
                self.carts.leave(&name, Some(what), now);
            }
            News::Begin(_) => {
                self.connection = Connection::Filling;
                self.carts.begin();
            }
            News::Whole => self.connection = Connection::Live,
            News::Forget => self.carts.forget(),
            News::Link(Link::Lost { why, .. }) => self.connection = Connection::Lost(why),
            News::Link(Link::Back) => self.connection = Connection::Live,
        }
        // A paused screen shows of changes only how many there were.
        self.dirty = true;
    }

    /// Takes in the figures.
    pub fn figures(&mut self, figures: pb::CartFigures) {
        self.figures = Some(figures);
        self.dirty = true;
    }

    /// Time has gone by.
    pub fn tidy(&mut self, now: i64) {
        self.dirty |= self.carts.tidy(now);
    }

    fn count(&mut self, changes: u64, now: i64) {
        if self.paused.is_some() {
            self.missed += changes;
        }
        let second = now.div_euclid(1_000_000);
        match self.seconds.back_mut() {
            Some((last, count)) if *last == second => *count += changes,
            _ => self.seconds.push_back((second, changes)),
        }
        while self.seconds.len() > usize::try_from(RATE_SECONDS).unwrap_or_default() + 1 {
            self.seconds.pop_front();
        }
    }

    /// Changes in a second, over the last whole seconds.
    pub fn rate(&self, now: i64) -> u64 {
        let second = now.div_euclid(1_000_000);
        let whole = second - RATE_SECONDS..second;
        let counts = self.seconds.iter().filter(|(at, _)| whole.contains(at));
        let sum: u64 = counts.map(|(_, count)| count).sum();
        let seconds = RATE_SECONDS.unsigned_abs();
        (sum + seconds / 2) / seconds
    }

    /// The carts that are shown: as they are, or as they were when the screen was paused.
    pub fn shown(&self) -> &Carts {
        self.paused.as_ref().unwrap_or(&self.carts)
    }

    /// The rows that the search leaves, in their order.
    pub fn rows(&self) -> Vec<&Rc<Row>> {
        let rows = self.shown().rows();
        let mut rows: Vec<&Rc<Row>> = match Search::new(&self.search) {
            None => rows.collect(),
            Some(search) => rows.filter(|row| row.matches(&search)).collect(),
        };
        self.order.apply(&mut rows);
        rows
    }

    /// How many changes came since the screen was paused, if it is.
    pub fn missed(&self) -> Option<u64> {
        self.paused.as_ref().map(|_| self.missed)
    }

    /// Stops showing changes, or catches up with them.
    pub fn pause(&mut self) {
        self.paused = match self.paused {
            Some(_) => None,
            None => Some(self.carts.clone()),
        };
        self.missed = 0;
        self.dirty = true;
    }

    /// The selected cart, if there is one and it is shown.
    pub fn selected(&self) -> Option<&Rc<Row>> {
        self.shown().get(self.selected.as_ref()?)
    }

    /// Selects the row that stands so many below the selected one, or the first if none is.
    pub fn step(&mut self, by: isize) {
        let at = self.selected_index();
        let to = match (at, by) {
            (None, isize::MIN..0) => return,
            (None, _) => 0,
            (Some(at), by) => at.saturating_add_signed(by),
        };
        self.select(to);
    }

    /// Selects the row at this place, or the last one.
    pub fn select(&mut self, index: usize) {
        let rows = self.rows();
        let index = index.min(rows.len().saturating_sub(1));
        let name = rows.get(index).map(|row| row.cart.name.clone());
        self.selected = name;
        self.stood = index;
        self.dirty = true;
    }

    /// Selects nothing: the top is shown.
    pub fn deselect(&mut self) {
        self.selected = None;
        self.details = false;
        self.top = 0;
        self.dirty = true;
    }

    /// Whether a row is selected.
    pub fn has_selection(&self) -> bool {
        self.selected.is_some()
    }

    fn selected_index(&self) -> Option<usize> {
        let name = self.selected.as_ref()?;
        self.rows().iter().position(|row| row.cart.name == *name)
    }

    /// Moves what is shown so that the selected row is in it, when so many rows fit. A selected cart that
    /// is gone gives way to the one that stands where it stood.
    pub fn settle(&mut self, page: usize) -> Option<usize> {
        self.page = page.max(1);
        let index = match self.selected_index() {
            None if self.selected.is_some() => {
                self.select(self.stood);
                self.selected.as_ref().map(|_| self.stood)
            }
            index => index,
        };
        let Some(index) = index else {
            self.top = 0;
            return None;
        };
        self.stood = index;
        if index < self.top {
            self.top = index;
        } else if index >= self.top + self.page {
            self.top = index + 1 - self.page;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests;
