//! The files of the embedded store: their checks before the store is opened, and a watch that they stay in
//! place.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::folder::{self, DATABASE_FILE, LOCK_FILE};
use crate::store::open::OpenError;
use crate::store::soundness::Soundness;

const HEADER: &[u8; 16] = b"SQLite format 3\0";
/// SQLite takes no longer path, with the longest suffix that it adds (`-journal`).
const PATH_MAX: usize = 512 - "-journal".len();
/// How often the files are checked.
const WATCHED_EVERY: Duration = Duration::from_secs(1);
/// Files of the data folder that exist only beside a database.
const SIGNS: [&str; 3] = ["keys", "keys.new", "clientela.db-wal"];

pub(super) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = PathBuf::from(path);
    move |source| OpenError::File { path, source }
}

/// Creates the folder and returns the path of the database.
pub(super) fn make_folder(data_dir: &Path) -> Result<PathBuf, OpenError> {
    // Before anything is created, and again with links resolved, as SQLite resolves them.
    check_length(&std::path::absolute(data_dir).map_err(failed(data_dir))?)?;
    folder::make_folder(data_dir).map_err(failed(data_dir))?;
    check_length(&data_dir.canonicalize().map_err(failed(data_dir))?)?;
    Ok(data_dir.join(DATABASE_FILE))
}

fn check_length(data_dir: &Path) -> Result<(), OpenError> {
    let most = PATH_MAX - DATABASE_FILE.len() - 1;
    let length = data_dir.as_os_str().len();
    if length > most {
        return Err(OpenError::LongPath { length, most });
    }
    Ok(())
}

/// Options for a file that only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

pub(super) fn take_lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let file = private().open(&path).map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::File { path, source }),
    }
}

/// Refuses a file whose header is not SQLite's, and leaves it alone. An empty or missing file is new, unless
/// other files show that the folder had a database.
pub(in crate::store) fn check_header(data_dir: &Path, file: &Path) -> Result<(), OpenError> {
    let mut start = Vec::new();
    match File::open(file) {
        Ok(open) => {
            open.take(16)
                .read_to_end(&mut start)
                .map_err(failed(file))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(file)(error)),
    }
    if start.is_empty() {
        return match SIGNS
            .iter()
            .find(|name| data_dir.join(name).symlink_metadata().is_ok())
        {
            Some(sign) => Err(OpenError::NoDatabase {
                file: file.to_owned(),
                sign,
            }),
            None => Ok(()),
        };
    }
    if start == HEADER {
        return Ok(());
    }
    Err(OpenError::WrongHeader(file.to_owned()))
}

/// Creates the database file. SQLite gives its `-wal` and `-shm` files the permissions of the database.
pub(super) fn make_private_file(file: &Path) -> Result<(), OpenError> {
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

/// The identity of the file at a path: its device and number.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|_| (0, 0))
}

/// The open files of the store, and their paths at the time of opening.
///
/// Only numbers are kept: closing another handle of a file would end the locks that SQLite has on it.
#[derive(Clone)]
pub(in crate::store) struct Places(Vec<(String, PathBuf, (u64, u64))>);

impl Places {
    /// Notes the files that are open now.
    pub(super) fn now(data_dir: &Path) -> Self {
        let logs = ["-wal", "-shm"].map(|end| format!("{DATABASE_FILE}{end}"));
        let names = [DATABASE_FILE.to_owned(), LOCK_FILE.to_owned()];
        let places = names.into_iter().chain(logs).filter_map(|name| {
            let path = data_dir.join(&name);
            identity(&path).map(|identity| (name, path, identity))
        });
        Self(places.collect())
    }

    /// The names of the files that are missing or were replaced.
    fn left(&self) -> Vec<&str> {
        let left =
            |(_, path, before): &&(String, PathBuf, (u64, u64))| identity(path) != Some(*before);
        self.0
            .iter()
            .filter(left)
            .map(|(name, _, _)| &**name)
            .collect()
    }

    /// Checks the files until `stop` or the end of the store.
    pub(in crate::store) async fn watch(self, soundness: Weak<Soundness>, stop: CancellationToken) {
        let places = Arc::new(self);
        while stop
            .run_until_cancelled(tokio::time::sleep(WATCHED_EVERY))
            .await
            .is_some()
        {
            let Some(soundness) = soundness.upgrade() else {
                return;
            };
            let places = Arc::clone(&places);
            // A file system may be slow.
            let looked =
                tokio::task::spawn_blocking(move || soundness.set_displaced(&places.left()));
            if let Err(error) = looked.await {
                tracing::error!(%error, "the files of the database could not be checked");
            }
        }
    }
}
