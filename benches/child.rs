//! Servers as processes of their own: this program, started with `serve`, reads what to serve from
//! its standard input, prints its address, and answers questions until the input closes.

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

/// What a process serves.
#[derive(Serialize, Deserialize)]
pub enum Serving {
    /// Clientela.
    Product(Product),
    /// One and the same customer, whoever is asked for.
    Echo {
        /// Encoded.
        customer: Vec<u8>,
    },
    /// A cart to each AddItem, which goes to all watches; nothing is stored.
    Broadcast {
        /// The answer, encoded.
        cart: Vec<u8>,
        /// What watches are sent, encoded.
        change: Vec<u8>,
    },
    /// The product's statements on PostgreSQL, and nothing else, behind a fixed answer.
    Statements(Statements),
}

/// How Clientela runs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Product {
    /// Where the key file, and an embedded store, lie.
    pub data_dir: PathBuf,
    /// The PostgreSQL, if it is not embedded.
    pub database_url: Option<String>,
    /// How much each flush is slowed down.
    pub flush_delay_millis: u64,
    /// How replicas tell each other of commits.
    pub hints: Hinting,
    /// Where it listens, if that matters.
    pub address: Option<SocketAddr>,
}

/// How replicas tell each other of commits.
#[derive(Clone, Serialize, Deserialize)]
pub enum Hinting {
    /// They do not.
    Off,
    /// The database passes them on.
    Notify,
    /// The NATS server at this URL does.
    Nats(String),
}

/// What the bare statements work on and are answered with.
#[derive(Serialize, Deserialize)]
pub struct Statements {
    /// A database that the product made and filled.
    pub database_url: String,
    /// The answer to GetCustomer, encoded.
    pub customer: Vec<u8>,
    /// The answer to AddItem, encoded.
    pub cart: Vec<u8>,
}

/// A process that serves.
pub struct Child {
    process: Process,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// Where it listens.
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
                // Its lines are formatted and written as in production, and read by nobody.
                Serving::Product(_) => Stdio::null(),
                _ => Stdio::inherit(),
            })
            .spawn()
            .expect("this program can be started again");
        let mut input = process.stdin.take().expect("it was asked for as a pipe");
        let output = process.stdout.take().expect("it was asked for as a pipe");
        let serving = serde_json::to_string(serving).expect("plain data");
        writeln!(input, "{serving}").expect("the process reads what to serve");
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

    /// How many statements its store has sent within transactions that write.
    pub fn written_statements(&self) -> f64 {
        let mut pipes = self.pipes.lock().expect("nobody panics with the pipes");
        writeln!(pipes.0, "statements").expect("the process reads questions");
        read_line(&mut pipes.1).parse().expect("a number")
    }

    /// The memory it has in use, in KiB.
    pub fn memory_kib(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the process runs, on Linux");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok())
            .expect("the system tells the memory of a process")
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(&[self.id()])
    }

    /// A connection of its own.
    pub async fn connect(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address))
            .expect("an address makes a URL")
            .connect()
            .await
            .expect("the server takes connections")
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.process.kill().expect("it is a process of ours");
        self.process.wait().expect("it is a process of ours");
    }

    /// Ends it in good order.
    pub fn stop(mut self) {
        {
            let (input, _) = &mut *self.pipes.lock().expect("nobody panics with the pipes");
            writeln!(input, "stop").expect("the process reads orders");
        }
        let status = self.process.wait().expect("it is a process of ours");
        assert!(status.success(), "a server ended badly: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
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
