"""What a run writes down, one JSON array a line, for the checker to judge.

A recording is a folder. `ledger-*` tells what the writers asked for and were answered, `watch-*`
what the watchers were shown, `final` what the shop held in the end. Nothing in it comes from the
server but through its API. Lines are written with one `write` each and never changed, so a reader sees
whole lines however the writer ended.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Invoke(NamedTuple):
    """An attempt is about to be sent. The attempts of one request share its id."""

    time: float
    request: str
    rpc: str
    # The slot of the cart that is written; empty for a customer.
    basket: str
    # What the write does if it is applied, as `["add", product, quantity]`; see checker.apply.
    effects: list[list[str | int]]
    # Made to be refused: it must not be accepted, and nothing of it may be seen.
    bad: bool


class Return(NamedTuple):
    """An attempt has ended."""

    time: float
    request: str
    # `ok`; `fail`: refused for certain; `unknown`: the write may or may not have been applied.
    outcome: str
    code: str
    # When this attempt was sent.
    sent: float
    # The answered resource: its name, its version (0 for a customer), a digest of all its fields.
    name: str
    version: int
    digest: str


class Open(NamedTuple):
    """A watcher opened a stream, with the last token it had."""

    time: float
    token: str


class Change(NamedTuple):
    """A change of a cart, as a message of a watch tells it."""

    # `upserted`, `deleted` or `left`: does not match the filter any more.
    kind: str
    name: str
    version: int
    conflated: int
    is_open: bool
    digest: str


class Message(NamedTuple):
    """A watcher received a message."""

    token: str
    # `begin`, `end`, `heartbeat`, `draining`, or empty.
    signal: str
    # With `end`: how many resources the snapshot is said to hold.
    total: int
    changes: list[Change]


class Close(NamedTuple):
    """A stream ended."""

    code: str
    reason: str


class Watcher(NamedTuple):
    """How a watcher reads: the first line of its log."""

    # Whether it asks for every version.
    every: bool
    # Whether it sees only open carts.
    filtered: bool
    # Whether it begins with a new snapshot on every stream, instead of resuming.
    anew: bool


class Cart(NamedTuple):
    """A cart as it is in the end."""

    name: str
    slot: str
    state: str
    reference: str
    version: int
    lines: dict[str, int]
    digest: str


class Customer(NamedTuple):
    """A customer as it is in the end; the label is the request that created it."""

    name: str
    label: str


Record = Invoke | Return | Open | Message | Close | Watcher | Cart | Customer

_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (Invoke, Return, Open, Message, Close, Watcher, Cart, Customer)
}


class Log:
    """An append-only file of records."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def append(self, record: Record) -> None:
        """Writes a record. Not flushed to the disk: only the server is killed, not the machine."""
        line = json.dumps([type(record).__name__, *record], separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")


def parse(line: bytes) -> Record:
    """Reads a line back."""
    kind, *fields = json.loads(line)
    record = _KINDS[kind](*fields)
    if isinstance(record, Message):
        record = record._replace(changes=[Change(*change) for change in record.changes])
    return record


class Tail:
    """Reads what has been added to the ledgers of a recording since it last looked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def read(self) -> Iterator[Record]:
        """The records whose lines are complete."""
        for path in sorted(self._folder.glob("ledger-*")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield parse(line)


@dataclass
class Recording:
    """All that the checker judges by."""

    ledger: list[Invoke | Return] = field(default_factory=list)
    watches: dict[str, list[Watcher | Open | Message | Close]] = field(default_factory=dict)
    carts: list[Cart] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)


def load(folder: Path) -> Recording:
    """Reads a recording. The ledgers of several processes are put in the order of time."""

    def records(path: Path) -> Iterator[Record]:
        with path.open("rb") as file:
            yield from map(parse, file)

    recording = Recording()
    for path in sorted(folder.glob("ledger-*")):
        recording.ledger.extend(records(path))
    recording.ledger.sort(key=lambda record: record.time)
    for path in sorted(folder.glob("watch-*")):
        recording.watches[path.name.removeprefix("watch-")] = list(records(path))
    for record in records(folder / "final"):
        (recording.carts if isinstance(record, Cart) else recording.customers).append(record)
    return recording


def save(path: Path, records: Iterable[Record]) -> None:
    """Writes records into a file."""
    log = Log(path)
    for record in records:
        log.append(record)


def now() -> float:
    """The time of this machine since it started: the same for all its processes, never set back."""
    return time.monotonic()
