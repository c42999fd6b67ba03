"""The program under test, as a process that is killed and started again, and its databases."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from client import ROOT

# Below the ports that the system hands out to outgoing connections: while the server is dead, a
# client that is trying to connect could otherwise be given the port and meet itself.
PORTS = range(20_000, 32_000)


class Failed(Exception):
    """The run cannot go on."""


def with_parent() -> None:
    """Makes a child end with this process, however that ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def free_port(dice: random.Random) -> int:
    """A port that nobody listens on."""
    while True:
        port = dice.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """`clientela serve`, always on the same port and the same data."""

    def __init__(self, folder: Path, database: str | None, port: int) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.address = f"127.0.0.1:{port}"
        self._command = [
            os.environ["CLIENTELA"],
            "serve",
            f"--data-dir={self.data}",
            f"--listen={self.address}",
            "--log=warn",
        ]
        if database:
            self._command.append(f"--database-url={database}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and does not wait for it to answer."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=with_parent,
            )

    def wait_for_key(self) -> str:
        """The admin key of the first start, when it is there and the port is open."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", int(self.address.split(":")[1]))).close()
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
        """Ends it with SIGKILL, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def damage(database: Path) -> list[str]:
    """What SQLite finds wrong with a database that nobody has open."""
    # Not mode=ro: what the killed server left in the write-ahead log has to be taken in.
    connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)
    try:
        rows = connection.execute("PRAGMA integrity_check").fetchall()
        rows += connection.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.close()
    return [str(row) for row in rows if row != ("ok",)]


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A throw-away cluster that flushes to the disk as in production; yields its URL."""
    # The command of the script lives as long as its input, which ends with this process.
    script = subprocess.Popen(
        [ROOT / "scripts" / "postgres", "sh", "-c", 'echo "$DATABASE_URL"; cat'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert script.stdin and script.stdout
    try:
        url = script.stdout.readline().strip()
        if not url:
            raise Failed("PostgreSQL does not start")
        yield url
    finally:
        script.stdin.close()
        script.wait(timeout=60)
