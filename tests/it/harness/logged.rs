//! Captures the log lines of servers in this process.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level};

/// The warnings and errors that the current thread logs while this value lives. In a test whose runtime has
/// no other thread these are the lines of its servers.
pub struct Logged {
    lines: Lines,
    _kept: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

/// A second subscriber that accepts nothing. With only one, tracing asks the subscriber of the thread that
/// first reaches a log line, and caches the answer: a thread of another test would disable the line for all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

impl Logged {
    /// Starts capturing.
    pub fn here() -> Self {
        LazyLock::force(&SECOND);
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .with_ansi(false)
            .with_writer(move || written.clone())
            .finish();
        Self {
            lines,
            _kept: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the captured lines with these words.
    pub fn saying(&self, words: &str) -> Vec<String> {
        let lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = String::from_utf8_lossy(&lines).into_owned();
        let saying = lines.lines().filter(|line| line.contains(words));
        saying.map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
