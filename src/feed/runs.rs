//! Messages that streams share: those with the same view of the same changes send the same bytes, so the
//! first makes them and the others take them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::Message;
use crate::proto::pb::DeliveryMode;
use crate::revision::Position;

/// Runs that are kept: a little more than streams are apart while they keep up.
const RUNS: usize = 8;

/// Which messages a stream makes of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Every version, or the latest.
    pub delivery: DeliveryMode,
    /// The second half of the stream's tokens: the same for the same parameters.
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

/// Changes by their indices in the ring, the second exclusive, and how they are seen.
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
