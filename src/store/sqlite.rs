//! Opening the embedded store: its folder, its lock, its one file, and the settings that
//! durability rests on.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::conn::{Conn, Meter};
use super::open::{self, OpenError, StoreMeta};
use super::target::Target;
use crate::on;

/// The name of the database in the data folder.
pub const DATABASE_FILE: &str = "clientela.db";
/// The name of the file whose lock keeps a second process out.
pub const LOCK_FILE: &str = "clientela.lock";

/// Marks the file as Clientela's ("Clta").
const APPLICATION_ID: i32 = 0x436c_7461;
const HEADER: &[u8; 16] = b"SQLite format 3\0";
/// Older libraries can lose a committed transaction in WAL mode.
const OLDEST: &str = "3.51.3";
/// The write-ahead log is cut to this when it is empty again.
const LOG_KEPT: &str = "67108864";
/// A write-ahead log that has grown beyond this is folded in, readers or not.
const LOG_TOO_LONG: u64 = 128 << 20;
/// How long the writer stands still for readers that are in the way of that.
const FOLD_PATIENCE: Duration = Duration::from_millis(100);

/// An embedded store that has been opened.
pub(super) struct Opened {
    pub(super) writer: Conn,
    pub(super) write_target: Target,
    pub(super) read_target: Target,
    pub(super) meta: StoreMeta,
    pub(super) premises: Premises,
}

/// What the writer needs of the folder.
pub(super) struct Premises {
    /// Held as long as the store is open: keeps a second process out.
    _lock: File,
    log: PathBuf,
    busy_timeout: Duration,
}

impl Premises {
    /// Folds the write-ahead log into the database when it has grown too long.
    ///
    /// SQLite folds it in by itself at commits, but begins it anew only at a moment without readers,
    /// which a busy store may never have.
    pub(super) async fn fold_long_log(&self, conn: &mut Conn) {
        if !std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_TOO_LONG) {
            return;
        }
        let folded = async {
            set_busy_timeout(conn, FOLD_PATIENCE).await?;
            let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
            let (busy, _, _): (i64, i64, i64) =
                on!(conn, |e| sqlx::query_as(fold).fetch_one(e).await)?;
            set_busy_timeout(conn, self.busy_timeout).await?;
            Ok::<_, sqlx::Error>(busy == 0)
        };
        match folded.await {
            Ok(true) => {}
            Ok(false) => tracing::debug!("readers keep the write-ahead log from being folded in"),
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be folded in"),
        }
        conn.forgive();
    }
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
    busy_timeout: Duration,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    make_folder(data_dir)?;
    let lock = take_lock(data_dir)?;
    let file = data_dir.join(DATABASE_FILE);
    check_header(&file)?;
    make_private_file(&file)?;
    open_file(data_dir, &file, lock, busy_timeout, meter)
        .await
        .map_err(|error| match error {
            OpenError::Database(error) if is_damage(&error) => OpenError::DamagedFile(file),
            error => error,
        })
}

async fn open_file(
    data_dir: &Path,
    file: &Path,
    lock: File,
    busy_timeout: Duration,
    meter: &Arc<Meter>,
) -> Result<Opened, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(busy_timeout)
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let write_options = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is erased is overwritten, and does not stay in a free page.
        .pragma("secure_delete", "ON")
        .pragma("journal_size_limit", LOG_KEPT)
        .thread_name(|id| format!("sqlite-write-{id}"));
    let read_options = options
        .read_only(true)
        .thread_name(|id| format!("sqlite-read-{id}"));

    let write_target = Target::Sqlite(Box::new(write_options));
    let read_target = Target::Sqlite(Box::new(read_options));
    // Before the first connection that writes, as that already changes the file's mode.
    let mut reader = open::connect(&read_target, meter).await?;
    check_owner(&mut reader, file).await?;
    reader.close().await;
    let mut writer = open::connect(&write_target, meter).await?;
    check_library(&mut writer).await?;
    check_settings(&mut writer).await?;
    settle_log(&mut writer).await?;
    claim(&mut writer).await?;
    open::check_reader_version(&mut writer).await?;
    open::migrate(&mut writer).await?;
    let meta = open::identity(&mut writer).await?;

    let premises = Premises {
        _lock: lock,
        log: data_dir.join(format!("{DATABASE_FILE}-wal")),
        busy_timeout,
    };
    Ok(Opened {
        writer,
        write_target,
        read_target,
        meta,
        premises,
    })
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = PathBuf::from(path);
    move |source| OpenError::File { path, source }
}

fn make_folder(data_dir: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data_dir).map_err(failed(data_dir))
}

/// Options for a file that only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn take_lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let file = private().open(&path).map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path, source }),
    }
}

/// A file that begins otherwise than SQLite's do is not touched. An empty one is a fresh one.
fn check_header(file: &Path) -> Result<(), OpenError> {
    let mut start = Vec::new();
    match File::open(file) {
        Ok(open) => open
            .take(16)
            .read_to_end(&mut start)
            .map_err(failed(file))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(file)(error)),
    };
    if start.is_empty() || start == HEADER {
        return Ok(());
    }
    Err(OpenError::WrongHeader(file.to_owned()))
}

/// SQLite gives its `-wal` and `-shm` files the permissions of the database.
fn make_private_file(file: &Path) -> Result<(), OpenError> {
    let open = private().open(file).map_err(failed(file))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        open.set_permissions(owner_only).map_err(failed(file))?;
    }
    drop(open);
    Ok(())
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

/// Moves what an earlier process left in the write-ahead log into the database and flushes it there.
///
/// The log may end with a commit whose flush failed and whose process ended: readable, but perhaps only
/// from the system's cache, and never written by a later flush. Nothing is appended behind that: what the
/// cache shows is written anew, to the database, and the log begins afresh.
async fn settle_log(conn: &mut Conn) -> Result<(), OpenError> {
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (busy, _, _): (i64, i64, i64) = on!(conn, |e| sqlx::query_as(fold).fetch_one(e).await)?;
    if busy != 0 {
        // Then somebody had it open all the time, and the log was not read anew.
        tracing::debug!("another program reads the database; its log stays as it is");
    }
    Ok(())
}

const READ_APPLICATION_ID: &str = "PRAGMA application_id";

/// Refuses the file of another program.
async fn check_owner(conn: &mut Conn, file: &Path) -> Result<(), OpenError> {
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

/// Marks a fresh file as Clientela's.
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

/// Whether SQLite found that the file is none of its own, or is broken.
fn is_damage(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    let primary = code.parse::<i32>().unwrap_or_default() & 0xff;
    matches!(
        primary,
        libsqlite3_sys::SQLITE_NOTADB | libsqlite3_sys::SQLITE_CORRUPT
    )
}
