"""Checks of streams: each is in order and without a gap, and the final state is that of the shop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from ledger import Request, Sent, sent_times
from records import Allowed, Change, Close, Message, Open, Recording, Violation, Watcher

# Codes after a killed or stopping server, a cut connection, or from a proxy.
PASSING = {"UNAVAILABLE", "CANCELLED", "UNKNOWN"}


@dataclass
class Reader:
    """The state of a client that applies the changes of a watch, over all its streams."""

    watch: str
    rules: Watcher
    sent: Sent
    allowed: Allowed = Allowed()
    # The last known version of each resource, including deleted ones.
    known: dict[str, int] = field(default_factory=dict)
    # The present resources: version and digest.
    state: dict[str, tuple[int, str]] = field(default_factory=dict)
    # The last version of each resource on the present stream.
    on_stream: dict[str, int] = field(default_factory=dict)
    # The state before the present snapshot.
    before: dict[str, int] = field(default_factory=dict)
    token: str = ""
    in_snapshot: bool = False
    # The time of the last whole snapshot.
    snapshot_time: float = -inf
    # Whether its stream resumed from a token.
    resumed: bool = False
    # Whether the store no longer has the history of the token, and no stream has reported it yet.
    unreported: bool = False
    restored: bool = False
    # Changes that came again after a resume, as the contract allows.
    repeated: int = 0

    def read(self, record: Open | Message | Close) -> Iterator[Violation]:
        """Applies the next record."""
        if isinstance(record, Open):
            self.on_stream = {}
            self.in_snapshot = False
            self.resumed = bool(record.token)
            if self.allowed.restored and not self.restored:
                if record.time > self.allowed.restored:
                    self.restored = True
                    self.unreported = self.resumed
                    self.known = {}
            if record.token != ("" if self.rules.anew else self.token):
                yield Violation("history", f"{self.watch} did not resume with its last token")
        elif isinstance(record, Close):
            yield from self.close(record)
        else:
            yield from self.receive(record)

    def close(self, record: Close) -> Iterator[Violation]:
        """Applies the end of a stream."""
        if self.is_owed("RESUME_TOKEN_EXPIRED", "OUT_OF_RANGE", record) and self.allowed.compacted:
            self.token = ""
        elif self.is_owed("STORE_EPOCH_CHANGED", "ABORTED", record) and self.unreported:
            self.token = ""
            self.unreported = False
        elif record.reason == "SLOW_CONSUMER" and record.code == "RESOURCE_EXHAUSTED":
            # It continues with its token.
            pass
        elif record.code not in PASSING:
            yield Violation(
                "history", f"{self.watch} was ended: {record.code} {record.reason} {record.text}"
            )

    def is_owed(self, reason: str, code: str, record: Close) -> bool:
        """Returns whether an end reports lost history in the way that the reader asked for."""
        return (record.code, record.reason) == (code, reason) and not self.rules.reset

    def receive(self, message: Message) -> Iterator[Violation]:
        """Applies a message."""
        if message.signal == "begin":
            yield from self.begin(message)
        elif self.unreported:
            yield Violation("history", f"{self.watch} did not notice that the store was restored")
            self.unreported = False
        for change in message.changes:
            yield from self.change(change)
        if message.signal == "end":
            yield from self.end(message)
        if message.token:
            self.token = message.token
        elif message.signal == "draining" and not self.resumed and not self.on_stream:
            # A stream that is drained before it began has no token.
            pass
        elif not self.in_snapshot:
            yield Violation("history", f"{self.watch} got a message without a token")

    def begin(self, message: Message) -> Iterator[Violation]:
        """Applies the begin of a snapshot."""
        owed = self.rules.reset and (
            (message.cause == "TOKEN_EXPIRED" and self.allowed.compacted)
            or (message.cause == "EPOCH_CHANGED" and self.unreported)
        )
        if self.resumed and not owed:
            yield Violation("history", f"{self.watch} got a new snapshot: {message.cause}")
        self.unreported = False
        self.before = self.known
        self.known, self.state, self.token = {}, {}, ""
        self.on_stream = {}
        self.in_snapshot = True

    def end(self, message: Message) -> Iterator[Violation]:
        """Applies the end of a snapshot."""
        self.in_snapshot = False
        self.snapshot_time = message.time
        if message.total != len(self.state):
            yield Violation(
                "snapshot", f"{self.watch}: {message.total} announced, {len(self.state)} held"
            )
        for name, (version, _) in self.state.items():
            if version < self.before.get(name, 0):
                yield Violation(
                    "snapshot",
                    f"{self.watch}: a snapshot holds {name} {version}, "
                    f"and {self.before[name]} was shown before",
                )
        self.before = {}

    def change(self, change: Change) -> Iterator[Violation]:
        """Applies a change."""
        where = f"{self.watch}: {change.name}"
        earlier = self.on_stream.get(change.name, 0)
        known = self.known.get(change.name, 0)
        if change.version <= earlier:
            yield Violation("order", f"{where} {change.version} after {earlier} on one stream")
        self.on_stream[change.name] = max(earlier, change.version)
        if change.version <= known:
            self.repeated += 1
            return
        # On one stream a change replaces those since the previous one. After a resume it may also replace
        # some that were sent before, because it may repeat them.
        first = change.version - change.conflated
        seamless = first == earlier + 1 if earlier else first <= known + 1
        if self.rules.every and change.conflated:
            yield Violation("gap", f"{where} {change.version} was conflated")
        # A selective watch gets no versions that never matched, see selections.py; a snapshot may begin at
        # any version.
        chooses = self.rules.chooses()
        # A snapshot includes the deletions before it. A stream that resumes from its end may send them once
        # more.
        was_gone = self.resumed and self.sent.deletions.get(change.name, inf) < self.snapshot_time
        ends = was_gone and not known and not earlier
        if not (self.in_snapshot or chooses or seamless or ends):
            yield Violation(
                "gap",
                f"{where} {change.version} ({change.kind}) after {known}, {change.conflated} conflated",
            )
        self.known[change.name] = change.version
        if change.kind == "upserted":
            self.state[change.name] = (change.version, change.digest)
        else:
            self.state.pop(change.name, None)


def check_watches(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Every watch is in order and without gaps, and its final state is that of the shop."""
    sent = sent_times(requests)
    for watch, (rules, *records) in recording.watches.items():
        assert isinstance(rules, Watcher)
        reader = Reader(watch, rules, sent, recording.allowed)
        for record in records:
            assert not isinstance(record, Watcher)
            yield from reader.read(record)
        if recording.allowed.restored and not (reader.restored or rules.anew):
            yield Violation("history", f"{watch} did not continue after the store was restored")
        final: dict[str, tuple[int, str]]
        if rules.resource == "carts":
            shop = recording.carts
            final = {
                cart.name: (cart.version, cart.digest) for cart in shop if rules.matches(cart)
            }
            found = reader.state
        else:
            others = recording.others
            final = {o.name: (0, o.digest) for o in others if o.resource == rules.resource}
            # The shop does not show their versions.
            found = {name: (0, digest) for name, (_, digest) in reader.state.items()}
        for name in sorted(final.keys() | found.keys()):
            if final.get(name) != found.get(name):
                yield Violation(
                    "fold",
                    f"{watch} ends with {name} as {found.get(name)}, "
                    f"the shop with {final.get(name)}",
                )


def check_snapshots(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """A snapshot has every write that was acknowledged before its stream was opened."""
    acknowledged = sorted(
        (answer.time, answer.name, answer.version)
        for request in requests.values()
        for answer in request.answers[:1]
        if answer.version
    )
    deleted = {
        request.invoke.basket
        for request in requests.values()
        if ["delete"] in request.invoke.effects and not request.invoke.bad
    }
    exempt = {
        answer.name
        for request in requests.values()
        if request.invoke.basket in deleted
        for answer in request.answers
    }
    for watch, (rules, *records) in recording.since_restored().items():
        assert isinstance(rules, Watcher)
        if rules.chooses() or rules.names or rules.resource != "carts":
            continue
        floor: dict[str, int] = defaultdict(int)
        position = 0
        held: dict[str, int] = {}
        begun = False
        expected: dict[str, int] = {}
        for record in records:
            if isinstance(record, Open):
                held, begun = {}, False
                while position < len(acknowledged) and acknowledged[position][0] < record.time:
                    _, name, version = acknowledged[position]
                    floor[name] = max(floor[name], version)
                    position += 1
            elif isinstance(record, Message):
                if record.signal == "begin":
                    held, begun, expected = {}, True, dict(floor)
                if not begun:
                    continue
                held.update((change.name, change.version) for change in record.changes)
                if record.signal == "end":
                    begun = False
                    for name, version in expected.items():
                        if name not in exempt and held.get(name, 0) < version:
                            yield Violation(
                                "snapshot",
                                f"{watch}: {name} {version} was acknowledged, "
                                f"a later snapshot holds {held.get(name, 'nothing')}",
                            )
