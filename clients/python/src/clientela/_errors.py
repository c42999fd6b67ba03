"""Why a call failed, as values that a program can decide by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from clientela.v1.reasons import Reason


@dataclass
class Violation:
    """One field of a request that breaks a rule."""

    field: str
    """The path of the field, for example `customer.email`."""
    reason: str
    """The rule, for example `TOO_LONG`."""
    description: str
    """What is wrong, in English."""


class Error(Exception):
    """A call that failed. Decide by `code` and `reason`, not by the text."""

    code: grpc.StatusCode
    message: str
    """The message of the server, in English."""
    reason: Reason
    """The reason of the contract's `ErrorReason`. Empty if the server did not answer. A server with a newer contract
    may send a reason that `Reason` does not list."""
    metadata: dict[str, str]
    """Values that belong to the reason; docs/ERRORS.md of the server lists them."""
    violations: list[Violation]
    """All fields of the request that break a rule; empty if the error is about something else."""
    retry_after: float | None
    """How many seconds to wait before the next attempt; None if the server does not say."""

    def __init__(self, code: grpc.StatusCode, message: str, reason: Reason = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = {}
        self.violations = []
        self.retry_after = None

    def __str__(self) -> str:
        """The reason, or the code if there is none, and every violation, or the message if there are none."""
        fields = [f"{violation.field}: {violation.description}" for violation in self.violations]
        return f"{self.reason or self.code.name}: {'; '.join(fields) or self.message}"

    @classmethod
    def of(cls, error: grpc.RpcError) -> Error:
        """Reads an error of gRPC."""
        failed: Any = error
        made = cls(failed.code(), failed.details() or "")
        for key, value in failed.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                made._read(status_pb2.Status.FromString(value))
        return made

    def _read(self, status: status_pb2.Status) -> None:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason, self.metadata = cast("Reason", info.reason), dict(info.metadata)
            elif detail.Unpack(bad):
                self.violations = [Violation(v.field, v.reason, v.description) for v in bad.field_violations]
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
