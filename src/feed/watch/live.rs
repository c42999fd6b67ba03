//! Takes live changes from the channel for a stream that is up to date.

use std::sync::Arc;

use super::{Phase, Watch, reading};
use crate::error::Result;
use crate::feed::runs::{Run, View};
use crate::feed::source::Found;

impl Watch {
    /// Takes the available changes. Returns whether there are more, or something to send.
    pub(super) fn take_changes(&mut self) -> Result<bool> {
        // Read first: the source holds everything that was handed over up to here.
        let handed = self.feed.0.hub.position();
        let view = self.view();
        match self.source.take(view.as_ref(), self.position) {
            Found::Outrun => {
                // Read last: every dropped change is before this.
                self.floor = self.feed.0.hub.floor();
                if self.feed.0.fault.catches_up() {
                    // Also if nothing seems to be missing: only the log knows whether its rows are still
                    // available.
                    self.reading = Some(reading::log(&self.feed, &self.turns, self.position));
                } else {
                    self.move_to(self.floor);
                }
                self.phase = Phase::CatchUp;
                Ok(true)
            }
            Found::Run(run) => {
                self.move_to(run.end);
                self.ready.extend(run.messages.iter().cloned());
                Ok(true)
            }
            Found::Entries {
                entries,
                more,
                first,
            } => {
                let count = entries.len() as u64;
                let ends = entries.first().zip(entries.last());
                let ends = ends.map(|(first, last)| (first.position, last.position));
                // Changes that were read from the log before they reached the ring are not sent here.
                let ends = ends.filter(|(begin, _)| begin.is_after(self.position));
                for entry in entries {
                    self.consider(entry)?;
                }
                if let (Some(view), Some(first), Some((begin, end))) = (view, first, ends) {
                    self.flush();
                    let run = Run {
                        messages: self.ready.iter().map(|ready| ready.joined()).collect(),
                        begin,
                        end,
                    };
                    self.source.share(first, first + count, view, run);
                }
                if !more {
                    self.move_to(handed);
                }
                self.flush();
                Ok(more || !self.ready.is_empty())
            }
        }
    }

    /// The view by which this stream shares messages with others; None while its messages are its own.
    fn view(&self) -> Option<View> {
        let alike = self.members.is_none()
            && self.overlap.is_none()
            && !self.seen.is_after(self.position)
            && self.ready.is_empty()
            && self.outbox.holds_nothing();
        alike.then(|| View {
            delivery: self.options.delivery,
            stream_token: Arc::clone(&self.stream_token),
        })
    }
}
