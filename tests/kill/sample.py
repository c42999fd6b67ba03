"""A recording of a shop that keeps every promise, made up without a server.

The checker must find nothing in it, and everything that is then planted into it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from records import Cart, Change, Close, Customer, Invoke, Message, Open, Recording, Return, Watcher

WATCHERS = {
    "every": Watcher(every=True, filtered=False, anew=False),
    "latest": Watcher(every=False, filtered=False, anew=False),
    "open": Watcher(every=True, filtered=True, anew=False),
    "anew": Watcher(every=True, filtered=False, anew=True),
}


@dataclass
class Held:
    """A cart of the made-up shop."""

    slot: str
    version: int = 0
    state: str = "open"
    reference: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    def name(self) -> str:
        return f"carts/{self.slot}"

    def digest(self) -> str:
        return f"{self.slot}/{self.version}/{self.state}"

    def change(self) -> Change:
        if self.state == "deleted":
            return Change("deleted", self.name(), self.version, 0, False, "")
        is_open = self.state == "open"
        return Change("upserted", self.name(), self.version, 0, is_open, self.digest())


class Shop:
    """Keeps carts and customers, and tells of each change."""

    def __init__(self) -> None:
        self.carts: dict[str, Held] = {}
        self.customers: list[Customer] = []
        self.changes: list[Change] = []
        # Where in `changes` the server was killed, and when.
        self.kills: list[tuple[int, float]] = []

    def write(self, call: Invoke) -> tuple[str, int, str]:
        """Applies a write; the name, version and digest of its answer."""
        if not call.basket:
            self.customers.append(Customer(f"customers/{call.request}", call.request))
            return f"customers/{call.request}", 0, call.request
        cart = self.carts.setdefault(call.basket, Held(call.basket))
        cart.version += 1
        for effect, *operands in call.effects:
            match effect:
                case "add":
                    product, quantity = str(operands[0]), int(operands[1])
                    cart.lines[product] = cart.lines.get(product, 0) + quantity
                case "set":
                    cart.lines[str(operands[0])] = int(operands[1])
                case "remove":
                    del cart.lines[str(operands[0])]
                case "order":
                    cart.state, cart.reference = "ordered", str(operands[0])
                case "delete":
                    cart.state = "deleted"
        self.changes.append(cart.change())
        if cart.state == "deleted":
            return "", 0, "empty"
        return cart.name(), cart.version, cart.digest()


def sample(seed: int, writes: int = 600) -> Recording:
    """Three writers, a kill now and then, and what four watchers saw of it."""
    dice = random.Random(seed)
    shop, recording = Shop(), Recording()
    clock = 0.0
    slots = {writer: 0 for writer in range(3)}

    def tick() -> float:
        nonlocal clock
        clock += 0.001
        return clock

    def send(call: Invoke) -> None:
        """Sends a request as a writer does, through kills."""
        answer: tuple[str, int, str] | None = None
        while True:
            sent = tick()
            recording.ledger.append(call._replace(time=sent))
            killed = dice.random() < 0.05
            if answer is None and (not killed or dice.random() < 0.5):
                answer = shop.write(call)
            if not killed:
                assert answer is not None
                recording.ledger.append(Return(tick(), call.request, "ok", "OK", sent, *answer))
                if dice.random() > 0.1:
                    return
                continue
            shop.kills.append((len(shop.changes), tick()))
            recording.ledger.append(
                Return(tick(), call.request, "unknown", "UNAVAILABLE", sent, "", 0, "")
            )
            if dice.random() < 0.3:
                # Given up, and with it the cart.
                slots[int(call.request[0])] += 1
                return

    for number in range(writes):
        writer = dice.randrange(3)
        request, slot = f"{writer}-{number}", f"{writer}-cart-{slots[writer]}"
        cart = shop.carts.get(slot)
        roll = dice.random()
        basket, bad = slot, False
        if roll < 0.15:
            basket, effects = "shared", [["add", "counted", 1]]
        elif roll < 0.2:
            basket, effects = "", []
        elif roll < 0.25 and cart:
            effects, bad = [["add", request, 1]], True
        elif cart and cart.lines and roll < 0.4:
            effects = [["set", dice.choice(sorted(cart.lines)), 10 + number]]
        elif cart and cart.lines and roll < 0.5:
            effects = [["remove", dice.choice(sorted(cart.lines))]]
        elif cart and len(cart.lines) > 3 and roll < 0.6:
            effects = [["order", request]] if dice.random() < 0.6 else [["delete"]]
        elif roll < 0.75:
            effects = [["add", f"{request}-a", 2], ["add", f"{request}-b", 2]]
        else:
            effects = [["add", request, 1]]
        call = Invoke(0.0, request, "Write", basket, effects, bad)
        if bad:
            sent = tick()
            recording.ledger.append(call._replace(time=sent))
            recording.ledger.append(
                Return(tick(), request, "fail", "INVALID_ARGUMENT", sent, "", 0, "")
            )
            continue
        send(call)
        if effects and effects[0][0] in ("order", "delete"):
            slots[writer] += 1
    recording.carts = [
        Cart(
            cart.name(),
            cart.slot,
            cart.state,
            cart.reference,
            cart.version,
            dict(cart.lines),
            cart.digest(),
        )
        for cart in shop.carts.values()
        if cart.state != "deleted"
    ]
    recording.customers = list(shop.customers)
    for name, rules in WATCHERS.items():
        recording.watches[name] = [rules, *watch(shop, rules, dice)]
    return recording


def watch(shop: Shop, rules: Watcher, dice: random.Random) -> list[Open | Message | Close]:
    """What a watcher receives: a stream up to each kill, and one to the end."""
    records: list[Open | Message | Close] = []
    ends = [*shop.kills, (len(shop.changes), 0.0)]
    at, opened, token = 0, 0.0, ""
    for number, (end, killed) in enumerate(ends):
        records.append(Open(opened, "" if rules.anew else token))
        if rules.anew or number == 0:
            held: dict[str, Change] = {}
            for change in shop.changes[:at]:
                held[change.name] = change
            there = [change for change in held.values() if change.kind == "upserted"]
            records.append(Message("", "begin", 0, []))
            records.append(Message("", "", 0, there))
            records.append(Message(f"at {at}", "end", len(there), []))
        while at < end:
            batch = shop.changes[at : min(end, at + dice.randint(1, 6))]
            at += len(batch)
            token = f"at {at}"
            records.append(Message(token, "", 0, deliver(rules, batch)))
        records.append(Close("UNAVAILABLE", "killed"))
        opened = killed + 0.0001
    return records


def deliver(rules: Watcher, batch: list[Change]) -> list[Change]:
    """How a batch is told to a watcher."""
    if not rules.every:
        latest: dict[str, Change] = {}
        for change in batch:
            before = latest.pop(change.name, None)
            conflated = before.conflated + 1 if before else 0
            latest[change.name] = change._replace(conflated=conflated)
        return list(latest.values())
    if rules.filtered:
        return [
            change
            if change.is_open or change.kind == "deleted"
            else change._replace(kind="left", digest="")
            for change in batch
        ]
    return batch
