"""What is done to every call: the channel, the key, ids of requests, repetitions, and typed errors."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import grpc
import grpc.aio

from clientela._errors import Error

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
# What gRPC for asyncio says of a call that was cancelled here: it is all that tells it from one that was cancelled
# elsewhere.
_CANCELLED_HERE = "Locally cancelled by application!"


class Options(TypedDict, total=False):
    """What `connect` takes further."""

    # Go along with every call; see `connect`.
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


def open_channel(grpc_: Any, address: str, key: str | None, options: Options) -> Calls:
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
    return Calls(channel, headers, options.get("timeout", 30.0))


class Calls:
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
        except asyncio.CancelledError:
            # So says gRPC of a stream that was reset as cancelled, too, as if the task that reads had been.
            if not self._call.done() or await self._call.details() == _CANCELLED_HERE:
                raise
            raise Error(grpc.StatusCode.CANCELLED, await self._call.details()) from None
