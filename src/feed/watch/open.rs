//! The start of a stream: checks its request and chooses its position in history.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tonic::Status;

use super::classify::Members;
use super::interrupts::Interrupts;
use super::options::Options;
use super::outbox::Outbox;
use super::snapshot::Snapshot;
use super::timed::Timed;
use super::{Phase, Stream, Watch};
use crate::caller::Caller;
use crate::error::Result;
use crate::feed::progress::Progress;
use crate::feed::resource::{Resource, Scope};
use crate::feed::source::Source;
use crate::feed::token::{StreamDigest, Token, stream_digest};
use crate::feed::{Feed, Permit};
use crate::filter::Filter;
use crate::proto::pb::{self, snapshot_begin::Cause};

/// The parameters of a watch.
pub struct WatchRequest {
    /// The caller. The end of its key or of its deadline ends the stream.
    pub caller: Arc<Caller>,
    /// The resource kind to watch.
    pub resource: &'static dyn Resource,
    /// The resources of the shop to watch.
    pub scope: Scope,
    /// The filter that the resources have to match.
    pub filter: Option<Filter>,
    /// The options of the contract.
    pub options: Option<pb::WatchOptions>,
}

/// Checks a request and opens its stream.
///
/// # Errors
/// The error of the request, or TOO_MANY_STREAMS.
pub fn open(feed: &Feed, mut request: WatchRequest) -> Result<Stream> {
    let options = Options::read(request.options.take().unwrap_or_default())?;
    let permit = feed.admit(&request.caller)?;
    let stream = digest(&request.scope, request.filter.as_ref());
    let token = match options.resume_token.as_str() {
        "" => None,
        token => {
            let shop = &request.caller.shop;
            Some(feed.0.tokens.open(shop, request.resource.kind(), token)?)
        }
    };
    let by_clock = request.filter.as_ref().is_some_and(Filter::uses_clock);
    let now = feed.clock().now();
    let phase = begin(token, stream, by_clock, options.skip_snapshot, now);
    let watch = Watch::new(feed, request, options, stream, phase, permit);
    Ok(messages(feed, watch))
}

/// The digest of a stream's parameters. A token is valid only for the parameters that it was made with.
fn digest(scope: &Scope, filter: Option<&Filter>) -> StreamDigest {
    let mut parameters = vec![filter.map(Filter::to_string).unwrap_or_default()];
    match scope {
        Scope::All => {}
        Scope::Ids(ids) => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            parameters.extend(ids);
        }
        Scope::Topic(topic) => parameters.push(format!(":{topic}")),
    }
    stream_digest(parameters.iter().map(String::as_str))
}

/// The first phase of a stream with the parameters `stream`. `by_clock` says whether its filter depends on
/// the time.
fn begin(
    token: Option<Token>,
    stream: StreamDigest,
    by_clock: bool,
    skips_snapshot: bool,
    now: i64,
) -> Phase {
    match token {
        // If the filter depends on the clock, it is unknown which resources matched when the token was made.
        Some(token) if token.stream == stream && !by_clock => Phase::Resume(token.progress),
        Some(_) => Phase::Snapshot(Snapshot::new(Cause::FilterChanged, now)),
        None if skips_snapshot && by_clock => Phase::Snapshot(Snapshot::unsent(now)),
        None if skips_snapshot => Phase::CatchUp,
        None => Phase::Snapshot(Snapshot::new(Cause::Initial, now)),
    }
}

impl Watch {
    /// Creates a stream that has sent nothing yet.
    fn new(
        feed: &Feed,
        request: WatchRequest,
        options: Options,
        stream: StreamDigest,
        phase: Phase,
        permit: Permit,
    ) -> Self {
        let WatchRequest {
            caller,
            resource,
            scope,
            filter,
            options: _,
        } = request;
        let (hub, tokens) = (&feed.0.hub, &feed.0.tokens);
        let (shop, kind) = (Arc::clone(&caller.shop), resource.kind());
        let source = Source::new(hub.lend(&shop, resource), &scope);
        // After the source: it holds everything that is handed over from here on.
        let floor = hub.floor();
        let clock = feed.clock().clone();
        let now = clock.instant();
        let resumed = match &phase {
            Phase::Resume(progress) => Some(*progress),
            _ => None,
        };
        // The reader may know owned resources from elsewhere: the log says which audience each leaves.
        let knows_others = resource.is_owned() && matches!(phase, Phase::CatchUp);
        let progress = resumed.unwrap_or_else(|| Progress::at(floor));
        let members = filter.is_some() || matches!(scope, Scope::Topic(_));
        let outbox = Outbox::new(
            options.delivery,
            options.min_update_interval,
            feed.0.kept.clone(),
        );
        Self {
            feed: feed.clone(),
            turns: Arc::clone(&caller.turns),
            stream_token: tokens.seal_stream(&shop, kind, stream).into(),
            caller: Arc::clone(&caller),
            interrupts: Interrupts::new(clock.clone(), caller, feed.draining().clone()),
            clock,
            shop,
            resource,
            ids: match &scope {
                Scope::Ids(ids) => ids.iter().cloned().collect(),
                Scope::All | Scope::Topic(_) => HashSet::new(),
            },
            scope,
            filter: filter.map(|filter| hub.share_filter(kind, filter)),
            outbox,
            beat_at: now + options.heartbeat,
            options,
            source,
            floor,
            phase,
            reading: None,
            position: progress.up_to,
            seen: progress.seen,
            progress_token: None,
            overlap: None,
            members: members.then(|| Members::new(resumed.is_some() || knows_others)),
            timed: Timed::default(),
            ready: VecDeque::new(),
            sent: resumed,
            ends_at: now + feed.stream_age(),
            _permit: permit,
        }
    }
}

/// The messages of a stream, until its error. They also end when they are not read.
fn messages(feed: &Feed, watch: Watch) -> Stream {
    let (sent, place) = (watch.sent, watch.place());
    let messages = futures::stream::unfold(Some(Box::new(watch)), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(frame) => Some((Ok((frame, watch.sent)), Some(watch))),
            Err(error) => Some((Err(Status::from(watch.come_back(error))), None)),
        }
    });
    let ending = move |error, sent| place.with_token(error, sent);
    Box::pin(feed.0.stall_detector.guard(messages, sent, ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Position;

    /// How a stream begins: with a token of a stream with the same or with other parameters, or without one.
    fn begun(token: Option<&str>, by_clock: bool, skips_snapshot: bool) -> String {
        let stream = stream_digest(["state = OPEN"]);
        let token = token.map(|parameters| Token {
            progress: Progress::at(Position::ORIGIN),
            stream: stream_digest([parameters]),
        });
        match begin(token, stream, by_clock, skips_snapshot, 0) {
            Phase::Resume(_) => "resumes".to_owned(),
            Phase::Snapshot(snapshot) => match snapshot.cause() {
                Some(cause) => format!("sends a snapshot, {}", cause.as_str_name()),
                None => "reads a snapshot for itself".to_owned(),
            },
            Phase::CatchUp => "reads the log".to_owned(),
            Phase::Live | Phase::Draining => "is no beginning".to_owned(),
        }
    }

    #[test]
    fn a_token_resumes_the_stream_that_it_is_of() {
        assert_eq!(begun(Some("state = OPEN"), false, false), "resumes");
    }

    #[test]
    fn a_token_of_other_parameters_leads_to_a_snapshot() {
        let begun = begun(Some("state = FROZEN"), false, false);
        assert_eq!(begun, "sends a snapshot, CAUSE_FILTER_CHANGED");
    }

    #[test]
    fn a_token_of_a_filter_by_the_clock_leads_to_a_snapshot() {
        let begun = begun(Some("state = OPEN"), true, false);
        assert_eq!(begun, "sends a snapshot, CAUSE_FILTER_CHANGED");
    }

    #[test]
    fn a_stream_without_a_token_begins_with_a_snapshot_unless_it_is_skipped() {
        let initial = "sends a snapshot, CAUSE_INITIAL";
        assert_eq!(begun(None, false, false), initial);
        assert_eq!(begun(None, true, false), initial);
        assert_eq!(begun(None, false, true), "reads the log");
        assert_eq!(begun(None, true, true), "reads a snapshot for itself");
    }

    #[test]
    fn the_order_and_number_of_ids_make_no_other_stream() {
        let of = |ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            digest(&Scope::Ids(ids), None)
        };
        assert_eq!(of(&["a", "b"]), of(&["b", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a"]), digest(&Scope::Topic("a".to_owned()), None));
        assert_ne!(digest(&Scope::All, None), of(&[""]));
    }
}
