#!/usr/bin/env python3
"""Watchers that note every message and resume with the last token they have.

    watch.py FOLDER SEED

They stop when they have seen the last cart of the run and the server has nothing more to say: a
heartbeat came after it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from client import channel, digest, metadata, reason, told_to_stop
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import common_pb2 as common
from records import Change, Close, Log, Message, Open, Watcher, now

WATCHERS = {
    "every-1": Watcher(every=True, filtered=False, anew=False),
    "every-2": Watcher(every=True, filtered=False, anew=False),
    "latest": Watcher(every=False, filtered=False, anew=False),
    "open": Watcher(every=True, filtered=True, anew=False),
    "anew": Watcher(every=True, filtered=False, anew=True),
}
# The slot of the cart that is written when all writers have stopped.
LAST_SLOT = "last-of-all"
# Heartbeats come every second; a stream that is silent for so long is not alive.
SILENCE = 15.0

KINDS = {
    common.CHANGE_KIND_UPSERTED: "upserted",
    common.CHANGE_KIND_DELETED: "deleted",
    common.CHANGE_KIND_LEFT_FILTER: "left",
}
SIGNALS = {"snapshot_begin": "begin", "snapshot_end": "end"}


class Follower:
    """One watcher with one stream at a time."""

    def __init__(self, name: str, rules: Watcher, folder: Path, seed: str) -> None:
        self.rules = rules
        self.random = random.Random(f"{seed}-{name}")
        self.log = Log(folder / f"watch-{name}")
        self.log.append(rules)
        self.stub = cart_stubs.CartServiceStub(channel())
        self.token = ""
        self.seen_last = False

    async def run(self) -> None:
        """Follows the carts over all kills until nothing more is to come."""
        while True:
            if self.rules.anew:
                self.token = ""
            self.log.append(Open(now(), self.token))
            stream = self.stub.WatchCarts(self.request(), metadata=metadata())
            try:
                while True:
                    message = await asyncio.wait_for(stream.read(), SILENCE)
                    if message is grpc.aio.EOF:
                        self.log.append(Close("OK", "the server ended the stream without an error"))
                        break
                    if self.receive(message):
                        stream.cancel()
                        return
            except grpc.aio.AioRpcError as error:
                self.log.append(Close(error.code().name, reason(error)))
            except TimeoutError:
                stream.cancel()
                self.log.append(Close("SILENT", f"no heartbeat for {SILENCE:.0f} s"))
            await asyncio.sleep(self.random.uniform(0, 0.2))

    def request(self) -> carts.WatchCartsRequest:
        mode = common.DELIVERY_MODE_EVERY if self.rules.every else common.DELIVERY_MODE_LATEST
        return carts.WatchCartsRequest(
            filter="state = OPEN" if self.rules.filtered else "",
            options=common.WatchOptions(
                resume_token=self.token,
                heartbeat_interval=Duration(seconds=1),
                delivery_mode=mode,
            ),
        )

    def receive(self, message: carts.WatchCartsResponse) -> bool:
        """Notes a message. Whether it was the last of the run."""
        signal = message.WhichOneof("signal") or ""
        self.log.append(
            Message(
                message.resume_token,
                SIGNALS.get(signal, signal),
                message.snapshot_end.count if signal == "snapshot_end" else 0,
                [self.change(change) for change in message.changes],
            )
        )
        # Inside a snapshot there is nothing to resume from.
        if message.resume_token or signal == "snapshot_begin":
            self.token = message.resume_token
        # One without a token comes amid a snapshot.
        return signal == "heartbeat" and message.resume_token != "" and self.seen_last

    def change(self, change: carts.CartChange) -> Change:
        has_cart = change.HasField("cart")
        if change.cart.slot == LAST_SLOT:
            self.seen_last = True
        return Change(
            KINDS.get(change.kind, "unknown"),
            change.name,
            change.version,
            change.conflated,
            change.cart.state == carts.Cart.STATE_OPEN,
            digest(change.cart) if has_cart else "",
        )


async def main() -> None:
    folder, seed = Path(sys.argv[1]), sys.argv[2]
    followers = [Follower(name, rules, folder, seed) for name, rules in WATCHERS.items()]
    work: Any = asyncio.gather(*(follower.run() for follower in followers))
    # The end of the input means that the run was given up.
    stopped = asyncio.ensure_future(told_to_stop())
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work


if __name__ == "__main__":
    asyncio.run(main())
