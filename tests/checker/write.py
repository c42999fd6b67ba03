#!/usr/bin/env python3
"""Writers that record each request before they send it, and its answer.

    write.py FOLDER SEED PROCESS CLIENTS PAUSE [till] [heavy]

Every product is named after the request that adds it, so the final state alone shows lost, repeated and
invented writes. Each writer has one request at a time, pauses after it for up to twice PAUSE, and fills its
own cart. Now and then it counts up a product in a cart that all writers share, makes a customer or a group,
sends a request that must be refused, or repeats an answered request. If the outcome of a request is unknown,
it retries with the same request id, at another server if there are several, or now and then gives the cart
up. With `till` the first writer is a till: its carts follow each other in one slot, and it gives none up.
With `heavy` the shared carts are larger and written more often.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from pathlib import Path
from typing import Any

import grpc

from calls import DEADLINE, STUBS, TILL, Basket, Call, Effects, item, shared_owner, till_owner
from client import Turns, digest, metadata, order_to_stop
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import common_pb2 as common
from clientela.v1 import customer_service_pb2 as customers
from clientela.v1 import group_service_pb2 as groups
from records import Invoke, Log, Return, now

SHARED_CARTS = 3
HEAVY = "heavy" in sys.argv
# Time for a stopping writer to settle its last request.
SETTLE = 30.0
# After these codes the outcome is unknown; after every other code nothing was done.
UNKNOWN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)


class Writer:
    """One client with one request at a time."""

    def __init__(
        self, name: str, seed: str, log: Log, stop: asyncio.Event, pause: float, *, till: bool
    ) -> None:
        self.name = name
        self.random = random.Random(f"{seed}-{name}")
        self.log = log
        self.stop = stop
        self.pause = pause
        self.till = till
        self.turns = Turns(self.random)
        self.sequence = 0
        self.baskets = 0
        self.basket: Basket | None = None
        self.answered: deque[Call] = deque(maxlen=8)
        self.own_customers: list[str] = []

    async def run(self) -> None:
        """Writes until the order to stop."""
        while not self.stop.is_set():
            dice = self.random.random()
            if self.till:
                await self.fill()
            elif dice < 0.20 or (HEAVY and dice < 0.6):
                await self.send(self.count())
            elif dice < 0.25:
                await self.create_customer()
            elif dice < 0.252:
                await self.create_group()
            elif dice < 0.30:
                await self.send(self.must_fail())
            elif dice < 0.36 and self.answered:
                await self.send(self.random.choice(self.answered))
            else:
                await self.fill()
            if self.pause:
                await asyncio.sleep(self.random.uniform(0, 2 * self.pause))

    def next_request(self) -> str:
        self.sequence += 1
        return f"{self.name}-{self.sequence}"

    def count(self) -> Call:
        """Returns a write that adds one piece to a shared cart."""
        slot = f"shared-{self.random.randrange(SHARED_CARTS)}"
        request = self.next_request()
        target = carts.CartTarget(owner=shared_owner(slot))
        message = carts.AddItemRequest(
            target=target, item=item("counted", 1), request_id=request
        )
        if HEAVY:
            message.item.attributes.update({"text": "x" * 1_500})
        return Call(request, "AddItem", message, slot, [["add", "counted", 1]])

    async def create_customer(self) -> None:
        request = self.next_request()
        # Guests may share an e-mail address, so the address does not hide a repeated creation.
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

    async def create_group(self) -> None:
        request = self.next_request()
        group = groups.Group(display_names={"en": request})
        message = groups.CreateGroupRequest(group=group, request_id=request)
        await self.send(Call(request, "CreateGroup", message))

    def must_fail(self) -> Call:
        """Returns a write that must be refused, usually in the middle of the transaction."""
        request, basket = self.next_request(), self.basket
        if basket is None or not basket.lines or basket.ordered:
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
        return Call(request, rpc, message, basket.name, effects, bad=True)

    async def fill(self) -> None:
        """Makes the next write of the writer's cart, or begins a new cart."""
        basket = self.basket
        if basket is None:
            basket = self.basket = self.new_basket()
        call = self.next_write(basket)
        answer = await self.send(call)
        if answer is None:
            # Its outcome is unknown, so no later write depends on it. A till was only refused for now.
            self.basket = basket if self.till else None
        elif call.rpc == "DeleteCart":
            self.basket = None
        elif call.rpc == "OrderCart" and (self.till or self.random.random() < 0.6):
            self.basket = None
        else:
            basket.writes += 1
            basket.cart = answer.name
            basket.ordered = call.rpc == "OrderCart"
            basket.lines = {line.product: (line.name, line.quantity) for line in answer.items}
            # The till's next cart begins only where this one has ended.
            if basket.writes > 40 and not self.till:
                self.basket = None

    def new_basket(self) -> Basket:
        self.baskets += 1
        if self.till:
            return Basket(f"{TILL}/{self.baskets}", till_owner())
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
        if basket.ordered:
            message: Any = carts.ReopenCartRequest(name=basket.cart, request_id=request)
            return Call(request, "ReopenCart", message, basket.name, [["reopen"]])
        if lines and basket.writes >= 5 and dice < 0.08:
            message = carts.OrderCartRequest(
                target=target, order_reference=request, request_id=request
            )
            return Call(request, "OrderCart", message, basket.name, [["order", request]])
        if basket.writes >= 5 and dice < 0.10:
            message = carts.DeleteCartRequest(target=target, request_id=request)
            return Call(request, "DeleteCart", message, basket.name, [["delete"]])
        if lines and dice < 0.25:
            name, quantity = lines[product]
            # Also to a smaller quantity, so that carts leave filters and come back.
            quantity += self.random.randint(1, 3) * (self.random.choice((1, -1)) if quantity > 3 else 1)
            message = carts.UpdateItemRequest(name=name, quantity=quantity, request_id=request)
            effects: Effects = [["set", product, quantity]]
            return Call(request, "UpdateItem", message, basket.name, effects)
        if lines and dice < 0.38:
            message = carts.RemoveItemRequest(name=lines[product][0], request_id=request)
            return Call(request, "RemoveItem", message, basket.name, [["remove", product]])
        if dice < 0.55:
            products = [f"{request}-{number}" for number in range(self.random.randint(2, 4))]
            edits = [carts.CartEdit(add=item(added, 2)) for added in products]
            effects = [["add", added, 2] for added in products]
            if product:
                edits.append(carts.CartEdit(remove=lines[product][0]))
                effects.append(["remove", product])
            message = carts.EditCartRequest(target=target, edits=edits, request_id=request)
            return Call(request, "EditCart", message, basket.name, effects)
        quantity = self.random.randint(1, 5)
        message = carts.AddItemRequest(
            target=target, item=item(request, quantity), request_id=request
        )
        return Call(request, "AddItem", message, basket.name, [["add", request, quantity]])

    async def send(self, call: Call) -> Any | None:
        """Sends a request until its outcome is known or it is given up. Returns the answer, if any."""
        failures = 0
        until = None
        while True:
            sent = now()
            self.log.append(
                Invoke(sent, call.request, call.rpc, call.basket, call.effects, call.bad)
            )
            try:
                stub = STUBS[call.service()](self.turns.channel())
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
            self.turns.move()
            if self.stop.is_set():
                until = until or now() + SETTLE
                if now() > until:
                    return None
            # Some requests are never settled, like those of a client that dies.
            if failures == 1 and not self.till and self.random.random() < 0.1:
                return None
            await asyncio.sleep(self.random.uniform(0, min(0.4, 0.05 * 2**failures)))


async def main() -> None:
    folder, seed, process = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    clients, pause = int(sys.argv[4]), float(sys.argv[5])
    log = Log(folder / f"ledger-{process}")
    stop = asyncio.Event()
    writers = [
        Writer(f"{process}w{number}", seed, log, stop, pause, till=number == 0 and "till" in sys.argv)
        for number in range(clients)
    ]
    work = asyncio.gather(*(writer.run() for writer in writers))
    stopped = asyncio.ensure_future(order_to_stop())
    # The first one to end decides: a failing writer ends the program.
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await work


if __name__ == "__main__":
    asyncio.run(main())
