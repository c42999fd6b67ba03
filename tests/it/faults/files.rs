//! Tests the files of the data folder. Missing files are not recreated, open permissions are closed, links
//! are not followed, and files removed under a running server are noticed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use clientela::proto::pb::ErrorReason;
use clientela::store::{DATABASE_FILE, LOCK_FILE};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::disk::{add_line, list};
use super::process::{Serve, Server};
use super::start::{self, on, refused};
use super::{assert_passing, assert_unavailable, recovers};
use crate::harness::{eventually, postgres};

fn wal() -> String {
    format!("{DATABASE_FILE}-wal")
}

/// The files of a server that was killed after a write: database, log, keys and lock.
async fn left_behind() -> Server {
    let mut server = Server::start(Serve::default().with(&["--log", "warn"]));
    add_line(&server.carts().await, 0).await.unwrap();
    server.kill();
    server
}

/// Copies some files of a folder into a fresh one.
fn with_only(from: &Path, names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    for name in names {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(LOCK_FILE))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_database_is_not_a_first_start() {
    let server = left_behind().await;
    let wal = wal();
    for signs in [&["keys", &*wal][..], &["keys"], &[&*wal]] {
        for empty in [false, true] {
            let folder = with_only(server.data_dir(), signs);
            if empty {
                fs::write(folder.path().join(DATABASE_FILE), b"").unwrap();
            }
            let before = contents(folder.path());

            let said = refused(1, &Serve::default(), folder.path());

            assert!(said.contains("is empty or missing, but "), "{said}");
            assert!(said.contains(" lies beside it"), "{said}");
            assert!(contents(folder.path()) == before, "{signs:?} were changed");
        }
    }
}

/// The database is new, and the keys belong to another store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_another_store_are_not_overwritten() {
    let database = postgres::database().await;
    for serve in [Serve::default(), on(&database.url)] {
        let mut fresh = Server::start(Serve::default());
        fresh.ask_to_stop();
        assert!(fresh.ended().await.success());
        let folder = with_only(fresh.data_dir(), &["keys"]);
        let keys = folder.path().join("keys");
        let before = fs::read(&keys).unwrap();
        if serve.environment.is_empty() {
            // A database without tables is not an empty file.
            let mut connection = start::database(folder.path()).await;
            start::run(&mut connection, "PRAGMA user_version = 1").await;
        }

        let said = refused(1, &serve, folder.path());

        assert!(said.contains("the keys are of another store"), "{said}");
        assert_eq!(fs::read(&keys).unwrap(), before);
    }
}

#[test]
fn keys_are_not_written_through_a_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "of somebody else").unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(&victim, folder.path().join("keys")).unwrap();

    refused(1, &Serve::default(), folder.path());

    assert_eq!(fs::read_to_string(&victim).unwrap(), "of somebody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_in_place_of_the_unfinished_keys_is_not_followed() {
    let database = postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "of somebody else").unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    symlink(&victim, data.join("keys.new")).unwrap();

    drop(Server::start_in(on(&database.url), data.clone()));

    assert_eq!(fs::read_to_string(&victim).unwrap(), "of somebody else");
    assert!(data.join("keys").symlink_metadata().unwrap().is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_others_may_enter_is_closed_or_refused() {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let database = postgres::database().await;
    for serve in [Serve::default(), on(&database.url)] {
        let folder = tempfile::tempdir().unwrap();
        let (own, shared) = (folder.path().join("own"), folder.path().join("shared"));
        for path in [&own, &shared] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::write(shared.join("of-others"), "").unwrap();

        let said = refused(1, &serve, &shared);
        drop(Server::start_in(serve, own.clone()));

        assert!(
            said.contains("others may enter it (its mode is 777)"),
            "{said}"
        );
        assert_eq!(mode(&shared), 0o777, "the permissions stay");
        assert_eq!(mode(&own), 0o700);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_folder_name_works_or_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    // A path of exactly this length in bytes, with names that every file system takes.
    let path_of = |length: usize| {
        let mut path = base.clone();
        while path.as_os_str().len() < length {
            let left = length - path.as_os_str().len() - 1;
            path.push("x".repeat(if left > 200 { 100 } else { left }));
        }
        path
    };
    let longest = 512 - "-journal".len() - DATABASE_FILE.len() - 1;

    let server = Server::start_in(Serve::default(), path_of(longest));
    add_line(&server.carts().await, 0).await.unwrap();
    for length in [longest + 1, 2_000] {
        let said = refused(1, &Serve::default(), &path_of(length));
        assert!(said.contains(&format!("has {length} bytes")), "{said}");
        assert!(said.contains(&format!("at most {longest}")), "{said}");
    }
}

/// A change of the files under a running server, and its reversal.
type Harm = (&'static str, fn(&Path), Option<fn(&Path)>);

const HARMS: [Harm; 5] = [
    (
        DATABASE_FILE,
        |path| fs::rename(path, away(path)).unwrap(),
        Some(put_back),
    ),
    (
        LOCK_FILE,
        |path| fs::rename(path, away(path)).unwrap(),
        Some(put_back),
    ),
    (DATABASE_FILE, replace, Some(put_back)),
    (LOCK_FILE, replace, Some(put_back)),
    (
        "clientela.db-wal",
        |path| fs::remove_file(path).unwrap(),
        None,
    ),
];

fn away(path: &Path) -> PathBuf {
    path.with_extension("away")
}

fn replace(path: &Path) {
    fs::rename(path, away(path)).unwrap();
    fs::copy(away(path), path).unwrap();
}

fn put_back(path: &Path) {
    fs::rename(away(path), path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_removed_or_replaced_under_the_server_are_noticed() {
    for (name, harm, undo) in HARMS {
        let server = Server::start(Serve::default().with(&["--log", "warn"]));
        let carts = server.carts().await;
        add_line(&carts, 0).await.unwrap();
        server.health_turns(ServingStatus::Serving).await;
        let path = server.data_dir().join(name);

        harm(&path);

        server.health_turns(ServingStatus::NotServing).await;
        assert_unavailable(&add_line(&carts, 1).await.unwrap_err());
        match list(&carts).await {
            Ok(there) => assert_eq!((name, there[0].item_count), (LOCK_FILE, 1)),
            Err(status) => assert_unavailable(&status),
        }
        let log = server.log();
        let logged = log
            .lines()
            .filter(|line| line.contains("removed or replaced"));
        assert_eq!(
            logged.filter(|line| line.contains(name)).count(),
            1,
            "{log}"
        );

        if let Some(undo) = undo {
            undo(&path);
            recovers("the write", || add_line(&carts, 1)).await;
            server.health_turns(ServingStatus::Serving).await;
        }
    }
}

/// The process has a limit of file sizes. The limit ends no process, and reads continue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_file_sizes_acts_as_a_full_disk() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let server = Server::start(Serve::default().with(&["--log", "off"]));
    let carts = server.carts().await;
    add_line(&carts, 0).await.unwrap();
    let log = server.data_dir().join(wal()).metadata().unwrap().len();
    let limit = |size| {
        let limits = Rlimit {
            current: size,
            maximum: None,
        };
        let process = Pid::from_raw(server.id().try_into().unwrap());
        prlimit(process, Resource::Fsize, limits).unwrap();
    };

    limit(Some(log + 64 * 1024));
    let mut line = 0;
    let refused = loop {
        line += 1;
        if let Err(status) = add_line(&carts, line).await {
            break status;
        }
    };
    let there = list(&carts).await.expect("reads continue");
    limit(None);

    assert_passing(&refused, Code::ResourceExhausted, ErrorReason::StorageFull);
    assert_eq!(there[0].item_count, i64::try_from(line).unwrap());
    recovers("the write", || add_line(&carts, line)).await;
}

/// Waits until the service of carts has this status.
impl Server {
    pub async fn health_turns(&self, wanted: ServingStatus) {
        use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
        let health = HealthClient::new(self.connect().await);
        eventually(&format!("{wanted:?}"), || {
            let mut health = health.clone();
            let service = "clientela.v1.CartService".to_owned();
            async move {
                let answer = health.check(HealthCheckRequest { service }).await;
                let status = answer.map(|answer| answer.into_inner().status());
                (status.ok() == Some(wanted)).then_some(())
            }
        })
        .await;
    }
}
