"""Client of Clientela: the generated stubs, connected, with typed errors and watches that go on.

`connect` gives a `Client`, `connect_async` one for asyncio. Messages are in `clientela.v1`. Invariant: a
change that a watch has given is not given again, and none is left out without a `Reset` that says so.
"""

from __future__ import annotations

from clientela._calls import Options
from clientela._client import AsyncClient, Client, connect, connect_async
from clientela._errors import Error, Violation
from clientela._watch import (
    DELETED,
    LEFT_FILTER,
    UPSERTED,
    Change,
    Event,
    Notify,
    Ready,
    Reset,
    Watch,
    Watching,
)

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
    "Reset",
    "Violation",
    "Watch",
    "Watching",
    "connect",
    "connect_async",
]

# Where they are to be imported from, and what a traceback calls them.
for _public in (AsyncClient, Change, Client, Error, Ready, Reset, Violation, Watch, connect, connect_async):
    _public.__module__ = __name__
