//! A NATS server for one figure: the installed program, on loopback, stopped when the figure ends.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the program and ends it by its process id when the input closes, however this process ended.
const SUPERVISOR: &str = r#"
"$@" >/dev/null 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -9 "$server"
wait "$server" 2>/dev/null
"#;

/// The path that Debian uses, which is not in the `PATH` of ordinary users.
const INSTALLED: &str = "/usr/sbin/nats-server";

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// A running server.
pub struct Nats {
    supervisor: Child,
    alive: Option<ChildStdin>,
    port: u16,
}

impl Nats {
    /// Starts a server and waits for its greeting.
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let program = if std::path::Path::new(INSTALLED).exists() {
            INSTALLED
        } else {
            "nats-server"
        };
        // Runs in its own process group, so that Ctrl-C does not end it before the figure.
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh", program])
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let alive = supervisor.stdin.take();
        let server = Self {
            supervisor,
            alive,
            port,
        };
        let since = Instant::now();
        while !greets(port) {
            assert!(
                since.elapsed() < PATIENCE,
                "no NATS server; scripts/install-tools installs it"
            );
            std::thread::sleep(PAUSE);
        }
        server
    }

    /// Returns the URL that replicas are given.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.alive = None;
        // The shell ends with the server.
        let _ = self.supervisor.wait();
    }
}

/// Returns whether the server on this port greets as a NATS server does.
fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut line = String::new();
    let heard = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| BufReader::new(stream).read_line(&mut line));
    heard.is_ok() && line.starts_with("INFO ")
}
