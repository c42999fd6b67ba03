//! What the doctor looks at in an embedded store: the file, and its write-ahead log.

use std::path::Path;

use serde_json::json;

use super::finding::{Finding, bytes};
use crate::on;
use crate::store::{Conn, DATABASE_FILE};

/// A write-ahead log that is larger is not folded in, as the server does at half of this.
const LOG_TOO_LONG: i64 = 256 << 20;
/// Problems that the check of integrity tells.
const CHECK_INTEGRITY: &str = "PRAGMA quick_check(10)";

/// Which library reads the file here.
pub async fn engine(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let version: String = on!(conn, |e| sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(e)
        .await)?;
    let pages: i64 = on!(conn, |e| sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(e)
        .await)?;
    let page: i64 = on!(conn, |e| sqlx::query_scalar("PRAGMA page_size")
        .fetch_one(e)
        .await)?;
    let size = pages.saturating_mul(page);
    let told = format!("SQLite {version}, a database of {}", bytes(size));
    let detail = json!({"version": version, "bytes": size});
    Ok(vec![Finding::ok("engine", told).with(detail)])
}

/// Whether the file is whole.
pub async fn integrity(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let problems: Vec<String> = on!(conn, |e| sqlx::query_scalar(CHECK_INTEGRITY)
        .fetch_all(e)
        .await)?;
    if problems == ["ok"] {
        return Ok(vec![Finding::ok("integrity", "the file is whole")]);
    }
    let told = format!("the file is damaged: {}", problems.join("; "));
    Ok(vec![Finding::fail("integrity", told).advise(
        "Stop the server, keep a copy of the data folder, and restore the last backup.",
    )])
}

/// Whether the write-ahead log is there and does not grow for ever.
pub async fn journal(conn: &mut Conn, data_dir: &Path) -> sqlx::Result<Vec<Finding>> {
    let mode: String = on!(conn, |e| sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(e)
        .await)?;
    let log = std::fs::metadata(data_dir.join(format!("{DATABASE_FILE}-wal")));
    let size = log.map_or(0, |log| i64::try_from(log.len()).unwrap_or(i64::MAX));
    let told = format!("mode {mode}, a log of {}", bytes(size));
    let finding = if mode != "wal" {
        Finding::warn("journal", told)
            .advise("Another program has changed the mode; the next start sets it to wal.")
    } else if size > LOG_TOO_LONG {
        Finding::warn("journal", told)
            .advise("Something reads the file without end, as a backup that hangs: end it.")
    } else {
        Finding::ok("journal", told)
    };
    Ok(vec![finding.with(json!({"mode": mode, "wal_bytes": size}))])
}
