//! Checks the database file after a process that did not close it.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::on;
use crate::store::conn::{Conn, Meter, Native};
use crate::store::error::{Class, class};
use crate::store::open::OpenError;
use crate::store::soundness::Soundness;
use crate::store::target::Target;

/// Steps of the check between two looks at the clock.
const STEPS: i32 = 1000;

const CHECK_ALL: &str = "PRAGMA quick_check(1)";
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";

/// Checks the whole file for at most `limit`. Returns false if that was not long enough.
pub(super) async fn at_start(
    conn: &mut Conn,
    file: PathBuf,
    limit: Duration,
) -> Result<bool, OpenError> {
    let until = Instant::now() + limit;
    while_it(conn, move || Instant::now() < until).await?;
    let finding = finding(conn, CHECK_ALL).await;
    always(conn).await?;
    match finding {
        Ok(None) => Ok(true),
        Ok(Some(finding)) => {
            tracing::error!(finding, "the database file is damaged");
            Err(OpenError::DamagedFile(file))
        }
        Err(error) if is_interrupted(&error) => {
            tracing::info!(
                "the database file is large; the rest of its check runs in the background"
            );
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks one table after the other on a connection of its own, and notes damage.
pub(in crate::store) async fn in_background(
    target: Target,
    meter: Arc<Meter>,
    soundness: Weak<Soundness>,
    stop: CancellationToken,
) {
    let checked = async {
        let mut conn = target.connect(&meter).await?;
        let interrupt = stop.clone();
        while_it(&mut conn, move || !interrupt.is_cancelled()).await?;
        let outcome = each_table(&mut conn, &soundness, &stop).await;
        conn.close().await;
        outcome
    };
    match checked.await {
        Ok(()) => tracing::info!("the check of the database file has ended"),
        Err(error) if is_interrupted(&error) => {}
        Err(error) => tracing::warn!(%error, "the database file could not be checked"),
    }
}

async fn each_table(
    conn: &mut Conn,
    soundness: &Weak<Soundness>,
    stop: &CancellationToken,
) -> sqlx::Result<()> {
    let tables: Vec<String> = on!(conn, |e| sqlx::query_scalar(TABLES).fetch_all(e).await)?;
    for table in tables {
        let Some(soundness) = soundness.upgrade().filter(|_| !stop.is_cancelled()) else {
            break;
        };
        let check = format!("PRAGMA quick_check(\"{}\")", table.replace('"', "\"\""));
        match finding(conn, &check).await {
            Ok(None) => {}
            Ok(Some(finding)) => {
                soundness.set_damaged(&finding);
                break;
            }
            Err(error) if class(&error) == Class::Damaged => {
                soundness.set_damaged(&error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the first error that a check finds; None if there is none.
async fn finding(conn: &mut Conn, check: &str) -> sqlx::Result<Option<String>> {
    let findings: Vec<String> = on!(conn, |e| sqlx::query_scalar(AssertSqlSafe(check))
        .fetch_all(e)
        .await)?;
    Ok(findings.into_iter().find(|line| line != "ok"))
}

/// Lets statements of a connection continue only while `may` returns true.
async fn while_it(conn: &mut Conn, may: impl FnMut() -> bool + Send + 'static) -> sqlx::Result<()> {
    if let Native::Sqlite(connection) = conn.native() {
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS, may);
    }
    Ok(())
}

async fn always(conn: &mut Conn) -> sqlx::Result<()> {
    if let Native::Sqlite(connection) = conn.native() {
        connection.lock_handle().await?.remove_progress_handler();
    }
    Ok(())
}

fn is_interrupted(error: &sqlx::Error) -> bool {
    let interrupted = libsqlite3_sys::SQLITE_INTERRUPT.to_string();
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(&*interrupted))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;
    use crate::store::config::{DatabaseUrl, StoreConfig};
    use crate::store::folder::DATABASE_FILE;
    use crate::store::sqlite::open;

    #[tokio::test]
    async fn damage_that_the_start_had_no_time_to_find_is_found_in_the_background() {
        let folder = tempfile::tempdir().unwrap();
        let meter = Arc::new(Meter::default());
        let config = StoreConfig::new(DatabaseUrl::embedded(folder.path()));
        let mut opened = open(folder.path(), &config, &meter).await.unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'titles'";
        let root: i64 = on!(&mut opened.writer, |e| sqlx::query_scalar(root)
            .fetch_one(e)
            .await)
        .unwrap();
        opened.writer.close().await;
        let check = |soundness: &Arc<Soundness>| {
            let (target, soundness) = (opened.read_target.clone(), Arc::downgrade(soundness));
            in_background(
                target,
                Arc::clone(&meter),
                soundness,
                CancellationToken::new(),
            )
        };
        let soundness = Arc::new(Soundness::default());
        check(&soundness).await;
        assert!(soundness.no_writes().is_none());

        let path = folder.path().join(DATABASE_FILE);
        let mut file = std::fs::File::options().write(true).open(path).unwrap();
        let page = SeekFrom::Start(u64::try_from(root - 1).unwrap() * 4096);
        file.seek(page).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
        check(&soundness).await;

        assert!(soundness.no_writes().is_some());
        assert!(soundness.no_reads().is_none(), "undamaged data is read");
    }
}
