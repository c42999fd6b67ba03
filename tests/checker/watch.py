#!/usr/bin/env python3
"""Watchers that record every message and resume with their last token, at any server.

    watch.py FOLDER SEED SETTING

The setting names further watchers. After a line `rest` on the input some of them rest until `go on`: they do
not read, or close their stream. All stop when they have received the last write of the run and then a
heartbeat.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from calls import LAST, TILL, till_owner
from client import Turns, digest, metadata, orders, reason, text
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import common_pb2 as common
from clientela.v1 import customer_service_pb2 as customers
from clientela.v1 import customer_service_pb2_grpc as customer_stubs
from clientela.v1 import group_service_pb2 as groups
from clientela.v1 import group_service_pb2_grpc as group_stubs
from records import Change, Close, Log, Message, Open, Watcher, now

# The watchers of names get the names once there are such carts.
SOME = ["some"]
ONE = ["one"]
WATCHERS = {
    "every-1": Watcher(every=True),
    "every-2": Watcher(every=True),
    "latest": Watcher(every=False),
    "anew": Watcher(every=True, anew=True),
    "open": Watcher(every=True, state="open"),
    "full": Watcher(every=True, pieces=12),
    "full-latest": Watcher(every=False, pieces=12),
    "some": Watcher(every=True, names=SOME),
    "one": Watcher(every=True, names=ONE),
    "one-latest": Watcher(every=False, names=ONE),
    "owner": Watcher(every=True, state="open", slot=TILL),
    "customers": Watcher(every=True, resource="customers"),
    "groups": Watcher(every=True, resource="groups"),
}
# The watchers that rest on demand.
RESTING = {
    # They leave their stream unread.
    "stalled": {
        "stalled": Watcher(every=True),
        "stalled-latest": Watcher(every=False),
        "stalled-full": Watcher(every=True, pieces=12),
        "stalled-some": Watcher(every=True, names=SOME),
        "stalled-one": Watcher(every=True, names=ONE),
        "stalled-one-latest": Watcher(every=False, names=ONE),
    },
    # They close it.
    "away": {
        "away": Watcher(every=True),
        "away-reset": Watcher(every=True, reset=True),
        "away-full-reset": Watcher(every=True, reset=True, pieces=12),
        "away-some": Watcher(every=True, names=SOME),
        "away-owner-reset": Watcher(every=True, reset=True, state="open", slot=TILL),
        "reset": Watcher(every=True, reset=True),
    },
    # They do not rest, and want an error on the stream if the history is gone.
    "reset": {
        "reset": Watcher(every=True, reset=True),
        "open-reset": Watcher(every=True, reset=True, state="open"),
    },
}
SPARE = ("every-2", "full-latest", "one-latest")
# Heartbeats come every second; a stream that is silent for this long is dead.
SILENCE = 15.0

KINDS = {
    common.CHANGE_KIND_UPSERTED: "upserted",
    common.CHANGE_KIND_DELETED: "deleted",
    common.CHANGE_KIND_LEFT_FILTER: "left",
}
STATES = {carts.Cart.STATE_OPEN: "open", carts.Cart.STATE_ORDERED: "ordered"}
SIGNALS = {"snapshot_begin": "begin", "snapshot_end": "end"}


class Rest:
    """Whether the watchers must rest."""

    def __init__(self) -> None:
        self.ordered = asyncio.Event()
        self.over = asyncio.Event()
        self.over.set()

    async def listen(self) -> None:
        """Follows the orders of the run until its input ends."""
        async for order in orders():
            if order == "rest":
                self.over.clear()
                self.ordered.set()
            elif order == "go on":
                self.ordered.clear()
                self.over.set()


class Follower:
    """One watcher with one stream at a time."""

    def __init__(self, name: str, rules: Watcher, folder: Path, seed: str, rest: Rest) -> None:
        self.rules = rules
        self.random = random.Random(f"{seed}-{name}")
        self.log = Log(folder / f"watch-{name}")
        self.stalls = name in RESTING["stalled"]
        self.leaves = name.startswith("away")
        self.rest = rest
        self.turns = Turns(self.random, narrow=self.stalls)
        self.token = ""
        self.seen_last = False

    async def run(self) -> None:
        """Watches across all interruptions until the end of the run."""
        if self.rules.names:
            names = await self.find(1 if self.rules.names == ONE else 8)
            self.rules = self.rules._replace(names=names)
        self.log.append(self.rules)
        while True:
            if self.rules.anew:
                self.token = ""
            self.log.append(Open(now(), self.token))
            stream = self.open()
            try:
                if await self.follow(stream):
                    stream.cancel()
                    return
            except grpc.aio.AioRpcError as error:
                self.close(error.code().name, reason(error), text(error))
                if error.code().name in ("OUT_OF_RANGE", "ABORTED"):
                    self.token = ""
            except TimeoutError:
                stream.cancel()
                self.close("SILENT", "", f"no heartbeat for {SILENCE:.0f} s")
            self.turns.move()
            await asyncio.sleep(self.random.uniform(0, 0.2))

    def close(self, code: str, reason: str = "", text: str = "") -> None:
        self.log.append(Close(now(), code, reason, text))

    async def follow(self, stream: Any) -> bool:
        """Reads a stream. Returns whether the end of the run came, and not only that of the stream."""
        while True:
            if self.leaves and self.rest.ordered.is_set():
                stream.cancel()
                self.close("CANCELLED", "", "it rests")
                await self.rest.over.wait()
                return False
            if self.stalls:
                await self.rest.over.wait()
            message = await asyncio.wait_for(stream.read(), SILENCE)
            if message is grpc.aio.EOF:
                self.close("OK", "", "the server ended the stream without an error")
                return False
            if self.receive(message):
                return True

    async def find(self, wanted: int) -> list[str]:
        """Returns the names of a number of carts, the shared ones first, as soon as there are enough."""
        while True:
            try:
                stub = cart_stubs.CartServiceStub(self.turns.channel())
                found = []
                for choice in ('slot = "shared-0"', 'slot != "shared-0"'):
                    request = carts.ListCartsRequest(filter=choice, page_size=20)
                    answer = await stub.ListCarts(request, timeout=5, metadata=metadata())
                    if not answer.carts:
                        break
                    found += [cart.name for cart in answer.carts]
                else:
                    if len(found) >= wanted:
                        return found[:wanted]
            except grpc.aio.AioRpcError:
                self.turns.move()
            await asyncio.sleep(0.1)

    def open(self) -> Any:
        """Opens a stream with the last token."""
        rules = self.rules
        channel = self.turns.channel()
        mode = common.DELIVERY_MODE_EVERY if rules.every else common.DELIVERY_MODE_LATEST
        options = common.WatchOptions(
            resume_token=self.token,
            heartbeat_interval=Duration(seconds=1),
            delivery_mode=mode,
            reset_on_expired_token=rules.reset,
        )
        if rules.resource == "customers":
            stub = customer_stubs.CustomerServiceStub(channel)
            request: Any = customers.WatchCustomersRequest(options=options)
            return stub.WatchCustomers(request, metadata=metadata())
        if rules.resource == "groups":
            stub = group_stubs.GroupServiceStub(channel)
            return stub.WatchGroups(
                groups.WatchGroupsRequest(options=options), metadata=metadata()
            )
        stub = cart_stubs.CartServiceStub(channel)
        if rules.slot:
            target = carts.CartTarget(owner=till_owner())
        elif len(rules.names) == 1:
            target = carts.CartTarget(cart=rules.names[0])
        else:
            terms = ["state = OPEN"] if rules.state else []
            terms += [f"item_count >= {rules.pieces}"] if rules.pieces else []
            request = carts.WatchCartsRequest(
                filter=" AND ".join(terms), names=rules.names, options=options
            )
            return stub.WatchCarts(request, metadata=metadata())
        request = carts.WatchCartRequest(target=target, options=options)
        return stub.WatchCart(request, metadata=metadata())

    def receive(self, message: Any) -> bool:
        """Records a message, and returns whether it was the last of the run."""
        signal = message.WhichOneof("signal") or ""
        cause = ""
        if signal == "snapshot_begin":
            name = common.SnapshotBegin.Cause.Name(message.snapshot_begin.cause)
            cause = name.removeprefix("CAUSE_")
        self.log.append(
            Message(
                now(),
                message.resume_token,
                SIGNALS.get(signal, signal),
                cause,
                message.snapshot_end.count if signal == "snapshot_end" else 0,
                [self.change(change) for change in message.changes],
            )
        )
        # Inside a snapshot there is no token.
        if message.resume_token or signal == "snapshot_begin":
            self.token = message.resume_token
        # A message without a token comes inside a snapshot.
        return signal == "heartbeat" and message.resume_token != "" and self.seen_last

    def change(self, change: Any) -> Change:
        kind = KINDS.get(change.kind, "unknown")
        facts = (kind, change.name, change.version, change.conflated)
        if self.rules.resource != "carts":
            field = self.rules.resource.removesuffix("s")
            other = getattr(change, field)
            names = {other.first_name} if field == "customer" else set(other.display_names.values())
            if names & {LAST, f"{LAST}-group"}:
                self.seen_last = True
            # Derived fields are in lists only.
            return Change(*facts, "", "", 0, other.etag if change.HasField(field) else "")
        if not change.HasField("cart"):
            return Change(*facts, "", "", 0, "")
        cart = change.cart
        if any(line.product == LAST for line in cart.items):
            self.seen_last = True
        state = STATES.get(cart.state, "unknown")
        return Change(*facts, state, cart.slot, cart.item_count, digest(cart))


async def main() -> None:
    folder, seed, setting = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    rest = Rest()
    watchers = {**WATCHERS, **RESTING.get(setting, {})}
    if setting == "single":
        # One server with many writes needs some of the processor.
        watchers = {name: watchers[name] for name in watchers if name not in SPARE}
    followers = [
        Follower(name, rules, folder, seed, rest) for name, rules in watchers.items()
    ]
    work: Any = asyncio.gather(*(follower.run() for follower in followers))
    # The end of the input means that the run was aborted.
    stopped = asyncio.ensure_future(rest.listen())
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work


if __name__ == "__main__":
    asyncio.run(main())
