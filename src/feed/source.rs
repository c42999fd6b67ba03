//! Where a stream's live changes come from: the ring, or an inbox of its own.

use std::sync::Arc;

use tokio::sync::watch;

use super::channel::{Channel, Inbox, Taken};
use super::entry::Entry;
use super::hub::Lease;
use super::resource::Scope;
use super::runs::{Run, View};
use crate::revision::Position;

/// Entries that a stream takes at once.
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

/// What a stream finds in its source.
pub enum Found {
    /// Changes in their order; `more` if there are further ones. `first` is the index of the first in
    /// the ring, if they come from there.
    Entries {
        entries: Vec<Arc<Entry>>,
        more: bool,
        first: Option<u64>,
    },
    /// Changes of which another stream with the same view has made messages.
    Run(Run),
    /// The log has to be read from the stream's position on.
    Outrun,
}

impl Source {
    /// A source for what `scope` is about. From here on no change is missed.
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

    /// Whether the log that the channel followed is not the store's any more.
    pub fn has_ended(&self) -> bool {
        self.channel.has_ended()
    }

    /// Whether live changes can go on after `position`. `floor` is a position up to which everything
    /// was handed to the channel when the source was made.
    pub fn join(&mut self, position: Position, floor: Position) -> bool {
        match &mut self.reader {
            Reader::Ring { next, .. } => {
                *next = self.channel.index_after(position);
                next.is_some()
            }
            Reader::Inbox(_) => !floor.is_after(position),
        }
    }

    /// Also finds changes of a resource that has the topic. For one that had it before the source was
    /// made; what gets it later is followed by itself.
    pub fn follow(&self, id: &str) {
        if let Reader::Inbox(inbox) = &self.reader {
            self.channel.follow(inbox, id);
        }
    }

    /// Takes what is there: as messages, if there are some for this view and a stream at `position`.
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

    /// Keeps the messages of the ring's changes from `first` to before `end` for other streams.
    pub fn share(&self, first: u64, end: u64, view: View, run: Run) {
        self.channel.share(first, end, view, run);
    }

    /// Waits until there may be something.
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
