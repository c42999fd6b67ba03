#!/usr/bin/env python3
"""Makes the last writes of a run, at which the watchers end, and records the contents of the shop.

    read.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from calls import DEADLINE, LAST, TILL, Effects, item, shared_owner, till_owner
from client import channel, digest, metadata
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import customer_service_pb2 as customers
from clientela.v1 import customer_service_pb2_grpc as customer_stubs
from clientela.v1 import group_service_pb2 as groups
from clientela.v1 import group_service_pb2_grpc as group_stubs
from records import Cart, Invoke, Log, Named, Return, Tail, now
from watch import STATES

# Few enough that a page of full carts is far below the limit of a message.
PAGE_SIZE = 200
# Enough for every watch with such a filter.
PIECES = 20
# Deadline for a connection to a server that reports SERVING, on a busy machine.
PATIENCE = 60.0


async def pages(method: Any, request: Any) -> AsyncIterator[Any]:
    """Returns all pages of a list."""
    while True:
        page = await method(request, timeout=30, metadata=metadata())
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


class Last:
    """Writes as any writer does, as the last one."""

    def __init__(self, folder: Path, connection: Any) -> None:
        self.log = Log(folder / "ledger-last")
        self.carts = cart_stubs.CartServiceStub(connection)
        self.customers = customer_stubs.CustomerServiceStub(connection)
        self.groups = group_stubs.GroupServiceStub(connection)
        self.folder = folder

    async def write(self) -> None:
        """Makes a change for each of the watchers."""
        owners = [
            (carts.CartOwner(visitor="visitor-who-comes-last", slot="last-of-all"), "last-of-all"),
            (shared_owner("shared-0"), "shared-0"),
            (till_owner(), await self.basket_of_till()),
        ]
        for number, (owner, basket) in enumerate(owners):
            request = f"{LAST}-{number}"
            message = carts.AddItemRequest(
                target=carts.CartTarget(owner=owner), item=item(LAST, PIECES), request_id=request
            )
            await self.send(
                self.carts, request, "AddItem", message, basket, [["add", LAST, PIECES]]
            )
        customer = customers.Customer(
            kind=customers.Customer.KIND_GUEST,
            first_name=LAST,
            last_name="Writer",
            email="guest@shop.test",
        )
        creation: Any = customers.CreateCustomerRequest(customer=customer, request_id=LAST)
        await self.send(self.customers, LAST, "CreateCustomer", creation, "", [])
        group = groups.Group(display_names={"en": f"{LAST}-group"})
        creation = groups.CreateGroupRequest(group=group, request_id=f"{LAST}-group")
        await self.send(self.groups, f"{LAST}-group", "CreateGroup", creation, "", [])

    async def basket_of_till(self) -> str:
        """Returns the basket of the till's next line."""
        baskets: list[str] = []
        names: dict[str, str] = {}
        for _, record in Tail(self.folder).read():
            if isinstance(record, Invoke) and record.basket.startswith(f"{TILL}/"):
                names[record.request] = record.basket
                baskets.append(record.basket)
            elif isinstance(record, Return) and record.request in names and record.version:
                names[record.name] = names[record.request]
        last = max((int(basket.partition("/")[2]) for basket in baskets), default=0)
        request = carts.ListCartsRequest(filter=f'slot = "{TILL}" AND state = OPEN')
        answer = await self.carts.ListCarts(request, timeout=DEADLINE, metadata=metadata())
        if not answer.carts:
            return f"{TILL}/{last + 1}"
        return names.get(answer.carts[0].name, f"{TILL}/{last}")

    async def send(
        self, stub: Any, request: str, rpc: str, message: Any, basket: str, effects: Effects
    ) -> None:
        sent = now()
        self.log.append(Invoke(sent, request, rpc, basket, effects, False))
        answer = await getattr(stub, rpc)(message, timeout=DEADLINE, metadata=metadata())
        version = getattr(answer, "version", 0)
        self.log.append(
            Return(now(), request, "ok", "OK", sent, answer.name, version, digest(answer))
        )


async def main() -> None:
    folder = Path(sys.argv[1])
    connection = channel()
    await asyncio.wait_for(connection.channel_ready(), PATIENCE)
    last = Last(folder, connection)
    await last.write()
    log = Log(folder / "final")
    async for page in pages(last.carts.ListCarts, carts.ListCartsRequest(page_size=PAGE_SIZE)):
        for cart in page.carts:
            log.append(
                Cart(
                    cart.name,
                    cart.slot,
                    STATES.get(cart.state, "unknown"),
                    cart.order_reference,
                    cart.version,
                    cart.item_count,
                    {line.product: line.quantity for line in cart.items},
                    digest(cart),
                )
            )
    request: Any = customers.ListCustomersRequest(page_size=PAGE_SIZE)
    async for page in pages(last.customers.ListCustomers, request):
        for customer in page.customers:
            log.append(Named("customers", customer.name, customer.first_name, customer.etag))
    request = groups.ListGroupsRequest(page_size=PAGE_SIZE)
    async for page in pages(last.groups.ListGroups, request):
        for group in page.groups:
            # No writer made those of every new shop.
            label = "" if group.special_kinds else group.display_names["en"]
            log.append(Named("groups", group.name, label, group.etag))


if __name__ == "__main__":
    asyncio.run(main())
