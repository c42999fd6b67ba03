"""The calls of writers, their carts, and the owners of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clientela.v1 import cart_service_pb2 as carts
from clientela.v1 import cart_service_pb2_grpc as cart_stubs
from clientela.v1 import common_pb2 as common
from clientela.v1 import customer_service_pb2_grpc as customer_stubs
from clientela.v1 import group_service_pb2_grpc as group_stubs

# The slot of the carts that follow each other.
TILL = "till"
# Prefix of the last products, customers and groups of a run.
LAST = "last"
DEADLINE = 5.0
Effects = list[list[str | int]]

STUBS = {
    "carts": cart_stubs.CartServiceStub,
    "customers": customer_stubs.CustomerServiceStub,
    "groups": group_stubs.GroupServiceStub,
}


@dataclass
class Call:
    """A request, the same for each attempt."""

    request: str
    rpc: str
    message: Any
    basket: str = ""
    effects: Effects = field(default_factory=list)
    bad: bool = False

    def service(self) -> str:
        """Returns its service."""
        return {"CreateCustomer": "customers", "CreateGroup": "groups"}.get(self.rpc, "carts")


@dataclass
class Basket:
    """A cart that a writer fills, as the answers describe it."""

    # See records.Invoke.
    name: str
    owner: carts.CartOwner
    # The name of the cart, once it is known, and whether the cart is ordered.
    cart: str = ""
    ordered: bool = False
    # The lines by product: the name of the item and its quantity.
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    writes: int = 0

    def target(self) -> carts.CartTarget:
        return carts.CartTarget(owner=self.owner)


def shared_owner(slot: str) -> carts.CartOwner:
    """Returns the owner of the shared carts."""
    return carts.CartOwner(visitor="visitor-of-shared-carts", slot=slot)


def till_owner() -> carts.CartOwner:
    """Returns the owner of the carts of the till."""
    return carts.CartOwner(visitor="visitor-at-the-till", slot=TILL)


def item(product: str, quantity: int, currency: str = "EUR") -> carts.ItemInput:
    """Returns a line to add."""
    price = carts.ItemPrice(
        list_price=common.Money(currency_code=currency, micros=9_990_000),
        price_includes_tax=True,
        tax_rate="19",
    )
    return carts.ItemInput(product=product, quantity=quantity, price=price)
