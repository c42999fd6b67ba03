#!/usr/bin/env python3
"""Judges a recording: were all promises kept through the kills?

    tests/kill/checker.py FOLDER

It knows nothing of the service but the contract. What the shop must hold follows from the ledger:
an answered write was applied once, a refused one not at all, one whose outcome is unknown either
whole or not at all, so that there can be several worlds to choose from; the final state must be one
of them. What the watchers were shown is then held against that, against the answers and against each
other.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from records import Cart, Change, Close, Invoke, Message, Open, Recording, Return, Watcher, load

# What each check promises; the keys are the kinds of violations.
CHECKS = {
    "lost": "no acknowledged write is lost",
    "doubled": "no write is applied twice",
    "ghost": "nothing is there that nobody wrote or that was refused",
    "refused": "writes are refused and accepted as they must be",
    "replay": "a repeated request is answered as the first time",
    "stale": "a write is applied after those that were answered before it was sent",
    "content": "a version of a cart is the same wherever it is shown",
    "order": "versions of a cart grow on a stream",
    "gap": "no version is skipped, across kills too",
    "fold": "folding a watch gives what the shop holds",
    "snapshot": "a snapshot is whole and holds every write answered before",
    "history": "a resumed watch goes on with its history",
}

# Refusals that any write may meet: nothing was done, come back later.
NOT_NOW = {"ABORTED", "RESOURCE_EXHAUSTED"}


class Violation(NamedTuple):
    """A broken promise: which one, and how."""

    kind: str
    text: str


@dataclass
class Request:
    """A write with all its attempts taken together."""

    invoke: Invoke
    # `ok` if any attempt was answered; else `unknown` if any may have been applied; else `fail`.
    outcome: str = "unknown"
    answers: list[Return] = field(default_factory=list)
    refusals: list[Return] = field(default_factory=list)
    attempts: int = 0
    ended: int = 0

    def settle(self) -> None:
        """Derives the outcome. An attempt without a return counts as unknown."""
        if self.answers:
            self.outcome = "ok"
        elif self.attempts == len(self.refusals):
            self.outcome = "fail"


class World(NamedTuple):
    """A state that a basket may be in."""

    state: str = "absent"
    reference: str = ""
    version: int = 0
    lines: frozenset[tuple[str, int]] = frozenset()


def apply(world: World, effects: list[list[str | int]]) -> World | None:
    """The world after a write, or None if the service had to refuse it."""
    state, reference, lines = world.state, world.reference, dict(world.lines)
    for effect, *operands in effects:
        if effect == "add" and state in ("absent", "open"):
            state = "open"
            product, quantity = str(operands[0]), int(operands[1])
            lines[product] = lines.get(product, 0) + quantity
        elif effect == "set" and state == "open" and operands[0] in lines:
            lines[str(operands[0])] = int(operands[1])
        elif effect == "remove" and state == "open" and operands[0] in lines:
            del lines[str(operands[0])]
        elif effect == "order" and state == "open" and lines:
            state, reference = "ordered", str(operands[0])
        elif effect == "delete" and state == "open":
            state = "deleted"
        else:
            return None
    return World(state, reference, world.version + 1, frozenset(lines.items()))


def requests_of(recording: Recording) -> dict[str, Request]:
    """The requests of the ledger, in the order in which they were first sent."""
    requests: dict[str, Request] = {}
    for record in recording.ledger:
        if isinstance(record, Invoke):
            request = requests.setdefault(record.request, Request(record))
            request.attempts += 1
        else:
            request = requests[record.request]
            if record.outcome == "ok":
                request.answers.append(record)
            elif record.outcome == "fail":
                request.refusals.append(record)
    for request in requests.values():
        request.settle()
    return requests


def check(recording: Recording) -> list[Violation]:
    """All that is wrong with a recording."""
    requests = requests_of(recording)
    return [
        *check_answers(requests),
        *check_baskets(recording, requests),
        *check_customers(recording, requests),
        *check_real_time(recording, requests),
        *check_content(recording),
        *check_watches(recording),
        *check_snapshots(recording, requests),
    ]


def check_answers(requests: dict[str, Request]) -> Iterator[Violation]:
    """Repeated requests are answered alike, and no two requests made the same version of a cart."""
    makers: dict[tuple[str, int], str] = {}
    for identity, request in requests.items():
        if len({answer[5:] for answer in request.answers}) > 1:
            yield Violation("replay", f"{identity} has different answers: {request.answers}")
        codes = {refusal.code for refusal in request.refusals} - NOT_NOW
        if request.answers and codes:
            yield Violation("replay", f"{identity} was answered, and when repeated: {codes}")
        if request.outcome == "ok" and request.invoke.bad:
            yield Violation("refused", f"{identity} had to be refused: {request.invoke}")
        if request.outcome == "fail" and not request.invoke.bad:
            if codes:
                yield Violation("refused", f"{identity} was refused with {codes}: {request.invoke}")
        for answer in request.answers[:1]:
            if answer.version:
                other = makers.setdefault((answer.name, answer.version), identity)
                if other != identity:
                    yield Violation(
                        "lost", f"{other} and {identity} both made {answer.name} {answer.version}"
                    )


def check_baskets(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Each cart is in a state that the outcomes allow."""
    worlds: dict[str, set[World]] = defaultdict(lambda: {World()})
    for identity, request in requests.items():
        basket = request.invoke.basket
        if not basket or request.outcome == "fail":
            continue
        before = worlds[basket]
        after = {world for old in before if (world := apply(old, request.invoke.effects))}
        if request.outcome == "unknown":
            after |= before
        elif not after:
            yield Violation("refused", f"{identity} could not be accepted: {request.invoke}")
            after = before
        worlds[basket] = after

    found: dict[str, list[Cart]] = defaultdict(list)
    for cart in recording.carts:
        found[cart.slot].append(cart)
    for basket in worlds.keys() | found.keys():
        carts = found.get(basket, [])
        if len(carts) > 1:
            names = ", ".join(cart.name for cart in carts)
            yield Violation("doubled", f"{basket} has {len(carts)} carts: {names}")
        elif basket not in worlds:
            yield Violation("ghost", f"nobody opened {carts[0]}")
        else:
            yield from compare(basket, carts[0] if carts else None, worlds[basket])


def compare(basket: str, cart: Cart | None, worlds: set[World]) -> Iterator[Violation]:
    """Holds a cart against the worlds it may be in; names what does not fit the nearest one."""
    if cart is None:
        if not {world.state for world in worlds} & {"absent", "deleted"}:
            yield Violation("lost", f"{basket} is not there; it should be {min(worlds)}")
        return
    found = World(cart.state, cart.reference, cart.version, frozenset(cart.lines.items()))
    if found in worlds:
        return
    nearest = min(
        worlds,
        key=lambda world: (
            len(world.lines ^ found.lines),
            world.state != found.state,
            abs(world.version - found.version),
        ),
    )
    if nearest.state == "deleted":
        yield Violation("lost", f"{cart.name} ({basket}) was deleted and is there: {cart}")
        return
    if nearest.state == "absent":
        yield Violation("ghost", f"{cart.name} ({basket}) was never opened: {cart}")
        return
    # As far as the worlds agree: what every one of them has is lost if it is missing.
    expected = dict(nearest.lines)
    for product in sorted(expected.keys() | cart.lines.keys()):
        want, have = expected.get(product, 0), cart.lines.get(product, 0)
        where = f"{product} in {cart.name} ({basket})"
        if want == 0:
            yield Violation("ghost", f"{where}: {have}, and nobody added it or it was removed")
        elif have < want:
            yield Violation("lost", f"{where}: {have} instead of {want}")
        elif have > want:
            yield Violation("doubled", f"{where}: {have} instead of {want}")
    if (found.state, found.reference) != (nearest.state, nearest.reference):
        yield Violation("lost", f"{cart.name} ({basket}) is {found[:2]}, not {nearest[:2]}")
    if found.version != nearest.version:
        yield Violation(
            "lost" if found.version < nearest.version else "doubled",
            f"{cart.name} ({basket}) has version {found.version} after {nearest.version} writes",
        )


def check_customers(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Each creation made one customer, or none if it was refused."""
    found = Counter(customer.label for customer in recording.customers)
    expected = {
        identity: request for identity, request in requests.items() if not request.invoke.basket
    }
    for label in found.keys() | expected.keys():
        outcome = expected[label].outcome if label in expected else "fail"
        if found[label] > 1:
            yield Violation("doubled", f"there are {found[label]} customers {label}")
        elif found[label] == 1 and outcome == "fail":
            yield Violation("ghost", f"there is a customer {label}")
        elif found[label] == 0 and outcome == "ok":
            yield Violation("lost", f"there is no customer {label}")


def check_real_time(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """What was answered before a write was sent is below it: the carts are linearizable."""
    reached: dict[str, int] = defaultdict(int)
    floors: dict[str, int] = {}
    for record in recording.ledger:
        basket = requests[record.request].invoke.basket
        if isinstance(record, Invoke):
            floors.setdefault(record.request, reached[basket])
        elif record.outcome == "ok" and basket and record.version:
            if record is requests[record.request].answers[0] and (
                record.version <= floors[record.request]
            ):
                yield Violation(
                    "stale",
                    f"{record.request} made version {record.version} of {basket}, where "
                    f"{floors[record.request]} had been answered before it was sent",
                )
            reached[basket] = max(reached[basket], record.version)


def check_content(recording: Recording) -> Iterator[Violation]:
    """What answers, watches and the final list show of one version of a cart is the same."""
    shown: dict[tuple[str, int], tuple[str, str]] = {}

    def sightings() -> Iterator[tuple[str, str, int, str]]:
        for record in recording.ledger:
            if isinstance(record, Return) and record.version:
                yield "an answer", record.name, record.version, record.digest
        for cart in recording.carts:
            yield "the list", cart.name, cart.version, cart.digest
        for watch, records in recording.watches.items():
            for record in records:
                if isinstance(record, Message):
                    for change in record.changes:
                        if change.digest:
                            yield watch, change.name, change.version, change.digest

    for where, name, version, digest in sightings():
        first, other = shown.setdefault((name, version), (where, digest))
        if other != digest:
            yield Violation("content", f"{name} {version} is not the same in {first} and {where}")


@dataclass
class Reader:
    """What a client that folds a watch knows, over all its streams."""

    watch: str
    rules: Watcher
    # The last version known of each cart, deleted ones among them.
    known: dict[str, int] = field(default_factory=dict)
    # The carts that are there: version and digest.
    state: dict[str, tuple[int, str]] = field(default_factory=dict)
    # The last version of each cart on the present stream.
    on_stream: dict[str, int] = field(default_factory=dict)
    token: str = ""
    in_snapshot: bool = False
    # Changes that were shown again after a resume, as the contract permits.
    repeated: int = 0

    def read(self, record: Open | Message | Close) -> Iterator[Violation]:
        """Takes in the next record."""
        if isinstance(record, Open):
            self.on_stream = {}
            self.in_snapshot = False
            if record.token != ("" if self.rules.anew else self.token):
                yield Violation("history", f"{self.watch} did not resume with its last token")
        elif isinstance(record, Close):
            # A server that was killed, or a proxy's words for it; any other end takes history away.
            if record.code not in ("UNAVAILABLE", "CANCELLED", "UNKNOWN"):
                yield Violation("history", f"{self.watch} was ended: {record.code} {record.reason}")
        else:
            yield from self.receive(record)

    def receive(self, message: Message) -> Iterator[Violation]:
        """Takes in a message."""
        if message.signal == "begin":
            if self.token and not self.rules.anew:
                yield Violation("history", f"{self.watch} got a new snapshot on resuming")
            self.known, self.state, self.token = {}, {}, ""
            self.in_snapshot = True
        for change in message.changes:
            yield from self.change(change)
        if message.signal == "end":
            self.in_snapshot = False
            if message.total != len(self.state):
                yield Violation(
                    "snapshot", f"{self.watch}: {message.total} announced, {len(self.state)} held"
                )
        if message.token:
            self.token = message.token
        elif not self.in_snapshot:
            yield Violation("history", f"{self.watch} got a message without a token")

    def change(self, change: Change) -> Iterator[Violation]:
        """Takes in a change."""
        where = f"{self.watch}: {change.name}"
        earlier = self.on_stream.get(change.name, 0)
        known = self.known.get(change.name, 0)
        if change.version <= earlier:
            yield Violation("order", f"{where} {change.version} after {earlier} on one stream")
        self.on_stream[change.name] = max(earlier, change.version)
        if change.version <= known:
            self.repeated += 1
            return
        skipped = change.version - known - 1
        if self.rules.every and change.conflated:
            yield Violation("gap", f"{where} {change.version} was conflated")
        # A filtered watch is not told of versions that never matched; a snapshot begins anywhere.
        if not self.in_snapshot and not self.rules.filtered and skipped != change.conflated:
            yield Violation(
                "gap", f"{where} {change.version} after {known}, {change.conflated} conflated"
            )
        self.known[change.name] = change.version
        if change.kind == "upserted":
            self.state[change.name] = (change.version, change.digest)
        else:
            self.state.pop(change.name, None)


def check_watches(recording: Recording) -> Iterator[Violation]:
    """Every watch is in order and without gaps, and its fold is what the shop holds."""
    for watch, (rules, *records) in recording.watches.items():
        assert isinstance(rules, Watcher)
        reader = Reader(watch, rules)
        for record in records:
            assert not isinstance(record, Watcher)
            yield from reader.read(record)
        final = {
            cart.name: (cart.version, cart.digest)
            for cart in recording.carts
            if cart.state == "open" or not rules.filtered
        }
        for name in sorted(final.keys() | reader.state.keys()):
            if final.get(name) != reader.state.get(name):
                yield Violation(
                    "fold",
                    f"{watch} ends with {name} as {reader.state.get(name)}, "
                    f"the shop with {final.get(name)}",
                )


def check_snapshots(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """A snapshot right after a kill holds what was acknowledged before its stream was opened."""
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
    for watch, (rules, *records) in recording.watches.items():
        assert isinstance(rules, Watcher)
        if not rules.anew or rules.filtered:
            continue
        floor: dict[str, int] = {}
        position = 0
        held: dict[str, int] = {}
        for record in records:
            if isinstance(record, Open):
                held = {}
                while position < len(acknowledged) and acknowledged[position][0] < record.time:
                    _, name, version = acknowledged[position]
                    floor[name] = max(floor.get(name, 0), version)
                    position += 1
                expected = dict(floor)
            elif isinstance(record, Message):
                held.update((change.name, change.version) for change in record.changes)
                if record.signal == "end":
                    for name, version in expected.items():
                        if name not in exempt and held.get(name, 0) < version:
                            yield Violation(
                                "snapshot",
                                f"{watch}: {name} {version} was acknowledged, "
                                f"a later snapshot holds {held.get(name, 'nothing')}",
                            )


def summary(recording: Recording) -> str:
    """How much was judged."""
    requests = requests_of(recording)
    outcomes = Counter(request.outcome for request in requests.values())
    attempts = Counter(
        record.outcome for record in recording.ledger if isinstance(record, Return)
    )
    changes = sum(
        len(record.changes)
        for records in recording.watches.values()
        for record in records
        if isinstance(record, Message)
    )
    streams = sum(
        isinstance(record, Open) for records in recording.watches.values() for record in records
    )
    replays = sum(len(request.answers) > 1 for request in requests.values())
    return (
        f"{outcomes['ok']} writes acknowledged, {outcomes['fail']} refused, "
        f"{outcomes['unknown']} never settled; {attempts['unknown']} attempts with an unknown "
        f"outcome, {replays} requests answered again; {len(recording.carts)} carts; "
        f"{changes} changes on {streams} streams of {len(recording.watches)} watches"
    )


def main() -> int:
    recording = load(Path(sys.argv[1]))
    print(summary(recording))
    violations: dict[str, list[str]] = defaultdict(list)
    for violation in check(recording):
        violations[violation.kind].append(violation.text)
    for kind, promise in CHECKS.items():
        print(f"{'FAILED' if violations[kind] else 'ok':6} {kind:8} {promise}")
        for text in violations[kind][:10]:
            print(f"         {text}")
        if len(violations[kind]) > 10:
            print(f"         and {len(violations[kind]) - 10} more")
    failed = sum(bool(texts) for texts in violations.values())
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
