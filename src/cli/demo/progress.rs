//! The progress of the demo: one line, redrawn on a terminal, and printed at intervals elsewhere.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::cli::{failure::Failure, output};

/// How often the line is redrawn.
const REDRAW: Duration = Duration::from_millis(200);
/// How often a line is printed where it cannot be redrawn.
const REWRITE: Duration = Duration::from_secs(5);
/// The width of a terminal whose width is unknown.
const WIDTH: usize = 80;

/// A change that a shopper made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// Added an item.
    Added,
    /// Changed a quantity.
    Changed,
    /// Removed an item.
    Removed,
    /// Signed in as a customer.
    SignedIn,
    /// Ordered the cart.
    Ordered,
}

#[derive(Debug, Default)]
struct Counts {
    added: u64,
    changed: u64,
    removed: u64,
    signed_in: u64,
    ordered: u64,
    left: u64,
    refused: u64,
    retries: u64,
    open: HashSet<String>,
    last: String,
    started: Option<Instant>,
}

impl Counts {
    fn changes(&self) -> u64 {
        self.added + self.changed + self.removed + self.signed_in + self.ordered
    }

    fn seconds(&self) -> f64 {
        self.started
            .map_or(0.0, |started| started.elapsed().as_secs_f64())
    }
}

/// Counts the shoppers' actions.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Counts>);

impl Progress {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the clock of the shoppers.
    pub fn start(&self) {
        self.counts().started = Some(Instant::now());
    }

    /// Counts a change that was answered.
    pub fn did(&self, did: Did, cart: &str, who: &str, what: &str) {
        let mut counts = self.counts();
        match did {
            Did::Added => counts.added += 1,
            Did::Changed => counts.changed += 1,
            Did::Removed => counts.removed += 1,
            Did::SignedIn => counts.signed_in += 1,
            Did::Ordered => counts.ordered += 1,
        }
        match did {
            Did::Ordered => counts.open.remove(cart),
            _ => counts.open.insert(cart.to_owned()),
        };
        counts.last = format!("{who}: {what}");
    }

    /// Counts a shopper who left.
    pub fn left(&self) {
        self.counts().left += 1;
    }

    /// Counts a refused change: the cart was not as the shopper believed.
    pub fn refused(&self) {
        self.counts().refused += 1;
    }

    /// Counts a call that was not answered and is repeated.
    pub fn retried(&self) {
        self.counts().retries += 1;
    }

    /// Draws the line until it is stopped.
    pub async fn draw(self: Arc<Self>, stop: CancellationToken) {
        let terminal = io::stdout().is_terminal();
        let every = if terminal { REDRAW } else { REWRITE };
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(every) => {}
            }
            let line = output::plain(&self.line());
            let mut out = io::stdout().lock();
            // A closed output must not stop the shoppers.
            let _ = match terminal {
                true => {
                    write!(
                        out,
                        "\r\u{1b}[K{}",
                        output::cut(&line, width.unwrap_or(WIDTH) - 1)
                    )
                }
                false => writeln!(out, "{line}"),
            };
            let _ = out.flush();
        }
        if terminal {
            let _ = write!(io::stdout().lock(), "\r\u{1b}[K");
        }
    }

    fn line(&self) -> String {
        let counts = self.counts();
        let (changes, seconds) = (counts.changes(), counts.seconds());
        let rate = if seconds > 0.0 {
            changes as f64 / seconds
        } else {
            0.0
        };
        let micros = (seconds * 1e6) as i64;
        format!(
            "{}  {}  {rate:.1}/s  {}  {}  {}",
            output::duration(micros),
            output::count(changes, "change"),
            output::count(counts.open.len(), "open cart"),
            output::count(counts.refused + counts.retries, "error"),
            counts.last
        )
    }

    /// Prints the totals.
    pub fn summary(&self) -> Result<(), Failure> {
        let counts = self.counts();
        let text = format!(
            "{} in {:.1} s: {} added, {} quantities changed, {} removed, {} signed in, \
             {} ordered. {} wandered off. {} refused, {} repeated.\n",
            output::count(counts.changes(), "change"),
            counts.seconds(),
            counts.added,
            counts.changed,
            counts.removed,
            counts.signed_in,
            counts.ordered,
            output::count(counts.left, "shopper"),
            output::count(counts.refused, "change"),
            output::count(counts.retries, "call")
        );
        output::print(&text)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordered_cart_is_not_open_any_more() {
        let progress = Progress::new();

        progress.did(Did::Added, "carts/a", "Ada", "+ Straw hat");
        progress.did(Did::Added, "carts/b", "Bruno", "+ Enamel mug");
        progress.did(Did::Ordered, "carts/a", "Ada", "ordered");

        assert_eq!(
            progress.line(),
            "0s  3 changes  0.0/s  1 open cart  0 errors  Ada: ordered"
        );
    }
}
