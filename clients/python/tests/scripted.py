"""A server with scripted answers, and the events that a watch of it yields. No tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NamedTuple

import clientela
import grpc
from clientela import v1
from clientela.v1 import (
    cart_service_pb2_grpc,
    customer_service_pb2_grpc,
    group_service_pb2_grpc,
)
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

# How long a stream stays open, in seconds. A test that waits for a further message fails then.
PATIENCE = 20.0


def change(name: str, version: int, kind: int = clientela.UPSERTED, of: str = "cart") -> Any:
    """A change of a cart, a customer or a group."""
    made = getattr(v1, f"{of.capitalize()}Change")(kind=kind, name=name, version=version)
    if kind == clientela.UPSERTED:
        getattr(made, of).name = name
    return made


def says(*changes: Any, token: str = "", of: str = "cart") -> Any:
    """A message of a watch, with these changes."""
    return getattr(v1, f"Watch{of.capitalize()}sResponse")(changes=changes, resume_token=token)


def begins(of: str = "cart") -> Any:
    """A message that begins a snapshot."""
    message = says(of=of)
    message.snapshot_begin.cause = v1.SnapshotBegin.CAUSE_INITIAL
    return message


def whole(*changes: Any, token: str = "t", of: str = "cart") -> list[Any]:
    """A complete snapshot of these."""
    end = says(token=token, of=of)
    end.snapshot_end.count = len(changes)
    return [begins(of), says(*changes, of=of), end]


def figures(open_carts: int) -> v1.WatchCartFiguresResponse:
    """A message of figures."""
    return v1.WatchCartFiguresResponse(figures=v1.CartFigures(open_carts=open_carts))


def draining() -> v1.WatchCartFiguresResponse:
    """The message that announces the end of a stream of figures."""
    return v1.WatchCartFiguresResponse(draining=v1.Draining())


class Refusal(NamedTuple):
    """The end of a stream with a reason of the server."""

    code: grpc.StatusCode
    reason: str

    def trailers(self) -> Any:
        status = status_pb2.Status(code=self.code.value[0], message="as scripted")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain="clientela.v1"))
        return (("grpc-status-details-bin", status.SerializeToString()),)


class Scripted(
    cart_service_pb2_grpc.CartServiceServicer,
    customer_service_pb2_grpc.CustomerServiceServicer,
    group_service_pb2_grpc.GroupServiceServicer,
):
    """Plays the streams in turn, each with messages and then a code; with None it stays open."""

    def __init__(self, *streams: tuple[list[Any], grpc.StatusCode | Refusal | None]) -> None:
        self.streams = iter(streams)
        self.requests: list[Any] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing = 0
        # The pages of ListCarts, and its error after the last.
        self.pages: list[list[v1.Cart]] = []
        self.unlisted: grpc.StatusCode | None = None
        self.ended = threading.Event()

    def _watch(self, request: Any, context: Any) -> Iterator[Any]:
        self.requests.append(request)
        messages, code = next(self.streams, ([], grpc.StatusCode.UNIMPLEMENTED))
        yield from messages
        if code is None:
            context.add_callback(self.ended.set)
            self.ended.wait(PATIENCE)
        elif isinstance(code, Refusal):
            context.set_trailing_metadata(code.trailers())
            context.abort(code.code, "as scripted")
        else:
            context.abort(code, "as scripted")

    WatchCarts = WatchCart = WatchCartFigures = WatchCustomers = WatchGroups = _watch

    def ListCarts(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        number = len(self.requests)
        if number > len(self.pages):
            context.abort(self.unlisted, "as scripted")
        more = number < len(self.pages) or self.unlisted is not None
        return v1.ListCartsResponse(carts=self.pages[number - 1], next_page_token=f"p{number}" if more else "")

    def ClearCart(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append((request.request_id, dict(context.invocation_metadata())))
        if len(self.calls) <= self.failing:
            context.abort(grpc.StatusCode.UNAVAILABLE, "as scripted")
        return v1.Cart()


@contextlib.contextmanager
def serving(
    servicer: Scripted, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[str]:
    """Serves on loopback and returns the address."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    cart_service_pb2_grpc.add_CartServiceServicer_to_server(servicer, server)
    customer_service_pb2_grpc.add_CustomerServiceServicer_to_server(servicer, server)
    group_service_pb2_grpc.add_GroupServiceServicer_to_server(servicer, server)
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        servicer.ended.set()
        server.stop(None).wait()


def read(address: str, count: int, what: str = "carts", **options: Any) -> list[Any]:
    """The first events of a watch."""
    with clientela.connect(address, "clt_test") as client:
        return list(itertools.islice(getattr(client, f"watch_{what}")(**options), count))


def read_async(address: str, count: int, what: str = "carts", **options: Any) -> list[Any]:
    """The same with asyncio."""

    async def follow() -> list[Any]:
        async with clientela.connect_async(address, "clt_test") as client:
            events: list[Any] = []
            async for event in getattr(client, f"watch_{what}")(**options):
                events.append(event)
                if len(events) == count:
                    break
            return events

    return asyncio.run(follow())


def told(events: list[Any]) -> list[Any]:
    """Events in a form to compare."""
    return [
        (event.name, event.version, event.kind) if isinstance(event, clientela.Change) else event for event in events
    ]
