"""Short ways to write the messages that almost every program needs."""

from __future__ import annotations

import re
from decimal import Decimal

from clientela.v1.cart_service_pb2 import CartOwner, CartTarget
from clientela.v1.common_pb2 import Money

_DECIMAL = re.compile(r"(-?[0-9]+)(?:\.([0-9]{1,6}))?")
# The largest amount of the contract, in millionths.
_MICROS_MAX = 2**53 - 1


def cart(name: str) -> CartTarget:
    """Returns the target of the cart with this name, for example `carts/019a`."""
    return CartTarget(cart=name)


def customer_cart(customer: str) -> CartTarget:
    """Returns the target of the open cart of a customer, for example `customers/ada`, in the slot `main`."""
    return CartTarget(owner=CartOwner(customer=customer))


def visitor_cart(token: str) -> CartTarget:
    """Returns the target of the open cart of a visitor in the slot `main`.

    The token is the one that the storefront gave to the visitor: 16 to 256 characters.
    """
    return CartTarget(owner=CartOwner(visitor=token))


def money(currency: str, amount: str | int | Decimal) -> Money:
    """Returns an amount of a currency: `money("EUR", "11.90")` is 11.90 euros.

    The amount is a decimal number with at most six places. Anything else, and an amount that is too large for the
    contract, raises `ValueError`. A `float` is not accepted because it is not exact.
    """
    if isinstance(amount, float):
        raise TypeError("an amount is a str, an int or a Decimal: a float is not exact")
    text = f"{amount:f}" if isinstance(amount, Decimal) else str(amount)
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        raise ValueError(f'amount {text!r} is not a decimal number with at most six places, for example "11.90"')
    micros = int(parts[1] + (parts[2] or "").ljust(6, "0"))
    if abs(micros) > _MICROS_MAX:
        raise ValueError(f"amount {text!r} is too large: at most 9007199254.740991")
    return Money(currency_code=currency, micros=micros)
