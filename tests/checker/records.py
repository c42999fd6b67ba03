"""What a run writes down, one JSON array a line, for the checker to judge.

A recording is a folder. `ledger-*` tells what the writers asked for and were answered, `watch-*`
what the watchers were shown, `final` what the shop held in the end, and `allowed`, if it is there,
what the run did that takes promises away. Nothing in it comes from the server but through its API.
Lines are written with one `write` each and never changed, so a reader sees whole lines however the
writer ended.
"""

from __future__ import annotations

import json
import os
import sys
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
    # The cart that is written: its slot, with a number after a slash where one follows another in a
    # slot. Empty for customers and groups.
    basket: str
    # What the write does if it is applied, as `["add", product, quantity]`; see ledger.apply.
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
    # The answered resource: its name, its version (0 if it has none), a digest of all its fields.
    name: str
    version: int
    digest: str


class Open(NamedTuple):
    """A watcher opened a stream, with the last token it had."""

    time: float
    token: str


class Change(NamedTuple):
    """A change of a resource, as a message of a watch tells it."""

    # `upserted`, `deleted` or `left`: does not match the filter any more.
    kind: str
    name: str
    version: int
    conflated: int
    # Of a cart that is shown: `open` or `ordered`, its slot, and how many pieces it holds.
    state: str
    slot: str
    pieces: int
    digest: str


class Message(NamedTuple):
    """A watcher received a message."""

    time: float
    token: str
    # `begin`, `end`, `heartbeat`, `draining`, or empty.
    signal: str
    # With `begin`: why the snapshot is sent.
    cause: str
    # With `end`: how many resources the snapshot is said to hold.
    total: int
    changes: list[Change]


class Close(NamedTuple):
    """A stream ended."""

    time: float
    code: str
    # Of the error, as `RESUME_TOKEN_EXPIRED`; empty if it has none.
    reason: str
    text: str


class Watcher(NamedTuple):
    """How a watcher reads: the first line of its log."""

    # Whether it asks for every version.
    every: bool
    # Whether it begins with a new snapshot on every stream, instead of resuming.
    anew: bool = False
    # Whether it asks for a new snapshot where its history is gone, instead of an error.
    reset: bool = False
    # `carts`, `customers` or `groups`.
    resource: str = "carts"
    # The carts that it is of: in this state, if any; of so many pieces at least; in this slot, if any …
    state: str = ""
    pieces: int = 0
    slot: str = ""
    # … or of these names, if any.
    names: list[str] = []

    def chooses(self) -> bool:
        """Whether carts enter and leave what it watches."""
        return bool(self.state or self.pieces or self.slot)

    def matches(self, cart: Change | Cart) -> bool:
        """Whether a version of a cart belongs to what it watches."""
        return (
            self.state in ("", cart.state)
            and self.slot in ("", cart.slot)
            and cart.pieces >= self.pieces
            and (not self.names or cart.name in self.names)
        )


class Cart(NamedTuple):
    """A cart as it is in the end."""

    name: str
    slot: str
    state: str
    reference: str
    version: int
    pieces: int
    lines: dict[str, int]
    digest: str


class Named(NamedTuple):
    """A customer or a group as it is in the end; the label is the request that created it."""

    resource: str
    name: str
    label: str
    digest: str


class Allowed(NamedTuple):
    """What the run did that takes promises away."""

    # History was compacted: a reader may be told that it is gone, and a repeated request may be answered
    # with what is there now.
    compacted: bool = False
    # The store was put back, at this time, to what it was before; 0: it was not. What was written in
    # between is in no ledger.
    restored: float = 0.0


class Violation(NamedTuple):
    """A broken promise, found by the checker: which one, and how."""

    kind: str
    text: str


Record = Invoke | Return | Open | Message | Close | Watcher | Cart | Named | Allowed
Seen = Watcher | Open | Message | Close

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (Invoke, Return, Open, Message, Close, Watcher, Cart, Named, Allowed)
}


class Log:
    """An append-only file of records."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def append(self, record: Record) -> None:
        """Writes a record. Not flushed to the disk: only servers are killed, not the machine."""
        line = json.dumps([type(record).__name__, *record], separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")


def parse(line: bytes) -> Record:
    """Reads a line back."""
    kind, *fields = json.loads(line)
    record = _KINDS[kind](*fields)
    if isinstance(record, Message):
        changes = [Change(*map(_shared, change)) for change in record.changes]
        record = record._replace(changes=changes)
    return record


def _shared(value: str | int) -> str | int:
    """The same text once: many watchers are told the same."""
    return sys.intern(value) if isinstance(value, str) else value


class Tail:
    """Reads what has been added to files of a recording since it last looked."""

    def __init__(self, folder: Path, pattern: str = "ledger-*") -> None:
        self._folder = folder
        self._pattern = pattern
        self._read: dict[Path, int] = {}

    def read(self) -> Iterator[tuple[str, Record]]:
        """The records whose lines are complete, and in which file each is."""
        for path in sorted(self._folder.glob(self._pattern)):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield path.name, parse(line)


@dataclass
class Recording:
    """All that the checker judges by."""

    ledger: list[Invoke | Return] = field(default_factory=list)
    watches: dict[str, list[Seen]] = field(default_factory=dict)
    carts: list[Cart] = field(default_factory=list)
    others: list[Named] = field(default_factory=list)
    allowed: Allowed = Allowed()

    def since_restored(self) -> dict[str, list[Seen]]:
        """The watches as far as they are of the history that the store has."""
        restored = self.allowed.restored
        if not restored:
            return self.watches
        kept = {}
        for watch, (rules, *records) in self.watches.items():
            opens = (
                number
                for number, record in enumerate(records)
                if isinstance(record, Open) and record.time > restored
            )
            kept[watch] = [rules, *records[next(opens, len(records)) :]]
        return kept


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
        (recording.carts if isinstance(record, Cart) else recording.others).append(record)
    if (folder / "allowed").exists():
        (recording.allowed,) = records(folder / "allowed")
    return recording


def save(path: Path, records: Iterable[Record]) -> None:
    """Writes records into a file."""
    log = Log(path)
    for record in records:
        log.append(record)


def now() -> float:
    """The time of this machine since it started: the same for all its processes, never set back."""
    return time.monotonic()
