"""Python client of Clientela, which keeps a shop's customers, groups and live carts.

`connect` returns a `Client` for threads, `connect_async` one for asyncio. The messages of the contract are in
`clientela.v1`. Invariant: a watch yields no change twice, and skips none without a `Reset`.
"""

from __future__ import annotations

from clientela._calls import Options
from clientela._client import AsyncClient, Client, Services, connect, connect_async
from clientela._errors import Error, Violation
from clientela._messages import cart, customer_cart, money, visitor_cart
from clientela._reconnect import Notify, Watch
from clientela._watch import DELETED, LEFT_FILTER, UPSERTED, Change, Event, Ready, Reset, Watching
from clientela.v1.reasons import Reason

__all__ = [
    "DELETED",
    "LEFT_FILTER",
    "UPSERTED",
    "AsyncClient",
    "Change",
    "Client",
    "Error",
    "Event",
    "Notify",
    "Options",
    "Ready",
    "Reason",
    "Reset",
    "Services",
    "Violation",
    "Watch",
    "Watching",
    "cart",
    "connect",
    "connect_async",
    "customer_cart",
    "money",
    "visitor_cart",
]

# Tracebacks and API pages name the public module.
for _public in (AsyncClient, Change, Client, Error, Ready, Reset, Services, Violation, Watch):
    _public.__module__ = __name__
for _function in (cart, connect, connect_async, customer_cart, money, visitor_cart):
    _function.__module__ = __name__
