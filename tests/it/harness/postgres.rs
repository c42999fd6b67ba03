//! Temporary PostgreSQL for tests and benches: one cluster for each process, a database for each test.
//!
//! The server runs from the installed binaries. A shell (`postgres.sh`) supervises it, stops it and removes
//! its files when the pipe to this process closes, however this process ended. The server listens only on
//! 127.0.0.1, with a random password.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

/// The supervisor, passed to a shell as text (see its head for the protocol).
const SUPERVISOR: &str = include_str!("postgres.sh");

/// The cluster that all tests of this process share.
static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// The templates of [`database_from`] in the shared cluster. A cell is set when its template is complete.
static TEMPLATES: LazyLock<Mutex<Templates>> = LazyLock::new(Mutex::default);

/// Numbers the databases of this process.
static DATABASES: AtomicU32 = AtomicU32::new(0);

type Templates = HashMap<&'static str, Arc<OnceCell<()>>>;

/// How a cluster writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production: a commit is on the disk when it is answered.
    Full,
    /// Nothing is flushed. This is faster, and makes no difference to a test without a power cut.
    None,
}

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ends the sessions and writes a checkpoint.
    Fast,
    /// Stops as in a crash: without a checkpoint, so the next start recovers from the log.
    Immediate,
    /// Kills all processes as `kill -9` does: no session is closed properly.
    Kill,
}

/// A separate PostgreSQL cluster, removed when dropped.
pub struct Cluster {
    supervisor: Arc<Mutex<Supervisor>>,
    port: u16,
    password: String,
}

/// The shell that supervises one cluster. It cleans up when its input closes.
struct Supervisor {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts a cluster with PostgreSQL settings (`[("max_connections", "20")]`) in addition to those of
    /// `durability`.
    pub async fn start(durability: Durability, settings: &[(&str, &str)]) -> Self {
        let mut lines: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if durability == Durability::None {
            lines.push("fsync=off".to_owned());
            lines.push("full_page_writes=off".to_owned());
        }

        let (supervisor, answer) = blocking(move || Supervisor::spawn(&lines)).await;
        let mut words = answer.split(' ');
        let (Some("ready"), Some(port), Some(password)) =
            (words.next(), words.next(), words.next())
        else {
            panic!("no throw-away PostgreSQL: {answer:?} (the reason is on standard error)");
        };
        Self {
            port: port.parse().expect("the supervisor names a port"),
            password: password.to_owned(),
            supervisor: Arc::new(Mutex::new(supervisor)),
        }
    }

    /// Returns the URL of one of its databases; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://clientela:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// Stops the server; its data stays for [`Cluster::start_again`].
    pub async fn stop(&self, how: Stop) {
        self.order(match how {
            Stop::Fast => "stop fast",
            Stop::Immediate => "stop immediate",
            Stop::Kill => "kill",
        })
        .await;
    }

    /// Starts the stopped server on the same port.
    pub async fn start_again(&self) {
        self.order("start").await;
    }

    /// Starts a standby that follows the running server, and returns its port.
    pub async fn standby(&self) -> u16 {
        let answer = self.obeyed("standby").await;
        let port = answer.strip_prefix("ready ").map(str::parse);
        port.and_then(Result::ok)
            .unwrap_or_else(|| panic!("no standby: {answer:?} (the reason is on standard error)"))
    }

    /// Promotes the standby to a server that takes writes.
    pub async fn promote_standby(&self) {
        self.order("promote").await;
    }

    /// Returns the password of its user.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Stops and starts the server.
    pub async fn restart(&self, how: Stop) {
        self.stop(how).await;
        self.start_again().await;
    }

    /// Creates a database, empty or as a copy of `template`, which must have no open connections.
    pub async fn create_database(&self, name: &str, template: Option<&str>) {
        let template = template.unwrap_or("template0");
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await;
    }

    async fn run(&self, statement: String) {
        run(&self.url("postgres"), statement)
            .await
            .expect("the cluster carries the statement out");
    }

    async fn order(&self, order: &'static str) {
        let answer = self.obeyed(order).await;
        assert_eq!(answer, "done", "PostgreSQL did not {order}");
    }

    async fn obeyed(&self, order: &'static str) -> String {
        let supervisor = Arc::clone(&self.supervisor);
        blocking(move || {
            supervisor
                .lock()
                .expect("no order panics while it holds the supervisor")
                .obey(order)
        })
        .await
    }
}

impl Supervisor {
    fn spawn(settings: &[String]) -> (Self, String) {
        let mut process = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh", SUPERVISOR])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Runs in its own process group, so that Ctrl-C does not end the server before the tests.
            .process_group(0)
            .spawn()
            .expect("there is a shell");
        let orders = process.stdin.take();
        let answers = process
            .stdout
            .take()
            .expect("the output was asked for as a pipe");
        let mut supervisor = Self {
            process,
            orders,
            answers: BufReader::new(answers),
        };
        let answer = supervisor.answer();
        (supervisor, answer)
    }

    fn obey(&mut self, order: &str) -> String {
        let orders = self
            .orders
            .as_mut()
            .expect("the pipe is closed only by the drop");
        writeln!(orders, "{order}").expect("the supervisor reads its orders");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the supervisor answers in text");
        line.trim_end().to_owned()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.orders = None;
        // An error is ignored: the shell may have been ended otherwise.
        let _ = self.process.wait();
    }
}

/// A database of one test, dropped with this value.
pub struct TestDatabase {
    /// The URL to connect to.
    pub url: String,
    name: String,
    maintenance_url: String,
}

impl TestDatabase {
    /// Copies this database, which must have no open connections.
    pub async fn copy(&self) -> Self {
        create(Some(&self.name)).await
    }

    /// Replaces this database by a copy of another one. Neither may have open connections.
    pub async fn replace_by(&self, other: &Self) {
        let cluster = shared().await;
        let name = &self.name;
        cluster
            .run(format!("DROP DATABASE {name} WITH (FORCE)"))
            .await;
        cluster.create_database(name, Some(&other.name)).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = self.maintenance_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's runtime may be shutting down, and the test need not wait. A database that stays is
        // removed with the cluster, so a failure here does no harm.
        std::thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            {
                let _ = runtime.block_on(run(&url, statement));
            }
        });
    }
}

/// Returns the cluster shared by all tests of this process. The first of them starts it. It never flushes.
pub async fn shared() -> &'static Cluster {
    SHARED
        .get_or_init(|| Cluster::start(Durability::None, &[]))
        .await
}

/// Creates an empty database in the shared cluster.
pub async fn database() -> TestDatabase {
    create(None).await
}

/// Creates a database in the shared cluster from the template of that name. The first caller's `fill` makes
/// the template; later callers wait for it, and their `fill` is not called.
///
/// `fill` gets the URL of the empty template and must have closed its connections when it is done.
pub async fn database_from<F, M>(template: &'static str, fill: M) -> TestDatabase
where
    M: FnOnce(String) -> F,
    F: Future<Output = ()>,
{
    let name = format!("template_{template}");
    let cell = {
        let mut templates = TEMPLATES
            .lock()
            .expect("no thread panics while holding the table");
        Arc::clone(templates.entry(template).or_default())
    };
    cell.get_or_init(|| async {
        let cluster = shared().await;
        // A first caller that panicked may have left an incomplete template.
        cluster
            .run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await;
        cluster.create_database(&name, None).await;
        fill(cluster.url(&name)).await;
    })
    .await;
    create(Some(&name)).await
}

async fn create(template: Option<&str>) -> TestDatabase {
    let cluster = shared().await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    cluster.create_database(&name, template).await;
    TestDatabase {
        url: cluster.url(&name),
        maintenance_url: cluster.url("postgres"),
        name,
    }
}

/// Runs one statement on a new connection. Only this file chooses the names in it.
async fn run(url: &str, statement: String) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await?;
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work does not panic")
}
