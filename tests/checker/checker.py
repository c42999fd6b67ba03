#!/usr/bin/env python3
"""Checks a recording: were all promises kept despite the harm to the servers?

    tests/checker/checker.py FOLDER

It uses only the contract of the service. The expected contents of the shop follow from the ledger
(ledger.py). The changes that watchers received are compared with that, with the answers and with each other
(streams.py, selections.py). The last line is `N passed, N failed`; `counts` in the folder has the numbers for
a program.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from ledger import (
    check_answers,
    check_baskets,
    check_others,
    check_real_time,
    requests_of,
)
from records import Close, Message, Open, Recording, Return, Violation, Watcher, load
from selections import check_selections
from streams import check_snapshots, check_watches

# The promise of each check; the keys are the kinds of violations.
CHECKS = {
    "lost": "no acknowledged write is lost",
    "doubled": "no write is applied twice",
    "ghost": "nothing is there that nobody wrote or that was refused",
    "refused": "writes are refused and accepted as they must be",
    "replay": "a repeated request is answered as the first time",
    "stale": "a write is applied after those that were answered before it was sent",
    "content": "a version of a cart is the same wherever it is shown",
    "order": "versions grow on a stream",
    "gap": "no version is skipped, across streams too",
    "filter": "a filtered watch sends matches and leaving resources, and nothing else",
    "fold": "folding a watch gives what the shop holds",
    "snapshot": "a snapshot is whole and holds every write answered before",
    "history": "a resumed watch continues its history, or gets the reason why not",
}


def check(recording: Recording) -> list[Violation]:
    """Returns all violations in a recording."""
    requests = requests_of(recording)
    return [
        *check_answers(recording, requests),
        *check_baskets(recording, requests),
        *check_others(recording, requests),
        *check_real_time(recording, requests),
        *check_content(recording),
        *check_watches(recording, requests),
        *check_selections(recording, requests),
        *check_snapshots(recording, requests),
    ]


def check_content(recording: Recording) -> Iterator[Violation]:
    """Answers, watches and the final list show the same contents of one version of a cart."""
    shown: dict[tuple[str, int], tuple[str, str]] = {}

    def sightings() -> Iterator[tuple[str, str, int, str]]:
        for record in recording.ledger:
            if isinstance(record, Return) and record.version:
                yield "an answer", record.name, record.version, record.digest
        for cart in recording.carts:
            yield "the list", cart.name, cart.version, cart.digest
        for watch, (rules, *records) in recording.since_restored().items():
            assert isinstance(rules, Watcher)
            if rules.resource != "carts":
                continue
            for record in records:
                if isinstance(record, Message):
                    for change in record.changes:
                        if change.digest:
                            yield watch, change.name, change.version, change.digest

    for where, name, version, digest in sightings():
        first, other = shown.setdefault((name, version), (where, digest))
        if other != digest:
            yield Violation("content", f"{name} {version} is not the same in {first} and {where}")


def counts(recording: Recording) -> dict[str, int]:
    """Returns the numbers of the checked records."""
    requests = requests_of(recording)
    outcomes = Counter(request.outcome for request in requests.values())
    attempts = Counter(
        record.outcome for record in recording.ledger if isinstance(record, Return)
    )
    records = [record for watch in recording.watches.values() for record in watch]
    messages = [record for record in records if isinstance(record, Message)]
    return {
        "acknowledged": outcomes["ok"],
        "refused": outcomes["fail"],
        "unsettled": outcomes["unknown"],
        "unknown": attempts["unknown"],
        "repeated": sum(len(request.answers) > 1 for request in requests.values()),
        "carts": len(recording.carts),
        "changes": sum(len(message.changes) for message in messages),
        "entered or left": sum(
            change.kind == "left" for message in messages for change in message.changes
        ),
        "streams": sum(isinstance(record, Open) for record in records),
        "watches": len(recording.watches),
        "expired": sum(
            isinstance(record, Close)
            and record.reason in ("RESUME_TOKEN_EXPIRED", "STORE_EPOCH_CHANGED")
            for record in records
        )
        + sum(message.cause in ("TOKEN_EXPIRED", "EPOCH_CHANGED") for message in messages),
    }


def outages(recording: Recording) -> list[float]:
    """Returns the times for which each watch had no working stream after one had ended."""
    found = []
    for _, *records in recording.watches.values():
        since: float | None = None
        for record in records:
            if isinstance(record, Close) and since is None:
                since = record.time
            elif isinstance(record, Message) and since is not None:
                found.append(record.time - since)
                since = None
    return sorted(found)


def summary(numbers: dict[str, int], outages: list[float]) -> str:
    """The same in words."""
    text = (
        "{acknowledged} writes acknowledged, {refused} refused, {unsettled} never settled; "
        "{unknown} attempts with an unknown outcome, {repeated} requests answered again; {carts} carts; "
        "{changes} changes on {streams} streams of {watches} watches, {expired} times with "
        "an expired history"
    ).format(**numbers)
    if outages:
        half, most = outages[len(outages) // 2], outages[-1]
        text += f"; streams spoke again after {half * 1000:.0f} ms (p50), {most * 1000:.0f} ms (max)"
    return text


def main() -> int:
    folder = Path(sys.argv[1])
    recording = load(folder)
    numbers, silences = counts(recording), outages(recording)
    print(summary(numbers, silences))
    violations: dict[str, list[str]] = defaultdict(list)
    for violation in check(recording):
        violations[violation.kind].append(violation.text)
    for kind, promise in CHECKS.items():
        print(f"{'FAILED' if violations[kind] else 'ok':6} {kind:8} {promise}")
        for text in violations[kind][:10]:
            print(f"         {text}")
        if len(violations[kind]) > 10:
            print(f"         and {len(violations[kind]) - 10} more")
    found = {kind: len(violations[kind]) for kind in CHECKS}
    (folder / "counts").write_text(
        json.dumps({"counts": numbers, "violations": found, "outages": silences})
    )
    failed = sum(bool(texts) for texts in violations.values())
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
