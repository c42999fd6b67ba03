//! Opens the embedded store: its folder, its lock, its one file, and the settings that durability needs.

mod check;
mod files;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::config::StoreConfig;
use super::conn::{Conn, Meter};
use super::error::{Class, StoreError, class, described};
use super::file_size;
use super::folder::{self, DATABASE_FILE};
use super::open::{self, OpenError, StoreMeta};
use super::target::Target;
use crate::on;

pub(super) use check::in_background as check_in_background;
pub(super) use files::Places;
pub(super) use files::check_header;

/// Marks the file as Clientela's ("Clta").
const APPLICATION_ID: i32 = 0x436c_7461;
/// Older libraries can lose a committed transaction in WAL mode.
const OLDEST: &str = "3.51.3";
/// The write-ahead log is cut to this size in bytes when it is empty again.
const LOG_KEPT: &str = "67108864";
/// A write-ahead log longer than this is checkpointed, with or without readers.
const LOG_TOO_LONG: u64 = 128 << 20;
/// How long the writer waits for readers that block that checkpoint.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(100);

pub(super) struct Opened {
    pub(super) writer: Conn,
    pub(super) write_target: Target,
    pub(super) read_target: Target,
    pub(super) meta: StoreMeta,
    pub(super) data_dir: DataDir,
    /// The open files.
    pub(super) places: Places,
    /// Whether the check of the file took too long for the start and has to be done in the background.
    pub(super) unchecked: bool,
}

/// The writer's view of the data folder.
pub(super) struct DataDir {
    /// Held as long as the store is open: keeps a second process out.
    _lock: File,
    log: PathBuf,
    busy_timeout: Duration,
    /// Whether the log of an earlier process could not be moved into the database, because the disk was full.
    unsettled: bool,
}

impl DataDir {
    /// Checkpoints the write-ahead log when it has grown too long.
    ///
    /// SQLite checkpoints it by itself at commits, but restarts it only at a moment without readers, which a
    /// busy store may never have.
    pub(super) async fn checkpoint_long_log(&self, conn: &mut Conn) {
        if !std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_TOO_LONG) {
            return;
        }
        match self.try_checkpoint(conn).await {
            Ok(true) => {}
            Ok(false) => tracing::debug!("readers block the checkpoint of the write-ahead log"),
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be checkpointed"),
        }
        conn.forgive();
    }

    /// Checkpoints the log with a short wait for readers. Returns false if one was in the way. The connection
    /// gets its usual timeout back in any case.
    async fn try_checkpoint(&self, conn: &mut Conn) -> sqlx::Result<bool> {
        set_busy_timeout(conn, CHECKPOINT_TIMEOUT).await?;
        let done = checkpoint(conn).await;
        set_busy_timeout(conn, self.busy_timeout).await?;
        done
    }

    /// Makes sure that nothing is appended to a log that has not been settled.
    pub(super) async fn settle(&mut self, conn: &mut Conn) -> Result<(), StoreError> {
        if self.unsettled {
            let settled = settle_log(conn).await;
            conn.forgive();
            settled.map_err(|error| StoreError::of(&error))?;
            self.unsettled = false;
            tracing::info!(
                "there is room again: the log of the earlier process was moved into the database"
            );
        }
        Ok(())
    }
}

/// Moves the write-ahead log into the database. Returns false if a reader was in the way.
async fn checkpoint(conn: &mut Conn) -> sqlx::Result<bool> {
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (busy, _, _): (i64, i64, i64) = on!(conn, |e| sqlx::query_as(truncate).fetch_one(e).await)?;
    Ok(busy == 0)
}

async fn set_busy_timeout(conn: &mut Conn, timeout: Duration) -> sqlx::Result<()> {
    let set = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    on!(conn, |e| sqlx::raw_sql(AssertSqlSafe(set.as_str()))
        .execute(e)
        .await
        .map(|_| ()))
}

pub(super) async fn open(
    data_dir: &Path,
    config: &StoreConfig,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    let file = files::make_folder(data_dir)?;
    let lock = files::take_lock(data_dir)?;
    files::check_header(data_dir, &file)?;
    files::make_private_file(&file)?;
    file_size::survive_the_limit();
    open_file(data_dir, &file, lock, config, meter)
        .await
        .map_err(|error| match error {
            OpenError::Database(error) if class(&error) == Class::Damaged => {
                OpenError::DamagedFile(file)
            }
            error => error,
        })
}

async fn open_file(
    data_dir: &Path,
    file: &Path,
    lock: File,
    config: &StoreConfig,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(config.busy_timeout)
        .statement_cache_capacity(256)
        .log_statements(config.statement_level())
        .log_slow_statements(config.statement_level(), Duration::ZERO);
    let write_options = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Deleted content is overwritten and does not stay in free pages.
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", LOG_KEPT)
        .thread_name(|id| format!("sqlite-write-{id}"));
    let read_options = options
        .read_only(true)
        .thread_name(|id| format!("sqlite-read-{id}"));

    let log = data_dir.join(format!("{DATABASE_FILE}-wal"));
    // The last connection of a process that ends properly removes it.
    let unclean = log.exists();
    let write_target = Target::Sqlite(Box::new(write_options));
    let read_target = Target::Sqlite(Box::new(read_options));
    // Before the first connection that writes, because that one already changes the file's mode. If the check
    // meets damage, the start is refused.
    let mut reader = open::connect(&read_target, &Arc::default()).await?;
    check_owner(&mut reader, file).await?;
    let unchecked =
        unclean && !check::at_start(&mut reader, file.to_owned(), config.start_check_time).await?;
    reader.close().await;
    // A refused start changes nothing.
    folder::close_to_others(data_dir).map_err(files::failed(data_dir))?;
    let mut writer = open::connect(&write_target, meter).await?;
    check_library(&mut writer).await?;
    check_settings(&mut writer).await?;
    let unsettled = match settle_log(&mut writer).await {
        Ok(()) => false,
        Err(error) if class(&error) == Class::Full => {
            tracing::warn!(
                error = described(&error),
                "there is no room to move the write-ahead log into the database: reads are served, and \
                 writes when there is"
            );
            writer.forgive();
            true
        }
        Err(error) => return Err(error.into()),
    };
    claim(&mut writer).await?;
    open::check_reader_version(&mut writer).await?;
    open::migrate(&mut writer).await?;
    let meta = open::identity(&mut writer).await?;

    let held = DataDir {
        _lock: lock,
        log,
        busy_timeout: config.busy_timeout,
        unsettled,
    };
    Ok(Opened {
        writer,
        write_target,
        read_target,
        meta,
        data_dir: held,
        places: Places::now(data_dir),
        unchecked,
    })
}

async fn check_library(conn: &mut Conn) -> Result<(), OpenError> {
    let found: String = on!(conn, |e| sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(e)
        .await)?;
    if version(&found) < version(OLDEST) {
        return Err(OpenError::OldEngine {
            what: "the SQLite library",
            found,
            needed: OLDEST,
        });
    }
    Ok(())
}

fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or_default())
        .collect()
}

async fn check_settings(conn: &mut Conn) -> Result<(), OpenError> {
    let synchronous: i64 = on!(conn, |e| sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(e)
        .await)?;
    if synchronous != 2 {
        return Err(OpenError::Setting("synchronous=FULL"));
    }
    let journal: String = on!(conn, |e| sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(e)
        .await)?;
    if journal != "wal" {
        return Err(OpenError::Setting("journal_mode=WAL"));
    }
    Ok(())
}

/// Moves the rest of an earlier process's write-ahead log into the database and flushes it there.
///
/// The log may end with a commit whose flush failed before its process ended. It is readable, but perhaps
/// only from the system's cache, and a later flush never writes it. Nothing is appended after it: the content
/// of the cache is written anew, to the database, and the log restarts.
async fn settle_log(conn: &mut Conn) -> sqlx::Result<()> {
    if !checkpoint(conn).await? {
        // Another program had it open all the time, so the log was not read anew.
        tracing::debug!("another program reads the database; its log stays as it is");
    }
    Ok(())
}

const READ_APPLICATION_ID: &str = "PRAGMA application_id";

/// Refuses the file of another program.
pub(super) async fn check_owner(conn: &mut Conn, file: &Path) -> Result<(), OpenError> {
    let id: i64 = on!(conn, |e| sqlx::query_scalar(READ_APPLICATION_ID)
        .fetch_one(e)
        .await)?;
    if id == i64::from(APPLICATION_ID) {
        return Ok(());
    }
    let tables: i64 = on!(conn, |e| sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_schema"
    )
    .fetch_one(e)
    .await)?;
    if id != 0 || tables != 0 {
        return Err(OpenError::Foreign(file.to_owned()));
    }
    Ok(())
}

/// Marks a new file as Clientela's.
async fn claim(conn: &mut Conn) -> Result<(), OpenError> {
    let id: i64 = on!(conn, |e| sqlx::query_scalar(READ_APPLICATION_ID)
        .fetch_one(e)
        .await)?;
    if id == i64::from(APPLICATION_ID) {
        return Ok(());
    }
    let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
    on!(conn, |e| sqlx::raw_sql(AssertSqlSafe(mark.as_str()))
        .execute(e)
        .await
        .map(|_| ()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::config::DatabaseUrl;

    #[tokio::test]
    async fn an_error_at_the_checkpoint_leaves_the_writer_its_patience() {
        let folder = tempfile::tempdir().unwrap();
        let patience = Duration::from_secs(7);
        let meter = Arc::new(Meter::default());
        let config = StoreConfig {
            busy_timeout: patience,
            ..StoreConfig::new(DatabaseUrl::embedded(folder.path()))
        };
        let mut opened = open(folder.path(), &config, &meter).await.unwrap();
        let conn = &mut opened.writer;
        // A checkpoint within a writing transaction fails.
        conn.begin("BEGIN IMMEDIATE".into()).await.unwrap();

        opened.data_dir.try_checkpoint(conn).await.unwrap_err();

        let left: i64 = on!(conn, |e| sqlx::query_scalar("PRAGMA busy_timeout")
            .fetch_one(e)
            .await)
        .unwrap();
        assert_eq!(left, 7000);
    }
}
