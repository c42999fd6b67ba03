"""Client of Clientela: the generated stubs, connected, with typed errors and watches that go on by themselves.

`connect` gives a `Client`, `connect_async` one for asyncio. Messages are in `clientela.v1`. Invariant: a
change that a watch has given is not given again, and none is left out without a `Reset` that says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import random
import threading
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

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

UPSERTED, DELETED, LEFT_FILTER = 1, 2, 3
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": _RETRIES}]})),
    # Clients that wait for one server must not share its connection and waiting times with others.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
]
# How long a watch waits before it connects again, in seconds: doubled from the first to the last.
_WAIT_MIN, _WAIT_MAX = 0.1, 10.0
# How many removed names a watch remembers, so that nothing that is older comes after.
_GONE_MAX = 10_000


@dataclass
class Violation:
    """What is wrong with one field of a request."""

    field: str
    reason: str
    description: str


class Error(Exception):
    """A call that did not succeed. Decide by `code` and `reason`, never by the text."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        # The name of a value of `clientela.v1.ErrorReason`; empty if the error is not the server's.
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.violations: list[Violation] = []
        # After how many seconds to try again, if the server says so.
        self.retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"

    @classmethod
    def of(cls, error: grpc.RpcError) -> Error:
        """What a failed call of gRPC says."""
        made = cls(error.code(), error.details() or "")
        trailers: Any = error.trailing_metadata() or ()
        for key, value in trailers:
            if key == "grpc-status-details-bin":
                made._read(status_pb2.Status.FromString(value))
        return made

    def _read(self, status: status_pb2.Status) -> None:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                self.violations = [Violation(v.field, v.reason, v.description) for v in bad.field_violations]
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()


@dataclass(slots=True)
class Change:
    """What became of one resource. `resource` is the whole of it, if `kind` is UPSERTED."""

    kind: int
    name: str
    version: int
    resource: Any
    # The message of the stream: commit_time, conflated and, of carts, causes.
    message: Any

    @property
    def cart(self) -> carts_pb2.Cart:
        """The resource of a watch of carts."""
        return self.resource  # type: ignore[no-any-return]


@dataclass(slots=True)
class Reset:
    """Forget what you know: a whole state follows. `cause` is that of SnapshotBegin, as CAUSE_INITIAL."""

    cause: str


@dataclass(slots=True)
class Ready:
    """The state is whole. So many resources are known."""

    count: int


Event = Change | Reset | Ready
# Told of the error when a watch has lost its connection, and of None when it has another.
Notify = Callable[[Error | None], None]


class Watching(TypedDict, total=False):
    """What watches take further."""

    names: list[str] | None
    options: common_pb2.WatchOptions | None
    notify: Notify | None


@dataclass
class _Following:
    """What a watch knows, whatever it watches and however it is read."""

    request: Any
    resource: str
    notify: Notify | None
    random: Callable[[float, float], float] = random.uniform
    known: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    failures: int = 0

    def __post_init__(self) -> None:
        options = self.request.options
        options.reset_on_expired_token = True
        self.whole = not options.skip_snapshot and not options.resume_token
        asked = options.heartbeat_interval.ToTimedelta().total_seconds() or 15.0
        self.silence_max = 3 * min(60.0, max(1.0, asked))

    def take(self, message: Any) -> Iterator[Event]:
        """What a message of the stream tells."""
        if self.failures:
            self.failures = 0
            if self.notify:
                self.notify(None)
        signal = message.WhichOneof("signal")
        if signal == "snapshot_begin":
            self.known.clear()
            self.gone.clear()
            # Before a snapshot is whole, there is nothing to go on from.
            self.request.options.ClearField("resume_token")
            self.whole = True
            yield Reset(common_pb2.SnapshotBegin.Cause.Name(message.snapshot_begin.cause))
        for change in message.changes:
            if self._is_news(change):
                upserted = change.kind == UPSERTED
                resource = getattr(change, self.resource) if upserted else None
                yield Change(change.kind, change.name, change.version, resource, change)
        if message.resume_token:
            self.request.options.resume_token = message.resume_token
            self.request.options.skip_snapshot = False
        if signal == "snapshot_end":
            yield Ready(message.snapshot_end.count)

    def _is_news(self, change: Any) -> bool:
        name, version = change.name, change.version
        if change.kind == UPSERTED:
            # What the clock lets leave a filter may enter it again with the version it had.
            if self.known.get(name, -1) >= version or self.gone.get(name, -1) > version:
                return False
            self.gone.pop(name, None)
            self.known[name] = version
            return True
        known = self.known.get(name)
        if known is not None and known > version:
            return False
        news = known is not None or (
            not self.whole and change.kind == DELETED and self.gone.get(name, -1) < version
        )
        self.known.pop(name, None)
        # At the end again, so that the oldest is the first to be forgotten.
        self.gone[name] = max(version, self.gone.pop(name, -1))
        if len(self.gone) > _GONE_MAX:
            del self.gone[next(iter(self.gone))]
        return news

    def lost(self, error: Error) -> float:
        """For how long to wait before connecting again. Raises what waiting does not cure."""
        codes = grpc.StatusCode
        options = self.request.options
        if error.code in (codes.OUT_OF_RANGE, codes.ABORTED) or error.reason == "INVALID_RESUME_TOKEN":
            if not options.resume_token:
                raise error
            options.ClearField("resume_token")
        elif error.reason != "SLOW_CONSUMER" and error.code not in (
            codes.UNAVAILABLE,
            codes.INTERNAL,
            codes.UNKNOWN,
        ):
            raise error
        if self.notify:
            self.notify(error)
        longest = min(_WAIT_MAX, _WAIT_MIN * 2 ** (min(self.failures, 10) + 1))
        self.failures += 1
        return self.random(_WAIT_MIN, longest)

    def silent(self) -> Error:
        return Error(grpc.StatusCode.UNAVAILABLE, f"nothing was heard for {self.silence_max:.0f} s")


def _ended() -> Error:
    return Error(grpc.StatusCode.UNAVAILABLE, "the stream ended without an error")


class Watch(Iterator[Event]):
    """Events for as long as you read them. `close` ends it, from any thread; so does a `with` block."""

    def __init__(self, open_stream: Callable[[Any], Any], following: _Following) -> None:
        self._open_stream = open_stream
        self._following = following
        self._closed = threading.Event()
        self._call: Any = None
        self._heard = 0.0
        self._events = self._run()

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watch: who reads it comes to its end."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def _run(self) -> Iterator[Event]:
        while not self._closed.is_set():
            error = _ended()
            ended, silent = threading.Event(), threading.Event()
            try:
                self._call = self._open_stream(self._following.request)
                if self._closed.is_set():
                    self._call.cancel()
                self._heard = time.monotonic()
                guard = threading.Thread(target=self._guard, args=[self._call, ended, silent], daemon=True)
                guard.start()
                try:
                    for message in self._call:
                        # Reading slowly is not silence of the server.
                        self._heard = float("inf")
                        yield from self._following.take(message)
                        self._heard = time.monotonic()
                finally:
                    ended.set()
                    self._call.cancel()
            except Error as problem:
                error = self._following.silent() if silent.is_set() else problem
            except ValueError:
                # So says a channel that was closed meanwhile.
                if not self._closed.is_set():
                    raise
            if not self._closed.is_set():
                self._closed.wait(self._following.lost(error))

    def _guard(self, call: Any, ended: threading.Event, silent: threading.Event) -> None:
        """Ends a stream on which nothing was heard for too long."""
        while not ended.wait(min(1.0, self._following.silence_max / 3)):
            if time.monotonic() - self._heard > self._following.silence_max:
                silent.set()
                call.cancel()
                return


async def _watch(
    client: AsyncClient, open_stream: Callable[[Any], Any], following: _Following
) -> AsyncIterator[Event]:
    """The same for asyncio; it is ended as every asynchronous generator: by `aclose`, or its task."""
    while not client.closed:
        error = _ended()
        call = open_stream(following.request)
        heard, silent = time.monotonic(), False

        # Of its own beside the reader: a timeout for each message would cost more than the message.
        async def guard() -> None:
            nonlocal silent
            while time.monotonic() - heard <= following.silence_max:
                await asyncio.sleep(min(1.0, following.silence_max / 3))
            silent = call.cancel()

        guarding = asyncio.create_task(guard())
        try:
            async for message in call:
                # Reading slowly is not silence of the server.
                heard = float("inf")
                for event in following.take(message):
                    yield event
                heard = time.monotonic()
        except Error as problem:
            error = problem
        except asyncio.CancelledError:
            # The stream's own when it was given up or the client closed; else the reader's.
            if not silent and not client.closed:
                raise
        finally:
            guarding.cancel()
            call.cancel()
        if client.closed:
            return
        await asyncio.sleep(following.lost(following.silent() if silent else error))


class _Stream:
    """A stream of the server whose errors are typed."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise Error.of(error) from None

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for message in self._call:
                yield message
        except grpc.RpcError as error:
            raise Error.of(error) from None


class _Calls:
    """The channel as the stubs see it: with the key on every call, request ids, and typed errors."""

    def __init__(self, channel: Any, headers: dict[str, str | None], timeout: float) -> None:
        self.channel = channel
        self._metadata = [(name, value) for name, value in headers.items() if value]
        self._timeout = timeout

    def _arguments(self, request: Any, options: dict[str, Any]) -> Any:
        options["metadata"] = [*self._metadata, *(options.get("metadata") or ())]
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            # A copy: the caller's own is a new request when it is used again.
            request = type(request).FromString(request.SerializeToString())
            request.request_id = str(uuid.uuid4())
        return request

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        inner = self.channel.unary_unary(*arguments, **options)

        def call(request: Any, timeout: float | None = None, **options: Any) -> Any:
            request = self._arguments(request, options)
            try:
                return inner(request, timeout=timeout or self._timeout, **options)
            except grpc.RpcError as error:
                raise Error.of(error) from None

        async def call_async(request: Any, timeout: float | None = None, **options: Any) -> Any:
            request = self._arguments(request, options)
            try:
                return await inner(request, timeout=timeout or self._timeout, **options)
            except grpc.RpcError as error:
                raise Error.of(error) from None

        return call_async if isinstance(self.channel, grpc.aio.Channel) else call

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        inner = self.channel.unary_stream(*arguments, **options)

        def call(request: Any, **options: Any) -> _Stream:
            request = self._arguments(request, options)
            return _Stream(inner(request, **options))

        return call


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
        return self._follow(stream, _Following(asked, resource, notify))

    def _follow(self, stream: Any, following: _Following) -> _W:
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

    def _follow(self, stream: Any, following: _Following) -> Watch:
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

    def _follow(self, stream: Any, following: _Following) -> AsyncIterator[Event]:
        return _watch(self, stream, following)

    async def close(self) -> None:
        """Ends all watches, and the connection."""
        self.closed = True
        await self._calls.channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Options(TypedDict, total=False):
    """What `connect` takes further."""

    # Go along with every call.
    shop: str | None
    actor: str | None
    on_behalf_of: str | None
    # Credentials instead of the system's authorities, as `grpc.ssl_channel_credentials(...)`.
    tls: grpc.ChannelCredentials | None
    # Whether key and data go over the network for all to read; without a word only on loopback.
    plaintext: bool | None
    # In seconds, of a call that names none.
    timeout: float


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open(grpc_: Any, address: str, key: str | None, options: Options) -> _Calls:
    tls, plaintext = options.get("tls"), options.get("plaintext")
    if plaintext is None:
        plaintext = tls is None and _is_loopback(address)
    if plaintext:
        channel = grpc_.insecure_channel(address, options=_OPTIONS)
    else:
        channel = grpc_.secure_channel(address, tls or grpc.ssl_channel_credentials(), options=_OPTIONS)
    headers = {
        "authorization": f"Bearer {key}" if key else None,
        "clientela-shop": options.get("shop"),
        "clientela-actor": options.get("actor"),
        "clientela-on-behalf-of": options.get("on_behalf_of"),
    }
    return _Calls(channel, headers, options.get("timeout", 30.0))


def connect(
    address: str = "127.0.0.1:50051", key: str | None = None, **options: Unpack[Options]
) -> Client:
    """Connects to a server, with the key of the environment's CLIENTELA_API_KEY unless one is given.

    Loopback is plaintext, everything else TLS, unless `plaintext=True` asks for the contrary.
    """
    return Client(_open(grpc, address, key or os.environ.get("CLIENTELA_API_KEY"), options))


def connect_async(
    address: str = "127.0.0.1:50051", key: str | None = None, **options: Unpack[Options]
) -> AsyncClient:
    """`connect` for asyncio."""
    return AsyncClient(_open(grpc.aio, address, key or os.environ.get("CLIENTELA_API_KEY"), options))
