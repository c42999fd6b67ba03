//! `clientela doctor`: examines a store, and reports faults with their remedies.
//!
//! It queries the database itself, also beside a running server, and only reads: it locks, creates and
//! migrates nothing. It prints names of sessions, jobs and settings. It never prints a payload, a statement
//! or data of a customer.

mod finding;
mod postgres;
mod sqlite;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::clock::Clock;
use crate::jobs::FeedLimits;
use crate::store::{Conn, DatabaseUrl, Engine, has_tables, inspect};

use self::finding::{Finding, Level, Report};
use super::{failure::Failure, output};

/// Examines the store itself, also beside a running server, and reports faults; exit code 1 if a check has
/// failed
#[derive(Debug, Args)]
pub struct Doctor {
    /// The folder of the embedded database
    #[arg(long, env = "CLIENTELA_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,

    /// A PostgreSQL database (`postgres://…`) instead of the embedded one
    #[arg(long, env = "CLIENTELA_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,

    /// How long changes may be held back, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    max_lag: Duration,

    /// How long changes should stay in the feed, in seconds, as configured for the server
    #[arg(long, env = "CLIENTELA_FEED_RETENTION", default_value = "259200", value_parser = seconds)]
    feed_retention: Duration,

    /// How many bytes of changes should stay in the feed, as configured for the server
    #[arg(long, env = "CLIENTELA_FEED_MAX_BYTES", default_value_t = 4 * 1024 * 1024 * 1024)]
    feed_max_bytes: u64,
}

/// The reference values of the findings.
struct Measures {
    now: i64,
    max_lag: Duration,
    feed: FeedLimits,
}

impl Doctor {
    pub async fn run(self) -> Result<(), Failure> {
        let database = match self.database_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => DatabaseUrl::postgres(url).map_err(|e| Failure::usage(e.to_string()))?,
            None => DatabaseUrl::embedded(&self.data_dir),
        };
        let measures = Measures {
            now: Clock::system().now(),
            max_lag: self.max_lag,
            feed: FeedLimits {
                retention: self.feed_retention,
                max_bytes: self.feed_max_bytes,
            },
        };
        let mut report = Report::default();
        match inspect(&database).await {
            Ok(mut conn) => examine(&mut conn, &self, &measures, &mut report).await,
            Err(error) => report.add(Finding::fail("connection", error.to_string()).advise(
                "Look at the data folder or the database URL, and whether the database runs.",
            )),
        }
        let text = if self.json {
            report.json()
        } else {
            report.text()
        };
        output::print(&text)?;
        match report.worst() {
            Level::Fail => Err(Failure::silent()),
            Level::Ok | Level::Warn => Ok(()),
        }
    }
}

/// Adds the findings of a check to the report. A check that fails to run is a finding, too.
macro_rules! check {
    ($report:ident, $name:literal, $findings:expr) => {
        match $findings {
            Ok(findings) => findings.into_iter().for_each(|found| $report.add(found)),
            Err(error) => $report.add(Finding::fail($name, format!("cannot be read: {error}"))),
        }
    };
}

async fn examine(conn: &mut Conn, args: &Doctor, measures: &Measures, report: &mut Report) {
    // If this query fails, the checks below report why.
    let has_tables = has_tables(conn).await.unwrap_or(true);
    match conn.engine() {
        Engine::Sqlite => {
            check!(report, "engine", sqlite::engine(conn).await);
            if has_tables {
                check!(report, "schema", store::schema(conn).await);
            } else {
                report.add(store::no_tables());
            }
            check!(report, "integrity", sqlite::integrity(conn).await);
            check!(
                report,
                "journal",
                sqlite::journal(conn, &args.data_dir).await
            );
        }
        Engine::Postgres => {
            check!(report, "engine", postgres::engine(conn).await);
            if has_tables {
                check!(report, "schema", store::schema(conn).await);
                check!(report, "horizon", postgres::horizon(conn, measures).await);
            } else {
                report.add(store::no_tables());
            }
            check!(report, "vacuum", postgres::slots(conn).await);
            check!(report, "settings", postgres::settings(conn).await);
            check!(report, "connections", postgres::connections(conn).await);
        }
    }
    if !has_tables {
        return;
    }
    check!(report, "feed", store::feed(conn, measures).await);
    check!(report, "retention", store::retention(conn, measures).await);
    check!(report, "jobs", store::jobs(conn, measures).await);
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}
