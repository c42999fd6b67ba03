//! How what is due becomes messages: finished bytes, each with the token of how far the stream is.

use bytes::Bytes;

use super::Watch;
use crate::feed::entry::token_field;
use crate::feed::frame::{Frame, Signal};
use crate::feed::position::Position;

impl Watch {
    /// Makes messages of what is due.
    pub(super) fn flush(&mut self) {
        for batch in self.outbox.batches(self.position) {
            if let Some(last) = &batch.last
                && last.position == batch.up_to
            {
                let token = last.token(&self.feed.0.tokens, &self.shop, self.resource);
                self.position_token = Some((batch.up_to, token.into()));
            }
            let mut pieces: Vec<Bytes> = Vec::with_capacity(batch.changes.len() + 1);
            for outgoing in batch.changes {
                outgoing.element(self.resource).append_to(&mut pieces);
            }
            pieces.push(self.token_piece(batch.up_to));
            self.ready.push_back(Frame::new(pieces));
        }
    }

    pub(super) fn push_signal(&mut self, signal: &Signal) {
        let up_to = self.outbox.sent_up_to(self.position);
        let pieces = vec![signal.encode(), self.token_piece(up_to)];
        self.ready.push_back(Frame::new(pieces));
    }

    fn token_piece(&mut self, position: Position) -> Bytes {
        match &self.position_token {
            Some((at, token)) if *at == position => token_field(token, &self.stream_token),
            _ => {
                let kind = self.resource.kind();
                let token = self.feed.0.tokens.seal_position(&self.shop, kind, position);
                let piece = token_field(&token, &self.stream_token);
                self.position_token = Some((position, token.into()));
                piece
            }
        }
    }

    pub(super) fn token(&self, position: Position) -> String {
        let kind = self.resource.kind();
        self.feed.0.tokens.seal_position(&self.shop, kind, position) + &self.stream_token
    }
}
