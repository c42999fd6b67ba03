//! Tests the program as users run it: the built binary, its output, its files and its exit codes.

mod assigning;
mod editing;
mod flags;
mod help;
mod hold;
mod merging;
mod replicas;
mod watching;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::{Engine, PATIENCE, postgres};

/// Defines a test that runs on both engines.
macro_rules! on_both_engines {
    ($( async fn $name:ident($server:ident: Server) $body:block )*) => { $(
        mod $name {
            use super::*;

            async fn test($server: Server) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                test(Server::start(Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                test(Server::start(Engine::Postgres).await).await;
            }
        }
    )* };
}
use on_both_engines;

/// A separate process of `clientela serve`.
pub struct Server {
    process: Child,
    /// The output before it began to serve.
    pub greeting: String,
    pub address: SocketAddr,
    folder: TempDir,
    database_url: Option<String>,
    /// The cluster, owned by the first server on it.
    database: Option<postgres::TestDatabase>,
}

impl Server {
    /// Starts a server on a fresh store.
    pub async fn start(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres::database().await),
        };
        let url = database.as_ref().map(|database| database.url.clone());
        let mut server = Self::launch(folder, url);
        server.database = database;
        server
    }

    /// Starts a server on a fresh embedded store that listens on an address that is not loopback.
    pub async fn start_on(listen: &str) -> Self {
        Self::launch_on(
            listen,
            tempfile::tempdir().expect("a temporary folder"),
            None,
        )
    }

    /// Starts another server, with a separate folder, on the PostgreSQL of this one.
    pub fn beside(&self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(
            self.database_url.is_some(),
            "an embedded store belongs to one process"
        );
        Self::launch(folder, self.database_url.clone())
    }

    fn launch(folder: TempDir, database_url: Option<String>) -> Self {
        Self::launch_on("127.0.0.1:0", folder, database_url)
    }

    fn launch_on(listen: &str, folder: TempDir, database_url: Option<String>) -> Self {
        let data_dir = folder.path().join("data");
        let (process, greeting) = serve(&data_dir, listen, database_url.as_deref());
        let address = greeting
            .split_whitespace()
            .find_map(|word| word.trim_end_matches(';').parse().ok())
            .expect("the greeting says where the server listens");
        Self {
            process,
            greeting,
            address,
            folder,
            database_url,
            database: None,
        }
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server runs");
        self.process.wait().expect("a killed process ends");
    }

    /// Stops the server as a service manager does.
    pub fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the server runs");
        assert!(self.process.wait().expect("the server ends").success());
    }

    /// Starts the server again on its store and its address, after it was stopped or killed.
    pub fn start_again(&mut self) {
        let address = self.address.to_string();
        let url = self.database_url.as_deref();
        (self.process, self.greeting) = serve(&self.data_dir(), &address, url);
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Returns a command that finds this server as one on the same machine would.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .env("CLIENTELA_SERVER", self.address.to_string())
            .env("CLIENTELA_DATA_DIR", self.data_dir());
        if let Some(url) = &self.database_url {
            command.env("CLIENTELA_DATABASE_URL", url);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Returns the output of a command that must succeed.
    #[track_caller]
    pub fn printed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("the program prints UTF-8")
    }

    /// Returns the error output of a command that must fail with this code.
    #[track_caller]
    pub fn complaint(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {complaint}"
        );
        complaint
    }

    /// Returns a key from the file of the first start.
    pub fn key(&self, role: &str) -> String {
        let keys = std::fs::read_to_string(self.data_dir().join("keys")).expect("the key file");
        let key = keys
            .lines()
            .find_map(|line| line.strip_prefix(role)?.strip_prefix('='));
        key.expect("the key file has a line for each role")
            .to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a command of the program without the settings of the user who runs the tests.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clientela"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CLIENTELA_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Starts a server and reads its greeting, which it prints when it listens.
fn serve(data_dir: &Path, listen: &str, database_url: Option<&str>) -> (Child, String) {
    let mut command = program();
    command
        .args(["serve", "--listen", listen, "--log", "warn", "--data-dir"])
        .arg(data_dir)
        .stdout(Stdio::piped());
    if let Some(url) = database_url {
        command.env("CLIENTELA_DATABASE_URL", url);
    }
    if !listen.starts_with("127.") {
        command.arg("--allow-plaintext");
    }
    let mut process = command.spawn().expect("the program runs");
    let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut greeting = String::new();
    while !greeting.contains("grpcurl") {
        let read = output
            .read_line(&mut greeting)
            .expect("the server prints UTF-8");
        assert!(read > 0, "the server did not start: {greeting}");
    }
    (process, greeting)
}

on_both_engines! {
    async fn the_first_start_shows_keys_that_only_the_owner_can_read_later(server: Server) {
        let mut server = server;
        let (operator, admin) = (server.key("operator"), server.key("admin"));
        assert!(server.greeting.contains(&format!("operator  {operator}\n")));
        assert!(server.greeting.contains(&format!("admin     {admin}\n")));
        assert_private(&server.data_dir());

        server.stop();
        server.start_again();

        assert!(!server.greeting.contains("clt_"), "{}", server.greeting);
        assert_eq!(server.key("admin"), admin);
    }

    async fn keys_are_created_listed_and_revoked(server: Server) {
        let create = ["key", "create", "--role", "monitor", "--name", "wall screen"];
        let secret = server.printed(&create);
        let listed = server.printed(&["key", "list"]);
        let line = listed.lines().find(|line| line.contains("wall screen")).expect("the new key");
        let id = line.split_whitespace().next().expect("the table begins with the id");
        let with_key = |arguments: &[&str]| {
            let mut command = server.command(arguments);
            command.env("CLIENTELA_API_KEY", secret.trim()).output().expect("the program runs")
        };
        assert!(with_key(&["group", "list"]).status.success());

        server.printed(&["key", "revoke", id]);

        let until = std::time::Instant::now() + PATIENCE;
        let refused = loop {
            let output = with_key(&["group", "list"]);
            if !output.status.success() || std::time::Instant::now() > until {
                break output;
            }
        };
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("KEY_MISSING"), "{complaint}");
        assert!(!server.printed(&["key", "list"]).contains("wall screen"));
        assert!(server.printed(&["key", "list", "--all"]).contains("wall screen"));
    }

    async fn shops_are_created_and_their_settings_changed(server: Server) {
        server.printed(&["shop", "settings", "time_zone=Europe/Paris", "language_codes=fr,en"]);
        server.printed(&["shop", "create", "trade", "--name", "Trade counter"]);

        assert!(server.printed(&["shop", "list"]).contains("Trade counter"));
        let settings = ["shop", "settings", "--shop", "default"];
        let settings = server.printed(&settings);
        assert!(settings.contains("Europe/Paris") && settings.contains("fr,en"), "{settings}");
        let json = server.printed(&["shop", "show", "trade", "--json"]);
        let shop: serde_json::Value = serde_json::from_str(&json).expect("one line of JSON");
        assert_eq!(shop["displayName"], "Trade counter");
        let complaint = server.complaint(1, &["shop", "create", "trade"]);
        assert!(complaint.contains("NAME_TAKEN"), "{complaint}");
    }
}

#[tokio::test]
async fn a_stopped_store_opens_without_a_key() {
    let mut server = Server::start(Engine::Sqlite).await;
    let offline = ["key", "create", "--offline", "--role", "operator"];
    let busy = server.complaint(1, &offline);
    assert!(
        busy.contains("another clientela process is using"),
        "{busy}"
    );

    server.stop();
    let secret = server.printed(&offline);
    let wrong = ["shop", "settings", "--offline", "time_zone=Nowhere/None"];
    let complaint = server.complaint(1, &wrong);
    server.start_again();

    assert!(complaint.contains("settings.time_zone"), "{complaint}");
    let listed = server.printed(&["shop", "list", "--api-key", secret.trim()]);
    assert!(listed.contains("default"), "{listed}");
}

#[tokio::test]
async fn a_shop_created_in_a_stopped_store_begins_like_any_other() {
    let mut server = Server::start(Engine::Sqlite).await;
    server.stop();

    server.printed(&["shop", "create", "trade", "--offline"]);
    server.start_again();

    let groups = server.printed(&["group", "list", "--shop", "trade"]);
    for group in ["visitor", "guest", "customer"] {
        assert!(groups.contains(group), "{groups}");
    }
}

#[test]
fn a_mistyped_path_creates_no_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("absent");
    let output = program()
        .args(["key", "list", "--offline", "--data-dir"])
        .arg(&path)
        .output();

    assert_eq!(output.expect("the program runs").status.code(), Some(1));
    assert!(!path.exists());
}

#[tokio::test]
async fn health_has_output_and_exit_codes_for_scripts() {
    let mut server = Server::start(Engine::Sqlite).await;
    assert_eq!(server.printed(&["health"]), "serving\n");
    server.printed(&["health", "--service", "clientela.v1.AdminService"]);

    server.stop();

    let complaint = server.complaint(3, &["health"]);
    assert!(complaint.contains("cannot reach the server"), "{complaint}");
}

#[test]
fn an_address_open_to_others_is_not_served_unencrypted_by_mistake() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--data-dir"];
    let output = program()
        .args(arguments)
        .arg(folder.path())
        .output()
        .expect("the program runs");

    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-plaintext"));
}

/// The command must not contact the server, as it would send the key.
#[test]
fn a_key_is_not_sent_in_plain_text_to_another_machine_by_mistake() {
    let commands: [&[&str]; 8] = [
        &["customer", "list"],
        &["group", "list"],
        &["cart", "list"],
        &["watch", "carts"],
        &["watch", "figures"],
        &["key", "list"],
        &["shop", "list"],
        &["demo"],
    ];
    for command in commands {
        // These are addresses for documentation, which lead to no machine.
        for server in [
            "192.0.2.1:1",
            "http://[2001:db8::1]:1",
            "shop.example.test:1",
        ] {
            let output = program()
                .args(command)
                .args(["--server", server, "--api-key", "clt_secret"])
                .output()
                .expect("the program runs");

            let complaint = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command:?}: {complaint}");
            assert!(
                complaint.contains("is not a loopback address"),
                "{complaint}"
            );
            assert!(complaint.contains("--allow-plaintext"), "{complaint}");
        }
    }
}

#[tokio::test]
async fn a_key_is_sent_in_plain_text_on_request() {
    // The address is not loopback, but leads to this machine.
    let server = Server::start_on("0.0.0.0:0").await;
    let address = format!("0.0.0.0:{}", server.address.port());
    let list = ["group", "list", "--server", &address, "--api-key"];
    let key = server.key("admin");

    let refused = server.complaint(2, &[&list[..], &[&key]].concat());
    let allowed = server.printed(&[&list[..], &[&key, "--allow-plaintext"]].concat());

    assert!(refused.contains("--allow-plaintext"), "{refused}");
    assert!(allowed.contains("visitor"), "{allowed}");
}

/// Asserts that only the owner can read the folder and its files.
fn assert_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in folder.read_dir().expect("a folder") {
        let path = file.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
