//! Tests damaged pages in a database file. The damage is found at the start after a killed process, soon
//! after it in a large file, or when a damaged page is read. It is logged once. Then the server is not ready
//! and takes no writes.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use clientela::proto::pb::customer_service_client::CustomerServiceClient;
use clientela::proto::pb::{CreateTitleRequest, ListTitlesRequest, Title};
use clientela::store::DATABASE_FILE;
use sqlx::{AssertSqlSafe, Connection as _};
use tonic_health::pb::health_check_response::ServingStatus;

use super::disk::{add_line, list};
use super::process::{Serve, Server};
use super::start::{database, refused, run};
use super::{assert_unavailable, health_turns, read, write};
use crate::harness::logged::Logged;
use crate::harness::{Engine, Setup, Shop, eventually};

fn serve() -> Serve {
    Serve::default().with(&["--log", "warn"])
}

fn title(name: &str) -> CreateTitleRequest {
    CreateTitleRequest {
        title: Some(Title {
            display_names: [("en".to_owned(), name.to_owned())].into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A store with a title and a cart, closed properly.
async fn closed() -> Server {
    let mut server = Server::start(serve());
    let mut people =
        CustomerServiceClient::with_interceptor(server.connect().await, server.keyed());
    people.create_title(title("Dr.")).await.unwrap();
    add_line(&server.carts().await, 0).await.unwrap();
    server.ask_to_stop();
    assert!(server.ended().await.success());
    server
}

/// Overwrites the first page of a table.
async fn damage(folder: &Path, table: &str) {
    let mut connection = database(folder).await;
    let root = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
    let root: i64 = sqlx::query_scalar(AssertSqlSafe(root))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let size: i64 = sqlx::query_scalar("PRAGMA page_size")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mut file = File::options()
        .write(true)
        .open(folder.join(DATABASE_FILE))
        .unwrap();
    let page = vec![0xa5; usize::try_from(size).unwrap()];
    let at = u64::try_from((root - 1) * size).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&page).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_at_the_start_after_a_process_that_was_killed() {
    let server = closed().await;
    let sound = fs::read(server.data_dir().join(DATABASE_FILE)).unwrap();
    for table in ["titles", "carts", "customers", "change_log", "visits"] {
        fs::write(server.data_dir().join(DATABASE_FILE), &sound).unwrap();
        damage(server.data_dir(), table).await;
        let damaged = fs::read(server.data_dir().join(DATABASE_FILE)).unwrap();
        // A killed process leaves its log.
        File::create(server.data_dir().join(format!("{DATABASE_FILE}-wal"))).unwrap();

        let quiet = Serve::default().with(&["--log", "off"]);
        let said = refused(1, &quiet, server.data_dir());

        assert!(
            said.contains("is damaged and is left as it is"),
            "{table}: {said}"
        );
        let after = fs::read(server.data_dir().join(DATABASE_FILE)).unwrap();
        assert!(after == damaged, "{table}: the file was changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_is_read_is_logged_once_and_ends_readiness_and_writes() {
    let mut server = closed().await;
    damage(server.data_dir(), "titles").await;
    server.start_again();
    server.health_turns(ServingStatus::Serving).await;
    let mut people =
        CustomerServiceClient::with_interceptor(server.connect().await, server.keyed());

    for _ in 0..3 {
        let status = people
            .list_titles(ListTitlesRequest::default())
            .await
            .unwrap_err();
        assert_unavailable(&status);
    }

    server.health_turns(ServingStatus::NotServing).await;
    let carts = server.carts().await;
    assert_unavailable(&add_line(&carts, 1).await.unwrap_err());
    assert_unavailable(&people.create_title(title("Prof.")).await.unwrap_err());
    // Undamaged pages can still be read, so that an operator can save them.
    assert_eq!(list(&carts).await.unwrap()[0].item_count, 1);
    let log = server.log();
    let logged = log.lines().filter(|line| line.contains("file is damaged"));
    assert_eq!(logged.count(), 1, "{log}");
    assert!(log.contains("restore the last backup"), "{log}");
}

/// The titles belong to another shop and sort before the others, so only a check of the file reads the first
/// ones.
const MANY_TITLES: &str = "INSERT INTO titles (shop_id, id, version, doc, create_time, update_time)
    WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 30000)
    SELECT '0', 't' || n, 1, hex(zeroblob(100)), 1, 1 FROM c";

/// Overwrites the first page of rows of a table, which a check reads after all its others. Returns the number
/// of pages of the file.
async fn damage_the_first_rows(folder: &Path, table: &str) -> u64 {
    let mut connection = database(folder).await;
    let ask = async |connection: &mut sqlx::SqliteConnection, what: &str| -> u64 {
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(what))
            .fetch_one(connection)
            .await
            .unwrap();
        u64::try_from(found).unwrap()
    };
    let size = ask(&mut connection, "PRAGMA page_size").await;
    let pages = ask(&mut connection, "PRAGMA page_count").await;
    let root = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
    let mut page = ask(&mut connection, &root).await;
    connection.close().await.unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .open(folder.join(DATABASE_FILE))
        .unwrap();
    // An inner page has its type in its first byte, and the position of its first cell in its header. That
    // cell begins with the number of the first child page.
    loop {
        let (mut head, mut below) = ([0; 14], [0; 4]);
        file.read_exact_at(&mut head, (page - 1) * size).unwrap();
        if !matches!(head[0], 2 | 5) {
            break;
        }
        let cell = u64::from(u16::from_be_bytes([head[12], head[13]]));
        file.read_exact_at(&mut below, (page - 1) * size + cell)
            .unwrap();
        page = u64::from(u32::from_be_bytes(below));
    }
    let damage = vec![0xa5; usize::try_from(size).unwrap()];
    file.write_all_at(&damage, (page - 1) * size).unwrap();
    pages
}

/// All log lines come from the one thread of the test.
#[tokio::test]
async fn damage_found_after_the_start_is_logged_once_and_ends_readiness_and_writes() {
    let logged = Logged::here();
    let lines = || logged.saying("file is damaged");
    let hurried = Setup {
        store: |store| store.start_check_time = Duration::ZERO,
        ..Setup::default()
    };
    let mut shop = Shop::start_with(Engine::Sqlite, hurried.clone()).await;
    shop.stop().await;
    let mut connection = database(shop.folder()).await;
    run(&mut connection, MANY_TITLES).await;
    connection.close().await.unwrap();
    // A check compares the time with its limit every thousand pages.
    assert!(damage_the_first_rows(shop.folder(), "titles").await > 1_500);
    File::create(shop.folder().join(format!("{DATABASE_FILE}-wal"))).unwrap();

    shop.start_again(hurried).await;

    // A server is also not ready while it starts, so its health alone does not show that the check has ended.
    let refused = eventually("a refused write", async || write(&shop).await.err()).await;
    assert_unavailable(&refused);
    health_turns(&shop, ServingStatus::NotServing).await;
    read(&shop).await.expect("undamaged pages are read");
    shop.stop().await;
    assert_eq!(lines().len(), 1, "{:?}", lines());
}
