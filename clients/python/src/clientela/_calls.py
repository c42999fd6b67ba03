"""The channel of the client: it adds the key, request ids, retries and typed errors to every call."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
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
    # Clients must not share a connection and its backoff with each other.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # Shorter than the retries of a call, so that one of them finds a server that has come back.
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
# How gRPC for asyncio describes a call that this process cancelled. Nothing else distinguishes such a call from one
# that was cancelled elsewhere.
_CANCELLED_HERE = "Locally cancelled by application!"


class Options(TypedDict, total=False):
    """Further arguments of `connect`."""

    shop: str | None
    """The shop of every call, for example `shops/berlin`. Only operator keys need it."""
    actor: str | None
    """The acting person of every call, for example `staff/anna`. Only keys that may name the actor can set it."""
    on_behalf_of: str | None
    """The person for whom the actor acts."""
    tls: grpc.ChannelCredentials | None
    """Credentials with other authorities than the system's: `grpc.ssl_channel_credentials(...)`."""
    plaintext: bool | None
    """True sends the key and all data without encryption, to any host and even if `tls` is set. False uses TLS to
    this machine, too. By default connections to loopback use plaintext and all others TLS."""
    timeout: float
    """The deadline in seconds of calls that name none, retries included; 30 by default. Streams have no deadline."""


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_channel(grpc_: Any, address: str | None, key: str | None, options: Options) -> Calls:
    address = address or os.environ.get("CLIENTELA_SERVER") or "127.0.0.1:50051"
    key = os.environ.get("CLIENTELA_API_KEY") if key is None else key
    if not key:
        text = "there is no API key: pass one or set the environment variable CLIENTELA_API_KEY"
        raise Error(grpc.StatusCode.UNAUTHENTICATED, text, "KEY_MISSING")
    tls, plaintext = options.get("tls"), options.get("plaintext")
    if plaintext is None:
        plaintext = tls is None and _is_loopback(address)
    if plaintext:
        channel = grpc_.insecure_channel(address, options=_OPTIONS)
    else:
        channel = grpc_.secure_channel(address, tls or grpc.ssl_channel_credentials(), options=_OPTIONS)
    headers = {
        "authorization": f"Bearer {key}",
        "clientela-shop": options.get("shop"),
        "clientela-actor": options.get("actor"),
        "clientela-on-behalf-of": options.get("on_behalf_of"),
    }
    return Calls(channel, headers, options.get("timeout", 30.0))


class Calls:
    """The channel that the stubs use: with the key on every call, request ids and typed errors."""

    def __init__(self, channel: Any, headers: dict[str, str | None], timeout: float) -> None:
        self.channel = channel
        self._metadata = [(name, value) for name, value in headers.items() if value]
        self._timeout = timeout

    def _arguments(self, request: Any, options: dict[str, Any]) -> Any:
        options["metadata"] = [*self._metadata, *(options.get("metadata") or ())]
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            # A copy: the next call with the caller's message is a new request.
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
    """A stream with typed errors."""

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
            # gRPC raises this also for a stream that the other side reset, as if the reading task were cancelled.
            if not self._call.done() or await self._call.details() == _CANCELLED_HERE:
                raise
            raise Error(grpc.StatusCode.CANCELLED, await self._call.details()) from None
