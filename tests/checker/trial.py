"""The common part of the runs: the clients, their progress, the end, the check, the count."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client import generate
from records import Message, Return, Tail, now
from server import Failed, with_parent

HERE = Path(__file__).resolve().parent
# Deadline for the clients to finish at the end.
PATIENCE = 60.0


class Tally:
    """Counts the tests that passed and failed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def add(self, passed: bool, text: str) -> None:
        self.passed += passed
        self.failed += not passed
        print(f"{'ok' if passed else 'FAILED':6} {text}", flush=True)

    def program(self, *command: str | Path) -> None:
        """Runs a program that counts its own tests."""
        ended = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        print(ended.stdout, end="", flush=True)
        counts = re.search(r"(\d+) passed, (\d+) failed\n\Z", ended.stdout)
        passed, failed = map(int, counts.groups()) if counts else (0, 1)
        self.passed += passed
        self.failed += failed or int(ended.returncode != 0)

    def judge(self, folder: Path) -> dict[str, Any]:
        """Checks a recording, if it is complete, and returns the checker's numbers."""
        if not (folder / "final").exists():
            return {}
        self.program(HERE / "checker.py", folder)
        counts = folder / "counts"
        return json.loads(counts.read_text()) if counts.exists() else {}

    def end(self) -> int:
        """Prints the last line and returns the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


class Load:
    """The processes of the writers and the watchers."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.seed = seed
        self.writers: list[subprocess.Popen[bytes]] = []
        self.watchers: subprocess.Popen[bytes] | None = None
        self._tail = Tail(folder)

    def write(self, names: list[str], clients: int, pause: float, *more: str) -> None:
        """Starts processes with a number of writers each; `till` is for the first process."""
        for number, name in enumerate(names):
            options = [option for option in more if option != "till" or number == 0]
            self.writers.append(
                self.start(
                    "write.py", self.folder, self.seed, name, str(clients), str(pause), *options
                )
            )

    def watch(self, setting: str = "-") -> None:
        """Starts the watchers."""
        self.watchers = self.start("watch.py", self.folder, self.seed, setting)

    @staticmethod
    def start(program: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Starts a client. The end of its input tells it to stop."""
        return subprocess.Popen(
            [sys.executable, HERE / program, *arguments],
            stdin=subprocess.PIPE,
            preexec_fn=with_parent,
        )

    def tell(self, order: str) -> None:
        """Sends a line to the watchers."""
        assert self.watchers and self.watchers.stdin
        self.watchers.stdin.write(f"{order}\n".encode())
        self.watchers.stdin.flush()

    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [*self.writers, *([self.watchers] if self.watchers else [])]

    def check(self) -> None:
        """Fails if a client has ended by itself."""
        for process in self.processes():
            if process.poll() is not None:
                raise Failed(f"{process.args} ended by itself with {process.returncode}")

    def returns(self) -> list[Return]:
        """Returns the new records of the writers."""
        self.check()
        return [record for _, record in self._tail.read() if isinstance(record, Return)]

    def acknowledged(self, wanted: int) -> int:
        """Waits for a number of acknowledged writes, and returns the number of unknown outcomes meanwhile."""
        deadline = now() + PATIENCE
        since, count, unknown = now(), 0, 0
        while count < wanted:
            for record in self.returns():
                count += record.outcome == "ok" and record.sent >= since
                unknown += record.outcome == "unknown"
            if now() > deadline:
                raise Failed(f"only {count} writes in {PATIENCE:.0f} s")
            time.sleep(0.02)
        return unknown

    def all_received(self, since: float) -> None:
        """Waits until each watch has received a token after a time."""
        tail, received = Tail(self.folder, "watch-*"), set()
        deadline = now() + PATIENCE
        while now() < deadline:
            watches = {path.name for path in self.folder.glob("watch-*")}
            for name, record in tail.read():
                if isinstance(record, Message) and record.token and record.time > since:
                    received.add(name)
            if watches and received == watches:
                return
            time.sleep(0.1)
        raise Failed(f"nothing was received by {sorted(watches - received)}")

    def stop_writers(self) -> None:
        """Makes the writers settle their requests and end."""
        for process in self.writers:
            assert process.stdin
            process.stdin.close()
        for process in self.writers:
            if process.wait(timeout=PATIENCE) != 0:
                raise Failed(f"{process.args} failed with {process.returncode}")
        self.writers = []

    def finish(self) -> None:
        """Ends the clients in order and records the contents of the shop."""
        self.stop_writers()
        subprocess.run([sys.executable, HERE / "read.py", self.folder], check=True, timeout=PATIENCE)
        assert self.watchers
        try:
            if self.watchers.wait(timeout=PATIENCE) != 0:
                raise Failed(f"the watchers failed with {self.watchers.returncode}")
        except subprocess.TimeoutExpired:
            # The checker reports missing records.
            print("the watchers did not see the last writes", flush=True)
            self.watchers.kill()
        self.watchers = None

    def end(self) -> None:
        """Ends the remaining processes."""
        for process in self.processes():
            process.kill()
            process.wait()


@contextlib.contextmanager
def workspace(name: str, keep: Path | None, tally: Tally) -> Iterator[Path]:
    """Makes a folder with the stubs, and removes it at the end unless it is kept or something failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"clientela-{name}-"))
    try:
        stubs = folder / "stubs"
        stubs.mkdir()
        generate(stubs)
        yield folder
    finally:
        if keep:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        if tally.failed and not keep:
            print(f"what was recorded is in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
