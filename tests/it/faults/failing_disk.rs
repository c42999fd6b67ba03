//! A disk under the built program that fails on demand (see `failing_disk.c`), and its content after a power
//! cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::{Serve, Server};

/// The operation that the disk refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Full,
    /// Writing fails.
    Write,
    /// Flushes fail, so written data does not reach the disk.
    Flush,
}

/// A server on a disk that fails on demand.
pub struct FailingDisk {
    pub server: Server,
    /// The folder of the orders and the record.
    folder: TempDir,
}

impl FailingDisk {
    /// Starts a server whose disk works.
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = |path: &Path| path.to_str().expect("the path is UTF-8").to_owned();
        let data = folder.path().join("data");
        let serve = Serve::default()
            .with(arguments)
            .and("LD_PRELOAD", text(library()))
            .and("FAILING_DISK_FOLDER", text(&data))
            .and("FAILING_DISK_ORDER", text(&order(folder.path())))
            .and("FAILING_DISK_RECORD", text(&record(folder.path())));
        let server = Server::start_in(serve, data);
        Self { server, folder }
    }

    /// Makes the disk fail in this way from now on.
    pub fn fail(&self, fault: Fault) {
        let word = match fault {
            Fault::Full => "full",
            Fault::Write => "write",
            Fault::Flush => "flush",
        };
        let new = self.folder.path().join("next");
        std::fs::write(&new, word).expect("the folder takes a file");
        // The rename is atomic, as the program may read the file at any moment.
        std::fs::rename(&new, order(self.folder.path())).expect("it is replaced");
    }

    /// Makes the disk work again.
    pub fn heal(&self) {
        std::fs::remove_file(order(self.folder.path())).expect("it failed before");
    }

    /// Returns the files after the worst possible power cut now: only flushed data is left. As in the kernel,
    /// a failed flush marks its pages as clean.
    pub fn after_power_cut(&self) -> TempDir {
        let record = std::fs::read(record(self.folder.path())).expect("there is a record");
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, file) in replay(&record) {
            std::fs::write(folder.path().join(name), file.disk).expect("the folder takes a file");
        }
        let keys = self.server.data_dir().join("keys");
        std::fs::copy(keys, folder.path().join("keys")).expect("the keys are copied");
        folder
    }
}

fn order(folder: &Path) -> PathBuf {
    folder.join("order")
}

fn record(folder: &Path) -> PathBuf {
    folder.join("record")
}

/// Returns the compiled library, which is built once for this process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, path) = (folder.path().join("a.c"), folder.path().join("a.so"));
        std::fs::write(&source, include_str!("failing_disk.c")).expect("the folder takes a file");
        let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&path, &source])
            .arg("-ldl")
            .status()
            .expect("there is a C compiler, as for the program itself");
        assert!(compiled.success(), "the library compiles");
        (folder, path)
    });
    path
}

/// The unit in which the kernel caches and writes files.
const PAGE: usize = 4096;

/// A file as programs see it, and as it is on the disk.
#[derive(Default)]
struct File {
    seen: Vec<u8>,
    disk: Vec<u8>,
    /// Pages that a flush has to write.
    dirty: BTreeSet<usize>,
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / PAGE..end.div_ceil(PAGE));
    }

    fn truncate(&mut self, length: usize) {
        self.seen.resize(length, 0);
        // The length belongs to the file system's own data and is written with the next flush.
    }

    fn flush(&mut self) {
        self.disk.resize(self.seen.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let (from, to) = (page * PAGE, ((page + 1) * PAGE).min(self.seen.len()));
            if from < to {
                self.disk[from..to].copy_from_slice(&self.seen[from..to]);
            }
        }
    }
}

fn replay(mut record: &[u8]) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    while let Some(end) = record.iter().position(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(&record[..end]).expect("a line of the record is text");
        record = &record[end + 1..];
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: usize| words[word].parse::<usize>().expect("a number");
        let file = files.entry(words[1].to_owned()).or_default();
        match words[0] {
            "w" => {
                let (bytes, rest) = record.split_at(number(3));
                file.write(number(2), bytes);
                record = rest;
            }
            "t" => file.truncate(number(2)),
            "s" => file.flush(),
            // The kernel marks the pages as clean, though they are not written, and does not retry.
            "f" => file.dirty.clear(),
            "u" => drop(files.remove(words[1])),
            other => panic!("{other} is no word of the record"),
        }
    }
    files
}
