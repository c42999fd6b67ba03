"""Faults of writes; see faults.py."""

from __future__ import annotations

import random

from faults import Unplantable, counted, fault, pick, settled, some_answer, some_cart
from ledger import requests_of
from records import Cart, Invoke, Named, Recording, Return


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
    known = settled(recording).values()
    index = pick([index for index in known if recording.carts[index].state == "ordered"], dice)
    recording.carts[index] = recording.carts[index]._replace(state="open", reference="")


@fault("lost")
def a_deleted_cart_is_back(recording: Recording, dice: random.Random) -> None:
    deletions = [
        request
        for request in requests_of(recording).values()
        if request.outcome == "ok" and request.invoke.effects == [["delete"]]
    ]
    slot = pick(deletions, dice).invoke.basket
    recording.carts.append(Cart("carts/back", slot, "open", "", 1, 1, {"back": 1}, ""))


@fault("lost")
def an_acknowledged_customer_is_missing(recording: Recording, dice: random.Random) -> None:
    requests = requests_of(recording)
    made = [other for other in recording.others if other.label]
    recording.others.remove(
        pick([other for other in made if requests[other.label].outcome == "ok"], dice)
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
    customer = pick([other for other in recording.others if other.label], dice)
    recording.others.append(customer._replace(name=f"{customer.name}-again"))


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
    recording.carts.append(Cart("carts/ghost", "ghost", "open", "", 1, 1, {"ghost": 1}, ""))


@fault("ghost")
def a_customer_is_there_that_nobody_created(recording: Recording, dice: random.Random) -> None:
    recording.others.append(Named("customers", "customers/ghost", "ghost", ""))


@fault("lost")
def a_write_of_unknown_outcome_is_applied_by_half(
    recording: Recording, dice: random.Random
) -> None:
    """Makes the last write of a cart unanswered, and removes a part of it."""
    slots = settled(recording)
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
    """Exchanges the versions of the first and the last answer of a shared cart."""
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
    if requests[last.request].invoke.time < first.time:
        # Concurrent writes may be applied in either order.
        raise Unplantable
    recording.ledger[indices[0]] = first._replace(version=last.version)
    recording.ledger[indices[-1]] = last._replace(version=first.version)


@fault("replay")
def a_repeated_request_is_refused(recording: Recording, dice: random.Random) -> None:
    index = some_answer(recording, dice, times=2)
    recording.ledger[index] = recording.ledger[index]._replace(
        outcome="fail", code="NOT_FOUND", name="", version=0
    )


@fault("lost")
def a_reopening_is_forgotten(recording: Recording, dice: random.Random) -> None:
    """A reopened cart has its earlier state, without the later writes."""
    known = settled(recording)
    reopened = {
        known[request.invoke.basket]
        for request in requests_of(recording).values()
        if request.invoke.effects == [["reopen"]] and request.invoke.basket in known
    }
    index = pick(sorted(reopened), dice)
    cart = recording.carts[index]
    state, reference = ("ordered", "0-0") if cart.state == "open" else ("open", "")
    recording.carts[index] = cart._replace(state=state, reference=reference)


@fault("doubled")
def the_next_cart_of_a_slot_is_opened_twice(recording: Recording, dice: random.Random) -> None:
    index = pick(
        [index for index, cart in enumerate(recording.carts) if cart.slot == "till"], dice
    )
    cart = recording.carts[index]
    lines = {product: 2 * quantity for product, quantity in cart.lines.items()}
    recording.carts[index] = cart._replace(lines=lines)
