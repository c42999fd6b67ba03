"""Watches: their events, what they know, and the loop that goes on when a stream ends, of two sorts."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

import grpc

from clientela._errors import Error
from clientela.v1 import cart_service_pb2 as carts_pb2, common_pb2

UPSERTED, DELETED, LEFT_FILTER = 1, 2, 3
# How long a watch waits before it connects again, in seconds: doubled from the first to the last, and drawn
# between two bounds.
_WAIT_MIN, _WAIT_MAX = 0.1, 10.0
_wait = random.uniform
# How many removed names a watch remembers, so that nothing that is older comes after.
_GONE_MAX = 10_000


@dataclass(slots=True)
class Change:
    """What became of one resource.

    `kind` is UPSERTED, DELETED or LEFT_FILTER; `resource` is the whole of it if that is UPSERTED, else None.
    `message` is the change as the stream told it: commit_time, conflated and, of carts, causes.
    """

    kind: int
    name: str
    version: int
    resource: Any
    message: Any

    @property
    def cart(self) -> carts_pb2.Cart:
        """The resource of a watch of carts; there is none unless `kind` is UPSERTED."""
        return self.resource  # type: ignore[no-any-return]


@dataclass(slots=True)
class Reset:
    """Forget what you know: a whole state follows. `cause` is that of SnapshotBegin, as CAUSE_INITIAL."""

    cause: str


@dataclass(slots=True)
class Ready:
    """The state is whole: `count` resources are known."""

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
class Following:
    """What a watch knows, whatever it watches and however it is read."""

    request: Any
    resource: str
    notify: Notify | None
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
            # By a proxy that gave the stream up: whoever reads has not.
            codes.CANCELLED,
        ):
            raise error
        if self.notify:
            self.notify(error)
        longest = min(_WAIT_MAX, _WAIT_MIN * 2 ** (min(self.failures, 10) + 1))
        self.failures += 1
        return _wait(_WAIT_MIN, longest)

    def silent(self) -> Error:
        return Error(grpc.StatusCode.UNAVAILABLE, f"nothing was heard for {self.silence_max:.0f} s")


def _ended() -> Error:
    return Error(grpc.StatusCode.UNAVAILABLE, "the stream ended without an error")


class Watch(Iterator[Event]):
    """Events for as long as you read them, in one thread. `close` ends it, from any; so does a `with` block."""

    def __init__(self, open_stream: Callable[[Any], Any], following: Following) -> None:
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


class Closable(Protocol):
    """A client that can be closed while it is watched."""

    closed: bool


async def watch_async(
    client: Closable, open_stream: Callable[[Any], Any], following: Following
) -> AsyncGenerator[Event, None]:
    """`Watch` for asyncio; it is ended as every asynchronous generator: by `aclose`, or its task."""
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
