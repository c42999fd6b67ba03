"""The loop that all watches share, for threads and for asyncio. It opens a stream again when the old one ends."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import grpc

from clientela._errors import Error

E = TypeVar("E")
# The pause before a new stream doubles from the first to the last of these seconds. It is drawn between two bounds.
_WAIT_MIN, _WAIT_MAX = 0.1, 10.0
_wait = random.uniform
_TRANSIENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    # It comes from a proxy that closed the stream: the reader has not.
    grpc.StatusCode.CANCELLED,
)

# Receives the error when a watch loses its connection, and None when it has a new one.
Notify = Callable[[Error | None], None]


class Following(ABC, Generic[E]):
    """The state of a watch across its streams: what to ask for, and how to read the answers."""

    request: Any
    # A stream that sends nothing for so many seconds has ended.
    silence_max: float

    def __init__(self, notify: Notify | None) -> None:
        self._notify = notify
        self._failures = 0

    @abstractmethod
    def read(self, message: Any) -> Iterator[E]:
        """Yields the events of a message."""

    def take(self, message: Any) -> Iterator[E]:
        """Yields the events of a message, after it has recorded that the stream works."""
        if self._failures:
            self._failures = 0
            if self._notify:
                self._notify(None)
        return self.read(message)

    def is_curable(self, error: Error) -> bool:
        """Returns whether another stream may work."""
        return error.code in _TRANSIENT or error.reason == "SLOW_CONSUMER"

    def lost(self, error: Error) -> float:
        """Returns the pause before the next stream in seconds. Raises the error if no stream can work."""
        if not self.is_curable(error):
            raise error
        if self._notify:
            self._notify(error)
        longest = min(_WAIT_MAX, _WAIT_MIN * 2 ** (min(self._failures, 10) + 1))
        self._failures += 1
        return _wait(_WAIT_MIN, longest)

    def silent(self) -> Error:
        return Error(grpc.StatusCode.UNAVAILABLE, f"the server sent nothing for {self.silence_max:.0f} s")


def _ended() -> Error:
    return Error(grpc.StatusCode.UNAVAILABLE, "the stream ended without an error")


class Watch(Iterator[E]):
    """Yields events to one thread until it is closed. `close` works from any thread, and so does a `with` block."""

    def __init__(self, open_stream: Callable[[Any], Any], following: Following[E]) -> None:
        self._open_stream = open_stream
        self._following = following
        self._closed = threading.Event()
        self._call: Any = None
        self._heard = 0.0
        self._events = self._run()

    def __next__(self) -> E:
        return next(self._events)

    def __enter__(self) -> Watch[E]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watch. The loop that reads it ends without an error."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def _run(self) -> Iterator[E]:
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
                        # The time that the reader takes is not silence of the server.
                        self._heard = float("inf")
                        yield from self._following.take(message)
                        self._heard = time.monotonic()
                finally:
                    ended.set()
                    self._call.cancel()
            except Error as problem:
                error = self._following.silent() if silent.is_set() else problem
            except ValueError:
                # gRPC raises it for a channel that has been closed.
                if not self._closed.is_set():
                    raise
            if not self._closed.is_set():
                self._closed.wait(self._following.lost(error))

    def _guard(self, call: Any, ended: threading.Event, silent: threading.Event) -> None:
        """Ends a stream that is silent for too long."""
        while not ended.wait(min(1.0, self._following.silence_max / 3)):
            if time.monotonic() - self._heard > self._following.silence_max:
                silent.set()
                call.cancel()
                return


class Closable(Protocol):
    """A client that may be closed during a watch."""

    closed: bool


async def watch_async(
    client: Closable, open_stream: Callable[[Any], Any], following: Following[E]
) -> AsyncGenerator[E, None]:
    """The loop of `Watch` for asyncio. `aclose` or the cancellation of its task ends it."""
    while not client.closed:
        error = _ended()
        call = open_stream(following.request)
        heard, silent = time.monotonic(), False

        # A task beside the reader: a timeout for each message would cost more than the message.
        async def guard() -> None:
            nonlocal silent
            while time.monotonic() - heard <= following.silence_max:
                await asyncio.sleep(min(1.0, following.silence_max / 3))
            silent = call.cancel()

        guarding = asyncio.create_task(guard())
        try:
            async for message in call:
                # The time that the reader takes is not silence of the server.
                heard = float("inf")
                for event in following.take(message):
                    yield event
                heard = time.monotonic()
        except Error as problem:
            error = problem
        except asyncio.CancelledError:
            # The stream was cancelled by the guard or with the client; otherwise the reader was.
            if not silent and not client.closed:
                raise
        finally:
            guarding.cancel()
            call.cancel()
        if client.closed:
            return
        await asyncio.sleep(following.lost(following.silent() if silent else error))
