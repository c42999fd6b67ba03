//! The processor time of processes, in nanoseconds.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

/// The processor time that each thread of some processes had used at one moment, in nanoseconds.
pub struct Cpu(HashMap<OsString, u64>);

impl Cpu {
    /// Reads the processor time. A process that has ended has none.
    pub fn of(processes: &[u32]) -> Self {
        let threads = processes
            .iter()
            .filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok())
            .flatten()
            .flatten();
        let used = threads.filter_map(|thread| {
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let running = times.split(' ').next()?.parse().ok()?;
            Some((thread.file_name(), running))
        });
        Self(used.collect())
    }

    /// The processor time used since `before`, in microseconds. Threads that ended in between do not count.
    pub fn micros_since(&self, before: &Self) -> f64 {
        let used = self.0.iter().map(|(thread, after)| {
            let before = before.0.get(thread).copied().unwrap_or_default();
            after.saturating_sub(before)
        });
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let nanos = used.sum::<u64>() as f64;
        nanos / 1e3
    }
}

/// Returns the processes of PostgreSQL on this machine that serve the sessions of a database.
pub fn sessions(database: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("the system is Linux");
    let ids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let serves = |id: &u32| {
        // "postgres: USER DATABASE ADDRESS STATE"
        let title = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut words = title.split([' ', '\0']);
        words.next() == Some("postgres:") && words.nth(1) == Some(database)
    };
    ids.filter(serves).collect()
}
