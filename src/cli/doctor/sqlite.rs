//! The checks of an embedded store: the file and its write-ahead log.

use std::path::Path;

use serde_json::json;

use super::finding::{Finding, bytes};
use crate::on;
use crate::store::{Conn, DATABASE_FILE};

/// The size in bytes from which the write-ahead log is not checkpointed as it should be. The server does so
/// at half of this.
const LOG_TOO_LONG: i64 = 256 << 20;
/// Lists up to 10 problems of integrity.
const CHECK_INTEGRITY: &str = "PRAGMA quick_check(10)";

/// Reports the version of the library and the size of the database.
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
    let text = format!("SQLite {version}, a database of {}", bytes(size));
    let detail = json!({"version": version, "bytes": size});
    Ok(vec![Finding::ok("engine", text).with(detail)])
}

/// Checks that the file is undamaged.
pub async fn integrity(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let problems: Vec<String> = on!(conn, |e| sqlx::query_scalar(CHECK_INTEGRITY)
        .fetch_all(e)
        .await)?;
    if problems == ["ok"] {
        return Ok(vec![Finding::ok("integrity", "the file is whole")]);
    }
    let text = format!("the file is damaged: {}", problems.join("; "));
    Ok(vec![Finding::fail("integrity", text).advise(
        "Stop the server, keep a copy of the data folder, and restore the last backup.",
    )])
}

/// Checks that the write-ahead log exists and does not grow without end.
pub async fn journal(conn: &mut Conn, data_dir: &Path) -> sqlx::Result<Vec<Finding>> {
    let mode: String = on!(conn, |e| sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(e)
        .await)?;
    let log = std::fs::metadata(data_dir.join(format!("{DATABASE_FILE}-wal")));
    let size = log.map_or(0, |log| i64::try_from(log.len()).unwrap_or(i64::MAX));
    let text = format!("mode {mode}, a log of {}", bytes(size));
    let finding = if mode != "wal" {
        Finding::warn("journal", text)
            .advise("Another program has changed the mode; the next start sets it to wal.")
    } else if size > LOG_TOO_LONG {
        Finding::warn("journal", text)
            .advise("Something reads the file without end, as a backup that hangs: end it.")
    } else {
        Finding::ok("journal", text)
    };
    Ok(vec![finding.with(json!({"mode": mode, "wal_bytes": size}))])
}
