#!/usr/bin/env python3
"""Writes the last cart of a run, for the watchers to end with, and notes all that the shop holds.

    read.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from client import channel, digest, metadata
from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import customer_service_pb2 as customers
from clientela.v1 import customer_service_pb2_grpc as customer_stubs
from records import Cart, Customer, Invoke, Log, Return, now
from watch import LAST_SLOT
from write import DEADLINE, item

# So few that a page of full carts stays far below what a message may hold.
PAGE_SIZE = 200
STATES = {carts.Cart.STATE_OPEN: "open", carts.Cart.STATE_ORDERED: "ordered"}


async def pages(method: Any, request: Any) -> AsyncIterator[Any]:
    """All pages of a list."""
    while True:
        page = await method(request, timeout=30, metadata=metadata())
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def write_last(carts_stub: Any, folder: Path) -> None:
    """Writes the last cart as any writer does."""
    log = Log(folder / "ledger-last")
    owner = carts.CartOwner(visitor="visitor-who-comes-last", slot=LAST_SLOT)
    message = carts.AddItemRequest(
        target=carts.CartTarget(owner=owner), item=item("last", 1), request_id="last"
    )
    sent = now()
    log.append(Invoke(sent, "last", "AddItem", LAST_SLOT, [["add", "last", 1]], False))
    answer = await carts_stub.AddItem(message, timeout=DEADLINE, metadata=metadata())
    log.append(
        Return(now(), "last", "ok", "OK", sent, answer.name, answer.version, digest(answer))
    )


async def main() -> None:
    folder = Path(sys.argv[1])
    connection = channel()
    carts_stub = cart_stubs.CartServiceStub(connection)
    customers_stub = customer_stubs.CustomerServiceStub(connection)
    await write_last(carts_stub, folder)
    log = Log(folder / "final")
    async for page in pages(carts_stub.ListCarts, carts.ListCartsRequest(page_size=PAGE_SIZE)):
        for cart in page.carts:
            log.append(
                Cart(
                    cart.name,
                    cart.slot,
                    STATES.get(cart.state, "unknown"),
                    cart.order_reference,
                    cart.version,
                    {line.product: line.quantity for line in cart.items},
                    digest(cart),
                )
            )
    request = customers.ListCustomersRequest(page_size=PAGE_SIZE)
    async for page in pages(customers_stub.ListCustomers, request):
        for customer in page.customers:
            log.append(Customer(customer.name, customer.first_name))


if __name__ == "__main__":
    asyncio.run(main())
