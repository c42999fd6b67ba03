"""The programs of a run, as processes that are killed and started again: servers, PostgreSQL, NATS."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from client import ROOT

# Below the ports that the system hands out to outgoing connections: while the server is dead, a
# client that is trying to connect could otherwise be given the port and meet itself.
PORTS = range(20_000, 32_000)
# How long a program may take to start.
PATIENCE = 60.0


class Failed(Exception):
    """The run cannot go on."""


def with_parent() -> None:
    """Makes a child process end with this process, however it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def free_port(dice: random.Random) -> int:
    """Returns a free port."""
    while True:
        port = dice.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for_port(port: int) -> None:
    """Waits until a process listens on a port."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)
    raise Failed(f"nobody listens on port {port}")


class Server:
    """`clientela serve`, always on the same port and the same data."""

    def __init__(self, folder: Path, database: str | None, port: int, *options: str) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._command = [
            os.environ["CLIENTELA"],
            "serve",
            f"--data-dir={self.data}",
            f"--listen={self.address}",
            "--log=warn",
            *options,
        ]
        if database:
            self._command.append(f"--database-url={database}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it without waiting for an answer."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=with_parent,
            )

    def wait(self) -> None:
        """Waits until it listens. It listens before its store is open; calls wait for that."""
        wait_for_port(self.port)
        self.check()

    def wait_for_key(self) -> str:
        """Returns the admin key of the first start, once it exists and the port is open."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                for line in (self.data / "keys").read_text().splitlines():
                    role, _, key = line.partition("=")
                    if role.strip() == "admin":
                        return key.strip()
            time.sleep(0.05)
        raise Failed("the server does not start")

    def check(self) -> None:
        """Fails if the server has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise Failed(f"the server ended by itself with {self._process.returncode}")

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        """Ends it with SIGTERM, and returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(timeout=PATIENCE)
        self._process = None
        return code


def damage(database: Path) -> list[str]:
    """Returns the errors that SQLite finds in a closed database."""
    # Not mode=ro, because the write-ahead log of the killed server must be applied.
    connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)
    try:
        rows = connection.execute("PRAGMA integrity_check").fetchall()
        rows += connection.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.close()
    return [str(row) for row in rows if row != ("ok",)]


class Cluster:
    """A temporary PostgreSQL that flushes to the disk as in production, and ends with this process."""

    def __init__(self) -> None:
        text = (ROOT / "tests" / "it" / "harness" / "postgres.sh").read_text()
        # A separate session, so that Ctrl-C does not end it before the servers.
        self._supervisor = subprocess.Popen(
            ["sh", "-c", text, "sh", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._supervisor.stdout
        answer = self._supervisor.stdout.readline().split()
        if answer[:1] != ["ready"]:
            raise Failed("PostgreSQL does not start")
        _, port, password = answer
        self.port = int(port)
        self.url = f"postgres://clientela:{password}@127.0.0.1:{port}/postgres"

    def order(self, command: str) -> None:
        """Runs `stop fast`, `stop immediate`, `kill` or `start`."""
        assert self._supervisor.stdin and self._supervisor.stdout
        self._supervisor.stdin.write(f"{command}\n")
        self._supervisor.stdin.flush()
        if self._supervisor.stdout.readline().strip() != "done":
            raise Failed(f"PostgreSQL does not {command}")

    def end(self) -> None:
        """Stops and removes it."""
        assert self._supervisor.stdin
        self._supervisor.stdin.close()
        self._supervisor.wait(timeout=PATIENCE)

    def create(self, name: str) -> str:
        """Makes an empty database, and returns its URL."""
        self.run("psql", "--command", f'CREATE DATABASE "{name}"')
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop(self, name: str) -> None:
        """Removes a database without connections."""
        self.run("psql", "--command", f'DROP DATABASE "{name}"')

    def dump(self, url: str, file: Path) -> None:
        """Copies a database, which may be in use, into a file."""
        self.run("pg_dump", "--file", str(file), url=url)

    def restore(self, url: str, file: Path) -> None:
        """Fills an empty database with a copy."""
        self.run("psql", "--file", str(file), "--set", "ON_ERROR_STOP=1", url=url)

    def ask(self, url: str, statement: str) -> str:
        """Returns the result of a statement as text."""
        return self.run("psql", "--tuples-only", "--no-align", "--command", statement, url=url)

    def run(self, program: str, *arguments: str, url: str = "") -> str:
        """Runs one of PostgreSQL's programs."""
        command = [programs() / program, f"--dbname={url or self.url}", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if ended.returncode != 0:
            raise Failed(f"{program} {arguments}: {ended.stderr.strip()}")
        return ended.stdout.strip()


def programs() -> Path:
    """Returns the folder of PostgreSQL's programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [folder for folder in folders if (folder / "pg_dump").exists()]
    elsewhere = shutil.which("pg_dump")
    if not found and not elsewhere:
        raise Failed("no pg_dump: install PostgreSQL, as scripts/install-tools does")
    return found[0] if found else Path(str(elsewhere)).parent


@contextlib.contextmanager
def postgres() -> Iterator[Cluster]:
    """Runs a cluster to the end of the block."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.end()


class Nats:
    """A NATS server, always on the same port."""

    def __init__(self, port: int) -> None:
        self.url = f"nats://127.0.0.1:{port}"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        path = f"{os.environ['PATH']}:/usr/sbin"
        program = shutil.which("nats-server", path=path)
        if not program:
            raise Failed("no nats-server: scripts/install-tools installs it")
        self._process = subprocess.Popen(
            [program, "--addr=127.0.0.1", f"--port={self._port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=with_parent,
        )
        wait_for_port(self._port)

    def stop(self) -> None:
        """Kills it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
