//! Tests that the log has a line for every call that changes something or fails, and no personal data or
//! secret at any level.

mod admin;
mod carts;
mod customers;
mod driver;
mod plain;

use clientela::proto::pb::{self, ErrorReason};
use clientela::store::DATABASE_FILE;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::process::{Serve, Server};
use crate::harness::{Engine, postgres};
use driver::{Call, Driver};
use plain::{PERSONAL, address, customer};

/// The format of the log.
#[derive(Clone, Copy)]
enum Format {
    Human,
    Json,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }

    /// Asserts that the line of a call has all its parts.
    #[track_caller]
    fn assert_line(self, log: &str, call: &Call) {
        let Call {
            method, code, id, ..
        } = call;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
        match self {
            Self::Json => {
                let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
                let mut lines = lines.filter(|line: &serde_json::Value| line["message"] == "call");
                let line = lines
                    .next()
                    .unwrap_or_else(|| panic!("no line of {method}"));
                assert_eq!(line["request"], **id);
                assert_eq!(line["method"], **method);
                assert_eq!(line["code"], format!("{code:?}"));
                assert_eq!(line["reason"].as_str().unwrap_or_default(), call.reason);
                assert!(line["duration_micros"].is_number(), "{line}");
                assert!(
                    line["key"].as_str().is_some_and(|key| !key.is_empty()),
                    "{line}"
                );
            }
            Self::Human => {
                let mut lines = lines.iter().filter(|line| line.contains(" call "));
                let line = lines
                    .next()
                    .unwrap_or_else(|| panic!("no line of {method}"));
                let mut words = vec![format!("method=\"{method}\""), format!("code={code:?}")];
                words.push(format!("request={id}"));
                words.extend(["duration_micros=".to_owned(), "key=\"".to_owned()]);
                if *code != Code::Ok {
                    words.push(format!("reason=\"{}\"", call.reason));
                }
                for word in words {
                    assert!(line.contains(&word), "{word} is missing: {line}");
                }
                assert!(!line.contains("key=\"\""), "{line}");
            }
        }
    }
}

/// Makes calls of every kind and some internal errors, and searches the log.
async fn a_whole_day(engine: Engine, format: Format, level: &str) {
    let database = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(postgres::database().await),
    };
    let mut serve = Serve::default().with(&["--log", level, "--log-format", format.word()]);
    if let Some(database) = &database {
        serve = serve.and("CLIENTELA_DATABASE_URL", &*database.url);
    }
    let mut server = Server::start(serve);
    let mut driver = Driver::of(&server).await;

    customers::drive(&mut driver).await;
    carts::drive(&mut driver).await;
    driver.call_every_rpc().await;
    admin::drive(&mut driver).await;
    let url = database.as_ref().map(|database| database.url.as_str());
    internal_errors(&mut driver, &server, url).await;
    server.ask_to_stop();
    assert!(server.ended().await.success());

    let log = server.log();
    assert!(driver.calls.len() > 120, "some calls are missing");
    for call in &driver.calls {
        format.assert_line(&log, call);
    }
    if let Format::Json = format {
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
    let lower = log.to_lowercase();
    let personal = PERSONAL.iter().map(|value| (*value).to_owned());
    for value in personal.chain(driver.secrets).chain(["clt_".to_owned()]) {
        if let Some(place) = lower.find(&value.to_lowercase()) {
            let line = lower[..place].lines().count();
            panic!(
                "{value:?} is in line {line}: {}",
                log.lines().nth(line.max(1) - 1).unwrap()
            );
        }
    }
}

/// Causes internal errors whose text quotes personal data: a row that does not decode, and one that the
/// database refuses.
async fn internal_errors(driver: &mut Driver, server: &Server, url: Option<&str>) {
    let damage = r#"UPDATE customers SET doc = '"zebra.quagga@example.test"' WHERE id = 'damaged'"#;
    create(driver, "damaged").await.unwrap();
    match url {
        None => {
            let file = server.data_dir().join(DATABASE_FILE);
            let mut connection = SqliteConnection::connect(file.to_str().unwrap())
                .await
                .unwrap();
            for statement in [
                damage,
                "CREATE TRIGGER planted BEFORE INSERT ON customers WHEN NEW.id = 'planted'
                 BEGIN SELECT json_extract('{}', '\"zebra'); END",
            ] {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
            connection.close().await.unwrap();
        }
        Some(url) => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            super::run(&mut connection, damage).await;
            // The error of PostgreSQL has the whole refused row.
            super::run(
                &mut connection,
                "ALTER TABLE customers ADD CONSTRAINT planted CHECK (id <> 'planted') NOT VALID",
            )
            .await;
        }
    }

    let names = vec!["customers/damaged".to_owned()];
    let request = pb::BatchGetCustomersRequest { names };
    driver
        .refused("BatchGetCustomers", ErrorReason::Internal, &request)
        .await;
    let written = create(driver, "planted").await.unwrap_err();

    assert_eq!(written.code(), Code::Internal);
    stream_error(driver).await;
    let last = &driver.calls[driver.calls.len() - 3..];
    for call in last {
        assert_eq!(
            call.internal.as_ref(),
            Some(&call.id),
            "the refusal and the log have the same id"
        );
    }
    let log = server.log();
    for call in last {
        let cause = log
            .lines()
            .find(|line| line.contains("internal error") && line.contains(&call.id));
        let cause = cause.unwrap_or_else(|| panic!("the log has no cause of {}", call.id));
        assert!(cause.contains("cause"), "{cause}");
    }
}

/// Causes an internal error on an open stream. It is logged with the id of the call that opened the
/// stream.
async fn stream_error(driver: &mut Driver) {
    let request = pb::WatchCustomersRequest {
        names: vec!["customers/damaged".into()],
        ..Default::default()
    };
    let mut stream = driver.open("WatchCustomers", &request).await;
    let status = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    let info = status
        .get_details_error_info()
        .expect("every refusal has an ErrorInfo");
    let call = driver.calls.last_mut().expect("the stream was opened");
    call.code = status.code();
    call.reason = info.reason;
    call.internal = info.metadata.get("request").cloned();
}

async fn create(driver: &mut Driver, id: &str) -> Result<(), Status> {
    let request = pb::CreateCustomerRequest {
        customer: Some(pb::Customer {
            email: format!("zebra.{id}@example.test"),
            ..customer()
        }),
        customer_id: id.into(),
        addresses: vec![address()],
        ..Default::default()
    };
    driver.call("CreateCustomer", &request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_on_sqlite_have_every_call_and_no_personal_data() {
    a_whole_day(Engine::Sqlite, Format::Json, "debug").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_on_postgres_have_every_call_and_no_personal_data() {
    a_whole_day(Engine::Postgres, Format::Json, "debug").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn human_lines_on_sqlite_have_every_call_and_no_personal_data() {
    a_whole_day(Engine::Sqlite, Format::Human, "debug").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn human_lines_on_postgres_have_every_call_and_no_personal_data() {
    a_whole_day(Engine::Postgres, Format::Human, "debug").await;
}

/// At this level libraries also log frames and statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_level_logs_no_personal_data() {
    a_whole_day(Engine::Postgres, Format::Human, "trace").await;
}
