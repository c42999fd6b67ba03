"""Faults to plant into a recording: each breaks one promise, and the checker must see it.

A fault changes the recording it is given and says so by returning; one that finds nothing to change
raises `Unplantable`, which fails the test as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from checker import requests_of
from records import Cart, Change, Close, Customer, Invoke, Message, Open, Recording, Return


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


def some_cart(recording: Recording, dice: random.Random, *, own: bool = True) -> int:
    """The index of a cart with lines: one of a writer's own, or a shared one."""
    found = [
        index
        for index, cart in enumerate(recording.carts)
        if cart.lines and ("counted" in cart.lines) != own
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


def a_watch(recording: Recording, *, every: bool = True, **rules: bool) -> str:
    """The first watch of a sort."""
    wanted = {"every": every, "filtered": False, "anew": False, **rules}
    return next(name for name, log in recording.watches.items() if log[0]._asdict() == wanted)


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


@fault("lost")
def an_acknowledged_line_is_missing(recording: Recording, dice: random.Random) -> None:
    index = some_cart(recording, dice)
    lines = dict(recording.carts[index].lines)
    del lines[dice.choice(sorted(lines))]
    recording.carts[index] = recording.carts[index]._replace(lines=lines)


@fault("lost")
def an_acknowledged_cart_is_missing(recording: Recording, dice: random.Random) -> None:
    del recording.carts[some_cart(recording, dice)]


@fault("lost")
def one_count_of_a_shared_cart_is_missing(recording: Recording, dice: random.Random) -> None:
    index, acknowledged, _ = counted(recording, dice)
    cart = recording.carts[index]
    lines = {"counted": acknowledged - 1}
    recording.carts[index] = cart._replace(lines=lines, version=acknowledged - 1)


@fault("lost")
def an_order_is_forgotten(recording: Recording, dice: random.Random) -> None:
    ordered = [index for index, cart in enumerate(recording.carts) if cart.state == "ordered"]
    index = pick(ordered, dice)
    recording.carts[index] = recording.carts[index]._replace(state="open", reference="")


@fault("lost")
def a_deleted_cart_is_back(recording: Recording, dice: random.Random) -> None:
    deletions = [
        request
        for request in requests_of(recording).values()
        if request.outcome == "ok" and request.invoke.effects == [["delete"]]
    ]
    slot = pick(deletions, dice).invoke.basket
    recording.carts.append(Cart("carts/back", slot, "open", "", 1, {"back": 1}, ""))


@fault("lost")
def an_acknowledged_customer_is_missing(recording: Recording, dice: random.Random) -> None:
    requests = requests_of(recording)
    recording.customers.remove(
        pick(
            [
                customer
                for customer in recording.customers
                if requests[customer.label].outcome == "ok"
            ],
            dice,
        )
    )


@fault("lost")
def two_requests_make_the_same_version(recording: Recording, dice: random.Random) -> None:
    made = [
        request.answers[0]
        for request in requests_of(recording).values()
        if len(request.answers) == 1 and request.answers[0].version
    ]
    one = pick(made, dice)
    other = recording.ledger.index(pick([answer for answer in made if answer != one], dice))
    recording.ledger[other] = recording.ledger[other]._replace(
        name=one.name, version=one.version
    )


@fault("doubled")
def a_quantity_is_added_twice(recording: Recording, dice: random.Random) -> None:
    index = some_cart(recording, dice)
    lines = dict(recording.carts[index].lines)
    product = dice.choice(sorted(lines))
    lines[product] *= 2
    recording.carts[index] = recording.carts[index]._replace(lines=lines)


@fault("doubled")
def one_count_of_a_shared_cart_is_applied_twice(
    recording: Recording, dice: random.Random
) -> None:
    index, acknowledged, unknown = counted(recording, dice)
    cart = recording.carts[index]
    lines = {"counted": acknowledged + unknown + 1}
    recording.carts[index] = cart._replace(lines=lines, version=acknowledged + unknown + 1)


@fault("doubled")
def a_set_quantity_is_applied_twice_and_only_the_version_tells(
    recording: Recording, dice: random.Random
) -> None:
    index = some_cart(recording, dice)
    version = recording.carts[index].version + 1
    recording.carts[index] = recording.carts[index]._replace(version=version)


@fault("doubled")
def a_repeated_request_opens_a_second_cart(recording: Recording, dice: random.Random) -> None:
    cart = recording.carts[some_cart(recording, dice)]
    recording.carts.append(cart._replace(name=f"{cart.name}-again"))


@fault("doubled")
def a_customer_is_created_twice(recording: Recording, dice: random.Random) -> None:
    customer = pick(recording.customers, dice)
    recording.customers.append(customer._replace(name=f"{customer.name}-again"))


@fault("ghost")
def a_refused_line_is_there(recording: Recording, dice: random.Random) -> None:
    slots = {cart.slot: index for index, cart in enumerate(recording.carts)}
    refused = [
        request.invoke
        for request in requests_of(recording).values()
        if request.outcome == "fail"
        and request.invoke.basket in slots
        and request.invoke.effects[0][0] == "add"
    ]
    invoke = pick(refused, dice)
    index = slots[invoke.basket]
    cart = recording.carts[index]
    lines = {**cart.lines, str(invoke.effects[0][1]): 1}
    recording.carts[index] = cart._replace(lines=lines)


@fault("ghost")
def a_removed_line_is_back(recording: Recording, dice: random.Random) -> None:
    slots = {cart.slot: index for index, cart in enumerate(recording.carts)}
    removals = [
        (slots[request.invoke.basket], str(request.invoke.effects[0][1]))
        for request in requests_of(recording).values()
        if request.outcome == "ok"
        and request.invoke.basket in slots
        and request.invoke.effects[0][0] == "remove"
    ]
    index, product = pick(removals, dice)
    cart = recording.carts[index]
    recording.carts[index] = cart._replace(lines={**cart.lines, product: 1})


@fault("ghost")
def a_cart_is_there_that_nobody_opened(recording: Recording, dice: random.Random) -> None:
    recording.carts.append(Cart("carts/ghost", "ghost", "open", "", 1, {"ghost": 1}, ""))


@fault("ghost")
def a_customer_is_there_that_nobody_created(recording: Recording, dice: random.Random) -> None:
    recording.customers.append(Customer("customers/ghost", "ghost"))


@fault("lost")
def a_write_of_unknown_outcome_is_applied_by_half(
    recording: Recording, dice: random.Random
) -> None:
    """Makes the last write of a cart one that was never answered, and takes a part of it away."""
    slots = {cart.slot: index for index, cart in enumerate(recording.carts)}
    last = {
        request.invoke.basket: request
        for request in requests_of(recording).values()
        if request.outcome != "fail"
    }
    edits = [
        request.invoke
        for basket, request in last.items()
        if basket in slots
        and request.outcome == "ok"
        and [effect[0] for effect in request.invoke.effects[:2]] == ["add", "add"]
    ]
    invoke = pick(edits, dice)
    recording.ledger = [
        record
        for record in recording.ledger
        if not (isinstance(record, Return) and record.request == invoke.request)
    ]
    index = slots[invoke.basket]
    lines = dict(recording.carts[index].lines)
    del lines[str(invoke.effects[0][1])]
    recording.carts[index] = recording.carts[index]._replace(lines=lines)


@fault("refused")
def a_bad_write_is_accepted(recording: Recording, dice: random.Random) -> None:
    index = pick(
        [
            index
            for index, record in enumerate(recording.ledger)
            if isinstance(record, Return) and record.outcome == "fail"
        ],
        dice,
    )
    recording.ledger[index] = recording.ledger[index]._replace(outcome="ok")


@fault("replay")
def a_repeated_request_has_another_answer(recording: Recording, dice: random.Random) -> None:
    index = some_answer(recording, dice, times=2)
    recording.ledger[index] = recording.ledger[index]._replace(digest="other")


@fault("stale")
def a_write_goes_below_one_that_was_answered_before(
    recording: Recording, dice: random.Random
) -> None:
    """Lets the first and the last answer of a shared cart change their versions."""
    requests = requests_of(recording)
    shared = next(cart for cart in recording.carts if "counted" in cart.lines)
    indices = [
        index
        for index, record in enumerate(recording.ledger)
        if isinstance(record, Return)
        and record.name == shared.name
        and len(requests[record.request].answers) == 1
    ]
    if len(indices) < 2:
        raise Unplantable
    first, last = (recording.ledger[index] for index in (indices[0], indices[-1]))
    recording.ledger[indices[0]] = first._replace(version=last.version)
    recording.ledger[indices[-1]] = last._replace(version=first.version)


@fault("content")
def a_watcher_sees_another_cart_than_the_writer(
    recording: Recording, dice: random.Random
) -> None:
    shown = [place for place in places(recording, a_watch(recording)) if place.change.digest]
    place = pick(shown, dice)
    replace(recording, place, [place.change._replace(digest="other")])


@fault("gap")
def a_change_in_the_middle_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    found = [place for place in places(recording, watch) if not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def the_first_change_after_a_resume_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    opens = [
        number
        for number, record in enumerate(recording.watches[watch])
        if isinstance(record, Open) and record.token
    ]
    after = [next((p for p in places(recording, watch) if p.record > n), None) for n in opens]
    found = [place for place in after if place and not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def a_version_is_conflated_and_not_counted(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording, every=False)
    found = [place for place in places(recording, watch) if not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def a_version_is_skipped(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording))), dice)
    replace(recording, place, [place.change._replace(version=place.change.version + 1)])


@fault("fold")
def the_last_change_of_a_cart_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    found = [place for place in places(recording, watch) if last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("fold")
def a_filtered_watch_is_not_told_that_a_cart_left(
    recording: Recording, dice: random.Random
) -> None:
    watch = a_watch(recording, filtered=True)
    found = [place for place in places(recording, watch) if place.change.kind == "left"]
    replace(recording, pick(found, dice), [])


@fault("order")
def two_changes_of_a_cart_are_exchanged(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    pairs: list[tuple[Place, Place]] = []
    before: dict[str, Place] = {}
    for place in places(recording, watch):
        other = before.get(place.change.name)
        # On one stream: after a resume an earlier version is permitted.
        if other and not any(
            isinstance(record, Open)
            for record in recording.watches[watch][other.record : place.record]
        ):
            pairs.append((other, place))
        before[place.change.name] = place
    first, second = pick(pairs, dice)
    replace(recording, first, [second.change])
    replace(recording, second, [first.change])


@fault("order")
def a_change_is_shown_twice_on_a_stream(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording))), dice)
    replace(recording, place, [place.change, place.change])


@fault("history")
def a_resumed_watch_begins_anew(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    resumed = [
        number
        for number, record in enumerate(records)
        if isinstance(record, Open) and record.token
    ]
    records.insert(pick(resumed, dice) + 1, Message("", "begin", 0, []))


@fault("history")
def the_history_is_said_to_be_gone(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    ends = [number for number, record in enumerate(records) if isinstance(record, Close)]
    records[pick(ends, dice)] = Close("OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED")


@fault("snapshot")
def a_snapshot_after_a_kill_lacks_an_acknowledged_cart(
    recording: Recording, dice: random.Random
) -> None:
    records = recording.watches[a_watch(recording, anew=True)]
    opens = [number for number, record in enumerate(records) if isinstance(record, Open)]
    # The oldest cart that the last whole snapshot holds was acknowledged long before.
    for opened in reversed(opens):
        ends = [
            number
            for number, record in enumerate(records)
            if number > opened and isinstance(record, Message) and record.signal == "end"
        ]
        if ends:
            break
    else:
        raise Unplantable
    never_deleted = {cart.name for cart in recording.carts if cart.state == "ordered"}
    for number in range(opened, ends[0] + 1):
        record = records[number]
        if isinstance(record, Message):
            kept = [change for change in record.changes if change.name not in never_deleted]
            if len(kept) < len(record.changes):
                records[number] = record._replace(changes=kept)
                return
    raise Unplantable


@fault("snapshot")
def a_snapshot_counts_wrongly(recording: Recording, dice: random.Random) -> None:
    for records in recording.watches.values():
        for number, record in enumerate(records):
            if isinstance(record, Message) and record.signal == "end":
                records[number] = record._replace(total=record.total + 1)
                return
    raise Unplantable
