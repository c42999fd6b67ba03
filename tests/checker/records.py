"""The recording of a run for the checker, with one JSON array a line.

A recording is a folder. `ledger-*` has the requests and answers of the writers, `watch-*` the messages to the
watchers, `final` the contents of the shop at the end, and `allowed`, if it exists, the actions of the run
that take promises away. All of it comes through the API. Each line is written with one `write` and never
changed, so a reader sees complete lines however the writer ended.
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
    """The beginning of an attempt. The attempts of one request share its id."""

    time: float
    request: str
    rpc: str
    # The cart of the write: its slot, and after a slash a number if carts follow each other in a slot. Empty
    # for customers and groups.
    basket: str
    # The effect of the write, for example `["add", product, quantity]`; see ledger.apply.
    effects: list[list[str | int]]
    # The service must refuse the write, and nothing of it may become visible.
    bad: bool


class Return(NamedTuple):
    """The end of an attempt."""

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
    """The beginning of a stream, with the last token of the watcher."""

    time: float
    token: str


class Change(NamedTuple):
    """A change of a resource in a message of a watch."""

    # `upserted`, `deleted` or `left` (no longer matches the filter).
    kind: str
    name: str
    version: int
    conflated: int
    # For an upserted cart: `open` or `ordered`, its slot, and its number of pieces.
    state: str
    slot: str
    pieces: int
    digest: str


class Message(NamedTuple):
    """A received message."""

    time: float
    token: str
    # `begin`, `end`, `heartbeat`, `draining`, or empty.
    signal: str
    # With `begin`: the cause of the snapshot.
    cause: str
    # With `end`: the count of the snapshot.
    total: int
    changes: list[Change]


class Close(NamedTuple):
    """The end of a stream."""

    time: float
    code: str
    # The reason of the error, for example `RESUME_TOKEN_EXPIRED`; empty if it has none.
    reason: str
    text: str


class Watcher(NamedTuple):
    """The options of a watcher: the first line of its log."""

    # Whether it asks for every version.
    every: bool
    # Whether it begins every stream with a new snapshot, instead of resuming.
    anew: bool = False
    # Whether it asks for a new snapshot if its history is gone, instead of an error.
    reset: bool = False
    # `carts`, `customers` or `groups`.
    resource: str = "carts"
    # The filter of its carts: in this state, if any; with at least this many pieces; in this slot, if any …
    state: str = ""
    pieces: int = 0
    slot: str = ""
    # … or with these names, if any.
    names: list[str] = []

    def chooses(self) -> bool:
        """Returns whether carts enter and leave its selection."""
        return bool(self.state or self.pieces or self.slot)

    def matches(self, cart: Change | Cart) -> bool:
        """Returns whether a version of a cart belongs to its selection."""
        return (
            self.state in ("", cart.state)
            and self.slot in ("", cart.slot)
            and cart.pieces >= self.pieces
            and (not self.names or cart.name in self.names)
        )


class Cart(NamedTuple):
    """The final state of a cart."""

    name: str
    slot: str
    state: str
    reference: str
    version: int
    pieces: int
    lines: dict[str, int]
    digest: str


class Named(NamedTuple):
    """The final state of a customer or a group; the label is the request that created it."""

    resource: str
    name: str
    label: str
    digest: str


class Allowed(NamedTuple):
    """The actions of the run that take promises away."""

    # The history was compacted: a reader may get an error, and a repeated request may get the present
    # resource.
    compacted: bool = False
    # The time at which the store was restored from a backup; 0 if it was not. No ledger has the writes in
    # between.
    restored: float = 0.0


class Violation(NamedTuple):
    """A broken promise that the checker found: its kind and a description."""

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
    """Interns a text, because many watchers receive the same."""
    return sys.intern(value) if isinstance(value, str) else value


class Tail:
    """Reads the new records in files of a recording."""

    def __init__(self, folder: Path, pattern: str = "ledger-*") -> None:
        self._folder = folder
        self._pattern = pattern
        self._read: dict[Path, int] = {}

    def read(self) -> Iterator[tuple[str, Record]]:
        """Yields the records of complete lines, with their files."""
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
    """All records that the checker uses."""

    ledger: list[Invoke | Return] = field(default_factory=list)
    watches: dict[str, list[Seen]] = field(default_factory=dict)
    carts: list[Cart] = field(default_factory=list)
    others: list[Named] = field(default_factory=list)
    allowed: Allowed = Allowed()

    def since_restored(self) -> dict[str, list[Seen]]:
        """Returns the parts of the watches that belong to the present history of the store."""
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
    """Reads a recording. The ledgers of several processes are merged by time."""

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
    """Returns the monotonic time of this machine, which all its processes share."""
    return time.monotonic()
