//! Servers as separate processes. This program, started with `serve`, reads its task from standard input,
//! prints its address, and answers questions until the input closes.

mod serve;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tonic::transport::Channel;

use crate::cpu::Cpu;

pub use serve::serve;

/// The service of a process.
#[derive(Serialize, Deserialize)]
pub enum Serving {
    /// Clientela.
    Product(Product),
    /// A service that answers every request with the same customer.
    Echo {
        /// The encoded customer.
        customer: Vec<u8>,
    },
    /// A service that answers each AddItem with a cart and sends it to all watches. It stores nothing.
    Broadcast {
        /// The encoded answer.
        cart: Vec<u8>,
        /// The encoded message to watches.
        change: Vec<u8>,
    },
    /// The product's statements on PostgreSQL alone, behind a fixed answer.
    Statements(Statements),
}

/// The settings of Clientela.
#[derive(Clone, Serialize, Deserialize)]
pub struct Product {
    /// The folder of the key file and of an embedded store.
    pub data_dir: PathBuf,
    /// The URL of PostgreSQL, if the store is not embedded.
    pub database_url: Option<String>,
    /// The delay added to each flush.
    pub flush_delay_millis: u64,
    /// How replicas notify each other of commits.
    pub hints: Hinting,
    /// The address to listen on, if it matters.
    pub address: Option<SocketAddr>,
}

/// How replicas notify each other of commits.
#[derive(Clone, Serialize, Deserialize)]
pub enum Hinting {
    /// No notification.
    Off,
    /// Notification through the database.
    Notify,
    /// Notification through the NATS server at this URL.
    Nats(String),
}

/// The data of the bare statements and their answers.
#[derive(Serialize, Deserialize)]
pub struct Statements {
    /// A database that the product created and filled.
    pub database_url: String,
    /// The encoded answer to GetCustomer.
    pub customer: Vec<u8>,
    /// The encoded answer to AddItem.
    pub cart: Vec<u8>,
}

/// A serving process.
pub struct Child {
    process: Process,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// The address it listens on.
    pub address: SocketAddr,
}

impl Child {
    /// Starts a process and waits until it serves.
    pub fn start(serving: &Serving) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(match serving {
                // Log lines are formatted and written as in production; nothing reads them.
                Serving::Product(_) => Stdio::null(),
                _ => Stdio::inherit(),
            })
            .spawn()
            .expect("this program can be started again");
        let mut input = process.stdin.take().expect("it was asked for as a pipe");
        let output = process.stdout.take().expect("it was asked for as a pipe");
        let serving = serde_json::to_string(serving).expect("plain data");
        writeln!(input, "{serving}").expect("the process reads its task");
        let mut output = BufReader::new(output);
        let address = read_line(&mut output);
        let address = address
            .parse()
            .unwrap_or_else(|_| panic!("a server did not start: {address:?}"));
        Self {
            process,
            pipes: Mutex::new((input, output)),
            address,
        }
    }

    /// Returns how many statements its store has sent in transactions that write.
    pub fn written_statements(&self) -> f64 {
        let mut pipes = self.pipes.lock().expect("no thread panics with the pipes");
        writeln!(pipes.0, "statements").expect("the process reads questions");
        read_line(&mut pipes.1).parse().expect("a number")
    }

    /// Returns the memory in use, in KiB.
    pub fn memory_kib(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process runs, on Linux");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok())
            .expect("the system reports the memory of a process")
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads the processor time used so far.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(&[self.id()])
    }

    /// Opens a new connection.
    pub async fn connect(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .expect("an address makes a URL")
            .connect()
            .await
            .expect("the server takes connections")
    }

    /// Kills the process, as a power cut would.
    pub fn kill(mut self) {
        self.process.kill().expect("it is a process of ours");
        self.process.wait().expect("it is a process of ours");
    }

    /// Shuts the process down.
    pub fn stop(mut self) {
        {
            let (input, _) = &mut *self.pipes.lock().expect("no thread panics with the pipes");
            writeln!(input, "stop").expect("the process reads orders");
        }
        let status = self.process.wait().expect("it is a process of ours");
        assert!(status.success(), "a server failed: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output
        .read_line(&mut line)
        .expect("the process prints text");
    line.trim_end().to_owned()
}
