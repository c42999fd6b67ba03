"""Checks of watches with a filter or names: carts enter and leave as they match.

The watches that showed a version of a cart whole tell whether it matches. A matching version is sent whole.
Another version is sent only if the previous one matched, and then as left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from ledger import Request, Sent, sent_times
from records import Change, Message, Recording, Violation, Watcher

# The versions of a cart that were shown whole or as deleted.
Versions = dict[int, Change]


def history_of(recording: Recording) -> dict[str, Versions]:
    """Returns the versions of each cart that any watch received."""
    history: dict[str, Versions] = defaultdict(dict)
    for rules, *records in recording.since_restored().values():
        assert isinstance(rules, Watcher)
        if rules.resource != "carts":
            continue
        for record in records:
            if isinstance(record, Message):
                for change in record.changes:
                    if change.kind in ("upserted", "deleted"):
                        history[change.name].setdefault(change.version, change)
    return history


def check_selections(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Checks that a selective watch reports entering and leaving carts, and nothing else."""
    history = history_of(recording)
    sent = sent_times(requests)
    for watch, (rules, *records) in recording.since_restored().items():
        assert isinstance(rules, Watcher)
        if rules.resource != "carts" or not (rules.chooses() or rules.names):
            continue
        held: dict[str, int] = {}
        received: dict[str, Versions] = defaultdict(dict)
        in_snapshot, snapshot_time = False, -inf
        for record in records:
            if not isinstance(record, Message):
                continue
            if record.signal == "begin":
                gone = gone_by(snapshot_time, sent, rules, history, received)
                yield from judge(watch, rules, history, {**gone, **held}, received, to_the_end=False)
                held, received, in_snapshot = {}, defaultdict(dict), True
            for change in record.changes:
                yield from judge_one(watch, rules, history, change)
                if in_snapshot and change.kind == "upserted":
                    held[change.name] = change.version
                elif in_snapshot:
                    held.pop(change.name, None)
                else:
                    received[change.name].setdefault(change.version, change)
            if record.signal == "end":
                in_snapshot, snapshot_time = False, record.time
        gone = gone_by(snapshot_time, sent, rules, history, received)
        yield from judge(watch, rules, history, {**gone, **held}, received, to_the_end=True)


def gone_by(
    time: float, sent: Sent, rules: Watcher, history: dict[str, Versions], received: dict[str, Versions]
) -> dict[str, int]:
    """The last version of each cart with which it may have left before a snapshot was whole.

    A snapshot includes the changes before it. A stream that resumes from its end may send some of them, so
    that the first version which it sends need not be the first that matched.
    """
    gone = {}
    for name in received:
        left = (
            version
            for version, change in history.get(name, {}).items()
            if (change.kind == "deleted" or not rules.matches(change))
            and sent.time_of(change) < time
        )
        if last := max(left, default=0):
            gone[name] = last
    return gone


def judge_one(
    watch: str, rules: Watcher, history: dict[str, Versions], change: Change
) -> Iterator[Violation]:
    """Checks whether such a watch may send a change, and of which kind."""
    where = f"{watch}: {change.name} {change.version}"
    if rules.names and change.name not in rules.names:
        yield Violation("filter", f"{where} was not asked for")
    elif change.kind == "upserted" and not rules.matches(change):
        yield Violation("filter", f"{where} was sent and does not match: {change}")
    elif change.kind == "left":
        whole = history.get(change.name, {}).get(change.version)
        if whole is None or whole.kind == "deleted":
            return
        if rules.matches(whole):
            yield Violation("filter", f"{where} is said to have left and matches: {whole}")


def judge(
    watch: str,
    rules: Watcher,
    history: dict[str, Versions],
    held: dict[str, int],
    received: dict[str, Versions],
    *,
    to_the_end: bool,
) -> Iterator[Violation]:
    """Checks that no change is missing from a snapshot to the next, or to the end of the run."""
    # Conflated versions cannot be checked one by one; the final state is compared with the shop.
    if not rules.every or not rules.chooses():
        return
    for name in sorted(held.keys() | received.keys()):
        known = history.get(name, {})
        versions = received.get(name, {})

        def matches(version: int, known: Versions = known) -> bool | None:
            change = known.get(version)
            if change is None:
                return False if version == 0 else None
            return change.kind == "upserted" and rules.matches(change)

        base = held.get(name)
        if base is None:
            # The snapshot did not have it, so it began at a version that does not match.
            first = min(versions)
            base = next((v for v in range(first - 1, -1, -1) if matches(v) is not True), 0)
        # A stream may have been cut before it sent the last change.
        end = max(known, default=0) if to_the_end else max(versions, default=0)
        for version in range(base + 1, end + 1):
            if version in versions:
                continue
            if matches(version):
                yield Violation("filter", f"{watch}: {name} {version} matches and was not sent")
            elif matches(version) is False and matches(version - 1):
                yield Violation("filter", f"{watch}: {name} {version} left and no change says so")
