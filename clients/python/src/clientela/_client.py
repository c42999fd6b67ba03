"""The clients for threads and for asyncio."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import grpc
import grpc.aio

from clientela._calls import Options, open_channel
from clientela._reconnect import Notify, Watch, watch_async
from clientela._watch import Event, Figures, Resources, Watching
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
    saved_filter_service_pb2_grpc,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


def connect(
    address: str | None = None, key: str | None = None, **options: Unpack[Options]
) -> Client:
    """Returns a client of the server at an address, for example `shop.example.com:443`.

    The default address is the environment variable CLIENTELA_SERVER; without that, 127.0.0.1:50051. The default key
    is the environment variable CLIENTELA_API_KEY.

    The client connects at the first call, and again after an outage. A server that is not there is therefore an
    `Error` of the call (UNAVAILABLE). Without a key `connect` itself raises an `Error` (KEY_MISSING). `Options`
    describes the further arguments.
    """
    return Client(open_channel(grpc, address, key, options))


def connect_async(
    address: str | None = None, key: str | None = None, **options: Unpack[Options]
) -> AsyncClient:
    """Returns a client for asyncio: `await` its calls and read its watches with `async for`."""
    return AsyncClient(open_channel(grpc.aio, address, key, options))


class _PageRequest(Protocol):
    page_token: str


class _Page(Protocol):
    next_page_token: str


_W = TypeVar("_W")
_F = TypeVar("_F")
_Q = TypeVar("_Q", bound=_PageRequest)
_P = TypeVar("_P", bound=_Page)
_R = TypeVar("_R")


class Services(Generic[_W, _F]):
    """The common part of both clients: the stubs and the watches."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls
        self.customers: Any = customer_service_pb2_grpc.CustomerServiceStub(calls)
        self.groups: Any = group_service_pb2_grpc.GroupServiceStub(calls)
        self.carts: Any = cart_service_pb2_grpc.CartServiceStub(calls)
        self.admin: Any = admin_service_pb2_grpc.AdminServiceStub(calls)
        self.operations: Any = operation_service_pb2_grpc.OperationServiceStub(calls)
        self.saved_filters: Any = saved_filter_service_pb2_grpc.SavedFilterServiceStub(calls)

    def watch_carts(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches the carts that match a filter, or those of `names`, at most 1,000; all without either.

        When the server or the network fails, the watch waits 0.1 s to 10 s and connects again, however long that
        takes. It continues after the last event and yields no change twice. It raises an `Error` if another attempt
        cannot help, for example after the key was revoked. `notify` receives the error when the connection is lost,
        and None when there is a new one. `options` has the heartbeat, the delivery mode, and a resume token to begin
        with. A stream that sends nothing for three heartbeat intervals, of 15 s by default, is closed and opened
        again. Read an event at least every 30 s: the server closes the stream of a slower reader, and the watch has
        to catch up.
        """
        return self._watch(self.carts.WatchCarts, carts_pb2.WatchCartsRequest, "cart", filter, **options)

    def watch_cart(
        self,
        target: carts_pb2.CartTarget,
        options: common_pb2.WatchOptions | None = None,
        notify: Notify | None = None,
    ) -> _W:
        """Watches one cart, or the open carts of an owner: after an order it continues with the owner's next cart.

        Write the target with `cart`, `customer_cart` or `visitor_cart`. Apart from that it is like `watch_carts`.
        """
        request = carts_pb2.WatchCartRequest(target=target, options=options or common_pb2.WatchOptions())
        return self._follow(self.carts.WatchCart, Resources(request, "cart", notify))

    def watch_cart_figures(
        self, request: carts_pb2.WatchCartFiguresRequest | None = None, notify: Notify | None = None
    ) -> _F:
        """Watches the figures of the shop's open carts: at once, and whenever they change.

        It reconnects and ends as `watch_carts` does. A new connection begins with the figures as they are then.
        """
        request = request or carts_pb2.WatchCartFiguresRequest()
        return self._follow_figures(self.carts.WatchCartFigures, Figures(request, notify))

    def watch_customers(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches customers as `watch_carts` watches carts."""
        return self._watch(
            self.customers.WatchCustomers, customers_pb2.WatchCustomersRequest, "customer", filter, **options
        )

    def watch_groups(self, filter: str = "", **options: Unpack[Watching]) -> _W:
        """Watches groups as `watch_carts` watches carts."""
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
        return self._follow(stream, Resources(asked, resource, notify))

    def _follow(self, stream: Any, following: Resources) -> _W:
        raise NotImplementedError

    def _follow_figures(self, stream: Any, following: Figures) -> _F:
        raise NotImplementedError


class Client(Services[Watch[Event], Watch[carts_pb2.CartFigures]]):
    """The services of the contract on one connection. Several threads may use it."""

    customers: customer_service_pb2_grpc.CustomerServiceStub
    groups: group_service_pb2_grpc.GroupServiceStub
    carts: cart_service_pb2_grpc.CartServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    operations: operation_service_pb2_grpc.OperationServiceStub
    saved_filters: saved_filter_service_pb2_grpc.SavedFilterServiceStub

    def __init__(self, calls: Any) -> None:
        super().__init__(calls)
        self._watches: weakref.WeakSet[Watch[Any]] = weakref.WeakSet()

    def all(self, list: Callable[[_Q], _P], request: _Q, items: Callable[[_P], Iterable[_R]]) -> Iterator[_R]:
        """Yields the resources of a List call, page after page.

        It fetches a page when the loop has used up the one before. The page size and the first page are those of the
        request, which stays as it is: `client.all(client.carts.ListCarts, v1.ListCartsRequest(), lambda page:
        page.carts)`.
        """
        request = deepcopy(request)
        while True:
            page = list(request)
            yield from items(page)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _follow(self, stream: Any, following: Resources) -> Watch[Event]:
        return self._keep(Watch(stream, following))

    def _follow_figures(self, stream: Any, following: Figures) -> Watch[carts_pb2.CartFigures]:
        return self._keep(Watch(stream, following))

    def _keep(self, watch: Watch[_R]) -> Watch[_R]:
        self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Ends all watches and closes the connection."""
        for watch in list(self._watches):
            watch.close()
        self._calls.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(Services[AsyncGenerator[Event, None], AsyncGenerator[carts_pb2.CartFigures, None]]):
    """The services of the contract on one connection, for asyncio."""

    customers: customer_service_pb2_grpc.CustomerServiceAsyncStub
    groups: group_service_pb2_grpc.GroupServiceAsyncStub
    carts: cart_service_pb2_grpc.CartServiceAsyncStub
    admin: admin_service_pb2_grpc.AdminServiceAsyncStub
    operations: operation_service_pb2_grpc.OperationServiceAsyncStub
    saved_filters: saved_filter_service_pb2_grpc.SavedFilterServiceAsyncStub
    closed = False

    async def all(
        self, list: Callable[[_Q], Awaitable[_P]], request: _Q, items: Callable[[_P], Iterable[_R]]
    ) -> AsyncIterator[_R]:
        """Yields the resources of a List call, page after page, as `Client.all` does."""
        request = deepcopy(request)
        while True:
            page = await list(request)
            for item in items(page):
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _follow(self, stream: Any, following: Resources) -> AsyncGenerator[Event, None]:
        return watch_async(self, stream, following)

    def _follow_figures(self, stream: Any, following: Figures) -> AsyncGenerator[carts_pb2.CartFigures, None]:
        return watch_async(self, stream, following)

    async def close(self) -> None:
        """Ends all watches and closes the connection."""
        self.closed = True
        await self._calls.channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
