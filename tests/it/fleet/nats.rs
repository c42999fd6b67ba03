//! NATS servers for one test: the installed program, on loopback, stopped when the test ends.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use clientela::store::{Hints, NatsUrls};
use futures::StreamExt as _;
use tempfile::TempDir;

use crate::harness::PATIENCE;

/// Runs the program and ends it by its process id when the input closes, however this process ended.
const SUPERVISOR: &str = r#"
"$@" >/dev/null 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -9 "$server"
wait "$server" 2>/dev/null
"#;

/// One server whose default user has all permissions, and whose user `deaf` may not subscribe.
const CONFIG: &str = r#"
authorization {
    users = [
        { user: "hears", password: "a", permissions: { publish: ">", subscribe: ">" } }
        { user: "deaf", password: "a", permissions: { publish: ">", subscribe: { deny: ">" } } }
    ]
}
"#;

/// A cluster of NATS servers.
pub struct Nats {
    nodes: Vec<Node>,
    folder: TempDir,
}

struct Node {
    port: u16,
    routed: u16,
    running: Option<Running>,
}

struct Running {
    supervisor: Child,
    alive: Option<ChildStdin>,
}

impl Nats {
    /// Starts a cluster of `count` servers.
    pub fn start(count: usize) -> Self {
        // Another process may take a free port before the server binds it. Then all servers start again on
        // other ports.
        (0..8)
            .find_map(|_| Self::try_start(count))
            .expect("the NATS servers start; scripts/install-tools installs them")
    }

    fn try_start(count: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("nats.conf"), CONFIG).expect("a file");
        let held: Vec<TcpListener> = (0..count * 2).map(|_| hold_port()).collect();
        let ports: Vec<u16> = held
            .iter()
            .map(|held| held.local_addr().expect("it is bound").port())
            .collect();
        drop(held);
        let nodes = ports.chunks(2).map(|ports| Node {
            port: ports[0],
            routed: ports[1],
            running: None,
        });
        let mut nats = Self {
            nodes: nodes.collect(),
            folder,
        };
        (0..count)
            .all(|node| nats.try_start_node(node))
            .then_some(nats)
    }

    fn try_start_node(&mut self, node: usize) -> bool {
        let name = format!("test-{}-{node}", self.nodes[node].port);
        let routes = self.nodes.iter().enumerate().filter(|(at, _)| *at != node);
        let routes: Vec<String> = routes
            .map(|(_, other)| format!("nats://127.0.0.1:{}", other.routed))
            .collect();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(program());
        command.args(["--addr", "127.0.0.1", "--name", &name, "--config"]);
        command.arg(self.folder.path().join("nats.conf"));
        command.args(["--port", &self.nodes[node].port.to_string()]);
        if !routes.is_empty() {
            let own = format!("nats://127.0.0.1:{}", self.nodes[node].routed);
            command.args(["--cluster", &own, "--cluster_name", "test"]);
            command.args(["--routes", &routes.join(",")]);
        }
        // Runs in its own process group, so that Ctrl-C does not end it before the test.
        let mut supervisor = command
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let alive = supervisor.stdin.take();
        let port = self.nodes[node].port;
        self.nodes[node].running = Some(Running { supervisor, alive });
        greets(port, &name)
    }

    /// Waits until a message published at one of these servers arrives at each other one.
    pub async fn formed(&self, nodes: &[usize]) {
        let mut clients = Vec::new();
        for node in nodes {
            let client = self.client(*node).await;
            let heard = client
                .subscribe("test.formed")
                .await
                .expect("it subscribes");
            clients.push((client, heard, HashSet::new()));
        }
        let until = Instant::now() + PATIENCE;
        while clients.iter().any(|(_, _, from)| from.len() < nodes.len()) {
            assert!(Instant::now() < until, "the servers connect to each other");
            for (at, (client, _, _)) in clients.iter().enumerate() {
                let hint = at.to_string().into();
                client
                    .publish("test.formed", hint)
                    .await
                    .expect("it is sent");
            }
            for (_, heard, from) in &mut clients {
                let next = tokio::time::timeout(Duration::from_millis(20), heard.next());
                if let Ok(Some(message)) = next.await {
                    from.insert(message.payload);
                }
            }
        }
    }

    /// Opens a client like that of another program.
    pub async fn client(&self, node: usize) -> async_nats::Client {
        let address = format!("127.0.0.1:{}", self.nodes[node].port);
        ConnectOptions::with_user_and_password("hears".into(), "a".into())
            .connect(address)
            .await
            .expect("it runs")
    }

    /// Returns the URL of a server.
    pub fn url(&self, node: usize) -> String {
        self.url_as("hears", node)
    }

    /// Returns the URL of a server for one of its users.
    pub fn url_as(&self, user: &str, node: usize) -> String {
        format!("nats://{user}:a@127.0.0.1:{}", self.nodes[node].port)
    }

    /// Returns the setting of hints through these servers.
    pub fn hints(&self, nodes: &[usize]) -> Hints {
        let urls: Vec<String> = nodes.iter().map(|node| self.url(*node)).collect();
        Hints::Nats(NatsUrls::read(&urls).expect("they are URLs"))
    }

    /// Kills a server as `kill -9` does.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].running = None;
    }

    /// Starts a server again.
    pub fn start_again(&mut self, node: usize) {
        assert!(self.try_start_node(node), "the server starts again");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.alive = None;
        let _ = self.supervisor.wait();
    }
}

/// Binds a free port outside the range of ports for outgoing connections.
fn hold_port() -> TcpListener {
    let free = || TcpListener::bind(("127.0.0.1", rand::random_range(20_000..32_000))).ok();
    std::iter::repeat_with(free)
        .take(1_000)
        .flatten()
        .next()
        .expect("a port is free")
}

/// Returns the path of the program. Debian installs it outside the `PATH` of ordinary users.
fn program() -> &'static Path {
    let installed = Path::new("/usr/sbin/nats-server");
    if installed.exists() {
        return installed;
    }
    Path::new("nats-server")
}

/// Waits until the server of that name sends its greeting on its port.
fn greets(port: u16, name: &str) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut greeting = String::new();
            let read = BufReader::new(stream).read_line(&mut greeting);
            return read.is_ok() && greeting.contains(name);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
