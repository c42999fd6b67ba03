//! Tests that the doctor names the session that holds the feed back or prevents vacuum.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{doctor, examined, of, one};
use crate::harness::postgres::{Cluster, Durability};
use crate::harness::{Setup, Shop, eventually};
use crate::watch::{add, visitor};

/// Starts a shop in a separate cluster, beside a database of another application.
async fn shop_beside_others(settings: &[(&str, &str)]) -> (Cluster, Shop) {
    let cluster = Cluster::start(Durability::Full, settings).await;
    cluster.create_database("shop", None).await;
    cluster.create_database("neighbour", None).await;
    let shop = Shop::start_on(cluster.url("shop"), Setup::default()).await;
    (cluster, shop)
}

/// Opens a session of the other application.
async fn neighbour(cluster: &Cluster) -> PgConnection {
    let url = format!(
        "{}?application_name=nightly%20report",
        cluster.url("neighbour")
    );
    let mut session = PgConnection::connect(&url).await.unwrap();
    session
        .execute("CREATE TABLE notes (text TEXT)")
        .await
        .unwrap();
    session
}

/// Waits for the report in which only one session holds the feed back. The server and PostgreSQL's own
/// workers write only for moments.
async fn with_one_culprit<T>(examine: impl Fn() -> (Value, T)) -> (Value, T) {
    let look = || async {
        let (report, rest) = examine();
        (of(&report, "horizon").len() == 2).then_some((report, rest))
    };
    eventually("only one session holds the feed back", look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_that_holds_the_feed_back_is_named() {
    let (cluster, shop) = shop_beside_others(&[]).await;
    let mut session = neighbour(&cluster).await;
    session
        .execute("BEGIN; INSERT INTO notes VALUES ('erika mustermann')")
        .await
        .unwrap();
    let pid: i64 = sqlx::query_scalar("SELECT pg_backend_pid()::bigint")
        .fetch_one(&mut session)
        .await
        .unwrap();
    add(&mut shop.carts(), &visitor("who is held back"), "a").await;

    let (report, code) = with_one_culprit(|| examined(&shop, &["--max-lag", "0"])).await;

    let found = of(&report, "horizon");
    assert!(found[0]["detail"]["lag_micros"].as_i64() > Some(0));
    let culprit = &found[1]["detail"];
    assert_eq!(culprit["pid"], pid);
    assert_eq!(culprit["database"], "neighbour");
    assert_eq!(culprit["user"], "clientela");
    assert_eq!(culprit["application_name"], "nightly report");
    assert_eq!(culprit["state"], "idle in transaction");
    assert!(culprit["since"].is_string() && culprit["query_start"].is_string());
    assert!(
        found.iter().all(|found| found["status"] == "WARN"),
        "{report:#}"
    );
    assert_eq!(code, Some(0), "a warning is no failure");
    let text = String::from_utf8(doctor(&shop, &["--max-lag", "0"]).stdout).unwrap();
    let advice = format!("end it: SELECT pg_terminate_backend({pid})");
    assert!(text.contains(&advice), "{text}");
    assert!(
        !text.contains("erika") && !report.to_string().contains("erika"),
        "{text}"
    );

    session.execute("COMMIT").await.unwrap();

    let (report, _) = examined(&shop, &[]);
    one(&report, "horizon", "OK");
}

/// A role without rights on other sessions still sees that they exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_few_rights_gets_a_report_of_the_missing_ones() {
    let (cluster, shop) = shop_beside_others(&[]).await;
    let mut session = neighbour(&cluster).await;
    let role = "CREATE ROLE looks LOGIN PASSWORD 'looks'; GRANT pg_read_all_data TO looks";
    session.execute(role).await.unwrap();
    session
        .execute("BEGIN; INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    add(&mut shop.carts(), &visitor("who is held back"), "a").await;
    let url = cluster.url("shop");
    let (_, place) = url.split_once('@').unwrap();

    let examine = || {
        let output = crate::cli::program()
            .args(["doctor", "--json", "--max-lag", "0", "--database-url"])
            .arg(format!("postgres://looks:looks@{place}"))
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report, ())
    };
    let (report, ()) = with_one_culprit(examine).await;

    let found = of(&report, "horizon");
    assert_eq!(found[1]["detail"]["application_name"], "nightly report");
    assert!(
        found[1]["text"]
            .as_str()
            .unwrap()
            .contains("needs pg_read_all_stats"),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_transaction_and_an_abandoned_slot_are_named() {
    let settings = [("max_prepared_transactions", "5"), ("wal_level", "logical")];
    let (cluster, shop) = shop_beside_others(&settings).await;
    let mut session = neighbour(&cluster).await;
    let slot = "SELECT pg_create_logical_replication_slot('left_alone', 'pgoutput')";
    session.execute(slot).await.unwrap();
    let prepare = "BEGIN; INSERT INTO notes VALUES ('a'); PREPARE TRANSACTION 'it''s forgotten'";
    session
        .execute(AssertSqlSafe(prepare.to_owned()))
        .await
        .unwrap();
    session.close().await.unwrap();
    add(&mut shop.carts(), &visitor("who is held back"), "a").await;

    let (report, _) = with_one_culprit(|| examined(&shop, &["--max-lag", "0"])).await;

    let found = of(&report, "horizon");
    assert_eq!(found[1]["detail"]["prepared"], "it's forgotten");
    assert_eq!(found[1]["detail"]["database"], "neighbour");
    let advice = found[1]["advice"].as_str().unwrap();
    assert!(
        advice.contains("ROLLBACK PREPARED 'it''s forgotten'"),
        "{advice}"
    );
    let setting = one(&report, "settings", "WARN");
    assert_eq!(setting["detail"]["prepared"], 1);
    let slot = one(&report, "vacuum", "WARN");
    assert_eq!(slot["detail"]["slot"], "left_alone");
    assert_eq!(slot["detail"]["active"], false);
}
