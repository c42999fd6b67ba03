"""Faults to inject into a recording: each breaks one promise, and the checker must find it.

A fault changes the given recording. If it finds no place, it raises `Unplantable`, which fails the test, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from ledger import baskets_of, requests_of
from records import Change, Message, Open, Recording, Return, Watcher


class Unplantable(Exception):
    """An error: the recording has no place for the fault."""


class Fault(NamedTuple):
    """A way to break a promise."""

    name: str
    # The check that must find it.
    kind: str
    plant: Callable[[Recording, random.Random], None]


FAULTS: list[Fault] = []

Choice = TypeVar("Choice")

Plant = Callable[[Recording, random.Random], None]


def fault(kind: str) -> Callable[[Plant], Plant]:
    """Adds a fault to the list, under the name of its function."""

    def add(plant: Plant) -> Plant:
        FAULTS.append(Fault(plant.__name__.replace("_", " "), kind, plant))
        return plant

    return add


def settled(recording: Recording) -> dict[str, int]:
    """Returns the baskets without an unknown outcome, each with the index of its cart."""
    requests = requests_of(recording)
    unknown = {r.invoke.basket for r in requests.values() if r.outcome == "unknown"}
    index = {cart.name: number for number, cart in enumerate(recording.carts)}
    return {
        basket: index[carts[0].name]
        for basket, carts in baskets_of(recording, requests).items()
        if basket not in unknown and len(carts) == 1
    }


def some_cart(recording: Recording, dice: random.Random, *, own: bool = True) -> int:
    """Returns the index of a cart with lines: a writer's own, or a shared one."""
    known = set(settled(recording).values())
    found = [
        index
        for index, cart in enumerate(recording.carts)
        if cart.lines and ("counted" in cart.lines) != own and (index in known or not own)
    ]
    return pick(found, dice)


def pick(found: Sequence[Choice], dice: random.Random) -> Choice:
    """Chooses one of several places, if there is any."""
    if not found:
        raise Unplantable
    return dice.choice(found)


def counted(recording: Recording, dice: random.Random) -> tuple[int, int, int]:
    """Returns the index of a shared cart, and the numbers of its acknowledged and of its unsettled counts."""
    index = some_cart(recording, dice, own=False)
    outcomes = [
        request.outcome
        for request in requests_of(recording).values()
        if request.invoke.basket == recording.carts[index].slot
    ]
    return index, outcomes.count("ok"), outcomes.count("unknown")


class Place(NamedTuple):
    """The place of a change in a recording."""

    watch: str
    record: int
    index: int
    change: Change


def places(recording: Recording, watch: str) -> Iterator[Place]:
    """Returns the changes of a watch outside of snapshots."""
    in_snapshot = False
    for number, record in enumerate(recording.watches[watch]):
        if isinstance(record, Message):
            in_snapshot = record.signal == "begin" or (in_snapshot and record.signal != "end")
            if not in_snapshot and record.signal != "end":
                for index, change in enumerate(record.changes):
                    yield Place(watch, number, index, change)


def a_watch(recording: Recording, *, named: bool = False, **rules: bool | int | str) -> str:
    """Returns the first watch of a kind."""
    wanted = Watcher(**{"every": True, **rules})
    for name, (found, *_) in recording.watches.items():
        assert isinstance(found, Watcher)
        if found._replace(names=[]) == wanted and bool(found.names) == named:
            return name
    raise Unplantable


def replace(recording: Recording, place: Place, changes: list[Change]) -> None:
    """Replaces one change by others."""
    records = recording.watches[place.watch]
    message = records[place.record]
    assert isinstance(message, Message)
    sent = list(message.changes)
    sent[place.index : place.index + 1] = changes
    records[place.record] = message._replace(changes=sent)


def last_of(recording: Recording, place: Place) -> bool:
    """Whether no later change of the same cart follows in the watch."""
    log = recording.watches[place.watch]
    message = log[place.record]
    assert isinstance(message, Message)
    later = [change.name for change in message.changes[place.index + 1 :]]
    if place.change.name in later:
        return False
    return not any(
        change.name == place.change.name
        for record in log[place.record + 1 :]
        if isinstance(record, Message)
        for change in record.changes
    )


def some_answer(recording: Recording, dice: random.Random, *, times: int = 1) -> int:
    """Returns the index of an answer that made a version, of a request with at least this many answers."""
    requests = requests_of(recording)
    return pick(
        [
            index
            for index, record in enumerate(recording.ledger)
            if isinstance(record, Return)
            and record.version
            and len(requests[record.request].answers) >= times
        ],
        dice,
    )
