//! The first start of a store: it creates the shop `default` and the first API keys.
//!
//! Invariant: a key that is stored is also on this machine's disk. The file is written before the commit and renamed
//! after it. The next start finishes one that ended in between.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use zeroize::Zeroizing;

use super::{DEFAULT_SHOP, lock, rpc, sql};
use crate::access::api_keys::{self, ApiKey, ApiKeyDoc, secret};
use crate::caller::Caller;
use crate::error::Error;
use crate::ids;
use crate::proto::pb::Role;
use crate::store::{Store, close_to_others, make_folder};

/// The file in the data folder that holds the keys of the first start.
pub const KEYS_FILE: &str = "keys";
/// Its name until the keys are stored.
const PENDING_FILE: &str = "keys.new";
/// The interval at which a start tries to lock its folder.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Why the first start failed.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The file of keys cannot be written.
    #[error("cannot write the API keys to {}: {source}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder has the keys of another store.
    #[error(
        "{} exists, but this store is empty: the keys are of another store, and they are not \
         overwritten. Name the database that they open; for a new store, name another folder with \
         --data-dir or move the file away", .0.display()
    )]
    OtherKeys(PathBuf),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The keys that the first start made.
#[derive(Debug)]
pub struct Keys {
    /// The operator key, which opens all shops and makes further keys.
    pub operator: Zeroizing<String>,
    /// The admin key of the shop `default`.
    pub admin: Zeroizing<String>,
}

/// Creates the shop `default` and its keys, if the store has no shop yet, and writes the keys to a file of the data
/// folder that only its owner can read. Returns None if this or another replica has done so before.
///
/// # Errors
/// Those of the file and of the store.
pub async fn first_start(store: &Store, data_dir: &Path) -> Result<Option<Keys>, FirstStartError> {
    let pending = data_dir.join(PENDING_FILE);
    let any = || store.read(|conn| sql::any(conn).boxed());
    if !any().await? {
        // With PostgreSQL the data folder holds nothing else and may not exist yet.
        make_folder(data_dir)
            .and_then(|()| close_to_others(data_dir))
            .map_err(failed(data_dir))?;
    }
    let _lock = lock_folder(data_dir).await;
    if any().await? {
        finish(store, data_dir, &pending).await?;
        return Ok(None);
    }
    let keys = data_dir.join(KEYS_FILE);
    if keys.symlink_metadata().is_ok() {
        return Err(FirstStartError::OtherKeys(keys));
    }
    // A start ended before its commit: its keys are not stored.
    match fs::remove_file(&pending) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&pending)(error));
        }
        _ => {}
    }
    let made = Keys {
        operator: secret::new().into(),
        admin: secret::new().into(),
    };
    write(&pending, &made).map_err(failed(&pending))?;
    if insert(store, &made).await? {
        adopt(data_dir, &pending)?;
        Ok(Some(made))
    } else {
        // Another replica was first.
        fs::remove_file(&pending).map_err(failed(&pending))?;
        Ok(None)
    }
}

/// Locks the folder, so that replicas which share it start one after the other. None if there is no folder, or if it
/// cannot be locked.
async fn lock_folder(data_dir: &Path) -> Option<File> {
    let folder = File::open(data_dir).ok()?;
    loop {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_INTERVAL).await,
            Err(TryLockError::Error(_)) => return None,
        }
    }
}

/// Stores the shop and the keys in one transaction. Returns false if there is a shop already.
async fn insert(store: &Store, made: &Keys) -> Result<bool, Error> {
    let now = store.clock().now();
    let shop = rpc::new_shop(DEFAULT_SHOP.to_owned(), "My shop".to_owned(), now);
    let key = |role: Role, shop: Option<&str>, secret: &str| {
        let doc = ApiKeyDoc {
            display_name: "first start".to_owned(),
            roles: vec![role.into()],
            may_act: true,
            ..ApiKeyDoc::default()
        };
        let key = ApiKey {
            id: ids::new_id(),
            shop: shop.map(str::to_owned),
            doc,
            expire_time: None,
            revoke_time: None,
            create_time: now,
        };
        (key, secret::digest(secret))
    };
    let keys = [
        key(Role::Operator, None, &made.operator),
        key(Role::Admin, Some(DEFAULT_SHOP), &made.admin),
    ];
    let locks = [lock(DEFAULT_SHOP), lock("")].into_iter().collect();
    let caller = Caller::system(Arc::from(DEFAULT_SHOP), None);
    let work = (caller, shop, keys);
    let inserted = store.write_with(locks, work, |tx, (caller, shop, keys)| {
        async move {
            if sql::any(tx).await? {
                return Ok(false);
            }
            super::insert(tx, caller, shop).await?;
            for (key, digest) in keys {
                api_keys::insert(tx, caller, key, digest).await?;
            }
            Ok(true)
        }
        .boxed()
    });
    inserted.await
}

/// Finishes a first start that ended before it renamed its file. The file is removed if its keys are not stored.
async fn finish(store: &Store, data_dir: &Path, pending: &Path) -> Result<(), FirstStartError> {
    let text = match fs::read_to_string(pending) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(pending)(error)),
    };
    let mut stored = false;
    for (_, secret) in text.lines().filter_map(|line| line.split_once('=')) {
        let digest = secret::digest(secret);
        stored |= store
            .read(|conn| async move { api_keys::knows_digest(conn, &digest).await }.boxed())
            .await?;
    }
    if stored {
        return adopt(data_dir, pending);
    }
    fs::remove_file(pending).map_err(failed(pending))
}

fn write(path: &Path, keys: &Keys) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Nothing is overwritten, and no link is followed.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let text = Zeroizing::new(format!(
        "# The API keys of this store's first start. Anyone who has them may do everything.\n\
         operator={}\nadmin={}\n",
        *keys.operator, *keys.admin
    ));
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives the file its final name, and flushes the folder.
fn adopt(data_dir: &Path, pending: &Path) -> Result<(), FirstStartError> {
    let path = data_dir.join(KEYS_FILE);
    rename_to_new(pending, &path).map_err(failed(&path))?;
    #[cfg(unix)]
    File::open(data_dir)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(data_dir))?;
    Ok(())
}

/// Renames a file without replacing another.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        // A start ended between the two steps.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read(from)? != fs::read(to)? {
                return Err(error);
            }
            fs::remove_file(from)
        }
        // Not every file system has hard links. No other program writes into this folder.
        Err(_) => fs::rename(from, to),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FirstStartError {
    let path = path.to_owned();
    move |source| FirstStartError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::{DatabaseUrl, StoreConfig};

    async fn store(folder: &Path) -> Store {
        let config = StoreConfig::new(DatabaseUrl::embedded(folder));
        Store::open(&config, Clock::system()).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_start_makes_keys_and_the_second_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;

        let made = first_start(&store, folder.path()).await.unwrap().unwrap();

        let text = fs::read_to_string(folder.path().join(KEYS_FILE)).unwrap();
        assert!(
            text.contains(&format!("\nadmin={}\n", *made.admin)),
            "{text}"
        );
        assert!(!folder.path().join(PENDING_FILE).exists());
        assert!(first_start(&store, folder.path()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn two_first_starts_at_once_make_one_set_of_keys() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = store(one.path()).await;

        let both = tokio::join!(
            first_start(&store, one.path()),
            first_start(&store, other.path())
        );

        let made = [both.0.unwrap(), both.1.unwrap()];
        assert_eq!(made.iter().flatten().count(), 1);
        let files = [&one, &other].map(|folder| folder.path().join(KEYS_FILE).exists());
        assert_eq!(files, made.each_ref().map(Option::is_some));
    }

    #[tokio::test]
    async fn a_first_start_that_ended_after_its_commit_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let made = first_start(&store, folder.path()).await.unwrap().unwrap();
        let (keys, pending) = (
            folder.path().join(KEYS_FILE),
            folder.path().join(PENDING_FILE),
        );
        fs::rename(&keys, &pending).unwrap();

        assert!(first_start(&store, folder.path()).await.unwrap().is_none());

        assert!(fs::read_to_string(&keys).unwrap().contains(&*made.operator));
        fs::write(&pending, "operator=clt_of_a_commit_that_never_came\n").unwrap();
        first_start(&store, folder.path()).await.unwrap();
        assert!(fs::read_to_string(&keys).unwrap().contains(&*made.operator));
        assert!(!pending.exists());
    }
}
