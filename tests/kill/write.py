#!/usr/bin/env python3
"""Writers that note what they ask for before they ask, and what they were answered.

    write.py FOLDER SEED PROCESS CLIENTS

Every product is named after the request that adds it, so the final state alone shows what was lost,
doubled or never written. Each writer has one request at a time and a cart of its own in the works;
now and then it counts up a product in a cart that all writers share, makes a customer, asks for
something that must be refused, or asks again what it was answered before. When the outcome of a
request is unknown it asks again with the same request id, or now and then gives the cart up.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from client import channel, digest, metadata, told_to_stop
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import common_pb2 as common
from clientela.v1 import customer_service_pb2 as customers
from clientela.v1 import customer_service_pb2_grpc as customer_stubs
from records import Invoke, Log, Return, now

SHARED_CARTS = 3
DEADLINE = 5.0
# For how long a writer that was told to stop goes on to settle its last request.
SETTLE = 30.0
# After these nothing is known; every other code says that nothing was done.
UNKNOWN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)

Effects = list[list[str | int]]


@dataclass
class Call:
    """A request as it is sent, each time alike."""

    request: str
    rpc: str
    message: Any
    basket: str = ""
    effects: Effects = field(default_factory=list)
    bad: bool = False


@dataclass
class Basket:
    """A cart that a writer fills: the model of what the writer was answered."""

    slot: str
    owner: carts.CartOwner
    etag: str = ""
    # The lines by product: the name of the item and its quantity.
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    writes: int = 0

    def target(self) -> carts.CartTarget:
        return carts.CartTarget(owner=self.owner)


def item(product: str, quantity: int, currency: str = "EUR") -> carts.ItemInput:
    """A line to add."""
    price = carts.ItemPrice(
        list_price=common.Money(currency_code=currency, micros=9_990_000),
        price_includes_tax=True,
        tax_rate="19",
    )
    return carts.ItemInput(product=product, quantity=quantity, price=price)


class Writer:
    """One client with one request at a time."""

    def __init__(self, name: str, seed: str, log: Log, stop: asyncio.Event) -> None:
        self.name = name
        self.random = random.Random(f"{seed}-{name}")
        self.log = log
        self.stop = stop
        connection = channel()
        self.carts = cart_stubs.CartServiceStub(connection)
        self.customers = customer_stubs.CustomerServiceStub(connection)
        self.sequence = 0
        self.baskets = 0
        self.basket: Basket | None = None
        self.answered: deque[Call] = deque(maxlen=8)
        self.own_customers: list[str] = []

    async def run(self) -> None:
        """Writes until told to stop."""
        while not self.stop.is_set():
            dice = self.random.random()
            if dice < 0.20:
                await self.send(self.count())
            elif dice < 0.25:
                await self.create_customer()
            elif dice < 0.30:
                await self.send(self.must_fail())
            elif dice < 0.36 and self.answered:
                await self.send(self.random.choice(self.answered))
            else:
                await self.fill()

    def next_request(self) -> str:
        self.sequence += 1
        return f"{self.name}-{self.sequence}"

    def count(self) -> Call:
        """Adds one more of the same to a shared cart."""
        slot = f"shared-{self.random.randrange(SHARED_CARTS)}"
        owner = carts.CartOwner(visitor="visitor-of-shared-carts", slot=slot)
        request = self.next_request()
        message = carts.AddItemRequest(
            target=carts.CartTarget(owner=owner), item=item("counted", 1), request_id=request
        )
        return Call(request, "AddItem", message, slot, [["add", "counted", 1]])

    async def create_customer(self) -> None:
        request = self.next_request()
        # Guests may repeat an e-mail address, so a creation that is done twice is not hidden by it.
        guest = self.random.random() < 0.5
        customer = customers.Customer(
            kind=customers.Customer.KIND_GUEST if guest else customers.Customer.KIND_REGISTERED,
            first_name=request,
            last_name="Writer",
            email="guest@shop.test" if guest else f"{request}@shop.test",
        )
        message = customers.CreateCustomerRequest(customer=customer, request_id=request)
        answer = await self.send(Call(request, "CreateCustomer", message))
        if answer is not None:
            self.own_customers.append(answer.name)

    def must_fail(self) -> Call:
        """A write that has to be refused, most of them only in the midst of the transaction."""
        request, basket = self.next_request(), self.basket
        if basket is None or not basket.lines:
            owner = carts.CartOwner(visitor="visitor-of-nothing", slot="refused")
            message = carts.AddItemRequest(
                target=carts.CartTarget(owner=owner), item=item(request, 0), request_id=request
            )
            return Call(request, "AddItem", message, "refused", [["add", request, 1]], bad=True)
        effects: Effects = [["add", request, 1]]
        target = basket.target()
        match self.random.randrange(4):
            case 0:
                rpc = "AddItem"
                message = carts.AddItemRequest(
                    target=target, item=item(request, 1, "CHF"), request_id=request
                )
            case 1:
                rpc = "AddItem"
                message = carts.AddItemRequest(
                    target=target, item=item(request, 1), etag='"stale"', request_id=request
                )
            case 2:
                rpc = "EditCart"
                edits = [carts.CartEdit(add=item(request, 1)), carts.CartEdit(remove="nothing")]
                message = carts.EditCartRequest(target=target, edits=edits, request_id=request)
            case _:
                rpc, effects = "OrderCart", [["order", request]]
                message = carts.OrderCartRequest(
                    target=target,
                    order_reference=request,
                    expected_total=common.Money(currency_code="EUR", micros=1),
                    request_id=request,
                )
        return Call(request, rpc, message, basket.slot, effects, bad=True)

    async def fill(self) -> None:
        """Does the next thing with the cart in the works, or begins one."""
        basket = self.basket
        if basket is None:
            basket = self.basket = self.new_basket()
        call = self.next_write(basket)
        answer = await self.send(call)
        if answer is None:
            # Nobody knows what became of it, so nothing more is built on it.
            self.basket = None
        elif call.rpc in ("OrderCart", "DeleteCart"):
            self.basket = None
        else:
            basket.writes += 1
            basket.lines = {line.product: (line.name, line.quantity) for line in answer.items}
            if basket.writes > 40:
                self.basket = None

    def new_basket(self) -> Basket:
        self.baskets += 1
        slot = f"{self.name}-cart-{self.baskets}"
        if self.own_customers and self.random.random() < 0.5:
            owner = carts.CartOwner(customer=self.random.choice(self.own_customers), slot=slot)
        else:
            owner = carts.CartOwner(visitor=f"visitor-token-of-{self.name}", slot=slot)
        return Basket(slot, owner)

    def next_write(self, basket: Basket) -> Call:
        request, target, lines = self.next_request(), basket.target(), basket.lines
        dice = self.random.random()
        product = self.random.choice(sorted(lines)) if lines else ""
        if lines and basket.writes >= 5 and dice < 0.08:
            message: Any = carts.OrderCartRequest(
                target=target, order_reference=request, request_id=request
            )
            return Call(request, "OrderCart", message, basket.slot, [["order", request]])
        if basket.writes >= 5 and dice < 0.10:
            message = carts.DeleteCartRequest(target=target, request_id=request)
            return Call(request, "DeleteCart", message, basket.slot, [["delete"]])
        if lines and dice < 0.25:
            name, quantity = lines[product]
            quantity += self.random.randint(1, 3)
            message = carts.UpdateItemRequest(name=name, quantity=quantity, request_id=request)
            effects: Effects = [["set", product, quantity]]
            return Call(request, "UpdateItem", message, basket.slot, effects)
        if lines and dice < 0.38:
            message = carts.RemoveItemRequest(name=lines[product][0], request_id=request)
            return Call(request, "RemoveItem", message, basket.slot, [["remove", product]])
        if dice < 0.55:
            products = [f"{request}-{number}" for number in range(self.random.randint(2, 4))]
            edits = [carts.CartEdit(add=item(added, 2)) for added in products]
            effects = [["add", added, 2] for added in products]
            if product:
                edits.append(carts.CartEdit(remove=lines[product][0]))
                effects.append(["remove", product])
            message = carts.EditCartRequest(target=target, edits=edits, request_id=request)
            return Call(request, "EditCart", message, basket.slot, effects)
        quantity = self.random.randint(1, 5)
        message = carts.AddItemRequest(
            target=target, item=item(request, quantity), request_id=request
        )
        return Call(request, "AddItem", message, basket.slot, [["add", request, quantity]])

    async def send(self, call: Call) -> Any | None:
        """Sends a request until its outcome is known or it is given up; the answer, if any."""
        stub = self.customers if call.rpc == "CreateCustomer" else self.carts
        failures = 0
        until = None
        while True:
            sent = now()
            self.log.append(
                Invoke(sent, call.request, call.rpc, call.basket, call.effects, call.bad)
            )
            try:
                answer = await getattr(stub, call.rpc)(
                    call.message, timeout=DEADLINE, metadata=metadata()
                )
            except grpc.aio.AioRpcError as error:
                code = error.code()
                outcome = "unknown" if code in UNKNOWN else "fail"
                self.log.append(Return(now(), call.request, outcome, code.name, sent, "", 0, ""))
                if outcome == "fail":
                    return None
            else:
                name, version = getattr(answer, "name", ""), getattr(answer, "version", 0)
                self.log.append(
                    Return(now(), call.request, "ok", "OK", sent, name, version, digest(answer))
                )
                self.answered.append(call)
                return answer
            failures += 1
            if self.stop.is_set():
                until = until or now() + SETTLE
                if now() > until:
                    return None
            # Some requests are never settled, as those of a client that dies itself.
            if failures == 1 and self.random.random() < 0.1:
                return None
            await asyncio.sleep(self.random.uniform(0, min(0.4, 0.05 * 2**failures)))


async def main() -> None:
    folder, seed, process, clients = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    log = Log(folder / f"ledger-{process}")
    stop = asyncio.Event()
    writers = [Writer(f"{process}w{number}", seed, log, stop) for number in range(clients)]
    work = asyncio.gather(*(writer.run() for writer in writers))
    stopped = asyncio.ensure_future(told_to_stop())
    # Whichever comes first: a writer that breaks ends the program.
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await work


if __name__ == "__main__":
    asyncio.run(main())
