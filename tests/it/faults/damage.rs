//! A database file whose pages are damaged: found at the start after a process that was killed, or soon after it
//! where the file is large, else when a damaged page is met; told once; and then the server is not ready and
//! takes no writes.

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

/// A store with a title and a cart, closed in good order.
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
        // Whose process is killed leaves its log.
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
async fn damage_that_is_met_is_told_once_and_ends_readiness_and_writes() {
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
    // What is whole can still be read, for whoever saves what there is.
    assert_eq!(list(&carts).await.unwrap()[0].item_count, 1);
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("file is damaged"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(log.contains("restore the last backup"), "{log}");
}

/// Of another shop, and before those of the others, so that nothing but a check of the file reads the first.
const MANY_TITLES: &str = "INSERT INTO titles (shop_id, id, version, doc, create_time, update_time)
    WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 30000)
    SELECT '0', 't' || n, 1, hex(zeroblob(100)), 1, 1 FROM c";

/// Overwrites the first page of rows of a table, which a check reads after all its others. Gives how many pages
/// the file has.
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
    // A page that has others below it says at its beginning that it has, and where its first cell is, which
    // begins with the first of them.
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

/// All that is logged comes from the one thread of the test.
#[tokio::test]
async fn damage_that_a_start_has_no_time_to_find_is_told_once_and_ends_readiness_and_writes() {
    let logged = Logged::here();
    let told = || logged.saying("file is damaged");
    let hurried = Setup {
        store: |store| store.start_check_time = Duration::ZERO,
        ..Setup::default()
    };
    let mut shop = Shop::start_with(Engine::Sqlite, hurried.clone()).await;
    shop.stop().await;
    let mut connection = database(shop.folder()).await;
    run(&mut connection, MANY_TITLES).await;
    connection.close().await.unwrap();
    // A check looks at the time every thousand pages.
    assert!(damage_the_first_rows(shop.folder(), "titles").await > 1_500);
    File::create(shop.folder().join(format!("{DATABASE_FILE}-wal"))).unwrap();

    shop.start_again(hurried).await;

    // A server is also not ready while it starts, so that alone does not show that the check has ended.
    let refused = eventually("a refused write", async || write(&shop).await.err()).await;
    assert_unavailable(&refused);
    health_turns(&shop, ServingStatus::NotServing).await;
    read(&shop).await.expect("what is whole is read");
    shop.stop().await;
    assert_eq!(told().len(), 1, "{:?}", told());
}
