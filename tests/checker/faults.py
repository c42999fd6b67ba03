"""Faults to plant into a recording: each breaks one promise, and the checker must see it.

A fault changes the recording it is given and says so by returning; one that finds nothing to change
raises `Unplantable`, which fails the test as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from ledger import baskets_of, requests_of
from records import Change, Message, Open, Recording, Return, Watcher


class Unplantable(Exception):
    """The recording has no place for the fault."""


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
    """Adds a fault to the list, called by the name of its function."""

    def add(plant: Plant) -> Plant:
        FAULTS.append(Fault(plant.__name__.replace("_", " "), kind, plant))
        return plant

    return add


def settled(recording: Recording) -> dict[str, int]:
    """The baskets of which every outcome is known: the index of the cart that each is."""
    requests = requests_of(recording)
    unknown = {r.invoke.basket for r in requests.values() if r.outcome == "unknown"}
    index = {cart.name: number for number, cart in enumerate(recording.carts)}
    return {
        basket: index[carts[0].name]
        for basket, carts in baskets_of(recording, requests).items()
        if basket not in unknown and len(carts) == 1
    }


def some_cart(recording: Recording, dice: random.Random, *, own: bool = True) -> int:
    """The index of a cart with lines: one of a writer's own, or a shared one."""
    known = set(settled(recording).values())
    found = [
        index
        for index, cart in enumerate(recording.carts)
        if cart.lines and ("counted" in cart.lines) != own and (index in known or not own)
    ]
    return pick(found, dice)


def pick(found: Sequence[Choice], dice: random.Random) -> Choice:
    """One of several places, if there is any."""
    if not found:
        raise Unplantable
    return dice.choice(found)


def counted(recording: Recording, dice: random.Random) -> tuple[int, int, int]:
    """The index of a shared cart, and how many counts of it were acknowledged and never settled."""
    index = some_cart(recording, dice, own=False)
    outcomes = [
        request.outcome
        for request in requests_of(recording).values()
        if request.invoke.basket == recording.carts[index].slot
    ]
    return index, outcomes.count("ok"), outcomes.count("unknown")


class Place(NamedTuple):
    """Where a change is in a recording."""

    watch: str
    record: int
    index: int
    change: Change


def places(recording: Recording, watch: str) -> Iterator[Place]:
    """The changes of a watch outside of snapshots."""
    in_snapshot = False
    for number, record in enumerate(recording.watches[watch]):
        if isinstance(record, Message):
            in_snapshot = record.signal == "begin" or (in_snapshot and record.signal != "end")
            if not in_snapshot and record.signal != "end":
                for index, change in enumerate(record.changes):
                    yield Place(watch, number, index, change)


def a_watch(recording: Recording, *, named: bool = False, **rules: bool | int | str) -> str:
    """The first watch of a sort."""
    wanted = Watcher(**{"every": True, **rules})
    for name, (found, *_) in recording.watches.items():
        assert isinstance(found, Watcher)
        if found._replace(names=[]) == wanted and bool(found.names) == named:
            return name
    raise Unplantable


def replace(recording: Recording, place: Place, changes: list[Change]) -> None:
    """Puts other changes in the place of one."""
    records = recording.watches[place.watch]
    message = records[place.record]
    assert isinstance(message, Message)
    told = list(message.changes)
    told[place.index : place.index + 1] = changes
    records[place.record] = message._replace(changes=told)


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
    """The index of an answer that made a version of a cart, of a request answered so often."""
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
