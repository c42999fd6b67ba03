"""The clients, for threads and for asyncio, and how to connect them."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import grpc.aio

from clientela._calls import Options, open_channel
from clientela._watch import Event, Following, Notify, Watch, Watching, watch_async
from clientela.v1 import (
    admin_service_pb2_grpc,
    cart_service_pb2 as carts_pb2,
    cart_service_pb2_grpc,
    common_pb2,
    customer_service_pb2 as customers_pb2,
    customer_service_pb2_grpc,
    group_service_pb2 as groups_pb2,
    group_service_pb2_grpc,
    operation_service_pb2_grpc,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


def connect(
    address: str = "127.0.0.1:50051", key: str | None = None, **options: Unpack[Options]
) -> Client:
    """Makes a client, with the key of the environment's CLIENTELA_API_KEY unless one is given.

    It connects when it is first used, and again whenever it has to: a server that is not there is an `Error`
    of the call (UNAVAILABLE), not of `connect`. Loopback is plaintext, everything else TLS. Options:

    - `shop`, `actor`, `on_behalf_of` go along with every call: the shop, as `shops/NAME`, for a key of all
      shops; the person who acts; and for whom.
    - `tls`: `grpc.ssl_channel_credentials(...)`, for authorities of one's own instead of the system's.
    - `plaintext`: True sends key and data for all to read, wherever the server is and even if `tls` is set;
      False is TLS to this machine, too.
    - `timeout`: in seconds, of a call that names none, with its repetitions; 30 by default. Streams have none.
    """
    return Client(open_channel(grpc, address, key or os.environ.get("CLIENTELA_API_KEY"), options))


def connect_async(
    address: str = "127.0.0.1:50051", key: str | None = None, **options: Unpack[Options]
) -> AsyncClient:
    """`connect` for asyncio: calls are awaited, watches read by `async for`."""
    return AsyncClient(open_channel(grpc.aio, address, key or os.environ.get("CLIENTELA_API_KEY"), options))


_W = TypeVar("_W")


class _Services(Generic[_W]):
    """What both clients have: the stubs, and what their watches ask for."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls
        self.customers = customer_service_pb2_grpc.CustomerServiceStub(calls)
        self.groups = group_service_pb2_grpc.GroupServiceStub(calls)
        self.carts = cart_service_pb2_grpc.CartServiceStub(calls)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(calls)
        self.operations = operation_service_pb2_grpc.OperationServiceStub(calls)

    def watch_carts(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches the carts that match a filter, or those of `names`, 1,000 at most; all if there is neither.

        It goes on until it is closed or the client is, and raises an `Error` that waiting does not cure, as
        for a revoked key. A server that goes away, or was never there, is waited for, 0.1 to 10 s at a time;
        `notify` is told of the error when the connection is lost, and of None when there is another.
        `options`: heartbeats, delivery, and a token to begin with; a stream that says nothing for three
        heartbeat intervals (of 15 s, if nothing else is said) is taken for lost. Do not let half a minute
        pass between two events: the server gives up whoever does not read, and the watch has to catch up.
        """
        return self._watch(self.carts.WatchCarts, carts_pb2.WatchCartsRequest, "cart", filter, **options)

    def watch_customers(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches customers, as `watch_carts` does carts."""
        return self._watch(
            self.customers.WatchCustomers, customers_pb2.WatchCustomersRequest, "customer", filter, **options
        )

    def watch_groups(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches groups, as `watch_carts` does carts."""
        return self._watch(self.groups.WatchGroups, groups_pb2.WatchGroupsRequest, "group", filter, **options)

    def _watch(
        self,
        stream: Any,
        request: Any,
        resource: str,
        filter: str,
        names: list[str] | None = None,
        options: common_pb2.WatchOptions | None = None,
        notify: Notify | None = None,
    ) -> _W:
        asked = request(filter=filter, names=names or [], options=options or common_pb2.WatchOptions())
        return self._follow(stream, Following(asked, resource, notify))

    def _follow(self, stream: Any, following: Following) -> _W:
        raise NotImplementedError


class Client(_Services[Watch]):
    """The services, connected. Safe to use from several threads; `close` ends its watches, too."""

    customers: customer_service_pb2_grpc.CustomerServiceStub
    groups: group_service_pb2_grpc.GroupServiceStub
    carts: cart_service_pb2_grpc.CartServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    operations: operation_service_pb2_grpc.OperationServiceStub

    def __init__(self, calls: Any) -> None:
        super().__init__(calls)
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()

    def _follow(self, stream: Any, following: Following) -> Watch:
        watch = Watch(stream, following)
        self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Ends all watches, and the connection."""
        for watch in list(self._watches):
            watch.close()
        self._calls.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Services[AsyncGenerator[Event, None]]):
    """The services, connected, for asyncio."""

    customers: customer_service_pb2_grpc.CustomerServiceAsyncStub
    groups: group_service_pb2_grpc.GroupServiceAsyncStub
    carts: cart_service_pb2_grpc.CartServiceAsyncStub
    admin: admin_service_pb2_grpc.AdminServiceAsyncStub
    operations: operation_service_pb2_grpc.OperationServiceAsyncStub
    closed = False

    def _follow(self, stream: Any, following: Following) -> AsyncGenerator[Event, None]:
        return watch_async(self, stream, following)

    async def close(self) -> None:
        """Ends all watches, and the connection."""
        self.closed = True
        await self._calls.channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
