//! The state of the screen: carts, figures, the connection, and the reader's position. It does not depend on
//! a terminal.
//!
//! News are applied whether or not the screen is paused. A paused screen shows a copy of the carts, and drops
//! it to continue.

use std::{collections::VecDeque, rc::Rc};

use crate::{
    cli::watch::follower::{Link, News},
    proto::pb,
};

use super::{
    carts::{Carts, Row, Search},
    order::Order,
};

/// The period of the rate of changes, in seconds.
const RATE_SECONDS: i64 = 5;

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// The first snapshot is not complete yet.
    Filling,
    /// Every change is shown as it happens.
    Live,
    /// The connection is lost, for this reason, and is retried.
    Lost(String),
}

/// The screen's state.
#[derive(Debug)]
pub struct Model {
    /// The address of the server.
    pub server: String,
    /// The filter of the command, or empty.
    pub filter: String,
    pub connection: Connection,
    /// The figures of the shop's carts, if they are known.
    pub figures: Option<pb::CartFigures>,
    /// The search text.
    pub search: String,
    /// Whether keys are typed into the search.
    pub typing: bool,
    /// Whether the details of the selected cart are shown.
    pub details: bool,
    /// Whether the keys are explained in place of the table.
    pub help: bool,
    /// The order of the rows.
    pub order: Order,
    /// The index of the first displayed row.
    pub top: usize,
    /// The number of rows that fit, as of the last drawing.
    pub page: usize,
    /// Whether anything has changed since the last drawing.
    pub dirty: bool,
    carts: Carts,
    paused: Option<Carts>,
    missed: u64,
    selected: Option<String>,
    /// The position of the selected row, in case the row disappears.
    stood: usize,
    seconds: VecDeque<(i64, u64)>,
}

impl Model {
    /// Creates an empty model.
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

    /// Applies news of the follower, as of `now`.
    pub fn apply(&mut self, news: News<pb::CartChange>, now: i64) {
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
        // A paused screen shows only the number of changes.
        self.dirty = true;
    }

    /// Applies new figures.
    pub fn figures(&mut self, figures: pb::CartFigures) {
        self.figures = Some(figures);
        self.dirty = true;
    }

    /// Applies the passing of time.
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

    /// The changes per second, over the last whole seconds.
    pub fn rate(&self, now: i64) -> u64 {
        let second = now.div_euclid(1_000_000);
        let whole = second - RATE_SECONDS..second;
        let counts = self.seconds.iter().filter(|(at, _)| whole.contains(at));
        let sum: u64 = counts.map(|(_, count)| count).sum();
        let seconds = RATE_SECONDS.unsigned_abs();
        (sum + seconds / 2) / seconds
    }

    /// The displayed carts: the present ones, or those at the time of the pause.
    pub fn shown(&self) -> &Carts {
        self.paused.as_ref().unwrap_or(&self.carts)
    }

    /// The rows that match the search, in their order.
    pub fn rows(&self) -> Vec<&Rc<Row>> {
        let rows = self.shown().rows();
        let mut rows: Vec<&Rc<Row>> = match Search::new(&self.search) {
            None => rows.collect(),
            Some(search) => rows.filter(|row| row.matches(&search)).collect(),
        };
        self.order.apply(&mut rows);
        rows
    }

    /// The number of changes since the pause; None if the screen is not paused.
    pub fn missed(&self) -> Option<u64> {
        self.paused.as_ref().map(|_| self.missed)
    }

    /// Pauses the display of changes, or catches up.
    pub fn pause(&mut self) {
        self.paused = match self.paused {
            Some(_) => None,
            None => Some(self.carts.clone()),
        };
        self.missed = 0;
        self.dirty = true;
    }

    /// The selected cart, if it is displayed.
    pub fn selected(&self) -> Option<&Rc<Row>> {
        self.shown().get(self.selected.as_ref()?)
    }

    /// Selects the row `by` rows below the selected one, or the first if none is selected.
    pub fn step(&mut self, by: isize) {
        let at = self.selected_index();
        let to = match (at, by) {
            (None, isize::MIN..0) => return,
            (None, _) => 0,
            (Some(at), by) => at.saturating_add_signed(by),
        };
        self.select(to);
    }

    /// Selects the row at this index, or the last one.
    pub fn select(&mut self, index: usize) {
        let rows = self.rows();
        let index = index.min(rows.len().saturating_sub(1));
        let name = rows.get(index).map(|row| row.cart.name.clone());
        self.selected = name;
        self.stood = index;
        self.dirty = true;
    }

    /// Selects nothing and shows the top.
    pub fn deselect(&mut self) {
        self.selected = None;
        self.details = false;
        self.top = 0;
        self.dirty = true;
    }

    pub fn has_selection(&self) -> bool {
        self.selected.is_some()
    }

    fn selected_index(&self) -> Option<usize> {
        let name = self.selected.as_ref()?;
        self.rows().iter().position(|row| row.cart.name == *name)
    }

    /// Scrolls so that the selected row is among the `page` rows that fit. A selected cart that is gone is
    /// replaced by the one at its position.
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
