//! Messages that streams share. Streams with the same view of the same changes send the same bytes: the first
//! makes them, the others reuse them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::Message;
use crate::proto::pb::DeliveryMode;
use crate::revision::Position;

/// The number of runs that are kept: slightly more than the distance between streams that keep up.
const RUNS: usize = 8;

/// The parameters on which the messages of a stream depend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub delivery: DeliveryMode,
    /// The second half of the stream's tokens. Equal parameters give equal halves.
    pub stream_token: Arc<str>,
}

/// The messages of changes that follow each other in the ring.
#[derive(Clone)]
pub struct Run {
    /// The messages.
    pub messages: Arc<[Message]>,
    /// The position of the first change.
    pub begin: Position,
    /// The position of the last change.
    pub end: Position,
}

/// The newest runs of a ring.
#[derive(Default)]
pub struct Runs(VecDeque<(Key, Run)>);

/// The range of ring indices of the changes, the end exclusive, and the view.
#[derive(PartialEq, Eq)]
struct Key(u64, u64, View);

impl Runs {
    /// The run of these changes, if a stream with this view has made it.
    pub fn find(&self, first: u64, end: u64, view: &View) -> Option<&Run> {
        let mut newest = self.0.iter().rev();
        let fits = |key: &Key| key.0 == first && key.1 == end && key.2 == *view;
        newest.find(|(key, _)| fits(key)).map(|(_, run)| run)
    }

    /// Keeps a run for other streams.
    pub fn keep(&mut self, first: u64, end: u64, view: View, run: Run) {
        if self.find(first, end, &view).is_some() {
            return;
        }
        if self.0.len() == RUNS {
            self.0.pop_front();
        }
        self.0.push_back((Key(first, end, view), run));
    }
}
