//! Tests that the doctor finds the faults of a store, beside its running server and without it.

mod culprits;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::cli::program;
use crate::harness::postgres::{Cluster, Durability};
use crate::harness::{Engine, Setup, Shop};
use crate::on_both_engines;
use crate::watch::{add, visitor};

/// Runs the doctor on a shop's store.
fn doctor(shop: &Shop, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("doctor").args(arguments);
    match shop.engine {
        Engine::Sqlite => command.arg("--data-dir").arg(shop.folder()),
        Engine::Postgres => command.arg("--database-url").arg(shop.database_url()),
    };
    command.output().expect("the program runs")
}

/// Returns the report of the doctor and its exit code.
fn examined(shop: &Shop, arguments: &[&str]) -> (Value, Option<i32>) {
    read(&doctor(shop, &[&["--json"], arguments].concat()))
}

/// Does the same for a database that no server has used.
fn examined_unused(option: &str, database: impl AsRef<OsStr>) -> (Value, Option<i32>) {
    let mut command = program();
    command
        .args(["doctor", "--json", option])
        .arg(database.as_ref());
    read(&command.output().expect("the program runs"))
}

fn read(output: &Output) -> (Value, Option<i32>) {
    let printed = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{error}: {printed} {output:?}"));
    (report, output.status.code())
}

/// Asserts the one finding about the tables of a database without any, and that only `others` were checked.
#[track_caller]
fn assert_without_tables(report: &Value, others: &[&str]) {
    let schema = one(report, "schema", "WARN");
    assert_eq!(
        schema["text"],
        "the database has no tables of Clientela yet"
    );
    assert_eq!(schema["advice"], "The first start of a server makes them.");
    let findings = report["findings"].as_array().expect("a list");
    for finding in findings {
        let check = finding["check"].as_str().expect("a name");
        assert!(check == "schema" || others.contains(&check), "{report:#}");
    }
    for other in others {
        assert!(!of(report, other).is_empty(), "{other}: {report:#}");
    }
}

/// Returns the findings of one check.
fn of<'r>(report: &'r Value, check: &str) -> Vec<&'r Value> {
    let findings = report["findings"].as_array().expect("a list");
    let wanted = findings.iter().filter(|finding| finding["check"] == check);
    wanted.collect()
}

/// Returns the one finding of a check and asserts its status.
#[track_caller]
fn one<'r>(report: &'r Value, check: &str, status: &str) -> &'r Value {
    let findings = of(report, check);
    assert_eq!(findings.len(), 1, "{report:#}");
    assert_eq!(findings[0]["status"], status, "{report:#}");
    findings[0]
}

/// Changes the store without the knowledge of its server.
async fn execute(shop: &Shop, statement: String) {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    match shop.engine {
        Engine::Sqlite => {
            let url = format!("sqlite://{}/clientela.db", shop.folder().display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            statement.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::Postgres => {
            let mut connection = PgConnection::connect(shop.database_url()).await.unwrap();
            statement.execute(&mut connection).await.unwrap();
        }
    }
}

/// Returns the statement that stores a job: its state, its attempts, and the seconds since it was due.
fn job(id: &str, kind: i64, state: i64, attempts: i64, ago: i64) -> String {
    let now = clientela::clock::Clock::system().now();
    let turn = now - ago * 1_000_000;
    format!(
        "INSERT INTO jobs (id, shop_id, kind, subject, state, cursor, progress, doc, key_id, run_at,
             attempts, create_time, update_time, end_time, error)
         VALUES ('{id}', 'elsewhere', {kind}, 'customers/erika-{id}', {state}, '', 0, '{{}}', 'k', {turn},
             {attempts}, {turn}, {turn}, CASE WHEN {state} > 2 THEN {turn} END, 'erika mustermann');"
    )
}

on_both_engines! {
    async fn stuck_work_is_reported_without_its_subject(shop: Shop) {
        let mut shop = shop;
        shop.stop().await;
        let jobs = [
            job("silent", 1, 2, 0, 120),
            job("failing", 2, 1, 4, -60),
            job("failed", 3, 4, 9, 3_600),
            job("waiting", 4, 1, 0, 3_600),
            job("healthy", 4, 1, 0, -60),
            job("working", 5, 2, 0, -20),
            job("long-failed", 3, 4, 9, 30 * 86_400),
        ];
        execute(&shop, jobs.concat()).await;

        let (report, _) = examined(&shop, &[]);

        let stuck = of(&report, "jobs");
        let mut texts: Vec<&str> = stuck.iter().filter_map(|job| job["text"].as_str()).collect();
        texts.sort_unstable();
        assert_eq!(texts.len(), 4, "{report:#}");
        assert!(texts[0].starts_with("operations/failed (DELETE_GROUP): it has failed for good, after 9"));
        assert!(texts[1].starts_with("operations/failing (REFRESH_CUSTOMER): it has failed 4 times"));
        assert!(texts[2].starts_with("operations/silent (REPRICE_CARTS): its lease ended 2 min ago"));
        assert!(texts[3].starts_with("operations/waiting (DELETE_CUSTOMER_CARTS): it has waited"));
        assert!(stuck.iter().all(|job| job["status"] == "WARN"));
        assert!(!report.to_string().contains("erika"), "the report has no personal data");
    }

    async fn delayed_deletions_are_reported(shop: Shop) {
        let (before, _) = examined(&shop, &[]);
        let until = clientela::clock::Clock::system().now() + 20 * 3_600_000_000;
        execute(&shop, format!("INSERT INTO store_meta (key, value) VALUES ('retention_held_until', '{until}')")).await;

        let (report, _) = examined(&shop, &[]);

        one(&before, "retention", "OK");
        let held = one(&report, "retention", "WARN");
        assert!(held["text"].as_str().unwrap().contains("for another 19 h"), "{report:#}");
    }

    async fn a_store_of_a_newer_release_is_reported(shop: Shop) {
        execute(&shop, "UPDATE store_meta SET value = '99' WHERE key = 'minimum_reader_version'".into()).await;

        let (report, code) = examined(&shop, &[]);

        let schema = one(&report, "schema", "FAIL");
        assert_eq!(schema["detail"]["minimum_reader"], 99);
        assert_eq!(code, Some(1));
    }

    async fn a_feed_without_compaction_is_reported(shop: Shop) {
        let mut shop = shop;
        add(&mut shop.carts(), &visitor("of long ago"), "a").await;
        let (report, _) = examined(&shop, &[]);
        assert_eq!(one(&report, "feed", "OK")["detail"]["oldest_seconds"].as_i64().map(|s| s < 600), Some(true));
        // A server would compact it.
        shop.stop().await;
        execute(&shop, "UPDATE change_log SET commit_time = commit_time - 604800000000".into()).await;

        let (report, _) = examined(&shop, &[]);

        let feed = one(&report, "feed", "WARN");
        assert!(feed["text"].as_str().unwrap().contains("the oldest is 7 days old, and 3 days are kept"), "{feed}");
    }

    async fn an_absent_store_is_a_failure_and_is_not_created(shop: Shop) {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let mut command = program();
        command.args(["doctor", "--json"]);
        match shop.engine {
            Engine::Sqlite => command.arg("--data-dir").arg(&absent),
            Engine::Postgres => command.args(["--database-url", "postgres://u:hunter2@127.0.0.1:1/none"]),
        };

        let output = command.output().unwrap();

        let printed = String::from_utf8(output.stdout).unwrap();
        let report: Value = serde_json::from_str(&printed).unwrap();
        one(&report, "connection", "FAIL");
        assert_eq!(output.status.code(), Some(1));
        assert!(!absent.exists());
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

/// Asserts every check of a healthy store.
fn assert_healthy(shop: &Shop, checks: &[&str]) {
    let (report, code) = examined(shop, &[]);

    for check in checks {
        one(&report, check, "OK");
    }
    assert_eq!(of(&report, "schema")[0]["detail"]["minimum_reader"], 1);
    assert_eq!(
        (&report["status"], code),
        (&Value::from("OK"), Some(0)),
        "{report:#}"
    );
    let text = String::from_utf8(doctor(shop, &[]).stdout).unwrap();
    assert_eq!(text.lines().count(), checks.len(), "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("OK    ")),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_store_is_examined_beside_its_server_and_without_it() {
    let mut shop = Shop::start(Engine::Sqlite).await;
    add(&mut shop.carts(), &visitor("who is there"), "a").await;
    let checks = [
        "engine",
        "schema",
        "integrity",
        "journal",
        "feed",
        "retention",
        "jobs",
    ];

    assert_healthy(&shop, &checks);
    // The server continues, and can be started again.
    add(&mut shop.carts(), &visitor("who came later"), "a").await;
    shop.stop().await;
    assert_healthy(&shop, &checks);
    shop.start_again(Setup::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_reported() {
    use std::os::unix::fs::FileExt as _;
    let mut shop = Shop::start(Engine::Sqlite).await;
    add(&mut shop.carts(), &visitor("of the damaged"), "a").await;
    shop.stop().await;
    let file = std::fs::File::options()
        .write(true)
        .open(shop.folder().join("clientela.db"))
        .unwrap();
    let pages = file.metadata().unwrap().len() / 4_096;
    // All pages but the first, which identifies the file and holds the schema.
    for page in 12..pages {
        file.write_all_at(&[0xee; 4_096], page * 4_096).unwrap();
    }

    let (report, code) = examined(&shop, &[]);

    one(&report, "integrity", "FAIL");
    assert_eq!((&report["status"], code), (&Value::from("FAIL"), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_safe_settings_is_healthy() {
    let cluster = Cluster::start(Durability::Full, &[]).await;
    cluster.create_database("shop", None).await;
    let shop = Shop::start_on(cluster.url("shop"), Setup::default()).await;
    add(&mut shop.carts(), &visitor("who is there"), "a").await;

    assert_healthy(
        &shop,
        &[
            "engine",
            "schema",
            "horizon",
            "vacuum",
            "settings",
            "connections",
            "feed",
            "retention",
            "jobs",
        ],
    );
}

/// The shared cluster of the tests does not flush.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_lose_data_are_reported() {
    let shop = Shop::start(Engine::Postgres).await;
    let name = shop.database_url().rsplit('/').next().unwrap();
    execute(
        &shop,
        format!("ALTER DATABASE {name} SET synchronous_commit = off"),
    )
    .await;

    let (report, code) = examined(&shop, &[]);

    let found = of(&report, "settings");
    let settings: Vec<&Value> = found
        .iter()
        .map(|found| &found["detail"]["setting"])
        .collect();
    assert_eq!(
        settings,
        ["fsync", "full_page_writes", "synchronous_commit"]
    );
    assert!(found.iter().all(|found| found["status"] == "FAIL"));
    assert_eq!(code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_hold_every_text_is_a_failure() {
    let cluster = Cluster::start(Durability::None, &[]).await;
    let mut postgres = PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    let make = "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'
        TEMPLATE template0";
    sqlx::raw_sql(make).execute(&mut postgres).await.unwrap();

    let (report, code) = examined_unused("--database-url", cluster.url("bytes"));

    let engine = one(&report, "engine", "FAIL");
    assert_eq!(engine["detail"]["encoding"], "SQL_ASCII", "{report:#}");
    assert_eq!(code, Some(1));
    assert_without_tables(&report, &UNUSED_SERVER);
}

/// The checks of a PostgreSQL database without a store.
const UNUSED_SERVER: [&str; 4] = ["engine", "vacuum", "settings", "connections"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_no_server_has_used_is_reported() {
    let cluster = Cluster::start(Durability::Full, &[]).await;
    cluster.create_database("shop", None).await;

    let (report, code) = examined_unused("--database-url", cluster.url("shop"));

    assert_without_tables(&report, &UNUSED_SERVER);
    assert_eq!((&report["status"], code), (&Value::from("WARN"), Some(0)));
}

#[tokio::test]
async fn a_file_that_no_server_has_used_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clientela.db");
    std::fs::write(&file, "").unwrap();

    let (report, code) = examined_unused("--data-dir", folder.path());

    assert_without_tables(&report, &["engine", "integrity", "journal"]);
    assert_eq!((&report["status"], code), (&Value::from("WARN"), Some(0)));
    let size = std::fs::metadata(&file).unwrap().len();
    assert_eq!(size, 0, "nothing was written");
}

/// A start would create no tables there, so the report does not promise them.
#[tokio::test]
async fn a_file_that_a_start_refuses_is_a_failure() {
    let empty = |file: &Path| std::fs::write(file, "").unwrap();
    let lost = tempfile::tempdir().unwrap();
    empty(&lost.path().join("clientela.db"));
    empty(&lost.path().join("keys"));
    let strange = tempfile::tempdir().unwrap();
    std::fs::write(
        strange.path().join("clientela.db"),
        "no database of any sort",
    )
    .unwrap();
    let foreign = tempfile::tempdir().unwrap();
    let file = foreign.path().join("clientela.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let make = sqlx::raw_sql("CREATE TABLE notes (text TEXT)");
    make.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    for (folder, words) in [
        (&lost, "keys lies beside it, so this is no first start"),
        (&strange, "its header is wrong"),
        (&foreign, "is a database of another program"),
    ] {
        let (report, code) = examined_unused("--data-dir", folder.path());

        let finding = one(&report, "connection", "FAIL");
        assert!(
            finding["text"].as_str().unwrap().contains(words),
            "{report:#}"
        );
        assert_eq!(
            report["findings"].as_array().map(Vec::len),
            Some(1),
            "{report:#}"
        );
        assert_eq!(code, Some(1));
    }
}
