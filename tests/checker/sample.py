"""An artificial recording of a shop that keeps every promise.

The checker must find no fault in it, and every fault that is then injected.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from records import (
    Cart,
    Change,
    Close,
    Invoke,
    Message,
    Named,
    Open,
    Recording,
    Return,
    Seen,
    Watcher,
)

WATCHERS = {
    "every": Watcher(every=True),
    "every-reset": Watcher(every=True, reset=True),
    "latest": Watcher(every=False),
    "anew": Watcher(every=True, anew=True),
    "open": Watcher(every=True, state="open"),
    "full": Watcher(every=True, pieces=8),
    "full-latest": Watcher(every=False, pieces=8),
    "some": Watcher(every=True, names=["carts/shared", "carts/0-cart-0", "carts/1-cart-0"]),
    "till": Watcher(every=True, state="open", slot="till"),
    "customers": Watcher(every=True, resource="customers"),
}


@dataclass
class Held:
    """A cart of the artificial shop."""

    basket: str
    version: int = 0
    state: str = "open"
    reference: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    def name(self) -> str:
        return f"carts/{self.basket.replace('/', '-')}"

    def slot(self) -> str:
        return self.basket.partition("/")[0]

    def pieces(self) -> int:
        return sum(self.lines.values())

    def digest(self) -> str:
        return f"{self.basket}/{self.version}/{self.state}"

    def change(self) -> Change:
        if self.state == "deleted":
            return Change("deleted", self.name(), self.version, 0, "", "", 0, "")
        facts = (self.state, self.slot(), self.pieces(), self.digest())
        return Change("upserted", self.name(), self.version, 0, *facts)


class Shop:
    """Keeps carts and customers, and records each change."""

    def __init__(self) -> None:
        self.carts: dict[str, Held] = {}
        self.customers: list[Named] = []
        self.changes: list[Change] = []
        # The places in `changes` and the times at which the server was killed.
        self.kills: list[tuple[int, float]] = []

    def write(self, call: Invoke) -> tuple[str, int, str]:
        """Applies a write, and returns the name, version and digest of its answer."""
        if not call.basket:
            name = f"customers/{call.request}"
            self.customers.append(Named("customers", name, call.request, name))
            self.changes.append(Change("upserted", name, 1, 0, "", "", 0, name))
            return name, 0, call.request
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
                case "reopen":
                    cart.state, cart.reference = "open", ""
                case "delete":
                    cart.state = "deleted"
        self.changes.append(cart.change())
        if cart.state == "deleted":
            return "", 0, "empty"
        return cart.name(), cart.version, cart.digest()


def sample(seed: int, writes: int = 600) -> Recording:
    """Makes the recording of three writers and a till, with some kills, and of the watchers."""
    dice = random.Random(seed)
    shop, recording = Shop(), Recording()
    clock = 0.0
    # The last is the till.
    slots = {writer: 0 for writer in range(4)}

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
            if dice.random() < 0.3 and call.request[0] in "012":
                # The request is given up, and with it the cart.
                slots[int(call.request[0])] += 1
                return

    for number in range(writes):
        writer = dice.randrange(4)
        request = f"{writer}-{number}"
        slot = f"till/{slots[writer]}" if writer == 3 else f"{writer}-cart-{slots[writer]}"
        cart = shop.carts.get(slot)
        roll = dice.random()
        basket, bad = slot, False
        if cart and cart.state == "ordered":
            effects = [["reopen"]]
        elif roll < 0.15:
            basket, effects = "shared", [["add", "counted", 1]]
        elif roll < 0.2:
            basket, effects = "", []
        elif roll < 0.25 and cart:
            effects, bad = [["add", request, 1]], True
        elif cart and cart.lines and roll < 0.4:
            effects = [["set", dice.choice(sorted(cart.lines)), dice.randint(1, 6)]]
        elif cart and cart.lines and roll < 0.5:
            effects = [["remove", dice.choice(sorted(cart.lines))]]
        elif cart and len(cart.lines) > 3 and roll < 0.6:
            effects = [["order", request]] if dice.random() < 0.6 else [["delete"]]
        elif roll < 0.85:
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
        ends = effects and effects[0][0] in ("order", "delete")
        if ends and (writer == 3 or effects == [["delete"]] or dice.random() < 0.15):
            slots[writer] += 1
    # Cases that chance may have left out.
    for number, (slot, effects) in enumerate(
        [
            ("4-reopened", [["add", "4-0", 1]]),
            ("4-reopened", [["order", "4-1"]]),
            ("4-reopened", [["reopen"]]),
            ("4-two-lines", [["add", "4-3-a", 2], ["add", "4-3-b", 2]]),
        ]
    ):
        send(Invoke(0.0, f"4-{number}", "Write", slot, effects, False))
    recording.carts = [
        Cart(
            cart.name(),
            cart.slot(),
            cart.state,
            cart.reference,
            cart.version,
            cart.pieces(),
            dict(cart.lines),
            cart.digest(),
        )
        for cart in shop.carts.values()
        if cart.state != "deleted"
    ]
    recording.others = list(shop.customers)
    for name, rules in WATCHERS.items():
        recording.watches[name] = [rules, *watch(shop, rules, dice)]
    return recording


def watch(shop: Shop, rules: Watcher, dice: random.Random) -> list[Seen]:
    """Returns the messages to a watcher: a stream up to each kill, and one to the end."""
    records: list[Seen] = []
    ends = [*shop.kills, (len(shop.changes), 0.0)]
    at, opened, token = 0, 0.0, ""
    for number, (end, killed) in enumerate(ends):
        records.append(Open(opened, "" if rules.anew else token))
        time = opened
        # A watcher that resumes may have received any change before.
        judge = Judge(rules, unknown_before=not rules.anew and number > 0)
        if rules.anew or number == 0:
            held: dict[str, Change] = {}
            for change in shop.changes[:at]:
                held[change.name] = change
            there = [change for change in held.values() if judge.belongs(change)]
            judge.members = {change.name for change in there}
            records.append(Message(time, "", "begin", "INITIAL", 0, []))
            records.append(Message(time, "", "", "", 0, there))
            token = f"at {at}"
            records.append(Message(time, token, "end", "", len(there), []))
        while at < end:
            batch = shop.changes[at : min(end, at + dice.randint(1, 6))]
            at += len(batch)
            token = f"at {at}"
            if sent := judge.send(batch):
                records.append(Message(time, token, "", "", 0, sent))
            else:
                records.append(Message(time, token, "heartbeat", "", 0, []))
        records.append(Close(killed, "UNAVAILABLE", "", "killed"))
        opened = killed + 0.0001
    return records


class Judge:
    """Returns the changes that a stream sends."""

    def __init__(self, rules: Watcher, *, unknown_before: bool) -> None:
        self.rules = rules
        self.members: set[str] = set()
        self.unknown_before = unknown_before

    def belongs(self, change: Change) -> bool:
        """Returns whether a version of a resource belongs to the watch."""
        if not change.name.startswith(self.rules.resource) or change.kind != "upserted":
            return False
        return self.rules.resource != "carts" or self.rules.matches(change)

    def send(self, batch: list[Change]) -> list[Change]:
        """Returns the changes that the stream sends of a batch."""
        sent = [one for change in batch if (one := self.send_one(change))]
        if self.rules.every:
            return sent
        latest: dict[str, Change] = {}
        for change in sent:
            before = latest.pop(change.name, None)
            conflated = before.conflated + 1 if before else 0
            latest[change.name] = change._replace(conflated=conflated)
        return list(latest.values())

    def send_one(self, change: Change) -> Change | None:
        if not change.name.startswith(self.rules.resource):
            return None
        if self.rules.names and change.name not in self.rules.names:
            return None
        if not self.rules.chooses():
            return change
        if self.belongs(change):
            self.members.add(change.name)
            return change
        if change.name not in self.members and not self.unknown_before:
            return None
        self.members.discard(change.name)
        if change.kind == "deleted":
            return change
        return Change("left", change.name, change.version, 0, "", "", 0, "")
