//! The built program as a separate process, with its environment and its log.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use clientela::proto::pb::cart_service_client::CartServiceClient;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::cli::program;
use crate::harness::{Keyed, PATIENCE, Shop, Transport};

/// The arguments and the environment of a server.
#[derive(Default)]
pub struct Serve {
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Serve {
    /// Adds arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// Adds a variable to the environment.
    pub fn and(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    fn command(&self, data_dir: &Path) -> Command {
        let mut command = program();
        command.args(["serve", "--data-dir"]).arg(data_dir);
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped());
        command
    }

    /// Runs a server that does not start, until it exits.
    pub fn refused(&self, data_dir: &Path) -> Output {
        self.command(data_dir).output().expect("the program runs")
    }
}

/// A running server.
pub struct Server {
    serve: Serve,
    process: Child,
    address: SocketAddr,
    data_dir: PathBuf,
    /// The folder of its log.
    folder: TempDir,
}

impl Server {
    /// Starts a server on a fresh data folder.
    pub fn start(serve: Serve) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data_dir = folder.path().join("data");
        Self::launch(serve, data_dir, folder)
    }

    /// Starts a server on this data folder, which is not removed with it.
    pub fn start_in(serve: Serve, data_dir: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::launch(serve, data_dir, folder)
    }

    fn launch(serve: Serve, data_dir: PathBuf, folder: TempDir) -> Self {
        let (process, address) = launch(&serve, &data_dir, folder.path());
        Self {
            serve,
            process,
            address,
            data_dir,
            folder,
        }
    }

    /// Starts the server again on its data, after its process has ended.
    pub fn start_again(&mut self) {
        (self.process, self.address) = launch(&self.serve, &self.data_dir, self.folder.path());
    }

    /// Kills the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server runs");
        self.process.wait().expect("a killed process ends");
    }

    /// Asks the process to stop, as a service manager does.
    pub fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("the server runs");
    }

    /// Waits until the process exits by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        crate::harness::eventually("the end of the process", || {
            std::future::ready(self.process.try_wait().expect("it is a child"))
        })
        .await
    }

    /// Returns the id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Returns all that the process has logged, over its restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.folder.path())).expect("the log is UTF-8")
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

    /// Returns the metadata of the admin key.
    pub fn keyed(&self) -> Keyed {
        Shop::with_key(&self.key("admin"))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a new connection.
    pub async fn connect(&self) -> Channel {
        let server = Channel::from_shared(format!("http://{}", self.address));
        let server = server.expect("an address makes a URL");
        tokio::time::timeout(PATIENCE, server.connect())
            .await
            .expect("the server takes connections")
            .expect("the server is there")
    }

    pub async fn carts(&self) -> CartServiceClient<Transport> {
        CartServiceClient::with_interceptor(self.connect().await, self.keyed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Starts a process and reads its greeting, which it prints when it listens.
fn launch(serve: &Serve, data_dir: &Path, folder: &Path) -> (Child, SocketAddr) {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(folder))
        .expect("the folder takes a file");
    let mut command = serve.command(data_dir);
    let mut process = command.stderr(log).spawn().expect("the program runs");
    let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut greeting = String::new();
    while !greeting.contains("grpcurl") {
        let read = output
            .read_line(&mut greeting)
            .expect("the server prints UTF-8");
        let log = || std::fs::read_to_string(log_file(folder)).unwrap_or_default();
        assert!(read > 0, "the server did not start: {greeting}{}", log());
    }
    let address = greeting
        .split_whitespace()
        .find_map(|word| word.trim_end_matches(';').parse().ok())
        .expect("the greeting says where the server listens");
    (process, address)
}
