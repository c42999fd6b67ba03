//! Backups of a shop's data, as an operator makes and restores them.

use std::path::Path;

use clientela::store::DATABASE_FILE;
use tempfile::TempDir;

use super::postgres::TestDatabase;
use super::{Data, Database};

/// The data of a shop at one moment.
pub enum Backup {
    /// The folder with the copied file.
    Sqlite(TempDir),
    /// A copy of the database.
    Postgres(TestDatabase),
}

impl Backup {
    pub(super) async fn of(data: &Data) -> Self {
        match &data.database {
            Database::Shared(database) => Self::Postgres(database.copy().await),
            Database::Own(_) => panic!("the owner of a database copies it"),
            Database::Embedded => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                copy(data.folder.path(), folder.path());
                Self::Sqlite(folder)
            }
        }
    }

    pub(super) async fn restore(&self, data: &Data) {
        match (self, &data.database) {
            (Self::Postgres(copy), Database::Shared(database)) => database.replace_by(copy).await,
            (Self::Sqlite(folder), Database::Embedded) => copy(folder.path(), data.folder.path()),
            _ => panic!("the copy is of the other engine"),
        }
    }
}

/// A closed store has all its data in one file.
fn copy(from: &Path, to: &Path) {
    let log = from.join(format!("{DATABASE_FILE}-wal"));
    assert!(
        !log.exists(),
        "the store was closed and its log checkpointed"
    );
    std::fs::copy(from.join(DATABASE_FILE), to.join(DATABASE_FILE)).expect("the file is copied");
}
