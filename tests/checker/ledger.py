"""The expected contents of the shop, from the answers to its writers.

An answered write was applied once, a refused one not at all, and one with an unknown outcome either as a
whole or not at all. So several worlds are possible, and the final state must be one of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from records import Cart, Change, Invoke, Recording, Return, Violation

# Refusals that any write may get: nothing was done, retry later.
NOT_NOW = {"ABORTED", "RESOURCE_EXHAUSTED"}


@dataclass
class Request:
    """A write with all its attempts."""

    invoke: Invoke
    # `ok` if any attempt was answered; else `unknown` if any may have been applied; else `fail`.
    outcome: str = "unknown"
    answers: list[Return] = field(default_factory=list)
    refusals: list[Return] = field(default_factory=list)
    attempts: int = 0

    def settle(self) -> None:
        """Derives the outcome. An attempt without a return counts as unknown."""
        if self.answers:
            self.outcome = "ok"
        elif self.attempts == len(self.refusals):
            self.outcome = "fail"


class World(NamedTuple):
    """A possible state of a basket."""

    state: str = "absent"
    reference: str = ""
    version: int = 0
    lines: frozenset[tuple[str, int]] = frozenset()


def apply(world: World, effects: list[list[str | int]]) -> World | None:
    """Returns the world after a write, or None if the service had to refuse it."""
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
        elif effect == "reopen" and state == "ordered":
            state, reference = "open", ""
        elif effect == "delete" and state == "open":
            state = "deleted"
        else:
            return None
    return World(state, reference, world.version + 1, frozenset(lines.items()))


def requests_of(recording: Recording) -> dict[str, Request]:
    """Returns the requests of the ledger, in the order of their first attempts."""
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


class Sent(NamedTuple):
    """The times at which the writes of carts were first sent."""

    # By name and answered version.
    versions: dict[tuple[str, int], float]
    # Of deletions, by the name of the cart. Their answers have no version.
    deletions: dict[str, float]

    def time_of(self, change: Change) -> float:
        """Returns the earliest time of a change; infinity if it is not known."""
        if change.kind == "deleted":
            return self.deletions.get(change.name, inf)
        return self.versions.get((change.name, change.version), inf)


def sent_times(requests: dict[str, Request]) -> Sent:
    """The times at which the writes of carts were first sent."""
    versions: dict[tuple[str, int], float] = {}
    names: dict[str, str] = {}
    deletions: dict[str, float] = {}
    for request in requests.values():
        for answer in request.answers[:1]:
            if answer.version:
                versions[answer.name, answer.version] = request.invoke.time
                names[request.invoke.basket] = answer.name
    for request in requests.values():
        if ["delete"] in request.invoke.effects and not request.invoke.bad:
            if name := names.get(request.invoke.basket):
                deletions[name] = min(request.invoke.time, deletions.get(name, inf))
    return Sent(versions, deletions)


def check_answers(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Repeated requests get the same answer, and no two requests made the same version of a cart."""
    # After the compaction of a change, a repetition gets the present resource.
    compacted = recording.allowed.compacted
    makers: dict[tuple[str, int], str] = {}
    for identity, request in requests.items():
        if not compacted and len({answer[5:] for answer in request.answers}) > 1:
            yield Violation("replay", f"{identity} has different answers: {request.answers}")
        codes = {refusal.code for refusal in request.refusals} - NOT_NOW
        if not compacted and request.answers and codes:
            yield Violation("replay", f"{identity} was answered, and when repeated: {codes}")
        if request.outcome == "ok" and request.invoke.bad:
            yield Violation("refused", f"{identity} had to be refused: {request.invoke}")
        if request.outcome == "fail" and not request.invoke.bad:
            if codes:
                yield Violation("refused", f"{identity} was refused with {codes}: {request.invoke}")
        if compacted and request.attempts > 1:
            continue
        for answer in request.answers[:1]:
            if answer.version:
                other = makers.setdefault((answer.name, answer.version), identity)
                if other != identity:
                    yield Violation(
                        "lost", f"{other} and {identity} both made {answer.name} {answer.version}"
                    )


def baskets_of(recording: Recording, requests: dict[str, Request]) -> dict[str, list[Cart]]:
    """Returns the final carts by their baskets."""
    names = {
        answer.name: request.invoke.basket
        for request in requests.values()
        for answer in request.answers[:1]
        if answer.version
    }
    # The products identify a cart without an answer.
    products = {
        str(effect[1]): request.invoke.basket
        for request in requests.values()
        for effect in request.invoke.effects
        if effect[0] == "add"
    }
    found: dict[str, list[Cart]] = defaultdict(list)
    for cart in recording.carts:
        known = [names.get(cart.name, ""), *(products.get(product, "") for product in cart.lines)]
        fitting = (basket for basket in known if basket.partition("/")[0] == cart.slot)
        found[next(fitting, cart.slot)].append(cart)
    return found


def check_baskets(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Each cart has a state that the outcomes allow."""
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

    found = baskets_of(recording, requests)
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
    """Compares a cart with its possible worlds, and describes the differences from the nearest one."""
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
    # A line that is missing is lost if every world has it.
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


def check_others(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """Each creation made one customer or group, or none if it was refused."""
    # The resources of every new shop have no label.
    found = Counter(other.label for other in recording.others if other.label)
    expected = {
        identity: request for identity, request in requests.items() if not request.invoke.basket
    }
    for label in found.keys() | expected.keys():
        outcome = expected[label].outcome if label in expected else "fail"
        if found[label] > 1:
            yield Violation("doubled", f"there are {found[label]} that are called {label}")
        elif found[label] == 1 and outcome == "fail":
            yield Violation("ghost", f"nobody made {label}")
        elif found[label] == 0 and outcome == "ok":
            yield Violation("lost", f"what was made as {label} is not there")


def check_real_time(recording: Recording, requests: dict[str, Request]) -> Iterator[Violation]:
    """A write has a higher version than every answer before it was sent: the carts are linearizable."""
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
