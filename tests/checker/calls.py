"""What writers ask for: the calls, the carts that they fill, whose these are."""

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
# How the last products, customers and groups of a run are called.
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
    """A request as it is sent, each time alike."""

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
    """A cart that a writer fills: the model of what the writer was answered."""

    # See records.Invoke.
    name: str
    owner: carts.CartOwner
    # The name of the cart, once that is known, and whether it is ordered.
    cart: str = ""
    ordered: bool = False
    # The lines by product: the name of the item and its quantity.
    lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    writes: int = 0

    def target(self) -> carts.CartTarget:
        return carts.CartTarget(owner=self.owner)


def shared_owner(slot: str) -> carts.CartOwner:
    """Whose the shared carts are."""
    return carts.CartOwner(visitor="visitor-of-shared-carts", slot=slot)


def till_owner() -> carts.CartOwner:
    """Whose the carts of the till are."""
    return carts.CartOwner(visitor="visitor-at-the-till", slot=TILL)


def item(product: str, quantity: int, currency: str = "EUR") -> carts.ItemInput:
    """A line to add."""
    price = carts.ItemPrice(
        list_price=common.Money(currency_code=currency, micros=9_990_000),
        price_includes_tax=True,
        tax_rate="19",
    )
    return carts.ItemInput(product=product, quantity=quantity, price=price)
