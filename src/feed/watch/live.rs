//! A stream that is up to date: it takes what its channel has, and waits where that is nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bell::Ring;
use super::{Phase, Watch};
use crate::error::Result;
use crate::feed::channel::{Run, View};
use crate::feed::frame::Signal;
use crate::feed::source::Found;
use crate::proto::pb;

impl Watch {
    /// Takes what the channel has; where that is nothing, waits.
    pub(super) async fn live_step(&mut self) -> Result<()> {
        // Read first: whatever was handed over up to here is in the source below.
        let handed = self.feed.0.hub.position();
        let view = self.view();
        match self.source.take(view.as_ref(), self.position) {
            Found::Outrun => {
                self.floor = handed;
                self.phase = Phase::CatchUp;
                return Ok(());
            }
            Found::Run(run) => {
                self.move_to(run.end);
                self.ready.extend(run.frames.iter().cloned());
                return Ok(());
            }
            Found::Entries {
                entries,
                more,
                first,
            } => {
                let count = entries.len() as u64;
                let ends = entries.first().zip(entries.last());
                let ends = ends.map(|(first, last)| (first.position, last.position));
                // What was read from the log before it was in the ring is not in this stream's messages.
                let ends = ends.filter(|(begin, _)| begin.is_after(self.position));
                for entry in entries {
                    self.consider(entry)?;
                }
                if let (Some(view), Some(first), Some((begin, end))) = (view, first, ends) {
                    self.flush();
                    let frames: Arc<[_]> = self.ready.iter().map(|f| f.joined()).collect();
                    self.source
                        .share(first, first + count, view, Run { frames, begin, end });
                }
                if !more {
                    self.move_to(handed);
                }
                self.flush();
                if more || !self.ready.is_empty() {
                    return Ok(());
                }
            }
        }
        let until = self.next_time();
        tokio::select! {
            biased;
            ring = self.bell.wait(until) => match ring {
                Ring::Time => self.on_time(),
                ring => self.end_for(ring),
            },
            () = self.source.changed() => Ok(()),
        }
    }

    /// What makes the messages of this stream the same as another's; None while they are its own.
    fn view(&self) -> Option<View> {
        let plain = self.members.is_none() && self.overlap.is_none() && self.outbox.is_empty();
        (plain && !self.outbox.has_interval()).then(|| View {
            delivery: self.options.delivery,
            stream_token: Arc::clone(&self.stream_token),
        })
    }

    /// When a live stream has something to do although nothing changed.
    fn next_time(&self) -> Instant {
        let mut next = self.beat_at.min(self.ends_at);
        if let Some(due) = self.outbox.due() {
            next = next.min(due);
        }
        if let Some(deadline) = self.caller.deadline {
            next = next.min(Instant::from_std(deadline));
        }
        if let Some(flip) = self.timed.values().map(|(_, flip)| *flip).min() {
            let wait = flip
                .saturating_sub(self.feed.0.store.clock().now())
                .max(1_000);
            next = next.min(Instant::now() + Duration::from_micros(wait.cast_unsigned()));
        }
        next
    }

    fn on_time(&mut self) -> Result<()> {
        let now = Instant::now();
        self.flip_timed()?;
        self.flush();
        if self.ready.is_empty() && now >= self.beat_at {
            let clock = self.feed.0.store.clock();
            let lag = self.feed.0.hub.lag_micros();
            let signal = Signal::Heartbeat(pb::Heartbeat {
                server_time: Some(crate::feed::timestamp(clock.now())),
                lag: Some(prost_types::Duration {
                    seconds: lag / 1_000_000,
                    nanos: i32::try_from(lag % 1_000_000 * 1_000).unwrap_or(0),
                }),
            });
            self.push_signal(&signal);
        }
        Ok(())
    }
}
