//! Records each statement that a server sends to its database, from the driver's log.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// The recorded statements of the servers that log theirs.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// The turn to record: one engine after the other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn seen() -> MutexGuard<'static, BTreeSet<String>> {
    SEEN.lock().expect("no thread panics with it")
}

/// Starts recording the servers' statements, until the result is dropped.
pub async fn begin() -> tokio::sync::MutexGuard<'static, ()> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Recorder).expect("no test has another");
    });
    let turn = TURN.lock().await;
    seen().clear();
    turn
}

/// Returns the statements recorded so far.
pub fn statements() -> BTreeSet<String> {
    seen().clone()
}

struct Recorder;

impl Subscriber for Recorder {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Only servers log at this level, not the connections of other tests.
        metadata.target() == "sqlx::query" && *metadata.level() == Level::TRACE
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let statement = if text.statement.trim().is_empty() {
            text.summary
        } else {
            text.statement
        };
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        seen().insert(statement);
    }
}

/// The statement of an event. Short statements are in its summary.
#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
