"""The clients, for threads and for asyncio, and how to connect them."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator
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
    """Connects to a server, with the key of the environment's CLIENTELA_API_KEY unless one is given.

    Loopback is plaintext, everything else TLS, unless `plaintext=True` asks for the contrary.
    """
    return Client(open_channel(grpc, address, key or os.environ.get("CLIENTELA_API_KEY"), options))


def connect_async(
    address: str = "127.0.0.1:50051", key: str | None = None, **options: Unpack[Options]
) -> AsyncClient:
    """`connect` for asyncio."""
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
        """Watches the carts that match a filter, or certain `names`; all if there is neither."""
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


class AsyncClient(_Services[AsyncIterator[Event]]):
    """The services, connected, for asyncio."""

    customers: customer_service_pb2_grpc.CustomerServiceAsyncStub
    groups: group_service_pb2_grpc.GroupServiceAsyncStub
    carts: cart_service_pb2_grpc.CartServiceAsyncStub
    admin: admin_service_pb2_grpc.AdminServiceAsyncStub
    operations: operation_service_pb2_grpc.OperationServiceAsyncStub
    closed = False

    def _follow(self, stream: Any, following: Following) -> AsyncIterator[Event]:
        return watch_async(self, stream, following)

    async def close(self) -> None:
        """Ends all watches, and the connection."""
        self.closed = True
        await self._calls.channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
