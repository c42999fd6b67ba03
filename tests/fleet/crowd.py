#!/usr/bin/env python3
"""Many watchers of one cart that resume at another server when their stream breaks.

    crowd.py FOLDER SEED COUNT

A line on the input is the time of a kill. Then the cart is written to. When every watcher has received the
change, a line on the output has the time since the kill. The ledger has these writes like those of any
writer; the order of the received changes is checked here.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from calls import DEADLINE, item
from client import Turns, addresses, channel, digest, metadata, orders
from clientela.v1 import access_pb2 as access
from clientela.v1 import admin_service_pb2 as admin
from clientela.v1 import admin_service_pb2_grpc as admin_stubs
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import common_pb2 as common
from records import Invoke, Log, Return, now

# A server accepts 500 streams of one key and 256 of one connection.
KEYS = 4
CONNECTIONS = 8
SLOT = "beacon"
PATIENCE = 60.0


class Beacon:
    """The cart that all watchers watch."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.log = Log(folder / "ledger-crowd")
        self.turns = Turns(dice)
        self.writes = 0
        self.name = ""

    async def write(self) -> int:
        """Adds one piece and returns the new version."""
        self.writes += 1
        request = f"beacon-{self.writes}"
        owner = carts.CartOwner(visitor="visitor-at-the-beacon", slot=SLOT)
        message = carts.AddItemRequest(
            target=carts.CartTarget(owner=owner), item=item("counted", 1), request_id=request
        )
        while True:
            sent = now()
            self.log.append(
                Invoke(sent, request, "AddItem", SLOT, [["add", "counted", 1]], False)
            )
            try:
                stub = cart_stubs.CartServiceStub(self.turns.channel())
                cart = await stub.AddItem(message, timeout=DEADLINE, metadata=metadata())
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                self.log.append(Return(now(), request, "unknown", code, sent, "", 0, ""))
                self.turns.move()
                await asyncio.sleep(0.01)
                continue
            answer = (cart.name, cart.version, digest(cart))
            self.log.append(Return(now(), request, "ok", "OK", sent, *answer))
            self.name = cart.name
            return cart.version


class Watcher:
    """One of the crowd."""

    def __init__(self, number: int, crowd: Crowd) -> None:
        self.crowd = crowd
        self.key = crowd.keys[number % KEYS]
        self.way = number % CONNECTIONS
        self.at = number % len(crowd.channels)
        self.token = ""
        self.version = 0
        # When it received the newest version, and when its stream last broke.
        self.received = 0.0
        self.broken = 0.0
        self.gaps = 0

    async def run(self) -> None:
        """Watches the cart until the process ends."""
        while True:
            stub = cart_stubs.CartServiceStub(self.crowd.channels[self.at][self.way])
            options = common.WatchOptions(
                resume_token=self.token,
                heartbeat_interval=Duration(seconds=10),
                delivery_mode=common.DELIVERY_MODE_EVERY,
            )
            target = carts.CartTarget(cart=self.crowd.beacon.name)
            request = carts.WatchCartRequest(target=target, options=options)
            stream = stub.WatchCart(request, metadata=metadata(self.key))
            try:
                while (message := await stream.read()) is not grpc.aio.EOF:
                    self.receive(message)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            self.broken = now()
            step = self.crowd.dice.randrange(1, len(self.crowd.channels))
            self.at = (self.at + step) % len(self.crowd.channels)
            await asyncio.sleep(self.crowd.dice.uniform(0, 0.1))

    def receive(self, message: carts.WatchCartsResponse) -> None:
        if message.resume_token:
            self.token = message.resume_token
        for change in message.changes:
            if change.version <= self.version:
                continue
            if self.version and change.version != self.version + 1:
                self.gaps += 1
            self.version = change.version
            self.received = now()
            self.crowd.moved.set()


class Crowd:
    """All watchers and their shared connections."""

    def __init__(self, folder: Path, seed: str, count: int) -> None:
        self.dice = random.Random(f"{seed}-crowd")
        self.beacon = Beacon(folder, self.dice)
        self.count = count
        self.moved = asyncio.Event()
        self.keys: list[str] = []
        self.channels = [
            [channel(address) for _ in range(CONNECTIONS)] for address in addresses()
        ]
        self.watchers: list[Watcher] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Starts all watchers, and waits until they have begun."""
        stub = admin_stubs.AdminServiceStub(self.channels[0][0])
        for number in range(KEYS):
            key = admin.ApiKey(display_name=f"crowd {number}", roles=[access.ROLE_MONITOR])
            request = admin.CreateApiKeyRequest(api_key=key)
            answer = await stub.CreateApiKey(request, timeout=DEADLINE, metadata=metadata())
            self.keys.append(answer.secret)
        version = await self.beacon.write()
        self.watchers = [Watcher(number, self) for number in range(self.count)]
        for watcher in self.watchers:
            self.tasks.append(asyncio.ensure_future(watcher.run()))
        await self.all_at(version)

    async def all_at(self, version: int) -> None:
        """Waits until all watchers have received a version."""
        deadline = now() + PATIENCE
        while any(watcher.version < version for watcher in self.watchers):
            self.moved.clear()
            for task in self.tasks:
                if task.done():
                    task.result()
            if now() > deadline:
                raise SystemExit("the crowd did not receive the write in time")
            try:
                await asyncio.wait_for(self.moved.wait(), 1.0)
            except TimeoutError:
                continue

    async def measure(self, killed: float) -> dict[str, Any]:
        """Returns the time after a kill until all watchers have received the writes since."""
        await self.all_at(await self.beacon.write())
        broken = sorted(w.received - killed for w in self.watchers if w.broken >= killed)
        return {
            "broken": len(broken),
            "p50": broken[len(broken) // 2] if broken else 0.0,
            "max": max(watcher.received for watcher in self.watchers) - killed,
            "gaps": sum(watcher.gaps for watcher in self.watchers),
        }


async def main() -> None:
    crowd = Crowd(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    await crowd.begin()
    print(json.dumps({"watching": crowd.count}), flush=True)
    async for line in orders():
        print(json.dumps(await crowd.measure(float(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
