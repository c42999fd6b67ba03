"""Lost history: its correct reports, and faults of them; see faults.py."""

from __future__ import annotations

import random
from collections.abc import Callable

from faults import a_watch, fault, pick
from records import Allowed, Change, Close, Message, Open, Recording, Seen, Watcher

# Recordings that the checker must accept.
STORIES: list[Callable[[Recording, random.Random], None]] = []


def story(tell: Callable[[Recording, random.Random], None]) -> Callable:
    """Adds a story to the list."""
    STORIES.append(tell)
    return tell


def resumes(records: list[Seen]) -> list[int]:
    """Returns the places where a watch resumes with a token."""
    return [
        number
        for number, record in enumerate(records)
        if isinstance(record, Open) and record.token
    ]


def snapshot_at(records: list[Seen], place: int, cause: str) -> list[Seen]:
    """Returns a snapshot of all resources that a watch had before a place."""
    there: dict[str, Change] = {}
    token = ""
    for record in records[:place]:
        if isinstance(record, Message):
            if record.signal == "begin":
                there = {}
            token = record.token
            for change in record.changes:
                if change.kind == "upserted":
                    there[change.name] = change._replace(conflated=0)
                else:
                    there.pop(change.name, None)
    return [
        Message(0.0, "", "begin", cause, 0, []),
        Message(0.0, "", "", "", 0, list(there.values())),
        Message(0.0, token, "end", "", len(there), []),
    ]


def begin_anew(records: list[Seen], opened: int, code: str, reason: str, cause: str) -> None:
    """Makes a resumed stream report that its history is gone, in the way that its options ask for."""
    rules, stream = records[0], records[opened]
    assert isinstance(rules, Watcher) and isinstance(stream, Open)
    if rules.reset:
        records[opened + 1 : opened + 1] = snapshot_at(records, opened, cause)
    else:
        records[opened + 1 : opened + 1] = [
            Close(stream.time, code, reason, ""),
            stream._replace(token=""),
            *snapshot_at(records, opened, "INITIAL"),
        ]


def expire(records: list[Seen], opened: int) -> None:
    """Makes a stream find that its history was compacted away."""
    begin_anew(records, opened, "OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED", "TOKEN_EXPIRED")


@story
def compaction_is_told(recording: Recording, dice: random.Random) -> None:
    recording.allowed = Allowed(compacted=True)
    for records in recording.watches.values():
        if found := resumes(records):
            expire(records, dice.choice(found))


@story
def restoration_is_told(recording: Recording, dice: random.Random) -> None:
    """The store is restored to that moment, without later writes."""
    every = recording.watches[a_watch(recording)]
    stream = every[pick(resumes(every), dice)]
    assert isinstance(stream, Open)
    recording.allowed = Allowed(restored=stream.time - 0.00005)
    for records in recording.watches.values():
        for number in resumes(records):
            record = records[number]
            assert isinstance(record, Open)
            if record.time > recording.allowed.restored:
                begin_anew(records, number, "ABORTED", "STORE_EPOCH_CHANGED", "EPOCH_CHANGED")
                break


@fault("history")
def restoration_is_not_told(recording: Recording, dice: random.Random) -> None:
    every = recording.watches[a_watch(recording)]
    stream = every[pick(resumes(every), dice)]
    assert isinstance(stream, Open)
    recording.allowed = Allowed(restored=stream.time - 0.00005)


@fault("history")
def compaction_is_told_by_an_error_where_a_snapshot_was_asked_for(
    recording: Recording, dice: random.Random
) -> None:
    compaction_is_told(recording, dice)
    records = recording.watches[a_watch(recording, reset=True)]
    opened = pick(resumes(records), dice)
    records.insert(opened + 1, Close(0.0, "OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED", ""))


@fault("history")
def history_is_gone_that_was_not_compacted(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    expire(records, pick(resumes(records), dice))


def names_in(records: list[Seen], numbers: list[int]) -> set[str]:
    """Returns the names of the resources that messages have changes of."""
    messages = (records[number] for number in numbers)
    return {c.name for m in messages if isinstance(m, Message) for c in m.changes}


@fault("gap")
def compaction_is_skipped_in_silence(recording: Recording, dice: random.Random) -> None:
    """A stream continues after compacted history without an error."""
    recording.allowed = Allowed(compacted=True)
    watch = a_watch(recording)
    records = recording.watches[watch]
    found = []
    for opened in resumes(records):
        later = [
            number
            for number, record in enumerate(records)
            if number > opened and isinstance(record, Message) and record.changes
        ]
        skipped, received = later[:8], later[8:]
        # If a cart does not change any more, nothing shows that versions are missing.
        if names_in(records, skipped) & names_in(records, received):
            found.append(skipped)
    for number in pick(found, dice):
        record = records[number]
        assert isinstance(record, Message)
        records[number] = record._replace(changes=[])


@fault("snapshot")
def a_snapshot_after_compaction_lacks_what_was_acknowledged(
    recording: Recording, dice: random.Random
) -> None:
    recording.allowed = Allowed(compacted=True)
    records = recording.watches[a_watch(recording, reset=True)]
    opened = resumes(records)[-1]
    expire(records, opened)
    ordered = {cart.name for cart in recording.carts if cart.state == "ordered"}
    there = records[opened + 2]
    end = records[opened + 3]
    assert isinstance(there, Message) and isinstance(end, Message)
    lost = pick([change for change in there.changes if change.name in ordered], dice)
    records[opened + 2] = there._replace(changes=[c for c in there.changes if c != lost])
    records[opened + 3] = end._replace(total=end.total - 1)
