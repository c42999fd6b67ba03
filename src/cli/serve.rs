//! `clientela serve`: starts the server, prints its address, and stops it properly.

use std::{net::SocketAddr, path::Path};

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Options, Program},
    config::ServeArgs,
    jobs::FeedLimits,
    server::ConnectionLimits,
    shops::{KEYS_FILE, Keys},
    store::{DatabaseUrl, Hints, NatsUrls, OpenError},
    telemetry,
};

use super::{failure::Failure, output};

/// The defaults with which commands look for a server and its keys.
const DEFAULT_PORT: u16 = 50051;
const DEFAULT_DATA_DIR: &str = "./data";

/// Runs the server
#[derive(Debug, Args)]
#[command(after_help = "`clientela limits` lists all limits.")]
pub struct Serve {
    #[command(flatten)]
    args: ServeArgs,
}

impl Serve {
    pub async fn run(self) -> Result<(), Failure> {
        let args = self.args;
        telemetry::start(args.log_format, &args.log)
            .map_err(|error| Failure::usage(error.to_string()))?;
        if !args.listen.ip().is_loopback() && !args.allow_plaintext {
            return Err(Failure::usage(format!(
                "{} is not a loopback address, and the traffic is not encrypted: put a proxy that \
                 encrypts in front, and say --allow-plaintext",
                args.listen
            )));
        }
        let options = options(&args)?;
        raise_open_files(args.max_connections);
        let database = options.store.database.clone();
        let data_dir = options.data_dir.clone();
        let listener = TcpListener::bind(args.listen)
            .await
            .map_err(|error| Failure::new(format!("cannot listen on {}: {error}", args.listen)))?;
        let address = listener.local_addr()?;
        let signals = Signals::listen()?;
        let program = Program::start(options).await.map_err(sentence)?;
        output::print(&greeting(
            address,
            &database,
            &data_dir,
            program.first_keys(),
        ))?;

        let stop = CancellationToken::new();
        let asked = tokio::spawn(signals.stop(stop.clone()));
        let served = program.serve(listener, stop).await.map_err(sentence);
        asked.abort();
        served
    }
}

fn options(args: &ServeArgs) -> Result<Options, Failure> {
    let database = match args.database_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => DatabaseUrl::postgres(url).map_err(|e| Failure::usage(e.to_string()))?,
        None => DatabaseUrl::embedded(&args.data_dir),
    };
    let hints = hints(args, &database)?;
    let mut options = Options::new(database, args.data_dir.clone());
    options.store.hints = hints;
    options.feed_limits = FeedLimits {
        retention: args.feed_retention,
        max_bytes: args.feed_max_bytes,
    };
    options.server.cors_origins.clone_from(&args.cors_origin);
    options.server.drain_timeout = args.drain_timeout;
    options.server.connections = ConnectionLimits {
        total: count(args.max_connections),
        per_address: args.max_connections_per_address.map(count),
    };
    options.open_reflection = args
        .open_reflection
        .unwrap_or(args.listen.ip().is_loopback());
    Ok(options)
}

fn count(flag: u32) -> usize {
    usize::try_from(flag).unwrap_or(usize::MAX)
}

/// Raises the limit of open files to the system's maximum. Each connection is one file.
fn raise_open_files(connections: u32) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        let files = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        let needed = u64::from(connections) + OTHER_FILES;
        if let Some(files) = files.filter(|files| *files < needed) {
            tracing::warn!(
                "the process may open {files} files, and --max-connections {connections} needs {needed}: \
                 raise the limit (ulimit -n) or lower --max-connections"
            );
        }
    }
    #[cfg(not(unix))]
    let _ = connections;
}

/// A generous number of files beside the connections.
#[cfg(unix)]
const OTHER_FILES: u64 = 256;

/// How replicas notify each other of changes.
fn hints(args: &ServeArgs, database: &DatabaseUrl) -> Result<Hints, Failure> {
    let urls: Vec<&String> = args.nats_url.iter().filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return Ok(Hints::Notify);
    }
    if matches!(database, DatabaseUrl::Embedded { .. }) {
        return Err(Failure::usage(
            "--nats-url is for replicas on one PostgreSQL; an embedded store has none: leave it away, \
             or give --database-url",
        ));
    }
    let urls = NatsUrls::read(&urls).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Hints::Nats(urls))
}

/// Formats the error with its causes as one sentence.
fn sentence(error: anyhow::Error) -> Failure {
    match error.downcast::<OpenError>() {
        // Its own text gives the operator the relevant part of its cause.
        Ok(refusal) => Failure::new(refusal.to_string()),
        Err(error) => Failure::new(format!("{error:#}")),
    }
}

/// The message for the operator once the server is up.
fn greeting(
    address: SocketAddr,
    database: &DatabaseUrl,
    data_dir: &Path,
    first_keys: Option<&Keys>,
) -> String {
    let file =
        std::path::absolute(data_dir.join(KEYS_FILE)).unwrap_or_else(|_| data_dir.join(KEYS_FILE));
    let version = env!("CARGO_PKG_VERSION");
    let mut text =
        format!("Clientela {version} listens on {address}; its data is in {database:?}.\n");
    if let Some(keys) = first_keys {
        text.push_str(&format!(
            "\nThis is the first start. The shop `default` is ready, and these are its API keys. They \
             are\nshown this once, and kept in {} for the commands on this machine:\n\
             \n  operator  {}\n  admin     {}\n",
            file.display(),
            *keys.operator,
            *keys.admin
        ));
    }
    let here = reachable(address);
    let key = match first_keys {
        Some(keys) => format!("'authorization: Bearer {}'", *keys.admin),
        None if file.exists() => read_key(&file),
        None => "'authorization: Bearer clt_…'".to_owned(),
    };
    let of_this_store = match first_keys.is_some() || file.exists() {
        true => options_of(here, data_dir),
        // The commands find no key on this machine.
        false => format!("{} --api-key clt_…", options_of(here, data_dir)),
    };
    text.push_str(&format!(
        "\nThe web monitor is at http://{here}/. It asks for a key; make one with\n  \
         clientela key create --role monitor{of_this_store}\n\
         \nTry:\n  grpcurl -plaintext -H {key} {here} clientela.v1.GroupService/ListGroups\n\n"
    ));
    text
}

/// The options that other commands need to find this server, if it does not use the defaults.
fn options_of(here: SocketAddr, data_dir: &Path) -> String {
    let mut options = String::new();
    if here != SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)) {
        options.push_str(&format!(" --server {here}"));
    }
    if data_dir != Path::new(DEFAULT_DATA_DIR) {
        let path = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        options.push_str(&format!(" --data-dir {}", quoted(&path)));
    }
    options
}

/// Quotes the path as one word of the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// The header with the key, which the shell reads from the file, because the greeting shows the key only
/// once.
fn read_key(file: &Path) -> String {
    let path = quoted(file);
    format!("\"authorization: Bearer $(sed -n 's/^admin=//p' {path})\"")
}

/// An address to call. A server that listens on all addresses is reachable on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([127, 0, 0, 1], v6.port()).into(),
        address => address,
    }
}

/// The signals that ask the server to stop. They are received from its creation on, so that none is lost
/// between the greeting and the first call.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }

    /// Stops the server at the first signal, and the process at the second.
    async fn stop(mut self, stop: CancellationToken) {
        self.next().await;
        tracing::info!("stopping; once more ends at once");
        stop.cancel();
        self.next().await;
        std::process::exit(i32::from(super::failure::REFUSED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_start_shows_the_keys_and_a_line_to_paste() {
        let database = DatabaseUrl::embedded("data");
        let keys = Keys {
            operator: "clt_o".to_owned().into(),
            admin: "clt_a".to_owned().into(),
        };

        let text = greeting(
            address("127.0.0.1:50051"),
            &database,
            Path::new("data"),
            Some(&keys),
        );

        assert!(
            text.contains("\n  operator  clt_o\n  admin     clt_a\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "  grpcurl -plaintext -H 'authorization: Bearer clt_a' 127.0.0.1:50051 \
                 clientela.v1.GroupService/ListGroups\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_greeting_says_where_the_web_monitor_is_and_how_to_get_a_key_for_it() {
        let database = DatabaseUrl::embedded("data");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEYS_FILE), "admin=clt_a\n").unwrap();
        let elsewhere = folder.path();

        let usual = greeting(
            address("127.0.0.1:50051"),
            &database,
            Path::new("./data"),
            None,
        );
        let unusual = greeting(address("0.0.0.0:6000"), &database, elsewhere, None);

        assert!(
            usual.contains("The web monitor is at http://127.0.0.1:50051/."),
            "{usual}"
        );
        let make = "\n  clientela key create --role monitor --api-key clt_…\n";
        assert!(usual.contains(make), "{usual}");
        assert!(unusual.contains("http://127.0.0.1:6000/."), "{unusual}");
        let make = format!(
            "\n  clientela key create --role monitor --server 127.0.0.1:6000 --data-dir '{}'\n",
            elsewhere.display()
        );
        assert!(unusual.contains(&make), "{unusual}");
    }

    #[test]
    fn later_starts_show_no_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEYS_FILE), "admin=clt_a\n").unwrap();
        let database = DatabaseUrl::embedded(folder.path());

        let text = greeting(address("[::]:50051"), &database, folder.path(), None);

        assert!(!text.contains("clt_a"), "{text}");
        assert!(text.contains("$(sed -n 's/^admin=//p' '/"), "{text}");
        assert!(text.contains(" 127.0.0.1:50051 "), "{text}");
    }
}
