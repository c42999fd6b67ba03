//! How a stream makes messages: batches of changes, signals, and the token on each.

use std::sync::Arc;

use bytes::Bytes;

use super::{Phase, Watch};
use crate::error::Error;
use crate::feed::Feed;
use crate::feed::entry::{timestamp, token_field};
use crate::feed::frame::{Frame, Message, Signal};
use crate::feed::log::Kind;
use crate::feed::progress::Progress;
use crate::proto::pb;

impl Watch {
    /// Makes messages of the changes that are due.
    pub(super) fn flush(&mut self) {
        for batch in self.outbox.batches(self.position, self.clock.instant()) {
            for outgoing in &batch.changes {
                self.seen = self.seen.or_further(outgoing.entry.position);
            }
            let progress = Progress::new(batch.up_to, self.seen);
            if let Some(last) = &batch.last
                && Progress::at(last.position) == progress
            {
                let token = last.token(&self.feed.0.tokens, &self.shop, self.resource);
                self.progress_token = Some((progress, token.into()));
            }
            let mut pieces: Vec<Bytes> = Vec::with_capacity(batch.changes.len() + 1);
            for outgoing in batch.changes {
                outgoing.element(self.resource).append_to(&mut pieces);
            }
            self.push(pieces, Some(progress));
        }
    }

    pub(super) fn push_heartbeat(&mut self) {
        let lag = self.feed.0.hub.lag_micros();
        self.push_signal(&Signal::Heartbeat(pb::Heartbeat {
            server_time: Some(timestamp(self.clock.now())),
            lag: Some(prost_types::Duration {
                seconds: lag / 1_000_000,
                nanos: i32::try_from(lag % 1_000_000 * 1_000).unwrap_or(0),
            }),
        }));
    }

    pub(super) fn push_draining(&mut self) {
        self.push_signal(&Signal::Draining(self.feed.drain_notice()));
    }

    /// Sends a signal, with the present token if there is one.
    pub(super) fn push_signal(&mut self, signal: &Signal) {
        let up_to = self.outbox.sent_up_to(self.position);
        let progress = (!self.is_amid_snapshot()).then(|| Progress::new(up_to, self.seen));
        self.push(vec![signal.encode()], progress);
    }

    /// Adds a message of these pieces and the token of `progress`.
    pub(super) fn push(&mut self, mut pieces: Vec<Bytes>, progress: Option<Progress>) {
        if let Some(progress) = progress {
            pieces.push(self.token_piece(progress));
        }
        let frame = Frame::new(pieces);
        self.ready.push_back(Message { frame, progress });
    }

    /// Whether the reader has got a part of a snapshot, after which no token can resume.
    pub(super) fn is_amid_snapshot(&self) -> bool {
        matches!(&self.phase, Phase::Snapshot(snapshot) if snapshot.cause().is_some())
    }

    fn token_piece(&mut self, progress: Progress) -> Bytes {
        // A signal never has the token of the message before it. An equal token would reveal that no shop has
        // written in between.
        match self.progress_token.take() {
            Some((of, token)) if of == progress => token_field(&token, &self.stream_token),
            _ => {
                let kind = self.resource.kind();
                let token = self.feed.0.tokens.seal_progress(&self.shop, kind, progress);
                token_field(&token, &self.stream_token)
            }
        }
    }

    /// The inputs of the tokens of this stream.
    pub(super) fn place(&self) -> Place {
        Place {
            feed: self.feed.clone(),
            shop: Arc::clone(&self.shop),
            kind: self.resource.kind(),
            stream_token: Arc::clone(&self.stream_token),
        }
    }
}

/// The inputs of the tokens of a stream. They outlive the stream.
pub(super) struct Place {
    feed: Feed,
    shop: Arc<str>,
    kind: Kind,
    stream_token: Arc<str>,
}

impl Place {
    /// Adds the last sent token to an error. Amid a snapshot there is none: a reader that resumed there would
    /// never get the rest of it.
    pub(super) fn with_token(&self, error: Error, sent: Option<Progress>) -> Error {
        let Some(sent) = sent else { return error };
        let tokens = &self.feed.0.tokens;
        let progress = tokens.seal_progress(&self.shop, self.kind, sent);
        error.with("resume_token", progress + &self.stream_token)
    }
}
