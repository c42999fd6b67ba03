//! The source of a stream's live changes: the ring, or an inbox of its own.

use std::sync::Arc;

use tokio::sync::watch;

use super::channel::{Channel, Inbox, Taken};
use super::entry::Entry;
use super::hub::Lease;
use super::resource::Scope;
use super::runs::{Run, View};
use crate::revision::Position;

/// The most entries that a stream takes at once.
const BATCH: usize = 256;

/// A stream's place in its channel.
pub struct Source {
    channel: Lease,
    reader: Reader,
}

enum Reader {
    /// Reads the ring from an index on; None while the log has to be read.
    Ring {
        next: Option<u64>,
        head: watch::Receiver<u64>,
    },
    /// Reads an inbox.
    Inbox(Arc<Inbox>),
}

/// The result of taking changes from a source.
pub enum Found {
    /// Changes in their order; `more` if others follow. `first` is the index of the first one in the ring, if
    /// they come from there.
    Entries {
        entries: Vec<Arc<Entry>>,
        more: bool,
        first: Option<u64>,
    },
    /// Changes for which another stream with the same view has made the messages.
    Run(Run),
    /// The stream has to read the log from its position on.
    Outrun,
}

impl Source {
    /// Creates a source for the resources of `scope`. From here on no change is missed.
    pub fn new(channel: Lease, scope: &Scope) -> Self {
        let reader = match scope {
            Scope::All => Reader::Ring {
                next: None,
                head: channel.head(),
            },
            Scope::Ids(ids) => Reader::open(&channel, Inbox::of_ids(ids)),
            Scope::Topic(topic) => Reader::open(&channel, Inbox::of_topic(topic)),
        };
        Self { channel, reader }
    }

    /// Whether the store has left the history that the channel followed.
    pub fn has_ended(&self) -> bool {
        self.channel.has_ended()
    }

    /// Whether live changes can continue after `position`. `floor` is a position up to which everything was
    /// handed to the channel when the source was made.
    pub fn join(&mut self, position: Position, floor: Position) -> bool {
        match &mut self.reader {
            Reader::Ring { next, .. } => {
                *next = self.channel.index_after(position);
                next.is_some()
            }
            Reader::Inbox(_) => !floor.is_after(position),
        }
    }

    /// Also delivers the changes of a resource that had the topic before the source was made. A resource that
    /// gets the topic later is followed without this.
    pub fn follow(&self, id: &str) {
        if let Reader::Inbox(inbox) = &self.reader {
            self.channel.follow(inbox, id);
        }
    }

    /// Takes the available changes, as messages if there are shared ones for this view and a stream at
    /// `position`.
    pub fn take(&mut self, view: Option<&View>, position: Position) -> Found {
        match &mut self.reader {
            Reader::Ring { next, head } => {
                head.borrow_and_update();
                let Some(index) = *next else {
                    return Found::Outrun;
                };
                if let Some(view) = view
                    && let Some((run, end)) = self.channel.run(index, BATCH, view, position)
                {
                    *next = Some(end);
                    return Found::Run(run);
                }
                match self.channel.read(index, BATCH) {
                    Taken::Entries(entries) => {
                        *next = Some(index + entries.len() as u64);
                        Found::Entries {
                            more: entries.len() == BATCH,
                            first: Some(index),
                            entries,
                        }
                    }
                    Taken::Outrun => Found::Outrun,
                }
            }
            Reader::Inbox(inbox) => match inbox.take() {
                Taken::Entries(entries) => Found::Entries {
                    entries,
                    more: false,
                    first: None,
                },
                Taken::Outrun => Found::Outrun,
            },
        }
    }

    /// Keeps the messages made from the ring's changes in `first..end` for other streams.
    pub fn share(&self, first: u64, end: u64, view: View, run: Run) {
        self.channel.share(first, end, view, run);
    }

    /// Waits until there may be changes.
    pub async fn changed(&mut self) {
        match &mut self.reader {
            // The channel holds the sender, and the source holds the channel.
            Reader::Ring { head, .. } => drop(head.changed().await),
            Reader::Inbox(inbox) => inbox.arrived().await,
        }
    }
}

impl Reader {
    fn open(channel: &Channel, inbox: Inbox) -> Self {
        let inbox = Arc::new(inbox);
        channel.open(&inbox);
        Self::Inbox(inbox)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Reader::Inbox(inbox) = &self.reader {
            self.channel.close(inbox);
        }
    }
}
