"""What a watch of some carts must be shown: those that match, as they enter and leave.

Whether a version of a cart matches is known from the watches that showed it whole. A version that
matches is told as it is, one that does not only if the version before did, and then as having left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from ledger import Request, Sent, sent_times
from records import Change, Message, Recording, Violation, Watcher

# The versions of a cart, as far as they were shown whole or as deleted.
Versions = dict[int, Change]


def history_of(recording: Recording) -> dict[str, Versions]:
    """The versions of each cart that any watch was shown."""
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
    """Checks that a watch of some carts tells what enters and leaves, and nothing else."""
    history = history_of(recording)
    sent = sent_times(requests)
    for watch, (rules, *records) in recording.since_restored().items():
        assert isinstance(rules, Watcher)
        if rules.resource != "carts" or not (rules.chooses() or rules.names):
            continue
        held: dict[str, int] = {}
        told: dict[str, Versions] = defaultdict(dict)
        in_snapshot, snapshot_time = False, -inf
        for record in records:
            if not isinstance(record, Message):
                continue
            if record.signal == "begin":
                gone = gone_by(snapshot_time, sent, rules, history, told)
                yield from judge(watch, rules, history, {**gone, **held}, told, to_the_end=False)
                held, told, in_snapshot = {}, defaultdict(dict), True
            for change in record.changes:
                yield from judge_one(watch, rules, history, change)
                if in_snapshot and change.kind == "upserted":
                    held[change.name] = change.version
                elif in_snapshot:
                    held.pop(change.name, None)
                else:
                    told[change.name].setdefault(change.version, change)
            if record.signal == "end":
                in_snapshot, snapshot_time = False, record.time
        gone = gone_by(snapshot_time, sent, rules, history, told)
        yield from judge(watch, rules, history, {**gone, **held}, told, to_the_end=True)


def gone_by(
    time: float, sent: Sent, rules: Watcher, history: dict[str, Versions], told: dict[str, Versions]
) -> dict[str, int]:
    """The last version of each cart with which it may have left before a snapshot was whole.

    A snapshot includes what went away before it was read. A stream that resumes from there may still tell
    how that came to its end, so nothing before it is missed.
    """
    gone = {}
    for name in told:
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
    """Whether a change may be told to such a watch at all, and as what."""
    where = f"{watch}: {change.name} {change.version}"
    if rules.names and change.name not in rules.names:
        yield Violation("filter", f"{where} was not asked for")
    elif change.kind == "upserted" and not rules.matches(change):
        yield Violation("filter", f"{where} is told and does not match: {change}")
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
    told: dict[str, Versions],
    *,
    to_the_end: bool,
) -> Iterator[Violation]:
    """Whether all was told from a snapshot to the next, or to the end of the run."""
    # What is conflated is not known version by version; the fold is held against the shop.
    if not rules.every or not rules.chooses():
        return
    for name in sorted(held.keys() | told.keys()):
        known = history.get(name, {})
        versions = told.get(name, {})

        def matches(version: int, known: Versions = known) -> bool | None:
            change = known.get(version)
            if change is None:
                return False if version == 0 else None
            return change.kind == "upserted" and rules.matches(change)

        base = held.get(name)
        if base is None:
            # The snapshot did not hold it, so it began at some version that does not match.
            first = min(versions)
            base = next((v for v in range(first - 1, -1, -1) if matches(v) is not True), 0)
        # A stream may have been cut before it told the last.
        end = max(known, default=0) if to_the_end else max(versions, default=0)
        for version in range(base + 1, end + 1):
            if version in versions:
                continue
            if matches(version):
                yield Violation("filter", f"{watch}: {name} {version} matches and was not told")
            elif matches(version) is False and matches(version - 1):
                yield Violation("filter", f"{watch}: {name} {version} left and was not told so")
