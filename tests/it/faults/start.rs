//! Tests refused starts: a plain sentence for the operator, an exit code for scripts, and no change of data.

use std::path::Path;

use clientela::store::{DATABASE_FILE, LOCK_FILE};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use super::process::{Serve, Server};
use crate::harness::postgres::{self, Cluster, Durability};

/// Asserts that a server does not start and prints one sentence as the reason, and returns that sentence.
#[track_caller]
pub fn refused(code: i32, serve: &Serve, data_dir: &Path) -> String {
    let output = serve.refused(data_dir);
    let said = String::from_utf8(output.stderr).expect("the program prints UTF-8");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(output.stdout, b"", "no greeting");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    let sentence = said
        .strip_prefix("clientela: ")
        .expect("the program names itself");
    for debris in [
        "{",
        "Error(",
        "Some(",
        "panicked",
        "backtrace",
        "sqlx",
        "::",
    ] {
        assert!(!sentence.contains(debris), "no text for developers: {said}");
    }
    sentence.trim_end().to_owned()
}

/// A server on a temporary folder.
fn plain() -> Serve {
    Serve::default()
}

/// A server on a PostgreSQL database.
pub fn on(url: &str) -> Serve {
    Serve::default().and("CLIENTELA_DATABASE_URL", url)
}

pub async fn database(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(folder.join(DATABASE_FILE))
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

pub async fn run(connection: &mut SqliteConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(DATABASE_FILE);
    let random: Vec<u8> = (0..100_000).map(|_| rand::random()).collect();
    std::fs::write(&file, &random).unwrap();

    let said = refused(1, &plain(), folder.path());

    assert!(
        said.ends_with("is not a Clientela database: its header is wrong"),
        "{said}"
    );
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), random);
}

#[test]
fn a_damaged_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(DATABASE_FILE);
    let mut damaged = b"SQLite format 3\0".to_vec();
    damaged.extend((0..100_000).map(|_| rand::random::<u8>()));
    std::fs::write(&file, &damaged).unwrap();

    let said = refused(1, &plain(), folder.path());

    assert!(
        said.ends_with("is damaged and is left as it is; restore a copy of it"),
        "{said}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

/// There are two kinds of foreign files: one that names its program, and one that does not.
#[tokio::test]
async fn the_database_of_another_program_is_refused_and_not_changed() {
    for statements in [
        "PRAGMA application_id = 4711; CREATE TABLE notes (a TEXT)",
        "CREATE TABLE notes (a TEXT)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = database(folder.path()).await;
        run(&mut connection, statements).await;
        connection.close().await.unwrap();
        let file = folder.path().join(DATABASE_FILE);
        let before = std::fs::read(&file).unwrap();

        let said = refused(1, &plain(), folder.path());

        assert!(said.ends_with("is a database of another program"), "{said}");
        assert!(std::fs::read(&file).unwrap() == before, "{statements}");
    }
}

const NEWER: &str = "UPDATE store_meta SET value = '99' WHERE key = 'minimum_reader_version'";
const TOO_NEW: &str = "the database was written by a newer release, which asks for reader version \
                       99, and this one has 1; install the newer release";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_release_is_refused_on_sqlite() {
    let mut server = Server::start(plain());
    server.ask_to_stop();
    assert!(server.ended().await.success());
    run(&mut database(server.data_dir()).await, NEWER).await;

    assert_eq!(refused(1, &plain(), server.data_dir()), TOO_NEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_release_is_refused_on_postgres() {
    let database = postgres::database().await;
    let mut server = Server::start(on(&database.url));
    server.ask_to_stop();
    assert!(server.ended().await.success());
    let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
    super::run(&mut connection, NEWER).await;

    assert_eq!(refused(1, &on(&database.url), server.data_dir()), TOO_NEW);
}

#[test]
fn a_second_process_on_the_embedded_store_is_refused() {
    let server = Server::start(plain());

    let said = refused(1, &plain(), server.data_dir());

    assert!(
        said.starts_with("another clientela process is using "),
        "{said}"
    );
    assert!(said.ends_with("; stop it first"), "{said}");
}

#[test]
fn a_database_url_that_cannot_be_read_is_refused_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        "mysql://shop:hunter2@localhost/shop",
        "postgres://shop:hunter2@localhost:port/shop",
        "postgres://shop:hunter2@local host/shop",
        "postgres://shop:hunter2@localhost/shop?sslmode=sometimes",
        "hunter2",
    ] {
        let said = refused(2, &on(url), &folder.path().join("data"));

        assert!(
            said.starts_with("the database URL cannot be read: "),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was written");
}

#[test]
fn accidental_plain_text_to_a_database_on_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();

    let url = on("postgres://shop:hunter2@db.example.test/shop?sslmode=prefer");
    let said = refused(2, &url, folder.path());

    assert!(said.contains("use verify-full"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_postgresql_is_reported_in_plain_words() {
    let database = postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let (user, rest) = database.url.rsplit_once(':').unwrap();
    let (user, password) = user.rsplit_once(':').unwrap();
    let (password, host) = password.split_once('@').unwrap();
    let (port, name) = rest.split_once('/').unwrap();

    let wrong = format!("{user}:hunter2@{host}:{port}/{name}");
    let said = refused(1, &on(&wrong), folder.path());
    let expected = "PostgreSQL does not accept the user or the password of the database URL";
    assert_eq!(said, expected);

    let absent = format!("{user}:{password}@{host}:{port}/absent");
    let said = refused(1, &on(&absent), folder.path());
    assert_eq!(
        said,
        "the database of the URL does not exist; create it first"
    );

    let elsewhere = format!("{user}:{password}@{host}:1/{name}");
    let said = refused(1, &on(&elsewhere), folder.path());
    assert!(
        said.starts_with("the database cannot be reached: "),
        "{said}"
    );
    assert!(!said.contains(password), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_cannot_hold_a_store_is_reported_in_plain_words() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    let mut postgres = sqlx::PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = |url: &str| refused(1, &on(url), folder.path());
    for statement in [
        "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE shop TEMPLATE template0",
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "CREATE DATABASE frozen TEMPLATE template0",
        "ALTER DATABASE frozen SET default_transaction_read_only = on",
    ] {
        super::run(&mut postgres, statement).await;
    }

    let said = start(&cluster.url("bytes"));
    assert!(
        said.starts_with("the database's encoding is SQL_ASCII, and it has to be UTF8"),
        "{said}"
    );

    let (_, host) = cluster
        .url("shop")
        .split_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let said = start(&format!("postgres://guest:guest@{host}"));
    assert!(
        said.contains("the user of the database URL may not do this"),
        "{said}"
    );

    let said = start(&cluster.url("frozen"));
    assert!(said.contains("PostgreSQL only reads"), "{said}");

    let standby = cluster.standby().await;
    let url = cluster
        .url("shop")
        .replace(&cluster.address().port().to_string(), &standby.to_string());
    let said = start(&url);
    assert!(
        said.contains("only a standby of PostgreSQL answers there"),
        "{said}"
    );
}

/// The right to create objects in the schema is revoked between two migrations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_without_rights_is_reported_in_plain_words() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    let mut postgres = sqlx::PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    super::run(&mut postgres, "CREATE ROLE guest LOGIN PASSWORD 'guest'").await;
    cluster.create_database("shop", None).await;
    let mut shop = sqlx::PgConnection::connect(&cluster.url("shop"))
        .await
        .unwrap();
    // The table of migrations exists, and no other object may be created.
    let prepared =
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL,
            checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL);
        GRANT ALL ON _sqlx_migrations TO guest";
    super::run(&mut shop, prepared).await;
    let folder = tempfile::tempdir().unwrap();
    let url = cluster.url("shop");
    let (_, host) = url.split_once('@').unwrap();

    let said = refused(
        1,
        &on(&format!("postgres://guest:guest@{host}")),
        folder.path(),
    );

    assert!(
        said.contains("the user of the database URL may not do this"),
        "{said}"
    );
}

#[test]
fn a_data_folder_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let taken = folder.path().join("taken");
    std::fs::create_dir_all(taken.join(LOCK_FILE)).unwrap();

    // Even root cannot create a folder in a file, or write into a folder.
    for (data_dir, named) in [
        (file.join("data"), file.join("data")),
        (taken.clone(), taken.join(LOCK_FILE)),
    ] {
        let said = refused(1, &plain(), &data_dir);

        let expected = format!("cannot use {}: ", named.display());
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn an_address_in_use_is_refused_before_anything_is_written() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");

    let said = refused(1, &plain().with(&["--listen", &address]), &data_dir);

    assert!(
        said.starts_with(&format!("cannot listen on {address}: ")),
        "{said}"
    );
    assert!(!data_dir.exists());
}

#[test]
fn an_address_open_to_others_is_refused_unless_plain_text_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");

    let said = refused(2, &plain().with(&["--listen", "0.0.0.0:0"]), &data_dir);

    assert!(said.contains("--allow-plaintext"), "{said}");
    assert!(!data_dir.exists());
    drop(Server::start(plain().with(&[
        "--listen",
        "0.0.0.0:0",
        "--allow-plaintext",
    ])));
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();

    let said = refused(
        2,
        &plain().with(&["--log", "clientela=loud"]),
        folder.path(),
    );

    assert!(
        said.starts_with("the log filter cannot be read: "),
        "{said}"
    );
}
