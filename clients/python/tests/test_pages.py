"""Tests of the iterators over the pages of List calls."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable

import clientela
import grpc
from clientela import v1
from scripted import Scripted, serving


def names(address: str, request: v1.ListCartsRequest, most: int, into: list[str]) -> None:
    """Adds the names of carts that a client lists, up to a number."""
    with clientela.connect(address, "clt_k") as client:
        for cart in client.all(client.carts.ListCarts, request, lambda page: page.carts):
            into.append(cart.name)
            if len(into) == most:
                return


def names_async(address: str, request: v1.ListCartsRequest, most: int, into: list[str]) -> None:
    """The same with asyncio."""

    async def list_all() -> None:
        async with clientela.connect_async(address, "clt_k") as client:
            async for cart in client.all(client.carts.ListCarts, request, lambda page: page.carts):
                into.append(cart.name)
                if len(into) == most:
                    return

    asyncio.run(list_all())


WAYS: list[Callable[[str, v1.ListCartsRequest, int, list[str]], None]] = [names, names_async]


def scripted(*pages: str) -> Scripted:
    """A server with pages of carts, whose names are letters."""
    servicer = Scripted()
    servicer.pages = [[v1.Cart(name=name) for name in page] for page in pages]
    return servicer


class Pages(unittest.TestCase):
    def test_every_item_of_every_page_is_yielded(self) -> None:
        for way in WAYS:
            # A page may be empty and still not be the last.
            servicer, request, found = scripted("ab", "", "c"), v1.ListCartsRequest(page_size=2), list[str]()
            with serving(servicer) as address:
                way(address, request, 9, found)
            self.assertEqual(found, ["a", "b", "c"])
            asked = [(request.page_token, request.page_size) for request in servicer.requests]
            self.assertEqual(asked, [("", 2), ("p1", 2), ("p2", 2)])
            self.assertEqual(request, v1.ListCartsRequest(page_size=2))

    def test_a_page_that_is_not_read_is_not_fetched(self) -> None:
        for way in WAYS:
            servicer, found = scripted("ab", "c"), list[str]()
            with serving(servicer) as address:
                way(address, v1.ListCartsRequest(), 1, found)
            self.assertEqual((found, len(servicer.requests)), (["a"], 1))

    def test_the_error_of_a_page_ends_the_iterator(self) -> None:
        for way in WAYS:
            servicer, found = scripted("a"), list[str]()
            servicer.unlisted = grpc.StatusCode.PERMISSION_DENIED
            with serving(servicer) as address, self.assertRaises(clientela.Error):
                way(address, v1.ListCartsRequest(), 9, found)
            self.assertEqual(found, ["a"])
