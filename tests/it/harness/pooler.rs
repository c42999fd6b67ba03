//! PgBouncer in front of a temporary PostgreSQL.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::eventually;
use super::postgres::Cluster;

/// The path that Debian uses, which is not in every `PATH`.
const INSTALLED: &str = "/usr/sbin/pgbouncer";

/// A pooler, stopped when dropped.
pub struct Pooler {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler for the databases of a cluster, in one of its modes (`session`, `transaction`).
    pub async fn before(cluster: &Cluster, mode: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("a bound socket has an address");
        drop(free);
        let users = folder.path().join("users");
        let password = cluster.password();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = {mode}\ndefault_pool_size = 100\nmax_client_conn = 200\n",
            cluster.address().port(),
            address.port(),
            users.display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&users, format!("\"clientela\" \"{password}\"\n")).expect("a file");
        std::fs::write(&file, settings).expect("a file");
        // It does not run as root, and reads its files as its own user.
        for (path, mode) in [(folder.path(), 0o755), (&users, 0o644), (&file, 0o644)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("the files are ours");
        }
        let process = command(&file)
            .spawn()
            .expect("scripts/install-tools installs PgBouncer");
        let pooler = Self {
            process,
            address,
            _folder: folder,
        };
        eventually("the pooler", || async {
            TcpStream::connect(pooler.address).await.ok()
        })
        .await;
        pooler
    }

    /// Returns the URL of a database of the cluster through this pooler.
    pub fn url(&self, cluster: &Cluster, database: &str) -> String {
        let direct = cluster.address().to_string();
        cluster
            .url(database)
            .replace(&direct, &self.address.to_string())
    }
}

fn command(file: &Path) -> Command {
    let program = std::env::var("PGBOUNCER").unwrap_or_else(|_| INSTALLED.to_owned());
    let root = rustix::process::geteuid().is_root();
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg("--quiet").arg(file);
    command.stdin(Stdio::null());
    command
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
