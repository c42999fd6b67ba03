//! Throw-away PostgreSQL for tests and benches: one cluster per process, a database per test.
//!
//! The server runs from the installed binaries and is looked after by a shell (`postgres.sh`) that
//! stops it and removes its files as soon as the pipe to this process closes, whatever ended this
//! process. It listens on 127.0.0.1 only, behind a random password.

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

/// The looks-after program, handed to a shell as text (see its head for the protocol).
const SUPERVISOR: &str = include_str!("postgres.sh");

/// The cluster that all tests of this process share.
static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// The templates of [`database_from`] in the shared cluster; a cell is set once its template stands.
static TEMPLATES: LazyLock<Mutex<Templates>> = LazyLock::new(Mutex::default);

/// Numbers the databases of this process.
static DATABASES: AtomicU32 = AtomicU32::new(0);

type Templates = HashMap<&'static str, Arc<OnceCell<()>>>;

/// How carefully a cluster writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production: a commit is on the disk when it is answered.
    Full,
    /// Nothing is flushed. Faster, and all the same to a test that never cuts the power.
    None,
}

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, a checkpoint is written.
    Fast,
    /// As in a crash: no checkpoint, the next start recovers from the log.
    Immediate,
    /// As `kill -9` of all its processes: nobody says good-bye.
    Kill,
}

/// A PostgreSQL cluster of one's own, gone when dropped.
pub struct Cluster {
    supervisor: Arc<Mutex<Supervisor>>,
    port: u16,
    password: String,
}

/// The shell that looks after one cluster. Its input closing is the order to clean up.
struct Supervisor {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts a cluster with settings of PostgreSQL's own (`[("max_connections", "20")]`) beside
    /// those that `durability` stands for.
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

    /// The URL of one of its databases; `postgres` is always there.
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

    /// Makes a standby that follows the running server; gives its port.
    pub async fn standby(&self) -> u16 {
        let answer = self.obeyed("standby").await;
        let port = answer.strip_prefix("ready ").map(str::parse);
        port.and_then(Result::ok)
            .unwrap_or_else(|| panic!("no standby: {answer:?} (the reason is on standard error)"))
    }

    /// Makes the standby a server that takes writes.
    pub async fn promote_standby(&self) {
        self.order("promote").await;
    }

    /// The password of its user.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Stops and starts the server.
    pub async fn restart(&self, how: Stop) {
        self.stop(how).await;
        self.start_again().await;
    }

    /// Creates a database, empty or a copy of `template`, which nobody may be connected to.
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
            // Out of reach of Ctrl-C, which would end the server before the tests have ended.
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
        // Nothing to be done if it was ended by another hand.
        let _ = self.process.wait();
    }
}

/// A database of one test, dropped with this value.
pub struct TestDatabase {
    /// Where to connect.
    pub url: String,
    name: String,
    maintenance_url: String,
}

impl TestDatabase {
    /// A copy of this database, which nobody may be connected to.
    pub async fn copy(&self) -> Self {
        create(Some(&self.name)).await
    }

    /// Puts a copy of another database in the place of this one; nobody may be connected to either.
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
        // The test's own runtime may be on its way out, and the test need not wait. A database
        // that stays behind goes with the cluster, so a failure here harms nobody.
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

/// The cluster shared by all tests of this process, started by the first of them. It never flushes.
pub async fn shared() -> &'static Cluster {
    SHARED
        .get_or_init(|| Cluster::start(Durability::None, &[]))
        .await
}

/// A fresh, empty database in the shared cluster.
pub async fn database() -> TestDatabase {
    create(None).await
}

/// A fresh database in the shared cluster, copied from the template of that name, which the first
/// caller's `fill` makes: later ones wait for it and their own is not called.
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
            .expect("nobody panics while holding the table");
        Arc::clone(templates.entry(template).or_default())
    };
    cell.get_or_init(|| async {
        let cluster = shared().await;
        // A first caller that panicked half-way leaves one behind.
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

/// Runs one statement, made of names that this file chose, on a connection of its own.
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
