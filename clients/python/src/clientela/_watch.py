"""The events of watches, and how the messages of a stream become events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import grpc

from clientela._errors import Error
from clientela._reconnect import Following, Notify
from clientela.v1 import cart_service_pb2 as carts_pb2, common_pb2

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

UPSERTED, DELETED, LEFT_FILTER = 1, 2, 3
# How many removed names a watch remembers, so that no older version of them follows.
_GONE_MAX = 10_000


@dataclass(slots=True)
class Change:
    """A new state of one resource."""

    kind: int
    """`UPSERTED`, `DELETED` or `LEFT_FILTER`."""
    name: str
    version: int
    resource: Any
    """The whole resource if `kind` is `UPSERTED`, else None."""
    message: Any
    """The change as the server sent it: with `commit_time`, `conflated` and, for carts, `causes`."""

    @property
    def cart(self) -> carts_pb2.Cart:
        """The resource of a watch of carts. None unless `kind` is `UPSERTED`."""
        return self.resource  # type: ignore[no-any-return]


@dataclass(slots=True)
class Reset:
    """Discard all resources: a new snapshot follows."""

    cause: str
    """The name of the cause in `v1.SnapshotBegin.Cause`, for example `CAUSE_INITIAL`."""


@dataclass(slots=True)
class Ready:
    """The snapshot is complete."""

    count: int
    """The number of resources that the reader now has."""


Event = Change | Reset | Ready


class Watching(TypedDict, total=False):
    """Further arguments of watches."""

    names: list[str] | None
    options: common_pb2.WatchOptions | None
    notify: Notify | None


def interval(asked: Duration) -> float:
    """Returns the heartbeat interval in seconds that the server makes of a requested one."""
    return min(60.0, max(1.0, asked.ToTimedelta().total_seconds() or 15.0))


class Resources(Following[Event]):
    """A watch of resources. It continues after the last resume token and drops the changes that arrive twice."""

    def __init__(self, request: Any, resource: str, notify: Notify | None) -> None:
        super().__init__(notify)
        self.request = request
        self._options = request.options
        self._options.reset_on_expired_token = True
        self._resource = resource
        self._known: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        # Whether a snapshot came first, so that a name which is not known never existed.
        self._whole = not self._options.skip_snapshot and not self._options.resume_token
        self.silence_max = 3 * interval(self._options.heartbeat_interval)

    def read(self, message: Any) -> Iterator[Event]:
        signal = message.WhichOneof("signal")
        if signal == "snapshot_begin":
            self._known.clear()
            self._gone.clear()
            # A stream that breaks within a snapshot has to begin again.
            self._options.ClearField("resume_token")
            self._whole = True
            yield Reset(common_pb2.SnapshotBegin.Cause.Name(message.snapshot_begin.cause))
        for change in message.changes:
            if self._is_news(change):
                upserted = change.kind == UPSERTED
                resource = getattr(change, self._resource) if upserted else None
                yield Change(change.kind, change.name, change.version, resource, change)
        if message.resume_token:
            self._options.resume_token = message.resume_token
            self._options.skip_snapshot = False
        if signal == "snapshot_end":
            yield Ready(message.snapshot_end.count)

    def is_curable(self, error: Error) -> bool:
        stale = error.code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.ABORTED)
        if stale or (error.reason == "INVALID_RESUME_TOKEN" and self._options.resume_token):
            # The server cannot continue from the token: begin again without it.
            self._options.ClearField("resume_token")
            return True
        return super().is_curable(error)

    def _is_news(self, change: Any) -> bool:
        """Records a change and returns whether the reader does not know it yet."""
        name, version = change.name, change.version
        if change.kind == UPSERTED:
            # A resource that leaves a filter because time goes by may enter it again with the same version.
            if self._known.get(name, -1) >= version or self._gone.get(name, -1) > version:
                return False
            self._gone.pop(name, None)
            self._known[name] = version
            return True
        known = self._known.get(name)
        if known is not None and known > version:
            return False
        news = known is not None or (
            not self._whole and change.kind == DELETED and self._gone.get(name, -1) < version
        )
        self._known.pop(name, None)
        # At the end of the order again, so that the oldest is the first to be dropped.
        self._gone[name] = max(version, self._gone.pop(name, -1))
        if len(self._gone) > _GONE_MAX:
            del self._gone[next(iter(self._gone))]
        return news


class Figures(Following[carts_pb2.CartFigures]):
    """A watch of figures. Every stream begins with the figures as they are."""

    def __init__(self, request: carts_pb2.WatchCartFiguresRequest, notify: Notify | None) -> None:
        super().__init__(notify)
        self.request = request
        shortest = request.min_interval.ToTimedelta().total_seconds()
        self.silence_max = 3 * max(interval(request.heartbeat_interval), shortest)

    def read(self, message: Any) -> Iterator[carts_pb2.CartFigures]:
        # A message that only announces the end of the stream has no figures.
        if message.HasField("figures"):
            yield message.figures
