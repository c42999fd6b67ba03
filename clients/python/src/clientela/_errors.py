"""What a call that did not succeed says, as a value to decide by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]


@dataclass
class Violation:
    """What is wrong with one field of a request: its path, as `customer.email`, and why."""

    field: str
    reason: str
    description: str


class Error(Exception):
    """A call that did not succeed. Decide by `code` and `reason`, never by the text.

    `reason` is the name of a value of `clientela.v1.ErrorReason`, empty if the error is not the server's;
    `metadata` is what belongs to it, `violations` all that is wrong with the request. `retry_after` is after
    how many seconds to try again, None if the server does not say so.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.violations: list[Violation] = []
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
